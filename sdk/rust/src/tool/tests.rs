use serde_json::{Value, json};

use crate::prelude::*;
use crate::types::{Annotations, Outcome, TaskSupport};
use crate::{Definition, dispatch};

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Pair {
    /// The first number.
    a: i32,
    b: i32,
}

#[derive(Serialize, JsonSchema)]
struct Sum {
    sum: i64,
}

/// Adds two numbers.
///
/// They may be negative.
#[tool(read_only, idempotent, open_world = false, title = "Addition")]
fn add(args: Pair) -> Result<Sum, Failure> {
    Ok(Sum { sum: i64::from(args.a) + i64::from(args.b) })
}

/// Divides two numbers.
#[tool(name = "integer-division", destructive = false, durable, task = "answered")]
fn divide(args: Pair, ctx: &Context) -> Result<String, Failure> {
    let quotient = args.a.checked_div(args.b).ok_or_else(|| Failure::invalid_input("`b` must not be 0"))?;
    Ok(format!("{quotient} for {}", ctx.caller))
}

/// Tells who calls.
#[tool]
fn caller(ctx: &Context) -> Reply {
    Reply::text(ctx.caller.clone())
}

/// Does nothing.
#[tool]
fn nothing() {}

/// Names that are keywords work.
#[tool]
fn r#loop(ctx: &Context, args: Pair) -> Reply {
    Reply::text(format!("{}{}", ctx.attempt, args.a))
}

skillhost_sdk::skill!(add, divide, caller, nothing, r#loop);

const TOOLS: &[Definition] = &[
    add::definition(),
    divide::definition(),
    caller::definition(),
    nothing::definition(),
    r#loop::definition(),
];

fn call(name: &str, arguments: Option<&str>) -> Result<Outcome, Failure> {
    dispatch(TOOLS, &Context::for_tests(), name, arguments)
}

fn schema(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

#[test]
fn a_tool_is_described_by_its_function() {
    let tool = add::definition().describe();
    assert_eq!(tool.name, "add");
    assert_eq!(tool.title.as_deref(), Some("Addition"));
    assert_eq!(tool.description.as_deref(), Some("Adds two numbers.\n\nThey may be negative."));
    let annotations = Annotations {
        read_only: Some(true),
        destructive: None,
        idempotent: Some(true),
        open_world: Some(false),
    };
    assert_eq!(tool.annotations, annotations);
    assert!(!tool.durable);
    assert_eq!(schema(&tool.input_schema)["properties"]["a"]["description"], "The first number.");
    assert_eq!(schema(&tool.input_schema)["additionalProperties"], false);
    assert_eq!(schema(tool.output_schema.as_deref().unwrap())["required"], json!(["sum"]));
}

#[test]
fn what_is_not_said_stays_unknown() {
    let tool = nothing::definition().describe();
    let unknown = Annotations { read_only: None, destructive: None, idempotent: None, open_world: None };
    assert_eq!(tool.annotations, unknown);
    assert_eq!(schema(&tool.input_schema), json!({ "type": "object", "additionalProperties": false }));
    assert_eq!(tool.output_schema, None);
    assert_eq!(tool.task, TaskSupport::No);
}

#[test]
fn whether_calls_are_tasks_is_declared() {
    let tool = divide::definition().describe();
    assert_eq!((tool.durable, tool.task), (true, TaskSupport::Answered));
}

/// A schema by hand, with what no derive makes.
#[derive(Deserialize)]
struct ByHand {}

impl JsonSchema for ByHand {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "ByHand".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "type": "object",
            "$defs": {"a": {"$anchor": "b", "type": "string"}},
            "properties": {"a": {"$ref": "#/$defs/a", "x-own": 1}},
            "if": {"required": ["a"]},
            "then": {"minProperties": 2},
        })
    }
}

/// Takes what a schema by hand says.
#[tool]
fn by_hand(_args: ByHand) {}

