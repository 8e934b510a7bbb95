//! Messages of both eras from a grammar, and what can be wrong with them.

use proptest::prelude::{Just, Strategy, any};
use proptest::{collection::vec, prop_oneof};
use serde_json::{Map, Value, json};

/// Random numbers that are the same for the same seed, on every machine and in every version.
pub(super) struct Dice(u64);

impl Dice {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// SplitMix64.
    pub(super) fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub(super) fn below(&mut self, n: usize) -> usize {
        usize::try_from(self.roll() % n as u64).expect("below a usize")
    }

    /// Whether something of so many percent happens.
    pub(super) fn chance(&mut self, percent: u64) -> bool {
        self.roll() % 100 < percent
    }

    pub(super) fn pick<'a, T: ?Sized>(&mut self, of: &[&'a T]) -> &'a T {
        of[self.below(of.len())]
    }
}

/// How a host is spoken to before all else.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Opening {
    /// The handshake of this revision, as a client that can be asked things.
    Handshake(&'static str),
    /// None: each request says all of its client.
    None,
}

pub(super) const OPENINGS: [Opening; 4] = [
    Opening::Handshake("2025-11-25"),
    Opening::None,
    Opening::Handshake("2025-06-18"),
    Opening::Handshake("2024-11-05"),
];

pub(super) const MODERN: &str = "2026-07-28";

/// One change of a message, of this kind.
#[derive(Debug, Clone)]
pub(super) struct Change {
    kind: u8,
    seed: u64,
}

/// One message: what it is made from, and what is wrong with it.
#[derive(Debug, Clone)]
pub(super) struct Line {
    seed: u64,
    pub(super) modern: bool,
    changes: Vec<Change>,
    /// What is wrong with its head, over HTTP.
    pub(super) head: Vec<Change>,
}

/// Messages that are sent at once.
#[derive(Debug, Clone)]
pub(super) struct Case {
    pub(super) opening: Opening,
    pub(super) lines: Vec<Line>,
}

const KINDS: u8 = 20;
const HEAD_KINDS: u8 = 9;

/// All cases. Smaller ones have fewer messages, and fewer changes of them.
pub(super) fn cases() -> impl Strategy<Value = Case> {
    let seed = || any::<u64>().no_shrink();
    let change = move |kinds| (0..kinds, seed()).no_shrink().prop_map(|(kind, seed)| Change { kind, seed });
    let changes = prop_oneof![
        4 => Just(vec![]).boxed(),
        5 => vec(change(KINDS), 1..=1).boxed(),
        2 => vec(change(KINDS), 1..=4).boxed(),
    ];
    let head = prop_oneof![
        3 => Just(vec![]).boxed(),
        1 => vec(change(HEAD_KINDS), 0..=2).boxed(),
    ];
    let line = (seed(), any::<bool>(), changes, head).prop_map(|(seed, modern, changes, head)| Line {
        seed,
        modern,
        changes,
        head,
    });
    (0..OPENINGS.len(), vec(line, 1..=12))
        .prop_map(|(opening, lines)| Case { opening: OPENINGS[opening], lines })
}

/// What there is to ask for.
pub(super) struct World {
    /// Names and schemas of arguments.
    pub(super) tools: Vec<(String, Value)>,
}

/// JSON that need not be sound: text is kept as it is written.
#[derive(Debug, Clone)]
enum Json {
    Raw(String),
    List(Vec<Json>),
    Map(Vec<(String, Json)>),
}

impl Json {
    fn of(value: &Value) -> Self {
        match value {
            Value::Array(all) => Self::List(all.iter().map(Self::of).collect()),
            Value::Object(all) => {
                let quoted = |key: &String| Value::from(key.as_str()).to_string();
                Self::Map(all.iter().map(|(key, value)| (quoted(key), Self::of(value))).collect())
            }
            other => Self::Raw(other.to_string()),
        }
    }

    fn write(&self, to: &mut String) {
        match self {
            Self::Raw(text) => to.push_str(text),
            Self::List(all) => {
                to.push('[');
                for (n, value) in all.iter().enumerate() {
                    to.push_str(if n > 0 { "," } else { "" });
                    value.write(to);
                }
                to.push(']');
            }
            Self::Map(all) => {
                to.push('{');
                for (n, (key, value)) in all.iter().enumerate() {
                    to.push_str(if n > 0 { "," } else { "" });
                    to.push_str(key);
                    to.push(':');
                    value.write(to);
                }
                to.push('}');
            }
        }
    }

