//! Written by hand: what damage by chance would hardly come upon.

use super::{
    Named,
    damage::{HEADER, leb, opened, sealed},
};

/// A component that exports the function `f` of this type, whose core function has that one, below these definitions.
pub(crate) fn function(before: &str, ty: &str, core: &str) -> String {
    format!(
        r#"(component
  (core module $m
    (memory (export "memory") 1)
    (func (export "realloc") (param i32 i32 i32 i32) (result i32) i32.const 8)
    (func (export "f") {core} unreachable))
  (core instance $i (instantiate $m))
  {before}
  (func $f {ty} (canon lift (core func $i "f") (memory (core memory $i "memory")) (realloc (core func $i "realloc"))))
  (export "f" (func $f)))"#
    )
}

/// A function that takes such a value, as many values of the core or as one pointer.
fn takes(defined: &str) -> String {
    function(&format!("(type $d {defined}) (export $t \"t\" (type $d))"), "(param \"a\" $t)", "(param i32)")
}

/// Each type in the one before, so many times.
pub(crate) fn nested(times: usize, outer: impl Fn(&str) -> String) -> String {
    let each = (1..=times).map(|n| format!("(type $t{n} {})", outer(&format!("$t{}", n - 1))));
    let types = format!("(type $t0 (option u8)) {}", each.collect::<String>());
    function(&types, &format!("(param \"a\" $t{times})"), "(param i32)")
}

/// A component that exports functions that take nothing, and interfaces of such functions.
pub(crate) fn exports(
    own: impl IntoIterator<Item = impl AsRef<str>>,
    interfaces: &[(&str, &[&str])],
) -> String {
    let each = |names: &mut dyn Iterator<Item = String>| {
        names.map(|name| format!("(export \"{name}\" (func $f))")).collect::<String>()
    };
    let own = each(&mut own.into_iter().map(|name| name.as_ref().to_owned()));
    let interface = |(n, (name, inside)): (usize, &(&str, &[&str]))| {
        let inside = each(&mut inside.iter().map(|&name| name.to_owned()));
        format!("(instance $x{n} {inside}) (export \"{name}\" (instance $x{n}))")
    };
    let interfaces: String = interfaces.iter().enumerate().map(interface).collect();
    function("", "", "").replace("(export \"f\" (func $f)))", &format!("{own} {interfaces})"))
}

/// A component that exports an interface of this name, with these functions.
pub(crate) fn interface(name: &str, functions: &[&str]) -> String {
    exports([""; 0], &[(name, functions)])
}

fn names(n: usize, of: impl Fn(usize) -> String) -> String {
    (0..n).map(of).collect()
}

