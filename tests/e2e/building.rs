//! `skillhost build`, `dev` and `wit`. What needs a compiler for WebAssembly is ignored by default; `.ci/run`, which
//! installs one, runs it.

use std::{
    env, fs,
    path::PathBuf,
    process::{Command, Output},
};

use serde_json::json;
use skillhost_e2e::{Host, Session, component, eventually, repo};

use crate::empty;

fn told(output: &Output) -> (i32, String) {
    let text = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    (output.status.code().unwrap(), text.into_owned())
}

/// A folder of a project with these files.
fn project(host: &Host, name: &str, files: &[(&str, &str)]) -> PathBuf {
    let folder = host.root().join(name);
    for (file, text) in files {
        let file = folder.join(file);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, text).unwrap();
    }
    folder
}

/// The binary with the compilers of this machine.
fn with_tools(host: &Host, args: &[&str]) -> Command {
    let mut command = host.command(args);
    for name in ["PATH", "HOME", "CARGO_HOME", "RUSTUP_HOME"] {
        command.envs(env::var_os(name).map(|value| (name, value)));
    }
    command
}

fn run(host: &Host, args: &[&str]) -> (i32, String) {
    told(&with_tools(host, args).output().unwrap())
}

const WIT: &str = "package acme:sums@1.0.0;
interface sums {
    /// Adds two numbers.
    add: func(a: s32, b: s32) -> s32;
}
world shop { export sums; }
";
const SUMS: &str = "#include \"shop.h\"
int32_t exports_acme_sums_sums_add(int32_t a, int32_t b) { return a + b; }
";

#[test]
fn what_cannot_be_built_is_told_with_what_to_do() {
    let host = empty();
    for (name, files, parts) in [
        ("nothing", &[("README.md", "")][..], &["holds nothing that can be built", "Cargo.toml"][..]),
        ("python", &[("app.py", "")], &["componentize-py is missing", "pip install"]),
        ("script", &[("package.json", "{}")], &["node is missing", "Node.js 20"]),
        // No environment, hence no path to any tool.
        (
            "rust",
            &[("Cargo.toml", "")],
            &["cargo is missing on this machine", "rustup target add wasm32-wasip2"],
        ),
        ("c", &[("main.c", "")], &["a compiler for WebAssembly", "WASI_SDK_PATH", "apt-get install"]),
    ] {
        let folder = project(&host, name, files);
        let (code, text) = told(&host.run(&["build", folder.to_str().unwrap()]));
        assert_eq!(code, 1, "{name}: {text}");
        for part in parts {
            assert!(text.contains(part), "{name}: {text}");
        }
        assert!(!folder.join("dist").exists());
    }
    let (code, text) = told(&host.run(&["build", "nowhere"]));
    assert!(code == 1 && text.contains("cannot read nowhere"), "{text}");
}

#[test]
fn the_contract_is_printed_and_written() {
    let host = empty();
    let (code, text) = told(&host.run(&["wit"]));
    assert!(
        code == 0 && text.contains("package skillhost:skill@0.1.0;") && text.contains("world skill {"),
        "{text}"
    );
    let (code, text) = told(&host.run(&["wit", "--out", "a/wit"]));
    assert_eq!(code, 0, "{text}");
    for file in ["skill.wit", "deps/logging/logging.wit"] {
        let written = fs::read(host.root().join("a/wit").join(file)).unwrap();
        assert_eq!(written, fs::read(repo().join("wit").join(file)).unwrap());
    }
    fs::write(host.root().join("plain.wasm"), component("plain.wasm")).unwrap();
    let (code, text) = told(&host.run(&["wit", "plain.wasm"]));
    assert!(code == 0 && text.contains("export acme:shop/catalog@1.2.0;"), "{text}");
    fs::write(host.root().join("no.wasm"), "no").unwrap();
    let (code, text) = told(&host.run(&["wit", "no.wasm"]));
    assert!(code == 1 && text.contains("no.wasm is no component"), "{text}");
}

#[test]
#[ignore = "needs a compiler for WebAssembly"]
fn c_becomes_a_component_whose_functions_are_documented_tools() {
    let host = empty();
    let folder = project(&host, "sums", &[("wit/world.wit", WIT), ("src/sums.c", SUMS)]);
    let (code, text) = run(&host, &["build", "sums"]);
    assert_eq!(code, 0, "{text}");
    for part in ["sums/dist/sums.wasm", "C, ", "sums_add", "Adds two numbers.", "acme:sums/sums@1.0.0"] {
        assert!(text.contains(part), "{part}: {text}");
    }
    // Documentation is in nobody's way who reads it.
    let (code, text) = run(&host, &["wit", "sums/dist/sums.wasm"]);
    assert!(code == 0 && text.contains("add: func(a: s32, b: s32) -> s32;"), "{text}");
    // What the file is called is what the host will call the skill.
    let (code, text) = run(&host, &["build", "sums", "--out", "other/bank.wasm"]);
    assert!(code == 0 && text.contains("bank_add"), "{text}");
    host.put("sums.wasm", &fs::read(folder.join("dist/sums.wasm")).unwrap());
    let (result, code) = host.call("sums_add", &json!({"a": 40, "b": 2}));
    assert_eq!((&result["structuredContent"], code), (&json!({"result": 42}), Some(0)));
    // A mistake of its author: the compiler says where, and the component that was there stays.
    fs::write(folder.join("src/sums.c"), format!("{SUMS}\noops")).unwrap();
    let before = fs::read(folder.join("dist/sums.wasm")).unwrap();
    let (code, text) = run(&host, &["build", "sums"]);
    assert!(code == 1 && text.contains("sums.c:4:1: error") && text.contains("clang"), "{text}");
    assert_eq!(fs::read(folder.join("dist/sums.wasm")).unwrap(), before);
    fs::write(folder.join("wit/world.wit"), "world").unwrap();
    let (code, text) = run(&host, &["build", "sums"]);
    assert!(code == 1 && text.contains("the WIT in"), "{text}");
}

