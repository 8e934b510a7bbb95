//! The files of new projects: templates, and the helpers that come along.

use super::Lang;

/// Files of a folder of this repository, by their paths in it.
type Files = &'static [(&'static str, &'static str)];

macro_rules! files {
    ($from:literal: $($path:literal),* $(,)?) => {
        &[$(($path, include_str!(concat!("../../../../", $from, "/", $path)))),*]
    };
}

/// A file of a project.
pub(super) struct File {
    pub(super) path: String,
    pub(super) text: &'static str,
}

/// All files of a project in this language.
pub(super) fn of(lang: Lang) -> impl Iterator<Item = File> {
    folders(lang).iter().flat_map(|(to, files)| {
        files.iter().map(move |(path, text)| {
            // Under its own name it would count here.
            let path = path
                .strip_prefix("gitignore")
                .map_or_else(|| (*path).to_owned(), |rest| format!(".gitignore{rest}"));
            File { path: format!("{to}{path}"), text }
        })
    })
}

/// Which folders make up a project, and where they go in it.
fn folders(lang: Lang) -> &'static [(&'static str, Files)] {
    match lang {
        Lang::Js => &[("", JS), ("skillhost-sdk/", JS_SDK)],
        Lang::Ts => &[("", TS), ("skillhost-sdk/", JS_SDK)],
        Lang::Python => &[("", PYTHON), ("skillhost/", PYTHON_SDK)],
        Lang::Rust => &[("", RUST), ("vendor/sdk/rust/", RUST_SDK), ("vendor/wit/", WIT)],
        Lang::Go => &[("", GO), ("skillhost/", GO_SDK)],
        Lang::C => &[("", C), ("skillhost/", C_SDK)],
        Lang::Cpp => &[("", CPP), ("skillhost/", C_SDK)],
    }
}

/// JavaScript.
const JS: Files = files!(
    "sdk/js/template/js":
    "README.md",
    "gitignore",
    "package.json",
    "skill.js",
    "skill.test.js",
    "tests/greet.toml",
);
/// TypeScript.
const TS: Files = files!(
    "sdk/js/template/ts":
    "README.md",
    "gitignore",
    "package.json",
    "skill.test.ts",
    "skill.ts",
    "tests/greet.toml",
    "tsconfig.json",
);
/// For both.
const JS_SDK: Files = files!(
    "sdk/js":
    "README.md",
    "package.json",
    "src/ask.js",
    "src/bytes.js",
    "src/failure.js",
    "src/fake.js",
    "src/globals.js",
    "src/host.js",
    "src/index.d.ts",
    "src/index.js",
    "src/reply.js",
    "src/skill.js",
    "src/testing.d.ts",
    "src/testing.js",
    "src/world.js",
);
/// Python.
const PYTHON: Files = files!(
    "sdk/python/template":
    "README.md",
    "app.py",
    "gitignore",
    "pyproject.toml",
    "test_app.py",
    "tests/greet.toml",
);
/// The package.
const PYTHON_SDK: Files = files!(
    "sdk/python/skillhost":
    "__init__.py",
    "ask.py",
    "declare.py",
    "exports.py",
    "failure.py",
    "fake.py",
    "host.py",
    "py.typed",
    "reply.py",
    "schema.py",
    "testing.py",
    "world.py",
);
/// Rust.
const RUST: Files = files!(
    "sdk/rust/template":
    "Cargo.toml",
    "README.md",
    "gitignore",
    "src/lib.rs",
    "tests/greet.toml",
);
/// The crate, and its macros.
const RUST_SDK: Files = files!(
    "sdk/rust":
    "Cargo.toml",
    "README.md",
    "macros/Cargo.toml",
    "macros/src/expand.rs",
    "macros/src/lib.rs",
    "macros/src/options.rs",
    "macros/src/prompt.rs",
    "macros/src/resource.rs",
    "macros/src/signature.rs",
    "src/ask.rs",
    "src/ask/answers.rs",
    "src/ask/form.rs",
    "src/ask/form/tests.rs",
    "src/ask/memory.rs",
    "src/ask/question.rs",
    "src/ask/tests.rs",
    "src/bindings.rs",
    "src/completion.rs",
    "src/config.rs",
    "src/context.rs",
    "src/failure.rs",
    "src/host.rs",
    "src/host/call.rs",
    "src/http.rs",
    "src/http/imports.rs",
    "src/keyvalue.rs",
    "src/lib.rs",
    "src/log.rs",
    "src/outcome.rs",
    "src/prompt.rs",
    "src/reply.rs",
    "src/resource.rs",
    "src/schema.rs",
    "src/secrets.rs",
    "src/testing.rs",
    "src/testing/client.rs",
    "src/testing/imports.rs",
    "src/testing/tests.rs",
    "src/text.rs",
    "src/tool.rs",
    "src/tool/tests.rs",
    "src/undo.rs",
);
/// Go.
const GO: Files = files!(
    "sdk/go/template":
    "README.md",
    "gitignore",
    "go.mod",
    "skill.go",
    "skill_test.go",
    "tests/greet.toml",
);
/// The package, and what it is bound by.
const GO_SDK: Files = files!(
    "sdk/go":
    "README.md",
    "ask.go",
    "call.go",
    "convert.go",
    "doc.go",
    "failure.go",
    "go.mod",
    "host.go",
    "internal/bindings/export_skillhost_skill_tools/export.go",
    "internal/bindings/export_skillhost_skill_undo/export.go",
    "internal/bindings/skillhost_skill_host/empty.s",
    "internal/bindings/skillhost_skill_host/wit_bindings.go",
    "internal/bindings/skillhost_skill_secrets/empty.s",
    "internal/bindings/skillhost_skill_secrets/wit_bindings.go",
    "internal/bindings/skillhost_skill_tools/empty.s",
    "internal/bindings/skillhost_skill_tools/wit_bindings.go",
    "internal/bindings/skillhost_skill_types/empty.s",
    "internal/bindings/skillhost_skill_types/wit_bindings.go",
    "internal/bindings/skillhost_skill_undo/empty.s",
    "internal/bindings/skillhost_skill_undo/wit_bindings.go",
    "internal/bindings/wasi_config_store/empty.s",
    "internal/bindings/wasi_config_store/wit_bindings.go",
    "internal/bindings/wasi_keyvalue_store/empty.s",
    "internal/bindings/wasi_keyvalue_store/wit_bindings.go",
    "internal/bindings/wasi_logging_logging/empty.s",
    "internal/bindings/wasi_logging_logging/wit_bindings.go",
    "internal/bindings/wasi_random_random/empty.s",
    "internal/bindings/wasi_random_random/wit_bindings.go",
    "internal/bindings/wit_exports/wit_exports.go",
    "internal/wit/LICENSE",
    "internal/wit/runtime/empty.s",
    "internal/wit/runtime/runtime.go",
    "internal/wit/types/option.go",
    "internal/wit/types/result.go",
    "internal/wit/types/tuple.go",
    "internal/wit/types/unit.go",
    "internal/world/world.go",
    "log.go",
    "reply.go",
    "schema.go",
    "skillhosttest/host.go",
    "tool.go",
    "world_wasm.go",
);
/// C.
const C: Files = files!(
    "sdk/c/template/c":
    "Makefile",
    "README.md",
    "gitignore",
    "skill.c",
    "tests/greet.toml",
    "tests/test.c",
);
/// C++.
const CPP: Files = files!(
    "sdk/c/template/cpp":
    "Makefile",
    "README.md",
    "gitignore",
    "skill.cpp",
    "tests/greet.toml",
    "tests/test.cpp",
);
/// For both.
const C_SDK: Files = files!(
    "sdk/c":
    "README.md",
    "cJSON/LICENSE",
    "cJSON/cJSON.c",
    "cJSON/cJSON.h",
    "json.c",
    "skillhost.c",
    "skillhost.h",
    "skillhost.hpp",
    "testing/testing.c",
    "testing/testing.h",
    "wasm.c",
    "world.h",
);
/// What the crate makes its bindings of.
const WIT: Files = files!(
    "wit":
    "deps/config/store.wit",
    "deps/keyvalue/store.wit",
    "deps/logging/logging.wit",
    "host.wit",
    "secrets.wit",
    "skill.wit",
    "types.wit",
    "worlds.wit",
);

