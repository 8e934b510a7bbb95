#![allow(dead_code, reason = "the fields are there for their schemas")]

use std::collections::BTreeSet;

use serde::Deserialize;

use super::*;

fn shown<T: Form>() -> Value {
    serde_json::from_str(&schema::<T>().unwrap()).unwrap()
}

fn refused<T: Form>() -> String {
    match schema::<T>() {
        Err(Failure::Permanent(message)) => message,
        other => panic!("{other:?}"),
    }
}

/// Who comes.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Guest {
    /// How to address you.
    #[schemars(title = "Name", length(min = 1, max = 40))]
    name: String,
    #[schemars(email)]
    mail: Option<String>,
    #[schemars(range(min = 1, max = 9))]
    seats: u8,
    height: Option<f32>,
    #[serde(default)]
    vegetarian: bool,
    #[serde(default = "bremen")]
    from: String,
}

fn bremen() -> String {
    "Bremen".into()
}

#[test]
fn primitives() {
    let expected = json!({
        "type": "object",
        "properties": {
            "name": {
                "type": "string", "title": "Name", "description": "How to address you.",
                "minLength": 1, "maxLength": 40,
            },
            "mail": {"type": "string", "format": "email"},
            "seats": {"type": "integer", "minimum": 1, "maximum": 9},
            "height": {"type": "number"},
            "vegetarian": {"type": "boolean", "default": false},
            "from": {"type": "string", "default": "Bremen"},
        },
        "required": ["name", "seats"],
    });
    assert_eq!(shown::<Guest>(), expected);
}

/// A colour.
#[derive(Deserialize, serde::Serialize, JsonSchema, PartialEq, Eq, PartialOrd, Ord)]
#[serde(rename_all = "lowercase")]
enum Colour {
    Red,
    Blue,
}

#[derive(Deserialize, JsonSchema)]
enum Size {
    /// Small
    S,
    #[schemars(title = "Large")]
    L,
    Other,
}

#[derive(Deserialize, JsonSchema)]
enum Single {
    /// The only one
    One,
}

fn red() -> Colour {
    Colour::Red
}

#[derive(Deserialize, JsonSchema)]
struct Order {
    plain: Colour,
    /// Which colour.
    #[serde(default = "red")]
    described: Colour,
    optional: Option<Colour>,
    titled: Size,
    /// Which size.
    maybe_titled: Option<Size>,
    single: Single,
    #[schemars(length(min = 1, max = 2))]
    several: Vec<Colour>,
    set: Option<BTreeSet<Colour>>,
    several_titled: Vec<Size>,
}

#[test]
fn choices_become_enums() {
    let schema = shown::<Order>();
    let colour = json!(["red", "blue"]);
    let sizes = json!([
        {"const": "S", "title": "Small"},
        {"const": "L", "title": "Large"},
        {"const": "Other", "title": "Other"},
    ]);
    let sorted = |value: &Value| {
        let mut all = value.as_array().unwrap().clone();
        all.sort_by_key(Value::to_string);
        all
    };
    let field = |name: &str| schema["properties"][name].clone();
    assert_eq!(field("plain"), json!({"type": "string", "description": "A colour.", "enum": colour}));
    assert_eq!(
        field("described"),
        json!({"type": "string", "description": "Which colour.", "enum": colour, "default": "red"})
    );
    assert_eq!(field("optional"), field("plain"));
    assert_eq!(field("several")["items"], json!({"type": "string", "enum": colour}));
    assert_eq!((&field("several")["minItems"], &field("several")["maxItems"]), (&json!(1), &json!(2)));
    assert_eq!(field("set"), json!({"type": "array", "items": {"type": "string", "enum": colour}}));
    assert_eq!(field("titled")["type"], "string");
    assert_eq!(sorted(&field("titled")["oneOf"]), sorted(&sizes));
    assert_eq!(field("maybe_titled")["description"], "Which size.");
    assert_eq!(sorted(&field("maybe_titled")["oneOf"]), sorted(&sizes));
    assert_eq!(field("maybe_titled")["anyOf"], Value::Null);
    assert_eq!(field("single")["oneOf"], json!([{"const": "One", "title": "The only one"}]));
    assert_eq!(sorted(&field("several_titled")["items"]["anyOf"]), sorted(&sizes));
    assert_eq!(schema["required"], json!(["plain", "titled", "single", "several", "several_titled"]));
}

#[test]
fn a_form_may_be_empty() {
    #[derive(Deserialize, JsonSchema)]
    struct Sure {}
    assert_eq!(shown::<Sure>(), json!({"type": "object", "properties": {}}));
}

#[test]
fn what_no_form_can_be_is_told_with_its_field() {
    macro_rules! refused {
        ($kind:ty, $why:literal) => {{
            #[derive(Deserialize, JsonSchema)]
            struct Odd {
                /// Fits.
                fine: String,
                odd: $kind,
            }
            let message = refused::<Odd>();
            assert!(message.contains("the field `odd` of `"), "{message}");
            assert!(message.contains($why), "{message}");
        }};
    }
    #[derive(Deserialize, JsonSchema)]
    enum Shape {
        Circle { radius: f64 },
        Point,
    }
    #[derive(Deserialize, JsonSchema)]
    struct Tree {
        children: Vec<Tree>,
    }
    #[derive(Deserialize, JsonSchema)]
    #[serde(untagged)]
    enum Either {
        Number(i32),
        Text(String),
    }
    refused!(Guest, "it is of type object");
    refused!(Option<Guest>, "it is of type object");
    refused!(Vec<String>, "only lists of choices");
    refused!(Option<Vec<u8>>, "only lists of choices");
    refused!(Vec<Vec<Colour>>, "only lists of choices");
    refused!(Shape, "its choices have values");
    refused!(Value, "it can be anything");
    refused!(Tree, "it is of type object");
    refused!(Option<Box<Odd>>, "it may hold one of its own kind");
    refused!(Either, "it can be one of several things");
    refused!((), "it is of type null");
    refused!((Colour, Colour), "it is a list of anything");
    refused!(std::collections::BTreeMap<String, String>, "it is of type object");
}

#[test]
fn a_rule_that_no_form_says_is_not_dropped() {
    #[derive(Deserialize, JsonSchema)]
    struct Code {
        #[schemars(regex(pattern = "^[0-9]+$"))]
        digits: String,
    }
    assert!(refused::<Code>().contains("`digits`"));
    assert!(refused::<Code>().contains("no form says `pattern`"));
}

#[test]
fn only_structs_are_forms() {
    #[derive(Deserialize, JsonSchema)]
    #[serde(tag = "kind")]
    enum Tagged {
        A { x: u8 },
    }
    #[derive(Deserialize, JsonSchema)]
    struct Open {
        fine: String,
        #[serde(flatten)]
        rest: std::collections::BTreeMap<String, u8>,
    }
    for message in [refused::<String>(), refused::<Tagged>(), refused::<Vec<u8>>(), refused::<Open>()] {
        assert!(message.contains("a form is a struct with named fields, not `"), "{message}");
    }
}