#[test]
fn a_schema_by_hand_is_handed_on_as_it_is() {
    let as_written = ByHand::json_schema(&mut schemars::SchemaGenerator::default());
    assert_eq!(schema(&by_hand::definition().describe().input_schema), as_written.to_value());
}

#[test]
fn name_and_definition_agree() {
    for tool in TOOLS {
        assert_eq!(tool.name(), tool.describe().name);
    }
    assert_eq!(divide::definition().name(), "integer-division");
    assert_eq!(r#loop::definition().name(), "loop");
}

#[test]
fn a_call_reaches_the_function() {
    let reply = call("add", Some(r#"{"a":1,"b":2}"#)).unwrap();
    assert_eq!(reply, Reply::structured(&json!({ "sum": 3 })).into());
    let reply = call("integer-division", Some(r#"{"a":7,"b":2}"#)).unwrap();
    assert_eq!(reply, Reply::text("3 for local").into());
    assert_eq!(call("caller", None).unwrap(), Reply::text("local").into());
    assert_eq!(call("nothing", Some("{}")).unwrap(), Reply::default().into());
    assert_eq!(call("loop", Some(r#"{"a":7,"b":2}"#)).unwrap(), Reply::text("17").into());
}

#[test]
fn failures_pass_through() {
    let failure = call("integer-division", Some(r#"{"a":7,"b":0}"#)).unwrap_err();
    assert_eq!(failure, Failure::invalid_input("`b` must not be 0"));
}

#[test]
fn arguments_that_do_not_fit_are_told() {
    let told = |arguments| match call("add", arguments) {
        Err(Failure::InvalidInput(message)) => message,
        other => panic!("{other:?}"),
    };
    assert!(told(None).contains("missing field `a`"));
    assert!(told(Some(r#"{"a":1,"b":"x"}"#)).contains("invalid type: string \"x\", expected i32"));
    assert!(told(Some(r#"{"a":1,"b":2,"c":3}"#)).contains("unknown field `c`"));
    assert!(told(Some("{")).contains("EOF"));
}

#[test]
fn an_unknown_tool_is_named() {
    assert_eq!(call("sub", None), Err(Failure::invalid_input("this skill has no tool `sub`")));
}

#[test]
#[should_panic(expected = "the same name")]
fn twice_the_same_name_is_refused() {
    super::assert_distinct(&[add::definition(), caller::definition(), add::definition()]);
}

/// Functions of the names that the attribute might use itself.
mod names {
    use crate::{Undo, prelude::*};

    use super::Pair;

    /// Runs.
    #[tool(undo = undo)]
    pub(super) fn run(args: Pair) -> String {
        format!("run {}", args.a)
    }

    /// Describes.
    #[tool]
    pub(super) fn describe() -> &'static str {
        "described"
    }

    fn undo(args: Pair, _: Undo<'_>) -> Result<(), Failure> {
        Err(Failure::conflict(args.b))
    }

    /// Gets.
    #[prompt]
    pub(super) fn get() -> String {
        "got".into()
    }

    /// Reads.
    #[resource(uri = "a://b")]
    pub(super) fn read() -> String {
        "read".into()
    }

    /// Has arguments.
    #[tool]
    pub(super) fn arguments(args: Pair) -> String {
        format!("arguments {}", args.b)
    }
}

#[test]
fn a_function_may_have_any_name() {
    let ctx = Context::for_tests();
    let pair = Some(r#"{"a": 1, "b": 2}"#);
    assert_eq!(names::run::definition().call(&ctx, pair), Ok(Reply::text("run 1").into()));
    assert_eq!(names::run::definition().undo(&ctx, pair, None, false), Err(Failure::conflict(2)));
    assert_eq!(names::describe::definition().call(&ctx, None), Ok(Reply::text("described").into()));
    assert_eq!(names::arguments::definition().call(&ctx, pair), Ok(Reply::text("arguments 2").into()));
    assert!(names::get::definition().get(&ctx, &[]).is_ok());
    assert!(names::read::definition().read(&ctx, "a://b").is_ok());
}