#[cfg(test)]
mod tests {
    use std::{fs, path::Path};

    use super::*;

    /// Files below a folder of this repository, but for these.
    fn below(folder: &Path, at: &Path, without: &[&str]) -> Vec<String> {
        let mut found = vec![];
        for entry in fs::read_dir(folder.join(at)).unwrap() {
            let path = at.join(entry.unwrap().file_name());
            if without.iter().any(|name| path.starts_with(name)) {
                continue;
            }
            if folder.join(&path).is_dir() {
                found.extend(below(folder, &path, without));
            } else {
                found.push(path.to_str().unwrap().to_owned());
            }
        }
        found
    }

    #[test]
    fn no_file_is_forgotten() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        for (folder, files, without) in [
            ("sdk/js/template/js", JS, &[][..]),
            ("sdk/js/template/ts", TS, &[]),
            ("sdk/js", JS_SDK, &["template", "test", "node_modules", "package-lock.json"]),
            ("sdk/python/template", PYTHON, &[]),
            ("sdk/python/skillhost", PYTHON_SDK, &["__pycache__"]),
            ("sdk/rust/template", RUST, &[]),
            ("sdk/rust", RUST_SDK, &["template", "tests", "target"]),
            ("sdk/go/template", GO, &[]),
            ("sdk/go", GO_SDK, &["template", "tests"]),
            ("sdk/c/template/c", C, &[]),
            ("sdk/c/template/cpp", CPP, &[]),
            ("sdk/c", C_SDK, &["template", "tests", "Makefile"]),
            ("wit", WIT, &[]),
        ] {
            let mut found = below(&root.join(folder), Path::new(""), without);
            let mut known: Vec<_> = files.iter().map(|(path, _)| (*path).to_owned()).collect();
            found.sort();
            known.sort();
            assert_eq!(found, known, "{folder}");
        }
    }

    #[test]
    fn the_template_has_what_the_crate_takes_from_its_workspace() {
        let (_, template) = RUST.iter().find(|(path, _)| *path == "Cargo.toml").unwrap();
        let template: toml::Table = template.replace("{{name}}", "x").parse().unwrap();
        let own: toml::Table = include_str!("../../../../Cargo.toml").parse().unwrap();
        for (table, keys) in [
            ("package", &["version", "edition", "rust-version", "license", "publish"][..]),
            ("dependencies", &["schemars", "serde", "serde_json", "strsim", "wit-bindgen"]),
        ] {
            for key in keys {
                let of = |manifest: &toml::Table| manifest["workspace"][table][*key].clone();
                assert_eq!(of(&template), of(&own), "{table}.{key}");
            }
        }
        let lints = |manifest: &toml::Table| manifest["workspace"].get("lints").is_some();
        assert!(lints(&own) == lints(&template), "the crate takes lints from it");
    }
}
