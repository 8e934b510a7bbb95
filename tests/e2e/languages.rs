//! What a skill does is the same in every language. `behaves` of tests/skills says it in Rust, tests/languages in the others, which
//! are built by `sdk/try.sh` and found by `SKILLHOST_LANGUAGES`.

use std::{env, fs, panic, path::Path};

use serde_json::{Value, json};
use skillhost_e2e::{Client, Host, component};

use crate::{
    asking::{accepted, everything, text},
    empty,
};

/// A skill in one language, at the other end of a client of its own.
struct Tried {
    _host: Host,
    bytes: Vec<u8>,
    client: Client,
    skill: String,
}

impl Tried {
    fn new(skill: &str, bytes: &[u8]) -> Self {
        Self::with(skill, bytes, "")
    }

    /// The same with more settings.
    fn with(skill: &str, bytes: &[u8], settings: &str) -> Self {
        let host = empty().config(&format!(
            "[skills.{skill}]\n{settings}\n[skills.{skill}.grants]\nconfig = {{ units = \"metric 🧀\" }}\nkeyvalue = true\ntools = [\"text_*\"]"
        ));
        host.put(&format!("{skill}.wasm"), bytes);
        host.put("text.wasm", &component("text.wasm"));
        let client = host.stdio_with(everything());
        Self { _host: host, bytes: bytes.to_owned(), client, skill: skill.to_owned() }
    }

    fn tool(&self, tool: &str) -> String {
        format!("{}_{tool}", self.skill)
    }

    fn call(&mut self, tool: &str, arguments: Value) -> Value {
        let tool = self.tool(tool);
        self.client.call(&tool, arguments)
    }

    fn value(&mut self, tool: &str, arguments: Value) -> Value {
        self.call(tool, arguments)["structuredContent"]["value"].take()
    }
}

