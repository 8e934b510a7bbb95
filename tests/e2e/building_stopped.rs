//! What surrounds a compiler, with one that compiles nothing: how a build ends early, and what is built anew.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use skillhost_e2e::{Host, eventually};

use crate::empty;

/// A compiler of C, in the place of the WASI SDK's, that runs these lines of a shell; and a project for it.
fn compiler(host: &Host, script: &str) -> (PathBuf, PathBuf) {
    let (sdk, project) = (host.root().join("sdk"), host.root().join("odd"));
    fs::create_dir_all(sdk.join("bin")).unwrap();
    let clang = sdk.join("bin/clang");
    fs::write(&clang, format!("#!/bin/sh\n{script}")).unwrap();
    assert!(Command::new("chmod").arg("+x").arg(&clang).status().unwrap().success());
    let core = wat::parse_str("(module (memory (export \"memory\") 1) (func (export \"_start\")))").unwrap();
    fs::write(sdk.join("core.wasm"), core).unwrap();
    written(&project);
    (sdk, project)
}

/// A compiler that gives the same command whatever the source says: one that does nothing.
const COPIES: &str = "while [ \"$1\" != -o ]; do shift; done; cp ../sdk/core.wasm \"$2\"";

fn written(project: &Path) {
    fs::create_dir_all(project.join("tests")).unwrap();
    fs::write(project.join("main.c"), "int main() {}").unwrap();
    fs::write(project.join("tests/a.toml"), "[[case]]\nname = \"a\"\ntool = \"run\"\n").unwrap();
}

/// Whether a process is there, and not only what is left of one.
fn runs(process: &str) -> bool {
    let state = fs::read_to_string(format!("/proc/{process}/stat"));
    state.is_ok_and(|state| !state.rsplit(") ").next().is_some_and(|state| state.starts_with('Z')))
}

#[test]
fn a_build_that_is_interrupted_leaves_nothing_behind() {
    for (args, signal, code) in [
        (&["build", "odd"][..], "-TERM", 130),
        (&["build", "odd"], "-HUP", 130),
        (&["test", "odd"], "-INT", 130),
        (&["dev", "odd", "--listen", "127.0.0.1:0"], "-TERM", 0),
    ] {
        let host = empty().own_data();
        // Two processes, as of a compiler's driver.
        let (sdk, _) = compiler(&host, "sleep 1000 & echo $! > ../new && mv ../new ../started && wait");
        let (temporary, started) = (host.root().join("tmp"), host.root().join("started"));
        fs::create_dir(&temporary).unwrap();
        let mut command = host.command(args);
        let mut child = command.env("WASI_SDK_PATH", sdk).env("TMPDIR", &temporary).spawn().unwrap();
        let inner = eventually(|| fs::read_to_string(&started).ok());
        assert!(runs(inner.trim()), "{args:?}");
        assert!(Command::new("kill").args([signal, &child.id().to_string()]).status().unwrap().success());
        let ended = eventually(|| child.try_wait().unwrap());
        assert_eq!(ended.code(), Some(code), "{args:?}");
        eventually(|| (!runs(inner.trim())).then_some(()));
        let left: Vec<_> = fs::read_dir(&temporary).unwrap().map(|entry| entry.unwrap().path()).collect();
        assert!(left.is_empty(), "{args:?} left {left:?}");
    }
}

#[test]
fn a_project_that_is_made_anew_is_built_anew() {
    let host = empty().own_data();
    let (sdk, project) = compiler(&host, COPIES);
    let mut command = host.command(&["dev", "odd", "--listen", "127.0.0.1:0"]);
    command.env("WASI_SDK_PATH", sdk).env("SKILLHOST_LOG", "info");
    let server = host.server(command);
    let built = || server.wait_log("that it is built", |line| line["message"] == "built");
    built();
    fs::write(project.join("main.c"), "int main() { return 1; }").unwrap();
    built();
    fs::remove_dir_all(&project).unwrap();
    server.wait_log("that it is gone", |line| line["message"] == "not built; what serves goes on");
    written(&project);
    built();
    fs::write(project.join("main.c"), "int main() { return 2; }").unwrap();
    built();
    assert!(host.root().join("skills/odd.wasm").is_file());
}

#[test]
fn what_is_developed_is_served_alone() {
    let host = empty();
    let (sdk, project) = compiler(&host, COPIES);
    for name in ["first", "second"] {
        let mut command = Command::new(skillhost_e2e::binary());
        command.args(["dev", "odd", "--listen", "127.0.0.1:0", "--name", name]).env_clear();
        command.current_dir(host.root()).env("WASI_SDK_PATH", &sdk).env("SKILLHOST_LOG", "info");
        let server = host.server(command);
        server.wait_log("that it is built", |line| line["message"] == "built");
        let skills = fs::read_dir(project.join(".skillhost/skills")).unwrap();
        let skills: Vec<_> = skills.map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(skills, [format!("{name}.wasm").as_str()]);
        server.kill();
    }
    assert!(!project.join("dist").exists());
}
