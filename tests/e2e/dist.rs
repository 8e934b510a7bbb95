//! The committed components are what their sources say: their manifests list every input with its digest, and every
//! component with its own. `plugins/build.sh` writes them.
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use sha2::{Digest, Sha256};

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");

/// The workspaces of skills. Each has its components and manifests in `dist/`.
const WORKSPACES: [&str; 2] = ["plugins", "tests/skills"];

/// What every skill is built from, beside its own workspace.
const SHARED: [&str; 2] = ["sdk/rust", "wit"];

/// A path from the root of the repository to the digest of the file.
type Manifest = BTreeMap<String, String>;

/// What is wrong with the components of `workspace`; empty when all is well.
fn faults(root: &Path, workspace: &str) -> Vec<String> {
    let mut faults = Vec::new();

    let listed = manifest(root, &format!("{workspace}/dist/inputs.sha256"));
    let mut found = Manifest::new();
    for folder in [&[workspace], &SHARED[..]].concat() {
        collect(root, folder, &mut found);
    }
    for (path, digest) in &listed {
        match found.get(path) {
            None => faults.push(format!("{path} is gone")),
            Some(now) if now != digest => faults.push(format!("{path} has changed")),
            Some(_) => {}
        }
    }
    let new = found.keys().filter(|path| !listed.contains_key(*path));
    faults.extend(new.map(|path| format!("{path} is new")));

    for (path, expected) in manifest(root, &format!("{workspace}/dist/outputs.sha256")) {
        match fs::read(root.join(&path)) {
            Ok(component) if digest(&component) == expected => {}
            Ok(_) => faults.push(format!("{path} is not what was built")),
            Err(error) => faults.push(format!("{path}: {error}")),
        }
    }
    faults
}

/// The inputs below `folder`, by the rule of `inputs` in `plugins/build.sh`.
fn collect(root: &Path, folder: &str, found: &mut Manifest) {
    for entry in fs::read_dir(root.join(folder)).expect("the folder is there") {
        let entry = entry.expect("the folder can be read");
        let name = entry.file_name().into_string().expect("names are in UTF-8");
        let path = format!("{folder}/{name}");
        if entry.file_type().expect("the entry can be read").is_dir() {
            if !["target", "dist", "tests"].contains(&&*name) && path != "plugins/lift" {
                collect(root, &path, found);
            }
        } else if [".rs", ".toml", ".lock", ".wit"].iter().any(|end| name.ends_with(end)) {
            let digest = digest(&fs::read(entry.path()).expect("the input can be read"));
            found.insert(path, digest);
        }
    }
}

/// Reads what `sha256sum` writes.
fn manifest(root: &Path, path: &str) -> Manifest {
    let text = fs::read_to_string(root.join(path)).unwrap_or_else(|error| panic!("{path}: {error}"));
    let entry = |line: &str| {
        let (digest, path) =
            line.split_once("  ").unwrap_or_else(|| panic!("not a line of sha256sum: {line}"));
        (path.to_owned(), digest.to_owned())
    };
    text.lines().map(entry).collect()
}

fn digest(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn components_are_built_from_their_sources() {
    for workspace in WORKSPACES {
        let faults = faults(Path::new(ROOT), workspace);
        assert!(
            faults.is_empty(),
            "the components in {workspace}/dist are out of date; run `just plugins`:\n{}",
            faults.join("\n")
        );
    }
}

/// A small repository with one input of each folder and one component, all in order.
fn repository() -> tempfile::TempDir {
    let root = tempfile::tempdir().unwrap();
    let write = |path: &str, text: &str| {
        let path = root.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    };
    let line = |path: &str, text: &str| format!("{}  {path}\n", digest(text.as_bytes()));
    let inputs = ["plugins/text/src/lib.rs", "sdk/rust/Cargo.toml", "wit/deps/a/a.wit"];
    for path in inputs {
        write(path, path);
    }
    write("plugins/dist/inputs.sha256", &inputs.map(|path| line(path, path)).concat());
    write("plugins/dist/text.wasm", "component");
    write("plugins/dist/outputs.sha256", &line("plugins/dist/text.wasm", "component"));
    // None of these is an input.
    write("plugins/target/debug/build.rs", "");
    write("plugins/lift/src/main.rs", "");
    write("plugins/text/tests/text.toml", "");
    write("sdk/rust/README.md", "");
    root
}

#[test]
fn a_repository_in_order_has_no_faults() {
    assert_eq!(faults(repository().path(), "plugins"), [""; 0]);
}

#[test]
fn whatever_differs_is_told() {
    type Edit = fn(&Path);
    let edits: [(&str, Edit); 5] = [
        ("wit/deps/a/a.wit has changed", |root| fs::write(root.join("wit/deps/a/a.wit"), "other").unwrap()),
        ("sdk/rust/Cargo.toml is gone", |root| fs::remove_file(root.join("sdk/rust/Cargo.toml")).unwrap()),
        ("plugins/text/src/new.rs is new", |root| {
            fs::write(root.join("plugins/text/src/new.rs"), "").unwrap();
        }),
        ("plugins/dist/text.wasm is not what was built", |root| {
            fs::write(root.join("plugins/dist/text.wasm"), "other").unwrap();
        }),
        ("plugins/dist/text.wasm: ", |root| fs::remove_file(root.join("plugins/dist/text.wasm")).unwrap()),
    ];
    for (expected, edit) in edits {
        let root = repository();
        edit(root.path());
        let faults = faults(root.path(), "plugins");
        assert!(faults.len() == 1 && faults[0].starts_with(expected), "{expected}: {faults:?}");
    }
}