    /// How many values it has, itself counted.
    fn size(&self) -> usize {
        match self {
            Self::Raw(_) => 1,
            Self::List(all) => 1 + all.iter().map(Self::size).sum::<usize>(),
            Self::Map(all) => 1 + all.iter().map(|(_, value)| value.size()).sum::<usize>(),
        }
    }

    /// The value at this place, counted from the outside.
    fn at(&mut self, mut n: usize) -> &mut Self {
        if n == 0 {
            return self;
        }
        n -= 1;
        let inner: Vec<&mut Self> = match self {
            Self::Raw(_) => unreachable!("it has no such place"),
            Self::List(all) => all.iter_mut().collect(),
            Self::Map(all) => all.iter_mut().map(|(_, value)| value).collect(),
        };
        for value in inner {
            let size = value.size();
            if n < size {
                return value.at(n);
            }
            n -= size;
        }
        unreachable!("it has no such place")
    }

    /// Any value in it.
    fn any(&mut self, dice: &mut Dice) -> &mut Self {
        let size = self.size();
        self.at(dice.below(size))
    }

    /// The fields of any object in it that has some.
    fn any_map(&mut self, dice: &mut Dice) -> Option<&mut Vec<(String, Self)>> {
        let size = self.size();
        let from = dice.below(size);
        let fits = |value: &Self| matches!(value, Self::Map(all) if !all.is_empty());
        let at = (0..size).map(|n| (from + n) % size).find(|at| fits(self.at(*at)))?;
        match self.at(at) {
            Self::Map(all) => Some(all),
            _ => None,
        }
    }

    fn set(&mut self, key: &str, value: Self) {
        if let Self::Map(all) = self {
            match all.iter_mut().find(|(own, _)| own == key) {
                Some((_, own)) => *own = value,
                None => all.push((key.to_owned(), value)),
            }
        }
    }

    fn remove(&mut self, key: &str) {
        if let Self::Map(all) = self {
            all.retain(|(own, _)| own != key);
        }
    }
}

const STRINGS: [&str; 16] = [
    "",
    "a",
    "two words",
    "words\nand lines\n",
    "\u{0}",
    "\u{feff}x\u{202e}y",
    "😀 Ünïcödé 漢字",
    "../../etc/passwd",
    "$TASK",
    "$STATE",
    "test://static-text",
    "file:///",
    "%00%ff",
    "'; DROP TABLE calls; --",
    "0190a0a0-0000-7000-8000-000000000000",
    "urgent",
];

const NUMBERS: [&str; 17] = [
    "0",
    "-1",
    "-0",
    "1.5",
    "1e2",
    "1e400",
    "-1e-400",
    "9007199254740993",
    "9223372036854775807",
    "9223372036854775808",
    "-9223372036854775809",
    "18446744073709551616",
    "4294967296",
    "1.7976931348623157e308",
    "0.1000000000000000055511151231257827",
    "123456789012345678901234567890123456789012345678901234567890",
    "3E+5",
];

/// Anything.
fn anything(dice: &mut Dice, depth: usize) -> Value {
    match dice.below(if depth == 0 { 7 } else { 9 }) {
        0 => Value::Null,
        1 => dice.chance(50).into(),
        2 => (dice.roll() as i64).into(),
        3 => dice.below(10).into(),
        4 => (dice.roll() as f64 / 1e9).into(),
        5 | 6 => dice.pick(&STRINGS).into(),
        7 => (0..dice.below(4)).map(|_| anything(dice, depth - 1)).collect(),
        _ => {
            let fields = (0..dice.below(4))
                .map(|n| (format!("{}{n}", dice.pick(&STRINGS)), anything(dice, depth - 1)));
            fields.collect::<Map<_, _>>().into()
        }
    }
}

const FILTERS: [&str; 16] = [
    ".",
    ".[]",
    ".a.b?",
    "..",
    "map(.+1)",
    "def f: f; f",
    "[range(1000000)]|length",
    "range(1e18)",
    "test(\"(a+)+$\")",
    "[limit(3;repeat(1))]",
    ".[\"\\u0000\"]",
    "@base64d",
    "try error(\"x\") catch .",
    "input",
    "\"\\ud800\"",
    "{",
];

