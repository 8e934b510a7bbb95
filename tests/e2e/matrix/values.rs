//! Ways to keep more than was granted.

use serde_json::{Value, json};

use super::{Case, case, host, run, with};

fn keep(op: &str, more: Value) -> Value {
    with(json!({"op": op}), more)
}

/// In this order: each finds what those before left.
pub(super) fn cases() -> Vec<Case> {
    vec![
        case("set a value", "small_keep", keep("set", json!({"key": "a", "size": 10})), "done"),
        case("read it in another call", "small_keep", keep("get", json!({"key": "a"})), "Some(10)"),
        case(
            "a value over 1 KiB",
            "small_keep",
            keep("set", json!({"key": "a", "size": 1025})),
            "refused: Error::Other(\"the value has 1025 bytes; at most 1024 are allowed (`keyvalue.value`)\")",
        ),
        case("the value is as it was", "small_keep", keep("get", json!({"key": "a"})), "Some(10)"),
        case(
            "more keys than five",
            "small_keep",
            keep("fill", json!({"n": 100, "size": 1})),
            "4 fit, then Error::Other(\"the bucket holds 5 keys, the most it may (`keyvalue.keys`)\")",
        ),
        case(
            "more bytes than 4 KiB",
            "small_keep",
            keep("fill", json!({"n": 4, "size": 1024})),
            "3 fit, then Error::Other(\"the bucket would hold 4123 bytes; at most 4096 are allowed (`keyvalue.total`)\")",
        ),
        case(
            "a key of 513 bytes",
            "small_keep",
            keep("set", json!({"key": "k".repeat(513), "size": 1})),
            "refused: Error::Other(\"a key has 1 to 512 bytes, not 513\")",
        ),
        case(
            "the bucket of another skill",
            "small_keep",
            keep("get", json!({"key": "a", "bucket": "other"})),
            "refused: Error::NoSuchStore",
        ),
        case("the same key from another skill", "other_keep", keep("get", json!({"key": "a"})), "None"),
        case(
            "any key without a grant",
            "none_keep",
            keep("get", json!({"key": "a"})),
            "refused: Error::AccessDenied",
        ),
        case(
            "1,000 open buckets",
            "small_keep",
            keep("hoard", json!({"n": 1000})),
            "kept 252, then Error::Other(\"the call holds as many things of the host's as it may (`handles`)\")",
        ),
    ]
}

#[test]
fn a_bucket_holds_no_more_than_was_granted() {
    let host = host(&["small", "other", "none"]).own_data().config(
        "[skills.small.grants]\nkeyvalue = { total = \"4 KiB\", value = \"1 KiB\", keys = 5 }\n[skills.other.grants]\nkeyvalue = true",
    );
    let mut client = host.stdio();
    let wrong = run(&mut client, &cases());
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    client.close();
    let mut client = host.stdio();
    let result = client.call("small_keep", keep("list", json!({})));
    assert_eq!(result["content"][0]["text"], "a key0 key1 key2 key3", "it stays after a restart");
}