#[test]
#[ignore = "needs a compiler for WebAssembly"]
fn a_program_in_c_becomes_a_command() {
    let host = empty();
    let main =
        "#include <stdio.h>\nint main(int n, char **words) { printf(\"%s\", words[1]); return n - 2; }\n";
    project(&host, "echo", &[("main.c", main)]);
    let cases = "[[case]]\nname = \"echoes\"\ntool = \"run\"\narguments = { args = [\"a\"] }\nexpect = { includes = { stdout = \"a\" } }\n";
    project(&host, "echo", &[("tests/a.toml", cases)]);
    let (code, text) = run(&host, &["test", "echo"]);
    assert!(code == 0 && text.contains("1 passed, 0 failed"), "{text}");
    let (code, text) = run(&host, &["build", "echo", "--name", "saga"]);
    assert!(code == 2 && text.contains("reserved"), "{text}");
    let (code, text) = run(&host, &["build", "echo", "--name", "other", "--out", "skills"]);
    assert!(code == 0 && host.skill("other.wasm").is_file(), "{text}");
}

#[test]
#[ignore = "needs a compiler for WebAssembly"]
fn a_package_of_rust_becomes_a_skill_that_tells_nothing_of_this_machine() {
    let host = empty();
    let folder = repo().join("plugins/text").canonicalize().unwrap();
    let (code, text) = run(&host, &["build", folder.to_str().unwrap(), "--out", "skills"]);
    assert_eq!(code, 0, "{text}");
    for part in ["Rust, cargo for wasm32-wasip", "text_word_count", "skillhost:skill/tools@0.1.0"] {
        assert!(text.contains(part), "{part}: {text}");
    }
    let bytes = fs::read(host.skill("text.wasm")).unwrap();
    let said = String::from_utf8_lossy(&bytes);
    let own = repo().canonicalize().unwrap();
    assert!(!said.contains(own.to_str().unwrap()), "a path of this machine");
    let (result, _) = host.call("text_word_count", &json!({"text": "a b"}));
    assert_eq!(result["structuredContent"]["words"], 2);
    let (code, text) = run(&host, &["build", repo().join("plugins").to_str().unwrap()]);
    assert!(code == 1 && text.contains("is a workspace") && text.contains("plugins/text"), "{text}");
    let (code, text) = run(&host, &["build", repo().join("host/crates/core").to_str().unwrap()]);
    assert!(code == 1 && text.contains("crate-type = [\"cdylib\"]"), "{text}");
}

#[test]
#[ignore = "needs a compiler for WebAssembly"]
fn each_change_of_the_source_is_served() {
    let host = empty();
    let folder = project(&host, "sums", &[("wit/world.wit", WIT), ("sums.c", SUMS)]);
    let mut command = with_tools(&host, &["dev", "sums", "--listen", "127.0.0.1:0"]);
    command.env("SKILLHOST_LOG", "info");
    let server = host.server(command);
    let mut session = Session::open(server.url(), json!({}));
    let described = |session: &mut Session| {
        let tools = session.begin("tools/list", json!({})).response()["result"]["tools"].take();
        let tools = tools.as_array().unwrap().clone();
        tools.iter().find(|tool| tool["name"] == "sums_add").map(|tool| tool["description"].to_string())
    };
    eventually(|| described(&mut session).filter(|text| text.contains("Adds two")));
    // What does not build leaves what serves.
    fs::write(folder.join("sums.c"), "oops").unwrap();
    fs::write(folder.join("wit/world.wit"), WIT.replace("Adds two", "Sums up two")).unwrap();
    server.wait_log("that it does not build", |line| line["message"] == "not built; what serves goes on");
    assert!(described(&mut session).unwrap().contains("Adds two"));
    fs::write(folder.join("sums.c"), SUMS.replace("a + b", "a + b + 1")).unwrap();
    eventually(|| described(&mut session).filter(|text| text.contains("Sums up two")));
    let call = json!({"name": "sums_add", "arguments": {"a": 1, "b": 1}});
    let result = session.begin("tools/call", call).response();
    assert_eq!(result["result"]["structuredContent"]["result"], 3, "{result}");
    assert_eq!(fs::read_to_string(folder.join(".skillhost/.gitignore")).unwrap(), "*\n");
}