/// What fits a schema, mostly.
fn fitting(dice: &mut Dice, schema: &Value, root: &Value, depth: usize) -> Value {
    if dice.chance(6) || depth == 0 {
        return anything(dice, 3);
    }
    if let Some(all) = schema["enum"].as_array().filter(|all| !all.is_empty()) {
        return all[dice.below(all.len())].clone();
    }
    if let Some(place) = schema["$ref"].as_str() {
        let found = root.pointer(place.trim_start_matches('#')).cloned().unwrap_or(Value::Bool(true));
        return fitting(dice, &found, root, depth - 1);
    }
    for choice in ["oneOf", "anyOf"] {
        if let Some(all) = schema[choice].as_array().filter(|all| !all.is_empty()) {
            let one = all[dice.below(all.len())].clone();
            return fitting(dice, &one, root, depth - 1);
        }
    }
    let kind = match &schema["type"] {
        Value::Array(all) if !all.is_empty() => all[dice.below(all.len())].clone(),
        other => other.clone(),
    };
    match kind.as_str().unwrap_or(if schema["properties"].is_object() { "object" } else { "" }) {
        "object" => {
            let required =
                |key: &str| schema["required"].as_array().is_some_and(|all| all.iter().any(|one| one == key));
            let mut made = Map::new();
            for (key, inner) in schema["properties"].as_object().into_iter().flatten() {
                if dice.chance(if required(key) { 97 } else { 50 }) {
                    let value = match &**key {
                        "filter" if dice.chance(80) => dice.pick(&FILTERS).into(),
                        _ => fitting(dice, inner, root, depth - 1),
                    };
                    made.insert(key.clone(), value);
                }
            }
            if dice.chance(8) {
                made.insert(dice.pick(&STRINGS).into(), anything(dice, 2));
            }
            made.into()
        }
        "array" => (0..dice.below(4)).map(|_| fitting(dice, &schema["items"], root, depth - 1)).collect(),
        "string" => match dice.below(8) {
            0 => "long ".repeat(dice.below(3000)).into(),
            _ => dice.pick(&STRINGS).into(),
        },
        "integer" => match dice.below(4) {
            0 => (dice.roll() as i64).into(),
            1 => schema["maximum"].clone(),
            2 => schema["minimum"].clone(),
            _ => dice.below(5).into(),
        },
        "number" => (dice.roll() as f64 / 1e12).into(),
        "boolean" => dice.chance(50).into(),
        "null" => Value::Null,
        _ => anything(dice, 3),
    }
}

fn capabilities(dice: &mut Dice) -> Value {
    match dice.below(5) {
        0 => json!({}),
        1 => all_capabilities(),
        2 => json!({"extensions": {"io.modelcontextprotocol/tasks": {}}}),
        3 => json!({"elicitation": {"url": {}}, "experimental": {"x": {"y": 1}}}),
        _ => {
            let mut all = all_capabilities();
            all["extensions"] = json!({"io.modelcontextprotocol/tasks": {}});
            all
        }
    }
}

pub(super) fn all_capabilities() -> Value {
    json!({"elicitation": {"form": {}, "url": {}}, "sampling": {"tools": {}}, "roots": {"listChanged": true}})
}

pub(super) fn modern_meta(capabilities: Value) -> Value {
    json!({
        "io.modelcontextprotocol/protocolVersion": MODERN,
        "io.modelcontextprotocol/clientCapabilities": capabilities,
        "io.modelcontextprotocol/clientInfo": {"name": "fuzz", "version": "1"},
    })
}

fn meta(dice: &mut Dice, modern: bool) -> Option<Value> {
    let mut meta = match modern {
        true => modern_meta(capabilities(dice)),
        false if dice.chance(60) => return None,
        false => json!({}),
    };
    let all = meta.as_object_mut().expect("an object");
    if dice.chance(20) {
        let token = match dice.below(4) {
            0 => json!(dice.below(5)),
            1 => json!("token"),
            2 => json!(dice.roll()),
            _ => anything(dice, 1),
        };
        all.insert("progressToken".into(), token);
    }
    for (key, good) in [
        ("skillhost/idempotency_key", json!(format!("key-{}", dice.below(4)))),
        ("skillhost/durable", json!(true)),
        ("skillhost/priority", json!("low")),
        ("skillhost/correlation_id", json!("fuzz")),
        ("io.modelcontextprotocol/logLevel", json!("debug")),
        ("io.modelcontextprotocol/subscriptionId", json!(1)),
        ("traceparent", json!("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")),
        ("own/key", json!({"a": [1, null]})),
    ] {
        if dice.chance(5) {
            let value = if dice.chance(70) { good } else { anything(dice, 2) };
            all.insert(key.into(), value);
        }
    }
    Some(meta)
}

