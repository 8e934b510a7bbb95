//! The contract between host and skill, as WIT.

use std::{fs, path::Path};

use wit_component::{DecodedWasm, OutputToString, WitPrinter};
use wit_parser::{PackageId, Resolve};

use crate::BuildError;

macro_rules! files {
    ($($path:literal),* $(,)?) => {
        &[$(($path, include_str!(concat!("../../../../wit/", $path)))),*]
    };
}

/// The package `skillhost:skill`, and those it depends on, by their paths in a folder of WIT.
pub const FILES: &[(&str, &str)] = files![
    "host.wit",
    "secrets.wit",
    "skill.wit",
    "types.wit",
    "worlds.wit",
    "deps/config/store.wit",
    "deps/keyvalue/store.wit",
    "deps/logging/logging.wit",
];

/// The contract as one document.
///
/// # Errors
/// None: a test reads it.
pub fn document() -> Result<String, BuildError> {
    let folder = tempfile::tempdir().map_err(BuildError::io("cannot make a temporary folder"))?;
    write(folder.path(), false)?;
    of(folder.path())
}

/// Write the contract's files into `folder`, which is made where it is not there. Other files stay.
///
/// # Errors
/// When it cannot be written, or when a file of such a name says something else and is not to be written `over`.
pub fn write(folder: &Path, over: bool) -> Result<(), BuildError> {
    if !over {
        for (name, text) in FILES {
            let path = folder.join(name);
            if fs::read(&path).is_ok_and(|known| known != text.as_bytes()) {
                return Err(BuildError::Other(path));
            }
        }
    }
    FILES.iter().try_for_each(|(name, text)| put(folder, name, text))
}

fn put(folder: &Path, name: &str, text: &str) -> Result<(), BuildError> {
    let path = folder.join(name);
    fs::create_dir_all(path.parent().unwrap_or(folder))
        .and_then(|()| fs::write(&path, text))
        .map_err(BuildError::io(format!("cannot write {}", path.display())))
}

/// What a component can export, beside `tools`.
pub(crate) const EXPORTS: [&str; 5] = ["tools", "undo", "prompts", "resources", "completions"];
/// The name of the world that [`write_world`] writes.
pub(crate) const WORLD: &str = "component";

/// What interpreters begin their random numbers with. Not in the contract, since languages with a library of their own know it.
const RANDOM: &str = "package wasi:random@0.2.12;
interface random {
    get-random-bytes: func(len: u64) -> list<u8>;
    get-random-u64: func() -> u64;
}
";

/// Write the contract into `folder`, with a world that has all that the host offers and these exports.
pub(crate) fn write_world<'a>(
    folder: &Path,
    exports: impl Iterator<Item = &'a str>,
) -> Result<(), BuildError> {
    write(folder, true)?;
    let exports: String =
        exports.filter(|name| *name != "tools").map(|name| format!("    export {name};\n")).collect();
    let world =
        format!("world {WORLD} {{\n    include skill;\n    import wasi:random/random@0.2.12;\n{exports}}}\n");
    put(folder, "component.wit", &world)?;
    put(folder, "deps/random/random.wit", RANDOM)
}

/// What a component imports and exports, or what a folder of WIT says, as one document.
///
/// # Errors
/// When it is neither, or not sound.
pub fn of(path: &Path) -> Result<String, BuildError> {
    let unsound =
        |error: anyhow::Error| BuildError::Wit { path: path.to_owned(), problem: format!("{error:#}") };
    let (resolve, package) = if path.is_dir() {
        let mut resolve = Resolve::default();
        let (package, _) = resolve.push_path(path).map_err(unsound)?;
        (resolve, package)
    } else {
        let bytes = fs::read(path).map_err(BuildError::io(format!("cannot read {}", path.display())))?;
        let unknown = |error: anyhow::Error| BuildError::File {
            path: path.to_owned(),
            problem: match bytes.starts_with(b"\0asm") {
                true => format!("{error:#}"),
                false => "it is no WebAssembly at all".into(),
            },
        };
        let decoded = wit_component::decode(&bytes).map_err(unknown)?;
        let package = decoded.package();
        match decoded {
            DecodedWasm::WitPackage(resolve, _) | DecodedWasm::Component(resolve, _) => (resolve, package),
        }
    };
    print(&resolve, package).map_err(unsound)
}

/// `package` first, then all that it leans on.
fn print(resolve: &Resolve, package: PackageId) -> anyhow::Result<String> {
    let others: Vec<_> = resolve.packages.iter().map(|(id, _)| id).filter(|id| *id != package).collect();
    let mut printer = WitPrinter::<OutputToString>::default();
    printer.print(resolve, package, &others)?;
    Ok(printer.output.to_string())
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    /// Files below `folder`, by their paths in it.
    fn below(folder: &Path, at: &Path) -> Vec<PathBuf> {
        let entries = fs::read_dir(folder.join(at)).unwrap().map(|entry| at.join(entry.unwrap().file_name()));
        entries
            .flat_map(|path| if folder.join(&path).is_dir() { below(folder, &path) } else { vec![path] })
            .collect()
    }

    #[test]
    fn all_files_of_the_contract_are_there() {
        let mut found = below(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../wit"), Path::new(""));
        let mut known: Vec<_> = FILES.iter().map(|(path, _)| PathBuf::from(path)).collect();
        found.sort();
        known.sort();
        assert_eq!(found, known);
    }

    #[test]
    fn the_document_is_sound_and_says_what_the_files_say() {
        let document = document().unwrap();
        for said in
            ["package skillhost:skill@0.1.0;", "/// All tools of this skill.", "package wasi:logging@"]
        {
            assert!(document.contains(said), "{said}");
        }
        let mut resolve = Resolve::default();
        let package = resolve.push_str("skill.wit", &document).unwrap();
        assert!(resolve.select_world(&[package], Some("with-undo")).is_ok());
    }

    #[test]
    fn a_world_has_what_is_offered_and_these_exports() {
        let folder = tempfile::tempdir().unwrap();
        write_world(folder.path(), EXPORTS.into_iter()).unwrap();
        let mut resolve = Resolve::default();
        let (package, _) = resolve.push_path(folder.path()).unwrap();
        let world = resolve.select_world(&[package], Some(WORLD)).unwrap();
        assert_eq!(resolve.worlds[world].exports.len(), EXPORTS.len());
    }

    #[test]
    fn what_is_written_can_be_read_again() {
        let folder = tempfile::tempdir().unwrap();
        let wit = folder.path().join("new/wit");
        write(&wit, false).unwrap();
        write(&wit, false).unwrap();
        assert_eq!(of(&wit).unwrap(), document().unwrap());
        let types = wit.join("types.wit");
        fs::write(&types, "package me:mine;").unwrap();
        assert!(write(&wit, false).unwrap_err().to_string().contains("types.wit"));
        assert_eq!(fs::read_to_string(&types).unwrap(), "package me:mine;");
        write(&wit, true).unwrap();
        assert_eq!(of(&wit).unwrap(), document().unwrap());
        let file = folder.path().join("no.wasm");
        fs::write(&file, "no").unwrap();
        assert!(of(&file).unwrap_err().to_string().contains("no.wasm is no component"));
    }
}
