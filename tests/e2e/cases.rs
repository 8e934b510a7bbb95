//! `skillhost test`: cases of a skill, through the whole pipeline.

use std::{fs, path::Path, process::Output};

use serde_json::Value;
use skillhost_e2e::{Host, component, repo};

use crate::empty;

/// `skillhost test` of a sample skill with these cases.
fn tried(host: &Host, skill: &str, cases: &str, more: &[&str]) -> Output {
    let (file, folder) = (host.root().join(format!("{skill}.wasm")), host.root().join("tests"));
    fs::write(&file, component(&format!("{skill}.wasm"))).unwrap();
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join("a.toml"), cases).unwrap();
    host.run(&[&["test", file.to_str().unwrap()], more].concat())
}

fn told(output: &Output) -> (i32, String) {
    let text = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    (output.status.code().unwrap(), text.into_owned())
}

/// What came of the cases, by their names.
fn problems(output: &Output) -> Vec<(String, String)> {
    let told: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{output:?}"));
    let cases = told["cases"].as_array().unwrap().iter();
    cases.map(|case| (case["name"].as_str().unwrap().to_owned(), case["problems"].to_string())).collect()
}

#[test]
fn the_cases_of_the_samples_pass() {
    for skill in ["text", "fetch", "notes", "files", "release"] {
        let host = empty();
        let file = host.root().join(format!("{skill}.wasm"));
        fs::write(&file, component(&format!("{skill}.wasm"))).unwrap();
        let cases = repo().join("plugins").join(skill).join("tests");
        let output = host.run(&["test", file.to_str().unwrap(), "--cases", cases.to_str().unwrap()]);
        let (code, text) = told(&output);
        assert!(code == 0 && text.contains(" passed, 0 failed"), "{skill}: {text}");
    }
}