const METHODS: [&str; 22] = [
    "ping",
    "server/discover",
    "initialize",
    "tools/list",
    "prompts/list",
    "resources/list",
    "resources/templates/list",
    "prompts/get",
    "resources/read",
    "completion/complete",
    "resources/subscribe",
    "resources/unsubscribe",
    "subscriptions/listen",
    "logging/setLevel",
    "tasks/get",
    "tasks/update",
    "tasks/cancel",
    "tasks/list",
    "tasks/result",
    "roots/list",
    "no/such/method",
    "",
];

const PROMPTS: [&str; 7] = [
    "whole_essay",
    "conformance_test_simple_prompt",
    "conformance_test_prompt_with_arguments",
    "conformance_test_prompt_with_embedded_resource",
    "conformance_test_input_required_result_prompt",
    "no_such_prompt",
    "",
];

const URIS: [&str; 8] = [
    "test://static-text",
    "test://static-binary",
    "test://watched-resource",
    "test://template/12/data",
    "test://template/%2f..%00/data",
    "value://a",
    "no such uri",
    "",
];

/// What answers a question, when it fits.
fn answers(dice: &mut Dice) -> Value {
    let mut all = Map::new();
    for key in
        ["user_name", "confirm", "step1", "capital_question", "client_roots", "contact", "sampling", "first"]
    {
        if dice.chance(40) {
            all.insert(key.into(), answer(dice));
        }
    }
    all.into()
}

/// An answer of a client that was asked.
pub(super) fn answer(dice: &mut Dice) -> Value {
    match dice.below(7) {
        0 => {
            json!({"action": "accept", "content": {"name": "x", "ok": true, "confirm": true, "color": "red"}})
        }
        1 => json!({"action": "decline"}),
        2 => json!({"action": "cancel", "content": null}),
        3 => {
            json!({"role": "assistant", "content": {"type": "text", "text": "x"}, "model": "m", "stopReason": "endTurn"})
        }
        4 => json!({"roots": [{"uri": "file:///x", "name": "x"}]}),
        5 => json!({"action": "accept", "content": anything(dice, 3)}),
        _ => anything(dice, 3),
    }
}