/// All of them.
pub(super) fn strange() -> Vec<Named> {
    let long = "x".repeat(10_000);
    let field = |n| format!("(field \"f{n}\" u8)");
    let quoted = |n| format!(" \"n{n}\"");
    let docs = |text: &[u8]| [with_custom("package-docs", text)].concat();
    let wat = |name: &str, text: &str| {
        (name.to_owned(), wat::parse_str(text).unwrap_or_else(|e| panic!("{name}: {e}")))
    };
    vec![
        wat("record-empty", &takes("(record)")),
        wat("record-900", &takes(&format!("(record {})", names(900, field)))),
        wat("record-3000", &takes(&format!("(record {})", names(3_000, field)))),
        wat("record-alike", &takes("(record (field \"a\" u8) (field \"A\" u8))")),
        wat(
            "record-proto",
            &takes("(record (field \"constructor\" u8) (field \"type\" u8))")
                .replace("(param i32)", "(param i32 i32)"),
        ),
        wat("tuple-empty", &takes("(tuple)")),
        wat("tuple-500", &takes(&format!("(tuple {})", "u8 ".repeat(500)))),
        wat("tuple-9000", &takes(&format!("(tuple {})", "u8 ".repeat(9_000)))),
        wat("variant-empty", &takes("(variant)")),
        wat(
            "variant-1000",
            &takes(&format!("(variant {})", names(1_000, |n| format!("(case \"c{n}\" u64)"))))
                .replace("(param i32)", "(param i32 i64)"),
        ),
        wat("enum-empty", &takes("(enum)")),
        wat("enum-5000", &takes(&format!("(enum {})", names(5_000, quoted)))),
        wat("enum-long", &takes(&format!("(enum \"{long}\")"))),
        wat("flags-empty", &takes("(flags)")),
        wat("flags-32", &takes(&format!("(flags {})", names(32, quoted)))),
        wat("flags-33", &takes(&format!("(flags {})", names(33, quoted)))),
        wat(
            "lists-20-deep",
            &nested(20, |t| format!("(list {t})")).replace("(param i32)", "(param i32 i32)"),
        ),
        wat(
            "lists-90-deep",
            &nested(90, |t| format!("(list {t})")).replace("(param i32)", "(param i32 i32)"),
        ),
        wat(
            "lists-200-deep",
            &nested(200, |t| format!("(list {t})")).replace("(param i32)", "(param i32 i32)"),
        ),
        wat("options-20-deep", &nested(20, |t| format!("(option {t})"))),
        wat("results-40-deep", &nested(40, |t| format!("(result {t} (error {t}))"))),
        wat("tuples-doubled", &nested(30, |t| format!("(tuple {t} {t})"))),
        wat(
            "lists-doubled",
            &nested(12, |t| format!("(tuple (list {t}) (list {t}))"))
                .replace("(param i32)", "(param i32 i32 i32 i32)"),
        ),
        wat("functions-none", "(component)"),
        wat("functions-256", &exports((0..256).map(|n| format!("f{n}")), &[])),
        wat("functions-257", &exports((0..257).map(|n| format!("f{n}")), &[])),
        wat("functions-5000", &exports((0..5_000).map(|n| format!("f{n}")), &[])),
        wat("name-long", &exports([&long], &[])),
        wat("name-40", &exports(["x".repeat(40)], &[])),
        wat("name-64", &exports(["x".repeat(64)], &[])),
        wat("name-empty", &exports([""], &[])),
        wat("name-umlaut", &exports(["käse"], &[])),
        wat("name-rtl", &exports(["a\\u{202e}b"], &[])),
        wat("name-nul", &exports(["a\\00b"], &[])),
        wat("name-underscore", &exports(["a_b"], &[])),
        wat("name-alike", &exports(["a-b", "A-B"], &[])),
        wat("name-twice", &exports(["a-b", "a-b"], &[])),
        wat("name-method", &exports(["[method]a.b"], &[])),
        wat("name-bracket", &exports(["[none]a"], &[])),
        wat("name-run", &exports(["run", "wasi-run", "request", "wasi-request"], &[])),
        wat("name-taken-by-a-place", &exports(["d", "c-d", "a-b-c-d"], &[("a:b/c", &["d"])])),
        wat(
            "name-of-two-versions",
            &exports(["d"], &[("a:b/c@1.0.0-rc.1", &["d"]), ("a:b/c@1.0.0-rc-1", &["d"])]),
        ),
        wat("name-of-a-command", &exports(["run", "wasi-run"], &[("wasi:cli/run@0.2.0", &["run"])])),
        wat("name-long-beside-good", &exports([&*"x".repeat(60), "good"], &[])),
        wat("name-reserved", &exports(["call", "saga-begin", "skillhost"], &[])),
        wat("name-interface", &interface("a:b/c@1.0.0-rc.1+x", &["d", "e-f"])),
        wat("name-nested-package", &interface("a:b:c/d/e@1.0.0", &["f"])),
        wat("name-bad-version", &interface("a:b/c@1", &["f"])),
        wat("name-url", &interface("url=<https://localhost/>", &["f"])),
        wat("command-unlike", &interface("wasi:cli/run@0.2.0", &["run"])),
        wat("command-without-run", &interface("wasi:cli/run@0.2.0", &["walk"])),
        wat("handler-unlike", &interface("wasi:http/incoming-handler@0.2.0", &["handle"])),
        wat("skill-unlike", &interface("skillhost:skill/tools@0.1.0", &["list", "call"])),
        wat("skill-half", &interface("skillhost:skill/tools@0.1.0", &["list"])),
        wat("skill-no-instance", &exports(["skillhost:skill/tools@0.1.0"], &[])),
        wat("skill-later", &interface("skillhost:skill/tools@0.1.99", &["list"])),
        wat("import-function", "(component (import \"f\" (func)))"),
        wat("import-interface", "(component (import \"a:b/c@0.1.0\" (instance (export \"f\" (func)))))"),
        wat("import-module", "(component (import \"m\" (core module)))"),
        wat("import-component", "(component (import \"locked-dep=<a:b@1.0.0>\" (component)))"),
        wat(
            "import-unlike",
            "(component (import \"wasi:cli/stdout@0.2.0\" (instance (export \"get-stdout\" (func (result u8))))))",
        ),
        wat(
            "import-exported",
            "(component (import \"wasi:random/random@0.2.0\" (instance $s (export \"get-random-u64\" (func (result u64))))) (alias export $s \"get-random-u64\" (func $f)) (export \"g\" (func $f)))",
        ),
        wat("exports-a-type", "(component (type $t (enum \"a\")) (export \"t\" (type $t)))"),
        wat("exports-a-module", "(component (core module $m) (export \"m\" (core module $m)))"),
        wat("exports-a-component", "(component (component $c) (export \"c\" (component $c)))"),
        wat(
            "resource",
            &function(
                "(type $r' (resource (rep i32))) (export $r \"r\" (type $r'))",
                "(param \"a\" (own $r)) (result (own $r))",
                "(param i32) (result i32)",
            ),
        ),
        wat(
            "resource-borrowed",
            &function(
                "(type $r' (resource (rep i32))) (export $r \"r\" (type $r'))",
                "(param \"a\" (borrow $r))",
                "(param i32)",
            ),
        ),
        wat("async-function", &function("(type $a (func async))", "(type $a)", "")),
        wat("stream", &function("(type $s (stream u8))", "(param \"a\" $s)", "(param i32)")),
        wat("future", &function("(type $s (future string))", "(result $s)", "(result i32)")),
        wat("error-context", &function("", "(param \"a\" error-context)", "(param i32)")),
        wat("map", &function("(type $m (map string u8))", "(param \"a\" $m)", "(param i32 i32)")),
        wat(
            "list-of-fixed-length",
            &function("(type $l (list u8 4))", "(param \"a\" $l)", "(param i32 i32 i32 i32)"),
        ),
        wat("parameter-long", &function("", &format!("(param \"{long}\" bool)"), "(param i32)")),
        wat("parameters-17", &function("", &names(17, |n| format!("(param \"p{n}\" u8)")), "(param i32)")),
        wat(
            "parameters-2000",
            &function("", &names(2_000, |n| format!("(param \"p{n}\" u8)")), "(param i32)"),
        ),
        wat(
            "utf16",
            &function("", "(param \"a\" string)", "(param i32 i32)")
                .replace("(realloc", "string-encoding=utf16 (realloc"),
        ),
        wat(
            "start-traps",
            &function("", "", "")
                .replace("(func (export \"f\")", "(func $s unreachable) (start $s) (func (export \"f\")"),
        ),
        wat(
            "start-loops",
            &function("", "", "")
                .replace("(func (export \"f\")", "(func $s (loop (br 0))) (start $s) (func (export \"f\")"),
        ),
        wat("memory-64", &function("", "", "").replace("(export \"memory\") 1", "(export \"memory\") i64 1")),
        wat("memory-4g", &function("", "", "").replace("(export \"memory\") 1", "(export \"memory\") 65536")),
        wat("memories-40", &function(&"(core instance (instantiate $m))".repeat(40), "", "")),
        wat(
            "table-huge",
            &function("", "", "").replace("(memory (export", "(table 4294967295 funcref) (memory (export"),
        ),
        wat(
            "data-outside",
            &function("", "", "")
                .replace("(func (export \"f\")", "(data (i32.const 65535) \"abc\") (func (export \"f\")"),
        ),
        wat("core-module", "(module (func (export \"f\")))"),
        ("layer-unknown".into(), b"\0asm\x0d\0\x02\0".to_vec()),
        ("nested-2000-deep".into(), (0..2_000).fold(HEADER.to_vec(), |inner, _| sealed(&[(4, inner)]))),
        ("nested-20-deep".into(), (0..20).fold(HEADER.to_vec(), |inner, _| sealed(&[(4, inner)]))),
        (
            "type-1000-deep".into(),
            sealed(&[(7, [vec![1], [0x41, 1, 1].repeat(1_000), vec![0x41, 0]].concat())]),
        ),
        ("docs-garbage".into(), docs(b"\x01\xff{{{")),
        ("docs-deep".into(), docs(&[&b"\0"[..], &b"[".repeat(100_000)].concat())),
        ("docs-unlike".into(), docs(b"\0{\"worlds\": {\"w\": {\"funcs\": {\"f\": {\"docs\": [7]}}}}}")),
        (
            "docs-odd".into(),
            docs(
                "\0{\"worlds\":{\"w\":{\"funcs\":{\"f\":{\"docs\":\"\u{202e}\\u0000\\u001b[2J\"}}}}}"
                    .as_bytes(),
            ),
        ),
        ("docs-2-mb".into(), docs(&vec![b' '; 2 << 20])),
        (
            "docs-lying".into(),
            [wat::parse_str(function("", "", "")).unwrap(), b"\0\x02\xff\x7f".to_vec()].concat(),
        ),
    ]
}

/// A good component with a custom section of that name.
fn with_custom(name: &str, content: &[u8]) -> Vec<u8> {
    let mut sections = opened(&wat::parse_str(function("", "", "")).unwrap());
    let mut body = vec![];
    leb(name.len(), &mut body);
    body.extend_from_slice(name.as_bytes());
    body.extend_from_slice(content);
    sections.push((0, body));
    sealed(&sections)
}
