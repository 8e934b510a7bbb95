//! Turns a core module for WASI preview 1 into a component, and checks that a component is one, as `skillhost build` does:
//! for the sample skills, which are built without the host.
//!
//! `lift core.wasm skill.wasm` makes the component; `lift --check skill.wasm` only looks.
use std::path::Path;
use std::{env, fs};

use anyhow::{Context, Result, bail};
use skillhost_build::{check, lift};

fn main() -> Result<()> {
    let arguments: Vec<_> = env::args_os().skip(1).collect();
    match arguments.as_slice() {
        [flag, component] if flag == "--check" => Ok(check(&read(component.as_ref())?)?),
        [core, component] => {
            let bytes = lift(&read(core.as_ref())?)?;
            check(&bytes)?;
            fs::write(component, bytes)
                .with_context(|| format!("cannot write {}", Path::new(component).display()))
        }
        _ => bail!("usage: lift CORE COMPONENT, or lift --check COMPONENT"),
    }
}

fn read(path: &Path) -> Result<Vec<u8>> {
    fs::read(path).with_context(|| format!("cannot read {}", path.display()))
}