/// Method and parameters of a sound request, or nearly so.
fn request(dice: &mut Dice, world: &World, modern: bool) -> (String, Value) {
    let mut params = Map::new();
    let method = match dice.chance(45) {
        true => "tools/call",
        false => dice.pick(&METHODS),
    };
    match method {
        "tools/call" => {
            let (name, schema) = &world.tools[dice.below(world.tools.len())];
            let name = if dice.chance(4) { dice.pick(&STRINGS) } else { name.as_str() };
            params.insert("name".into(), name.into());
            if dice.chance(95) {
                params.insert("arguments".into(), fitting(dice, schema, schema, 8));
            }
            if dice.chance(20) {
                params.insert("inputResponses".into(), answers(dice));
                params.insert("requestState".into(), "$STATE".into());
            }
        }
        "prompts/get" => {
            params.insert("name".into(), dice.pick(&PROMPTS).into());
            if dice.chance(80) {
                let arguments = match dice.chance(70) {
                    true => json!({"topic": "rain", "arg1": "a", "arg2": "b", "resourceUri": "test://x"}),
                    false => anything(dice, 2),
                };
                params.insert("arguments".into(), arguments);
            }
            if dice.chance(30) {
                params.insert("inputResponses".into(), answers(dice));
                params.insert("requestState".into(), "$STATE".into());
            }
        }
        "resources/read" | "resources/subscribe" | "resources/unsubscribe" => {
            params.insert("uri".into(), dice.pick(&URIS).into());
        }
        "completion/complete" => {
            let of = match dice.below(3) {
                0 => json!({"type": "ref/prompt", "name": dice.pick(&PROMPTS)}),
                1 => {
                    json!({"type": "ref/resource", "uri": dice.pick(&["value://{key}", "test://template/{id}/data", "x"])})
                }
                _ => anything(dice, 2),
            };
            params.insert("ref".into(), of);
            let argument =
                json!({"name": dice.pick(&["topic", "arg1", "id", "key"]), "value": dice.pick(&STRINGS)});
            params.insert("argument".into(), argument);
            if dice.chance(30) {
                params.insert("context".into(), json!({"arguments": {"arg1": "x"}}));
            }
        }
        "subscriptions/listen" => {
            let filter = json!({"toolsListChanged": true, "promptsListChanged": dice.chance(50),
                "resourcesListChanged": true, "resourceSubscriptions": [dice.pick(&URIS)]});
            params.insert("notifications".into(), if dice.chance(80) { filter } else { anything(dice, 2) });
        }
        "logging/setLevel" => {
            params.insert("level".into(), dice.pick(&["debug", "info", "emergency", "loud"]).into());
        }
        "tasks/get" | "tasks/update" | "tasks/cancel" | "tasks/result" => {
            params.insert("taskId".into(), dice.pick(&["$TASK", "x", ""]).into());
            if method == "tasks/update" {
                params.insert("inputResponses".into(), answers(dice));
            }
        }
        "initialize" => {
            let versions = ["2025-11-25", "2025-03-26", MODERN, "1999-01-01", ""];
            params.insert("protocolVersion".into(), dice.pick(&versions).into());
            params.insert("capabilities".into(), capabilities(dice));
            params.insert("clientInfo".into(), json!({"name": "fuzz", "version": "1"}));
        }
        _ => {
            if dice.chance(20) {
                let cursor = if dice.chance(80) { json!(dice.pick(&STRINGS)) } else { anything(dice, 1) };
                params.insert("cursor".into(), cursor);
            }
        }
    }
    if let Some(meta) = meta(dice, modern) {
        params.insert("_meta".into(), meta);
    }
    (method.into(), params.into())
}

const NOTIFICATIONS: [&str; 8] = [
    "notifications/initialized",
    "notifications/cancelled",
    "notifications/progress",
    "notifications/roots/list_changed",
    "notifications/message",
    "notifications/tasks",
    "notifications/no_such",
    "ping",
];

/// A message, whose id is `id` if it has one. `earlier`: ids of messages before it.
fn message(dice: &mut Dice, world: &World, modern: bool, id: &Value, earlier: &[Value]) -> Value {
    let some = |dice: &mut Dice| match earlier.len() {
        0 => json!(dice.below(9)),
        n => earlier[dice.below(n)].clone(),
    };
    match dice.below(20) {
        0 => {
            let method = dice.pick(&NOTIFICATIONS);
            let params = match method {
                "notifications/cancelled" => json!({"requestId": some(dice), "reason": "fuzz"}),
                "notifications/progress" => {
                    json!({"progressToken": dice.below(5), "progress": anything(dice, 1), "total": 5})
                }
                _ => anything(dice, 2),
            };
            json!({"jsonrpc": "2.0", "method": method, "params": params})
        }
        1 => {
            json!({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": some(dice)}})
        }
        // Responses to what nobody asked.
        2 => {
            let id = if dice.chance(50) { some(dice) } else { json!(dice.below(9)) };
            match dice.chance(50) {
                true => json!({"jsonrpc": "2.0", "id": id, "result": answer(dice)}),
                false => {
                    json!({"jsonrpc": "2.0", "id": id, "error": {"code": dice.below(9), "message": "m"}})
                }
            }
        }
        _ => {
            let (method, params) = request(dice, world, modern);
            json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params})
        }
    }
}

/// A message as it goes out. `n`: a number that no other message has.
pub(super) struct Written {
    pub(super) bytes: Vec<u8>,
    /// What an intermediary would read of it, before it was changed.
    pub(super) method: Option<String>,
    pub(super) name: Option<String>,
    /// As it was generated.
    pub(super) id: Value,
}

