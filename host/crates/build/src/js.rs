//! JavaScript and TypeScript, by what npm has put into the project: esbuild makes one module of it, componentize-qjs a component.

use std::{
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use serde_json::Value;
use tempfile::TempDir;

use crate::{BuildError, Built, Language, Stop, contract, tools};

/// Where the source begins, when package.json does not say so.
const ENTRIES: [&str; 6] = ["skill", "index", "main", "src/skill", "src/index", "src/main"];
const EXTENSIONS: [&str; 4] = ["ts", "mts", "js", "mjs"];

pub(crate) fn build(
    dir: &Path,
    language: Language,
    extra: &[OsString],
    stop: &Stop,
) -> Result<Built, BuildError> {
    if tools::on_path("node").is_none() {
        return Err(BuildError::Missing {
            what: "node",
            install: "install Node.js 20 or later from your distribution or nodejs.org".into(),
        });
    }
    let package = package(dir)?;
    let (esbuild, componentize) = (tool(dir, "esbuild")?, tool(dir, "componentize-qjs")?);
    if language == Language::TypeScript {
        // What it finds is a reason not to go on; esbuild only takes the types away.
        stop.run(Command::new(tool(dir, "tsc")?).current_dir(dir).args(["--noEmit", "-p", "."]))?;
    }
    let work = tempfile::tempdir().map_err(BuildError::io("cannot make a temporary folder"))?;
    let bundle = bundle(dir, &esbuild, &entry(dir, &package)?, &work, extra, stop)?;
    let wit = work.path().join("wit");
    contract::write_world(&wit, bundle.exports.iter().map(String::as_str))?;
    let component = work.path().join("component.wasm");
    let mut command = Command::new(componentize);
    command.current_dir(work.path()).args(["--sync", "--minify", "--world", contract::WORLD]);
    command.arg("--wit").arg(&wit).arg("--js").arg(&bundle.file).arg("--output").arg(&component);
    stop.run(&mut command)?;
    Ok(Built {
        name: name(&package, dir),
        component: fs::read(&component).map_err(BuildError::io("cannot read the component"))?,
        with: format!("{language}, esbuild and componentize-qjs"),
    })
}

struct Bundle {
    file: PathBuf,
    /// What the module exports and the contract knows.
    exports: Vec<String>,
}

fn bundle(
    dir: &Path,
    esbuild: &Path,
    entry: &Path,
    work: &TempDir,
    extra: &[OsString],
    stop: &Stop,
) -> Result<Bundle, BuildError> {
    let (file, told) = (work.path().join("skill.js"), work.path().join("bundle.json"));
    let argument = |name: &str, path: &Path| {
        let mut argument = OsString::from(name);
        argument.push(path);
        argument
    };
    let mut command = Command::new(esbuild);
    command.current_dir(dir).arg(entry).args(extra).args([
        "--bundle",
        "--format=esm",
        "--target=es2022",
        "--platform=neutral",
        "--main-fields=module,main",
        "--external:skillhost:*",
        "--external:wasi:*",
        "--log-level=warning",
    ]);
    command.arg(argument("--outfile=", &file)).arg(argument("--metafile=", &told));
    stop.run(&mut command)?;
    let told = fs::read(&told).map_err(BuildError::io("cannot read what esbuild made"))?;
    let told: Value = serde_json::from_slice(&told).unwrap_or_default();
    let outputs = told["outputs"].as_object().into_iter().flatten();
    let exports = outputs.flat_map(|(_, output)| output["exports"].as_array().into_iter().flatten());
    let known = exports.filter_map(Value::as_str).filter(|name| contract::EXPORTS.contains(name));
    let exports: Vec<_> = known.map(ToOwned::to_owned).collect();
    if !exports.iter().any(|name| name == "tools") {
        return Err(BuildError::Project(format!(
            "{} does not export `tools`\n  hint: write `export const {{ tools, undo }} = skill({{ … }})`",
            entry.display()
        )));
    }
    Ok(Bundle { file, exports })
}

fn package(dir: &Path) -> Result<Value, BuildError> {
    let file = dir.join("package.json");
    let text = fs::read(&file).map_err(BuildError::io(format!("cannot read {}", file.display())))?;
    serde_json::from_slice(&text)
        .map_err(|error| BuildError::Project(format!("{} is not sound: {error}", file.display())))
}

/// The package's name without its scope, else the folder's.
fn name(package: &Value, dir: &Path) -> String {
    let own =
        package["name"].as_str().and_then(|name| name.rsplit('/').next()).filter(|name| !name.is_empty());
    own.map_or_else(|| tools::folder_name(dir), ToOwned::to_owned)
}

fn entry(dir: &Path, package: &Value) -> Result<PathBuf, BuildError> {
    if let Some(main) = package["main"].as_str() {
        let file = dir.join(main);
        return match file.is_file() {
            true => Ok(file),
            false => {
                Err(BuildError::Project(format!("package.json names `main` {main}, which is not there")))
            }
        };
    }
    let candidates = ENTRIES.iter().flat_map(|entry| EXTENSIONS.map(|e| dir.join(format!("{entry}.{e}"))));
    candidates.into_iter().find(|file| file.is_file()).ok_or_else(|| {
        BuildError::Project(
            "where the source begins is not known\n  hint: call the file skill.js, or name it in package.json as \"main\"".into(),
        )
    })
}

/// A tool of the project, or of a folder above it, where a workspace has them.
fn tool(dir: &Path, name: &'static str) -> Result<PathBuf, BuildError> {
    let found =
        dir.ancestors().map(|dir| dir.join("node_modules/.bin").join(name)).find(|file| file.is_file());
    found.ok_or_else(|| BuildError::Missing {
        what: name,
        install: match dir.join("node_modules").is_dir() {
            true => format!("`npm install --save-dev {}` in {}", npm(name), dir.display()),
            false => format!("`npm install` in {}", dir.display()),
        },
    })
}

fn npm(tool: &str) -> &str {
    if tool == "tsc" { "typescript" } else { tool }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn where_it_begins_is_said_or_found() {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path();
        let none = entry(dir, &json!({})).unwrap_err().to_string();
        assert!(none.contains("skill.js"), "{none}");
        fs::create_dir(dir.join("src")).unwrap();
        fs::write(dir.join("src/index.ts"), "").unwrap();
        assert_eq!(entry(dir, &json!({})).unwrap(), dir.join("src/index.ts"));
        fs::write(dir.join("skill.js"), "").unwrap();
        assert_eq!(entry(dir, &json!({})).unwrap(), dir.join("skill.js"));
        assert_eq!(entry(dir, &json!({"main": "src/index.ts"})).unwrap(), dir.join("src/index.ts"));
        assert!(entry(dir, &json!({"main": "none.js"})).unwrap_err().to_string().contains("none.js"));
    }

    #[test]
    fn the_name_is_the_packages() {
        let dir = Path::new("/a/folder");
        assert_eq!(name(&json!({"name": "@scope/hello"}), dir), "hello");
        assert_eq!(name(&json!({}), dir), "folder");
    }

    #[test]
    fn what_npm_has_not_put_there_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let inner = dir.path().join("packages/a");
        fs::create_dir_all(&inner).unwrap();
        let told = |name| tool(&inner, name).unwrap_err().to_string();
        assert!(told("esbuild").contains("`npm install` in"), "{}", told("esbuild"));
        fs::create_dir_all(inner.join("node_modules")).unwrap();
        assert!(told("tsc").contains("npm install --save-dev typescript"), "{}", told("tsc"));
        fs::create_dir_all(dir.path().join("node_modules/.bin")).unwrap();
        let file = dir.path().join("node_modules/.bin/tsc");
        fs::write(&file, "").unwrap();
        assert_eq!(tool(&inner, "tsc").unwrap(), file);
    }
}
