//! Turns a core module for WASI preview 1 into a component, and checks that a component is one.
//!
//! `lift core.wasm skill.wasm` makes the component; `lift --check skill.wasm` only looks.
use std::path::Path;
use std::{env, fs};

use anyhow::{Context, Result, bail, ensure};
use wasi_preview1_component_adapter_provider::{
    WASI_SNAPSHOT_PREVIEW1_ADAPTER_NAME, WASI_SNAPSHOT_PREVIEW1_REACTOR_ADAPTER,
};
use wasmparser::{Payload, Validator, WasmFeatures};
use wit_component::ComponentEncoder;

fn main() -> Result<()> {
    let arguments: Vec<_> = env::args_os().skip(1).collect();
    match arguments.as_slice() {
        [flag, component] if flag == "--check" => check(&read(component.as_ref())?),
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

/// The WIT types are in the module already, in a custom section that the bindings put there.
fn lift(core: &[u8]) -> Result<Vec<u8>> {
    ComponentEncoder::default()
        .validate(true)
        .module(core)
        .context("the module carries no WIT types")?
        .adapter(WASI_SNAPSHOT_PREVIEW1_ADAPTER_NAME, WASI_SNAPSHOT_PREVIEW1_REACTOR_ADAPTER)?
        .encode()
        .context("the module does not fit its WIT types")
}

/// Fails unless `component` is valid and exports something.
fn check(component: &[u8]) -> Result<()> {
    // The features of WASI 0.2: a component that needs more would not run everywhere.
    Validator::new_with_features(WasmFeatures::WASM2 | WasmFeatures::COMPONENT_MODEL)
        .validate_all(component)
        .context("the component is not valid")?;
    ensure!(!exports(component)?.is_empty(), "the component exports nothing");
    Ok(())
}

/// The names of what the component itself exports, not those of the components and modules within it.
fn exports(component: &[u8]) -> Result<Vec<String>> {
    let mut depth = 0_usize;
    let mut names = Vec::new();
    for payload in wasmparser::Parser::new(0).parse_all(component) {
        match payload? {
            Payload::ModuleSection { .. } | Payload::ComponentSection { .. } => depth += 1,
            Payload::End(_) => depth = depth.saturating_sub(1),
            Payload::ComponentExportSection(section) if depth == 0 => {
                for export in section {
                    names.push(export?.name.name.to_owned());
                }
            }
            _ => {}
        }
    }
    Ok(names)
}