impl Line {
    pub(super) fn write(&self, world: &World, n: u64, earlier: &[Value]) -> Written {
        let mut dice = Dice::new(self.seed);
        let id = if dice.chance(50) { json!(n) } else { json!(format!("fuzz-{n}")) };
        let made = message(&mut dice, world, self.modern, &id, earlier);
        let method = made["method"].as_str().map(str::to_owned);
        let params = &made["params"];
        let name = ["name", "uri", "taskId"].iter().find_map(|key| params[key].as_str()).map(str::to_owned);
        let mut json = Json::of(&made);
        let mut late = vec![];
        for change in &self.changes {
            let mut dice = Dice::new(change.seed);
            if !json.change(change.kind, &mut dice, n, earlier) {
                late.push((change.kind, dice));
            }
        }
        let mut text = String::new();
        json.write(&mut text);
        let mut bytes = text.into_bytes();
        for (kind, mut dice) in late {
            spoil(&mut bytes, kind, &mut dice);
        }
        Written { bytes, method, name, id }
    }
}

impl Json {
    /// Change it. False for what is to be done to its text.
    fn change(&mut self, kind: u8, dice: &mut Dice, n: u64, earlier: &[Value]) -> bool {
        match kind {
            // Another value, of another type or not.
            0 | 1 => *self.any(dice) = Self::of(&anything(dice, 2)),
            // A field less.
            2 => {
                if let Some(fields) = self.any_map(dice) {
                    let at = dice.below(fields.len());
                    fields.remove(at);
                }
            }
            // A field more.
            3 => {
                let value = Self::of(&anything(dice, 2));
                if let Some(fields) = self.any_map(dice) {
                    let names =
                        ["\"extra\"", "\"_meta\"", "\"params\"", "\"method\"", "\"i\\u0064\"", "\"\""];
                    fields.push((dice.pick(&names).to_owned(), value));
                }
            }
            // Deep.
            4 => {
                let depth = [10, 63, 64, 65, 126, 127, 128, 129, 1_000, 20_000][dice.below(10)];
                let (open, close) = if dice.chance(50) { ("[", "]") } else { ("{\"a\":", "}") };
                let text = format!("{}1{}", open.repeat(depth), close.repeat(depth));
                *self.any(dice) = Self::Raw(text);
            }
            5 => {
                let number = dice.pick(&NUMBERS).to_owned();
                *self.any(dice) = Self::Raw(number);
            }
            // Long.
            6 => {
                let length = [1_000, 10_000, 70_000, 1_000_000][dice.below(4)];
                *self.any(dice) = Self::Raw(format!("\"{}\"", "x".repeat(length)));
            }
            // A field twice.
            7 => {
                let other = dice.chance(50).then(|| Self::of(&anything(dice, 1)));
                if let Some(fields) = self.any_map(dice) {
                    let (key, value) = fields[dice.below(fields.len())].clone();
                    fields.push((key, other.unwrap_or(value)));
                }
            }
            // Half a character.
            8 => {
                let half = dice.pick(&["\"\\ud800\"", "\"a\\udc00b\"", "\"\\ud800\\ud800\""]).to_owned();
                if dice.chance(70) {
                    *self.any(dice) = Self::Raw(half);
                } else if let Some(fields) = self.any_map(dice) {
                    let at = dice.below(fields.len());
                    fields[at].0 = half;
                }
            }
            9 | 10 => {
                let id = match dice.below(12) {
                    0 => "-7".into(),
                    1 => "1.5".into(),
                    2 => "null".into(),
                    3 => dice.pick(&NUMBERS).to_owned(),
                    4 => format!("\"{n}{}\"", "i".repeat(dice.below(100_000))),
                    5 => "\"\"".into(),
                    6 => "{}".into(),
                    7 => "true".into(),
                    8 => format!("{n}.0"),
                    9 => format!("\"\\u0000{n}\\n\""),
                    10 => "\"\\ud800\"".into(),
                    _ => match earlier.len() {
                        0 => format!("\"{n}\""),
                        len => earlier[dice.below(len)].to_string(),
                    },
                };
                self.set("\"id\"", Self::Raw(id));
            }
            11 => self.remove("\"id\""),
            12 => match dice.below(5) {
                0 => self.remove("\"jsonrpc\""),
                1 => self.set("\"jsonrpc\"", Self::Raw("2.0".into())),
                2 => self.set("\"jsonrpc\"", Self::Raw("\"1.0\"".into())),
                3 => self.set("\"jsonrpc\"", Self::Raw("null".into())),
                _ => self.set("\"jsonrpc\"", Self::Raw("\"2.00\"".into())),
            },
            13 => {
                let method = match dice.below(4) {
                    0 => Value::from(dice.pick(&METHODS)),
                    1 => Value::from(dice.pick(&NOTIFICATIONS)),
                    2 => "TOOLS/CALL".into(),
                    _ => anything(dice, 1),
                };
                self.set("\"method\"", Self::of(&method));
            }
            14 => {
                let params = match dice.below(4) {
                    0 => {
                        self.remove("\"params\"");
                        return true;
                    }
                    1 => json!([]),
                    2 => Value::Null,
                    _ => anything(dice, 2),
                };
                self.set("\"params\"", Self::of(&params));
            }
            15 => {
                let one = self.clone();
                *self = Self::List(vec![one; 1 + dice.below(2)]);
            }
            16 => {
                let key = dice.pick(&["\"result\"", "\"error\""]);
                self.set(key, Self::of(&anything(dice, 1)));
            }
            _ => return false,
        }
        true
    }
}

