use skillhost_sdk::prelude::*;

fn complete(_: &Context, typed: &str) -> Vec<String> {
    vec![typed.to_owned()]
}

skillhost_sdk::skill!(tools: [], completions: complete);

fn main() {}