#[test]
fn a_case_that_fails_shows_the_difference() {
    let cases = r#"
[[case]]
name = "right"
tool = "word_count"
arguments = { text = "a b" }
expect = { includes = { words = 2 } }

[[case]]
name = "wrong <&>"
tool = "word_count"
arguments = { text = "a b" }
expect = { result = { words = 3, lines = 1, characters = 3 } }
"#;
    let host = empty();
    let report = host.root().join("report.xml");
    let (code, text) = told(&tried(&host, "text", cases, &["--junit", report.to_str().unwrap()]));
    assert_eq!(code, 1, "{text}");
    for part in [
        "ok      right",
        "FAILED  wrong",
        "tests/a.toml:9",
        "-   \"words\": 3",
        "+   \"words\": 2",
        "1 passed, 1 failed",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    let report = fs::read_to_string(report).unwrap();
    for part in ["tests=\"2\"", "failures=\"1\"", "name=\"wrong &lt;&amp;&gt;\"", "classname=\"text\""] {
        assert!(report.contains(part), "{part}: {report}");
    }
    let (code, text) = told(&tried(&host, "text", cases, &["--only", "right"]));
    assert_eq!((code, text.contains("1 passed, 0 failed")), (0, true), "{text}");
}

#[test]
fn what_counts_in_production_counts_here() {
    let cases = r#"
[[case]]
name = "the limit of the operator"
[[case.step]]
tool = "word_count"
arguments = { text = "a" }
[[case.step]]
tool = "word_count"
arguments = { text = "b" }
expect = { failure = "rate-limited" }

[[case]]
name = "which the next case has for itself"
tool = "word_count"
arguments = { text = "a" }
"#;
    let host = empty().config(
        "[skills.text]\nrate_limit = { max = 1, per_second = 0.001 }\n[skills.other.grants]\nkeyvalue = true",
    );
    let output = tried(&host, "text", cases, &["--json"]);
    for (name, problems) in problems(&output) {
        assert_eq!(problems, "[]", "{name}");
    }
    let (data, skills) = (host.data().join("journal.sqlite"), host.root().join("skills"));
    assert!(!data.exists() && fs::read_dir(skills).unwrap().count() == 0, "state of its own");
}

#[test]
fn nothing_is_granted_and_nothing_is_reached_but_what_the_case_says() {
    let cases = r#"
[[case]]
name = "no mock"
grants = { http = [{ host = "127.0.0.1:*" }] }
tool = "get"
arguments = { url = "http://127.0.0.1:9/" }
expect = { failure = "transient" }

[[case]]
name = "an idle mock"
grants = { http = [{ host = "api.example.com" }] }
tool = "get"
arguments = { url = "https://api.example.com/a" }
[[case.mock_http]]
request = "GET https://api.example.com/a"
[[case.mock_http]]
request = "GET https://api.example.com/b"

[[case]]
name = "too often"
grants = { http = [{ host = "api.example.com" }] }
tool = "get"
arguments = { url = "https://api.example.com/a" }
[[case.mock_http]]
request = "GET https://api.example.com/a"
times = 2

[[case]]
name = "no grant"
tool = "get"
arguments = { url = "https://api.example.com/a" }
expect = { failure = "permanent" }
"#;
    // What the configuration grants is the operator's: a case that leans on it would pass here and nowhere else.
    let host = empty().config("[skills.fetch.grants]\nhttp = [{ host = \"api.example.com\" }]");
    let output = tried(&host, "fetch", cases, &["--json"]);
    let told = problems(&output);
    let wanted = [
        "the skill sent GET http://127.0.0.1:9/, and no mock answers that",
        "/b` was never asked",
        "asked 1 times, not 2",
        "[]",
    ];
    for ((name, problems), part) in told.iter().zip(wanted) {
        assert!(problems.contains(part), "{name}: {problems}");
    }
    assert_eq!((told.len(), output.status.code()), (4, Some(1)));
}

#[test]
fn cases_that_are_wrong_are_told_with_their_place() {
    let host = empty();
    for (cases, part) in [
        ("", "there is no case"),
        ("[[case]]\nname = \"a\"\ntool = \"word_cuont\"", "the skill has no tool `word_cuont`; it has"),
        ("[[case]]\nname = \"a\"\ntool = \"diff\"\nexpekt = {}", "a.toml:4:1: unknown key `expekt`"),
        ("[[case]]\nname = \"a\"\ntool = \"diff\"\ngrants = { files = 1 }", "a.toml:4:"),
    ] {
        let (code, text) = told(&tried(&host, "text", cases, &[]));
        assert!(code == 2 && text.contains(part), "{cases}: {code} {text}");
    }
    for (case, exit, part) in [
        ("mock_tool = [{ tool = \"text_diff\" }]", 2, "is a tool of the skill that is tried out"),
        ("grants = { files = [{ host = \"none\", guest = \"/d\" }] }", 1, "none"),
        ("grants = { secrets = { a = { env = \"NO_SUCH_VARIABLE\" } } }", 1, "NO_SUCH_VARIABLE"),
    ] {
        let case =
            format!("[[case]]\nname = \"a\"\ntool = \"word_count\"\narguments = {{ text = \"\" }}\n{case}");
        let (code, text) = told(&tried(&host, "text", &case, &[]));
        assert!(code == exit && text.contains(part) && !text.contains("not-ready"), "{case}: {code} {text}");
    }
    // Long texts are not compared for ever.
    let long = "x\\ny\\n".repeat(20_000);
    let case = format!(
        "[[case]]\nname = \"a\"\ntool = \"word_count\"\narguments = {{ text = \"\" }}\nexpect = {{ text = \"{long}\" }}"
    );
    assert!(told(&tried(&host, "text", &case, &[])).1.contains("more lines"));
    // From within the folder where it stands.
    let cases = "[[case]]\nname = \"a\"\ntool = \"word_count\"\narguments = { text = \"\" }";
    assert_eq!(told(&tried(&host, "text", cases, &[])).0, 0);
    let (code, text) = told(&host.run(&["test", "text.wasm"]));
    assert_eq!(code, 0, "{text}");
    fs::write(host.root().join("no.wasm"), "no").unwrap();
    let (code, text) = told(&host.run(&["test", "no.wasm"]));
    assert!(code == 1 && text.contains("no.wasm is not a skill this host can serve"), "{text}");
    let (code, text) = told(&host.run(&["test", "nowhere.wasm"]));
    assert!(code == 1 && text.contains("cannot read nowhere.wasm"), "{text}");
}

/// Files of `folder`, whatever is below.
fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[test]
fn a_case_changes_no_file_of_the_project() {
    let host = empty();
    let folder = host.root().join("tests/folder");
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join("a.txt"), "a").unwrap();
    let cases = r#"
grants = { files = [{ host = "folder", guest = "/data", access = "rw" }, { host = "new", guest = "/new", access = "rw" }] }
[[case]]
name = "writes"
[[case.step]]
tool = "write"
arguments = { path = "/data/b.txt", text = "b" }
expect = { files = { "/data/a.txt" = "a", "/data/b.txt" = "b" } }
[[case.step]]
tool = "write"
arguments = { path = "/new/c.txt", text = "c" }
expect = { files = { "/new/c.txt" = true, "/new/d.txt" = false } }
"#;
    let (code, text) = told(&tried(&host, "files", cases, &[]));
    assert_eq!(code, 0, "{text}");
    assert_eq!((names(&folder), folder.with_file_name("new").exists()), (vec!["a.txt".to_owned()], false));
}