/// Change text.
fn spoil(bytes: &mut Vec<u8>, kind: u8, dice: &mut Dice) {
    let at = dice.below(bytes.len() + 1);
    match kind {
        17 => bytes.truncate(at),
        18 => {
            let random: Vec<u8> = (0..1 + dice.below(40)).map(|_| dice.roll() as u8).collect();
            match dice.below(3) {
                // A line of its own.
                0 => *bytes = [&random[..], b"\n", bytes.as_slice()].concat(),
                1 => *bytes = [bytes.as_slice(), b"\n", &random].concat(),
                _ => drop(bytes.splice(at..at, random)),
            }
        }
        _ => {
            let some: [&[u8]; 9] = [
                b"\xff",
                b"\xc3\x28",
                b"\xed\xa0\x80",
                b"\0",
                b"\r",
                b"\n",
                b" \t ",
                b"\xef\xbb\xbf",
                b"\x0c",
            ];
            let what = dice.pick(&some);
            let at = if dice.chance(30) { 0 } else { at };
            drop(bytes.splice(at..at, what.iter().copied()));
        }
    }
}

/// Method, path and header lines of a request.
#[derive(Debug, Clone)]
pub(super) struct Head {
    pub(super) method: &'static str,
    pub(super) path: &'static str,
    pub(super) lines: Vec<(String, Vec<u8>)>,
}

impl Change {
    /// Change the head of an HTTP request.
    pub(super) fn head(&self, head: &mut Head) {
        const NAMES: [&str; 10] = [
            "mcp-protocol-version",
            "mcp-method",
            "mcp-name",
            "mcp-session-id",
            "accept",
            "content-type",
            "last-event-id",
            "origin",
            "host",
            "mcp-param-region",
        ];
        const VALUES: [&[u8]; 22] = [
            b"",
            b"2026-07-28",
            b"2025-11-25",
            b"2099-01-01",
            b"tools/call",
            b"tools/list",
            b"text_word_count",
            b"*/*",
            b"application/json",
            b"text/event-stream",
            b"application/json;q=0, text/event-stream",
            b"application/json; charset=latin1",
            b"APPLICATION/JSON",
            b"text/plain",
            b"\xff\xfe",
            b"=?base64?!!!?=",
            b"=?base64?dGV4dA==?=",
            b"null",
            b"0",
            b"http://localhost",
            b"localhost:1",
            b"\"a;q=0\", ,;;=",
        ];
        let dice = &mut Dice::new(self.seed);
        let name = dice.pick(&NAMES).to_owned();
        match self.kind {
            0 | 1 if !head.lines.is_empty() => {
                let at = dice.below(head.lines.len());
                head.lines.remove(at);
            }
            2 | 3 if !head.lines.is_empty() => {
                let at = dice.below(head.lines.len());
                head.lines[at].1 = dice.pick(&VALUES).to_vec();
            }
            4 => head.lines.push((name, dice.pick(&VALUES).to_vec())),
            5 if !head.lines.is_empty() => {
                let twice = head.lines[dice.below(head.lines.len())].clone();
                head.lines.push(twice);
            }
            6 => head.lines.push((name, vec![b'x'; [100, 5_000, 60_000][dice.below(3)]])),
            7 => head.method = dice.pick(&["GET", "PUT", "OPTIONS", "DELETE", "HEAD", "PATCH"]),
            8 => head.path = dice.pick(&["/mcp/", "/mcp/x", "/", "/mcp?x=y", "//mcp", "/healthz"]),
            _ => {}
        }
    }
}
