//! Python, by componentize-py.

use std::{
    env,
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use serde::Deserialize;

use crate::{BuildError, Built, Stop, contract, tools};

/// Folders where a project's own Python usually is.
const ENVIRONMENTS: [&str; 3] = [".venv", "venv", "env"];
/// Where the source begins, when pyproject.toml does not say so.
const MODULES: [&str; 3] = ["app", "skill", "main"];
/// What the component begins with. No project has a module of that name.
const MAIN: &str = "skillhost_component";

#[derive(Debug, Default, Deserialize)]
struct Manifest {
    #[serde(default)]
    project: Named,
    #[serde(default)]
    tool: Tools,
}

#[derive(Debug, Default, Deserialize)]
struct Named {
    name: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
struct Tools {
    #[serde(default)]
    skillhost: Own,
}

#[derive(Debug, Default, Deserialize)]
struct Own {
    /// The module where the tools are.
    module: Option<String>,
}

pub(crate) fn build(dir: &Path, extra: &[OsString], stop: &Stop) -> Result<Built, BuildError> {
    let manifest = manifest(dir)?;
    let environment = environment(dir);
    let program = program(environment.as_deref())?;
    let module = module(dir, &manifest)?;
    let work = tempfile::tempdir().map_err(BuildError::io("cannot make a temporary folder"))?;
    let wit = work.path().join("wit");
    contract::write_world(&wit, ["tools", "undo"].into_iter())?;
    let main = format!("import {module}\nfrom skillhost.exports import Tools, Undo\n");
    let wrapper = work.path().join(format!("{MAIN}.py"));
    fs::write(&wrapper, main).map_err(BuildError::io("cannot write into a temporary folder"))?;
    let component = work.path().join("component.wasm");
    let mut command = Command::new(program);
    command.current_dir(dir).arg("-d").arg(&wit).args(["-w", contract::WORLD, "componentize", MAIN]);
    command.arg("-p").arg(work.path()).arg("-p").arg(dir).arg("-p").arg(dir.join("src"));
    command.args(extra).arg("-o").arg(&component);
    if let Some(environment) = environment {
        // Its packages are found by that.
        command.env("VIRTUAL_ENV", environment);
    }
    stop.run(&mut command)?;
    Ok(Built {
        name: manifest.project.name.unwrap_or_else(|| tools::folder_name(dir)),
        component: fs::read(&component).map_err(BuildError::io("cannot read the component"))?,
        with: "Python, componentize-py".into(),
    })
}

fn manifest(dir: &Path) -> Result<Manifest, BuildError> {
    let file = dir.join("pyproject.toml");
    if !file.is_file() {
        return Ok(Manifest::default());
    }
    let text =
        fs::read_to_string(&file).map_err(BuildError::io(format!("cannot read {}", file.display())))?;
    toml::from_str(&text)
        .map_err(|error| BuildError::Project(format!("{} is not sound: {error}", file.display())))
}

/// The project's own Python, else the one that is active.
fn environment(dir: &Path) -> Option<PathBuf> {
    let own =
        ENVIRONMENTS.map(|name| dir.join(name)).into_iter().find(|dir| dir.join("pyvenv.cfg").is_file());
    own.or_else(|| env::var_os("VIRTUAL_ENV").map(PathBuf::from))
}

fn program(environment: Option<&Path>) -> Result<PathBuf, BuildError> {
    let own = environment.map(|dir| dir.join("bin/componentize-py")).filter(|file| file.is_file());
    own.or_else(|| tools::on_path("componentize-py")).ok_or_else(|| BuildError::Missing {
        what: "componentize-py",
        install: "`python3 -m venv .venv && .venv/bin/pip install componentize-py` in the project".into(),
    })
}

/// The module where the tools are.
fn module(dir: &Path, manifest: &Manifest) -> Result<String, BuildError> {
    let there = |module: &str| {
        let path = module.replace('.', "/");
        [dir.join(&path), dir.join("src").join(&path)]
            .iter()
            .any(|path| path.with_extension("py").is_file() || path.join("__init__.py").is_file())
    };
    let sound = |module: &str| module.chars().all(|c| c.is_alphanumeric() || c == '_' || c == '.');
    if let Some(module) = &manifest.tool.skillhost.module {
        return match sound(module) && there(module) {
            true => Ok(module.clone()),
            false => Err(BuildError::Project(format!(
                "pyproject.toml names the module `{module}` (`tool.skillhost`), which is not there"
            ))),
        };
    }
    MODULES.into_iter().find(|module| there(module)).map(ToOwned::to_owned).ok_or_else(|| {
        BuildError::Project(
            "where the tools are is not known\n  hint: call the file app.py, or write in pyproject.toml:\n    [tool.skillhost]\n    \
             module = \"package.module\""
                .into(),
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_module_is_said_or_found() {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path();
        let module = |text: &str| {
            fs::write(dir.join("pyproject.toml"), text).unwrap();
            module(dir, &manifest(dir)?)
        };
        assert!(module("").unwrap_err().to_string().contains("app.py"));
        fs::create_dir_all(dir.join("src/shop")).unwrap();
        fs::write(dir.join("src/shop/__init__.py"), "").unwrap();
        fs::write(dir.join("src/shop/tools.py"), "").unwrap();
        fs::write(dir.join("app.py"), "").unwrap();
        assert_eq!(module("").unwrap(), "app");
        let said = |name: &str| module(&format!("[tool.skillhost]\nmodule = {name:?}"));
        assert_eq!(said("shop").unwrap(), "shop");
        assert_eq!(said("shop.tools").unwrap(), "shop.tools");
        for wrong in ["none", "app\nimport os", ""] {
            assert!(said(wrong).unwrap_err().to_string().contains("not there"), "{wrong}");
        }
        assert!(module("[").unwrap_err().to_string().contains("not sound"));
    }

    #[test]
    fn its_own_python_comes_first() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join(".venv/bin")).unwrap();
        fs::write(dir.path().join(".venv/pyvenv.cfg"), "").unwrap();
        let own = environment(dir.path()).unwrap();
        assert_eq!(own, dir.path().join(".venv"));
        fs::write(own.join("bin/componentize-py"), "").unwrap();
        assert_eq!(program(Some(&own)).unwrap(), own.join("bin/componentize-py"));
    }
}