#[test]
fn questions_are_answered_by_mocks() {
    let case = |rest: &str| {
        format!("[[case]]\nname = \"{}\"\ntool = \"test_input_required_result_{rest}\n", rest.len())
    };
    let mock = |rest: &str| format!("[[case.mock_client]]\n{rest}\n");
    let ann = "respond = { action = \"accept\", content = { name = \"Ann\" } }";
    let right = [
        case("elicitation\"\nexpect = { text = \"Hello, Ann!\" }")
            + &mock(&format!("asks = \"your name\"\n{ann}")),
        case("sampling\"\nexpect = { text = \"Paris\" }")
            + &mock(
                "key = \"capital_question\"\ntimes = 1\nrespond = { role = \"assistant\", model = \"m\", content = { type = \"text\", text = \"Paris\" } }",
            ),
        case("list_roots\"\nexpect = { text_includes = \"file:///a\" }")
            + &mock("respond = { roots = [{ uri = \"file:///a\" }] }"),
        // Nobody is there to be asked.
        case("elicitation\"\nexpect = { failure = \"missing-capability\" }"),
    ];
    let host = empty();
    fs::write(host.root().join("conformance.wasm"), component("fixtures/conformance.wasm")).unwrap();
    let asked = |cases: &str| {
        fs::create_dir_all(host.root().join("tests")).unwrap();
        fs::write(host.root().join("tests/a.toml"), cases).unwrap();
        problems(&host.run(&["test", "conformance.wasm", "--json"]))
    };
    for (name, problems) in asked(&right.concat()) {
        assert_eq!(problems, "[]", "{name}");
    }
    let wrong = [
        (
            case("elicitation\"") + &mock(&format!("key = \"other\"\n{ann}")),
            "the skill asked \\\"What is your name?\\\" under the key `user_name`, and no mock answers that",
        ),
        (
            case("elicitation\"") + &mock("respond = { action = \"accept\", content = { name = 1 } }"),
            "invalid-answers",
        ),
        (
            case("sampling\"\nexpect = { failure = \"invalid-answers\" }")
                + &mock("respond = { roots = [] }")
                + &mock("key = \"never\"\nrespond = {}"),
            "the client `never` was never asked",
        ),
    ];
    for (cases, part) in wrong {
        let told = asked(&cases);
        assert!(told[0].1.contains(part), "{cases}: {told:?}");
    }
}
