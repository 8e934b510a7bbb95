//! Files that must not load: each gets a clear reason, and the host lives on.

use std::fs;

use serde_json::json;
use skillhost_e2e::{component, faulty, patched};

use crate::{empty, samples};

/// The state must be `failed`, for a reason that holds `expected`, while another skill goes on serving.
fn refused(file: &[u8], expected: &str) {
    let host = empty();
    host.put("bad.wasm", file);
    host.put("text.wasm", &component("text.wasm"));
    let (state, reason) = host.state("bad");
    assert_eq!(state, "failed");
    assert!(reason.contains(expected), "expected {expected:?}, got {reason:?}");
    assert!(!reason.contains(host.root().to_str().unwrap()), "a host path in {reason:?}");
    assert_eq!(host.state("text").0, "ready");
}

#[test]
fn an_empty_file() {
    refused(b"", "the file is empty");
}

#[test]
fn random_bytes() {
    refused(&[0x5a; 4096], "not WebAssembly");
    let mut bytes = b"\0asm\x0d\0\x01\0".to_vec();
    bytes.extend((0..4096u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8));
    refused(&bytes, "");
}

#[test]
fn a_core_module() {
    refused(&wat::parse_str("(module)").unwrap(), "core WebAssembly module");
}

#[test]
fn a_component_that_is_no_skill() {
    refused(&wat::parse_str("(component)").unwrap(), "exports no function");
}

#[test]
fn an_import_that_is_not_offered_is_named() {
    refused(
        &patched("faulty.wasm", "skillhost:skill/host@0.1.0", "skillhost:skill/most@0.1.0"),
        "skillhost:skill/most@0.1.0",
    );
}

#[test]
fn another_version_of_the_contract() {
    let other = patched("faulty.wasm", "skillhost:skill/tools@0.1.0", "skillhost:skill/tools@9.9.9");
    refused(&other, "speaks version 0.1.x");
}

#[test]
fn half_a_file() {
    let bytes = component("text.wasm");
    refused(&bytes[..bytes.len() / 2], "still being copied");
}

#[test]
fn three_hundred_megabytes() {
    let host = empty();
    let file = fs::File::create(host.skill("huge.wasm")).unwrap();
    file.set_len(300 << 20).unwrap();
    drop(file);
    let (state, reason) = host.state("huge");
    assert_eq!(state, "failed");
    assert!(reason.contains("at most 67108864 (64 MiB)"), "{reason}");
}

/// One straight run of arithmetic, large enough for many seconds of compiling.
pub(crate) fn slow_component() -> Vec<u8> {
    arithmetic(400_000)
}

fn arithmetic(steps: usize) -> Vec<u8> {
    let mut wat = String::from("(component (core module (func (param i64) (result i64) local.get 0\n");
    for n in 0..steps {
        wat.push_str(&format!("i64.const {n} i64.add local.get 0 i64.mul\n"));
    }
    wat.push_str(")))");
    wat::parse_str(wat).unwrap()
}

#[test]
fn a_component_that_takes_the_compiler_too_long() {
    let host = empty().config("[engine]\ncompile_timeout = \"200ms\"");
    host.put("slow.wasm", &slow_component());
    let (state, reason) = host.state("slow");
    assert_eq!(state, "failed");
    assert!(reason.contains("compiling took longer than 0.2 s"), "{reason}");
}

#[test]
fn a_component_that_takes_the_compiler_too_much_memory() {
    let host = empty().config("[engine]\ncompile_memory = \"64MiB\"");
    host.put("fat.wasm", &arithmetic(200_000));
    let (state, reason) = host.state("fat");
    assert_eq!(state, "failed");
    assert!(reason.contains("the compiler died") && reason.contains("64 MiB"), "{reason}");
}

#[test]
fn misdeeds_while_it_is_loaded() {
    let modes = [
        ("list-loop", "`load_timeout`"),
        ("list-trap", "trapped"),
        ("start-loop", "`load_timeout`"),
        ("bad-schema", "input schema of the tool"),
        ("schema-not-json", "not JSON"),
        ("network-ref", "leaves the document"),
        ("root-not-object", "\"type\": \"object\""),
        ("many-tools", "`max_tools`"),
        ("name-with-spaces", "holds ' '"),
        ("long-name", "at most 64"),
        ("duplicate-names", "twice"),
        ("huge-description", "`result`"),
        ("no-tools", "declares no tools"),
    ];
    let host = empty().config("[defaults]\nload_timeout = \"3s\"");
    host.put("text.wasm", &component("text.wasm"));
    for (mode, _) in modes {
        host.put(&format!("{mode}.wasm"), &faulty(mode));
    }
    let list = host.json(&["list", "--json"]);
    for skill in list["skills"].as_array().unwrap() {
        let name = skill["name"].as_str().unwrap();
        let Some((_, expected)) = modes.iter().find(|(mode, _)| *mode == name) else {
            assert_eq!((name, &skill["state"]), ("text", &json!("ready")));
            continue;
        };
        assert_eq!(skill["state"], "failed", "{name}");
        let reason = skill["reason"].as_str().unwrap();
        assert!(reason.contains(expected), "{name}: expected {expected:?}, got {reason:?}");
    }
}

#[test]
fn tables_that_grow_without_end_are_stopped() {
    let wat = r#"(component
        (core module $m
            (table 0 funcref)
            (func $grow (loop $more
                (drop (table.grow 0 (ref.null func) (i32.const 1000)))
                (br_if $more (i32.ne (table.size 0) (i32.const -1)))))
            (start $grow))
        (core instance (instantiate $m))
        (instance $tools
            (export "list" (func $list)) (export "call" (func $list)))
        (export "skillhost:skill/tools@0.1.0" (instance $tools)))"#;
    let wat = wat.replace(
        "(core instance (instantiate $m))",
        "(core module $n (func (export \"f\")))
         (core instance $i (instantiate $n))
         (core instance (instantiate $m))
         (func $list (canon lift (core func $i \"f\")))",
    );
    let host = empty().config("[defaults]\nload_timeout = \"500ms\"");
    host.put("tables.wasm", &wat::parse_str(wat).unwrap());
    let (state, reason) = host.state("tables");
    assert_eq!(state, "failed");
    // The growth is refused from its bound on, and the loop around it ended like any other.
    assert!(reason.contains("load_timeout"), "{reason}");
}

#[test]
fn a_flood_of_log_lines_while_it_is_loaded_is_bounded() {
    let host = samples();
    host.put("flood.wasm", &faulty("list-flood"));
    let mut client = host.stdio();
    let lines = std::cell::Cell::new(0);
    client.wait_log("the flood's end", |line| {
        let guest = line["target"] == "skillhost::guest" && line["skill"] == "flood";
        lines.set(lines.get() + u32::from(guest));
        guest && line["dropped"].as_u64().is_some_and(|dropped| dropped > 0)
    });
    assert!(lines.get() <= 201, "{} lines", lines.get());
}