/// A name, and what panics where the skill does otherwise.
type Behaviour = (&'static str, fn(&mut Tried));

/// What is seen of a skill, and what must come of it.
const BEHAVIOURS: [Behaviour; 14] = [
    ("listed", listed),
    ("echo", echo),
    ("structured", structured),
    ("failures", failures),
    ("trap", trap),
    ("progress", progress),
    ("config", config),
    ("undo", undo),
    ("ask", ask),
    ("call", call),
    ("unicode", unicode),
    ("1 MiB", mebibyte),
    ("fresh", fresh),
    ("reused", reused),
];

fn listed(tried: &mut Tried) {
    let all = tried.client.request("tools/list", json!({}))["result"]["tools"].take();
    let name = tried.tool("put");
    let put = all.as_array().unwrap().iter().find(|tool| tool["name"] == *name).expect("it is listed");
    assert_eq!(put["description"], "Keeps a value.");
    let properties = &put["inputSchema"]["properties"];
    assert_eq!(
        (&properties["key"]["type"], &properties["value"]["type"]),
        (&json!("string"), &json!("string"))
    );
    let name = tried.tool("echo");
    let echo = all.as_array().unwrap().iter().find(|tool| tool["name"] == *name).expect("it is listed");
    assert_eq!(echo["annotations"]["readOnlyHint"], true, "{echo}");
    // The host has held the arguments against the schema.
    let wrong = tried.call("put", json!({"key": 1, "value": "x"}));
    assert_eq!(wrong["_meta"]["skillhost/failure"]["kind"], "invalid-input", "{wrong}");
}

fn echo(tried: &mut Tried) {
    let said = tried.call("say", json!({"text": "a\n\"b\" \\ \t<c> %s %n"}));
    assert_eq!(text(&said), "a\n\"b\" \\ \t<c> %s %n", "{said}");
    assert_eq!(text(&tried.call("say", json!({"text": ""}))), "");
}

fn structured(tried: &mut Tried) {
    let value = json!({
        "null": null, "truth": [true, false], "numbers": [0, -1, 1.5, 9_007_199_254_740_991_i64], "empty": [{}, []],
        "deep": [[[[[[{"a": {"b": {"c": 1}}}]]]]]],
    });
    assert_eq!(tried.value("echo", json!({"value": value})), value);
    for value in [json!(null), json!(false), json!(""), json!([])] {
        assert_eq!(tried.value("echo", json!({"value": value})), value);
    }
}

fn failures(tried: &mut Tried) {
    for kind in ["invalid-input", "transient", "permanent", "conflict"] {
        let failed = tried.call("fail", json!({"kind": kind}));
        let failure = &failed["_meta"]["skillhost/failure"];
        assert_eq!((&failed["isError"], &failure["kind"]), (&json!(true), &json!(kind)), "{failed}");
        assert_eq!(failure["effect"], "none", "{failed}");
        assert!(text(&failed).contains("as told"), "{failed}");
        if kind == "transient" {
            assert_eq!(failure["retry_after_ms"], 1500, "{failed}");
        }
    }
    // What a client lacks is an error of the protocol.
    let tool = tried.tool("fail");
    let id = tried.client.begin_call(&tool, json!({"kind": "missing-capability"}));
    let lacks = tried.client.wait(id);
    assert!(lacks["error"]["data"]["requiredCapabilities"]["roots"].is_object(), "{lacks}");
    let no = tried.call("fail", json!({"kind": "no"}));
    assert_eq!((&no["isError"], text(&no)), (&json!(true), "as told"), "{no}");
    assert!(no["_meta"]["skillhost/failure"].is_null(), "{no}");
}

fn trap(tried: &mut Tried) {
    let failed = tried.call("fail", json!({"kind": "otherwise"}));
    let failure = &failed["_meta"]["skillhost/failure"];
    assert_eq!((&failure["kind"], &failure["effect"]), (&json!("trap"), &json!("unknown")), "{failed}");
    assert!(text(&failed).contains("as told"), "what it said last is told: {failed}");
    // The next call has an instance of its own.
    assert_eq!(text(&tried.call("say", json!({"text": "on"}))), "on");
}

fn progress(tried: &mut Tried) {
    let params =
        json!({"name": tried.tool("steps"), "arguments": {"count": 3}, "_meta": {"progressToken": "p"}});
    let id = tried.client.begin("tools/call", params);
    let mut seen = vec![];
    let end = tried.client.wait_for("the result", |message| {
        if message["method"] == "notifications/progress" {
            seen.push(message["params"].clone());
        }
        message["id"] == id && message.get("method").is_none()
    });
    assert_eq!(text(&end["result"]), "done");
    let last = seen.last().expect("progress is reported");
    let told = (&last["progress"], &last["total"], &last["message"]);
    assert_eq!(
        (told.0.as_f64(), told.1.as_f64(), told.2),
        (Some(3.0), Some(3.0), &json!("step 3")),
        "{seen:?}"
    );
}

fn config(tried: &mut Tried) {
    assert_eq!(tried.value("setting", json!({"key": "units"})), "metric 🧀");
    assert_eq!(tried.value("setting", json!({"key": "other"})), json!(null));
    tried.call("note", json!({"text": "a line of ü"}));
    let line = tried.client.wait_log("the guest's line", |line| line.to_string().contains("a line of ü"));
    assert!(line["target"] == "skillhost::guest" && line["level"] == "WARN", "{line}");
}

fn undo(tried: &mut Tried) {
    let put = |tried: &mut Tried, value: &str| {
        let kept = tried.call("put", json!({"key": "k🧀", "value": value}));
        kept["_meta"]["skillhost/call_id"].as_str().expect("it can be undone").to_owned()
    };
    let (first, second) = (put(tried, "one"), put(tried, "two"));
    for (id, is) in [(second, json!("one")), (first, json!(null))] {
        let undone = tried.client.call("undo_call", json!({"id": id}));
        assert_ne!(undone["isError"], true, "{undone}");
        assert_eq!(tried.value("get", json!({"key": "k🧀"})), is);
    }
}

fn ask(tried: &mut Tried) {
    let tool = tried.tool("ask");
    let id = tried.client.begin_call(&tool, json!({}));
    let asked = tried.client.wait_for("the question", |message| message["method"] == "elicitation/create");
    assert_eq!(asked["params"]["message"], "Sure?", "{asked}");
    assert_eq!(asked["params"]["requestedSchema"]["properties"]["sure"]["type"], "boolean", "{asked}");
    tried.client.answer(&asked, accepted(json!({"sure": true})));
    let end = tried.client.wait(id);
    assert_eq!(text(&end["result"]), "sure: true", "{end}");
}

fn call(tried: &mut Tried) {
    let counted = json!({"tool": "text_word_count", "args": {"text": "a b c"}});
    assert_eq!(tried.value("relay", counted)["words"], 3);
    let failed = tried.call("relay", json!({"tool": "text_word_count", "args": {"text": 1}}));
    assert_eq!(failed["isError"], true, "{failed}");
}

/// Several planes, combining, from right to left, what JSON and C dislike, and a name that is a keyword nearly everywhere.
const UNICODE: &str = "Zażółć 🧀🏴󠁧󠁢󠁥󠁮󠁧󠁿 𝒳 עברית e\u{301} \u{2028}\u{feff}\u{10ffff}";

fn unicode(tried: &mut Tried) {
    assert_eq!(text(&tried.call("say", json!({"text": UNICODE}))), UNICODE);
    let mut value = json!({"class": UNICODE, "__proto__": 1, "constructor": [UNICODE]});
    value[UNICODE] = json!(UNICODE);
    assert_eq!(tried.value("echo", json!({"value": value})), value);
}

fn mebibyte(tried: &mut Tried) {
    let long = "0123456789abcde🧀".repeat((1 << 20) / 19);
    assert_eq!(text(&tried.call("say", json!({"text": long}))), long);
    assert_eq!(tried.value("echo", json!({"value": {"long": long}}))["long"], *long);
}

/// How many calls the instance of each of so many calls has served.
fn served(tried: &mut Tried, calls: usize, garbage: usize) -> Vec<String> {
    let served = |_| text(&tried.call("served", json!({"garbage": garbage}))).to_owned();
    (0..calls).map(served).collect()
}

fn fresh(tried: &mut Tried) {
    assert_eq!(served(tried, 3, 0), ["1", "1", "1"], "no call finds what another has left");
}

fn reused(tried: &mut Tried) {
    let mut reused = Tried::with(&tried.skill, &tried.bytes, "reuse_calls = 3");
    assert_eq!(served(&mut reused, 4, 0), ["1", "2", "3", "1"]);
    // What ends badly serves no more; other tools do not say that they bear it.
    assert_eq!(served(&mut reused, 1, 0), ["2"]);
    let failed = reused.call("served", json!({"garbage": 1_u64 << 40}));
    assert_eq!(failed["isError"], true, "{failed}");
    assert_eq!(served(&mut reused, 1, 0), ["1"]);
    // What a call leaves behind is collected in time: four times the memory of an instance.
    let mut reused = Tried::with(&tried.skill, &tried.bytes, "reuse_calls = 100000\nmemory = \"64 MiB\"");
    let last = served(&mut reused, 64, 4 << 20).pop();
    assert_eq!(last.as_deref(), Some("64"));
}

/// What went wrong in each behaviour, if anything.
fn outcomes(skill: &str, bytes: &[u8]) -> [Result<(), String>; BEHAVIOURS.len()] {
    let mut tried = Tried::new(skill, bytes);
    BEHAVIOURS.map(|(_, behaves)| {
        let outcome = panic::catch_unwind(panic::AssertUnwindSafe(|| behaves(&mut tried)));
        outcome.map_err(|problem| {
            // Who knows what it waits for.
            tried = Tried::new(skill, bytes);
            let text = problem.downcast_ref::<String>().cloned();
            let text = text.or_else(|| problem.downcast_ref::<&str>().map(|text| (*text).to_owned()));
            text.unwrap_or_else(|| "it panicked".into())
        })
    })
}

#[test]
fn rust_behaves() {
    let outcomes = outcomes("behaves", &component("behaves.wasm"));
    for ((name, _), outcome) in BEHAVIOURS.into_iter().zip(outcomes) {
        assert_eq!(outcome, Ok(()), "{name}");
    }
}

/// Those that a skill is written in for this.
const LANGUAGES: [&str; 7] = ["rust", "js", "ts", "python", "go", "c", "cpp"];

/// All of them, as a table.
#[test]
#[ignore = "needs the skills of all languages; .ci/run builds them"]
#[expect(clippy::print_stdout, reason = "the table is what it is run for")]
fn every_language_behaves() {
    let folder = env::var("SKILLHOST_LANGUAGES").expect("SKILLHOST_LANGUAGES names the folder of the skills");
    let names = BEHAVIOURS.map(|(name, _)| name);
    println!("{:10} {}", "", names.join("  "));
    let mut wrong = vec![];
    for language in LANGUAGES {
        let skill = format!("behaves-{language}");
        let mut line = format!("{language:10}");
        if let Ok(bytes) = fs::read(Path::new(&folder).join(format!("{skill}.wasm"))) {
            for (name, outcome) in names.into_iter().zip(outcomes(&skill, &bytes)) {
                let word = if outcome.is_ok() { "ok" } else { "FAIL" };
                line.push_str(&format!(" {word:<w$} ", w = name.len()));
                wrong.extend(outcome.err().map(|problem| format!("{skill} {name}: {problem}")));
            }
        } else {
            line.push_str(" not built");
            wrong.push(format!("{skill} is not in {folder}"));
        }
        println!("{line}");
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
