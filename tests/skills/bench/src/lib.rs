//! What the benchmarks call: twenty tools, as a large skill has them.
#![cfg(target_family = "wasm")]

use std::{hint::black_box, thread, time::Duration};

use serde_json::json;
use skillhost_sdk::prelude::*;

#[derive(Deserialize, JsonSchema)]
struct Text {
    text: String,
}

#[derive(Deserialize, JsonSchema)]
struct Number {
    n: u64,
}

/// Gives a text back.
#[tool(read_only, reusable)]
fn echo(args: Text) -> String {
    args.text
}

/// The same, of a tool that changes things.
#[tool]
fn put(args: Text) -> String {
    args.text
}

/// Computes for so many steps.
#[tool(read_only)]
fn count(args: Number) -> String {
    let steps = (0..args.n).fold(1_u64, |sum, n| black_box(sum.rotate_left(5) ^ n).wrapping_mul(0x9E37_79B9));
    steps.to_string()
}

/// Computes without end.
#[tool(read_only)]
fn spin() {
    loop {
        black_box(1);
    }
}

/// Waits for so many milliseconds.
#[tool(read_only)]
fn hold(args: Number) {
    thread::sleep(Duration::from_millis(args.n));
}

/// Fails.
#[tool(read_only)]
fn fail() -> Result<(), Failure> {
    Err(Failure::transient("as told"))
}

/// Has the same tool of the copy before this one called, and so on: so many levels deep.
#[tool(read_only)]
fn nest(args: Number) -> Result<String, Failure> {
    if args.n > 0 {
        let before = args.n - 1;
        let name = if before == 0 { "bench_nest".into() } else { format!("bench{before}_nest") };
        host::call_tool(&name, Some(&json!({"n": before}).to_string()))?;
    }
    Ok("done".into())
}

/// Tools that are only there.
macro_rules! more {
    ($($name:ident)*) => {
        $(
            /// Gives a text back, as another tool does.
            #[tool(read_only, idempotent, open_world = false)]
            fn $name(args: Text) -> String {
                args.text
            }
        )*
        skillhost_sdk::skill!(echo, put, count, spin, hold, fail, nest, $($name),*);
    };
}

more!(more_a more_b more_c more_d more_e more_f more_g more_h more_i more_j more_k more_l more_m);
