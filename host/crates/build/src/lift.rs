//! From a core module to a component.

use wasi_preview1_component_adapter_provider::{
    WASI_SNAPSHOT_PREVIEW1_ADAPTER_NAME, WASI_SNAPSHOT_PREVIEW1_COMMAND_ADAPTER,
    WASI_SNAPSHOT_PREVIEW1_REACTOR_ADAPTER,
};
use wasmparser::{Encoding, ExternalKind, Parser, Payload, Validator, WasmFeatures};
use wit_component::ComponentEncoder;

use crate::BuildError;

/// The component that `wasm` is, or becomes: a core module for WASI preview 1 that says its WIT types in a custom section, as the
/// generators of bindings put them there, or one with a `main`.
///
/// # Errors
/// [`BuildError::Component`] says what does not fit.
pub fn lift(wasm: &[u8]) -> Result<Vec<u8>, BuildError> {
    let problem = |error: &anyhow::Error| BuildError::Component(format!("{error:#}"));
    let Some(Module { starts }) = module(wasm)? else { return Ok(wasm.to_vec()) };
    let adapter =
        if starts { WASI_SNAPSHOT_PREVIEW1_COMMAND_ADAPTER } else { WASI_SNAPSHOT_PREVIEW1_REACTOR_ADAPTER };
    ComponentEncoder::default()
        .validate(true)
        .module(wasm)
        .and_then(|encoder| encoder.adapter(WASI_SNAPSHOT_PREVIEW1_ADAPTER_NAME, adapter))
        .and_then(|encoder| encoder.encode())
        .map_err(|error| problem(&error))
}

/// A core module.
struct Module {
    /// It has a `main` that is called `_start`, and is a command.
    starts: bool,
}

/// What a core module is; none for a component.
fn module(wasm: &[u8]) -> Result<Option<Module>, BuildError> {
    let malformed = |error: wasmparser::BinaryReaderError| BuildError::Component(error.to_string());
    for payload in Parser::new(0).parse_all(wasm) {
        match payload.map_err(malformed)? {
            Payload::Version { encoding: Encoding::Component, .. } => return Ok(None),
            Payload::ExportSection(exports) => {
                for export in exports {
                    let export = export.map_err(malformed)?;
                    if export.name == "_start" && export.kind == ExternalKind::Func {
                        return Ok(Some(Module { starts: true }));
                    }
                }
            }
            _ => {}
        }
    }
    Ok(Some(Module { starts: false }))
}

/// Whether `component` is a valid one that exports something.
///
/// # Errors
/// [`BuildError::Component`] when it is not.
pub fn check(component: &[u8]) -> Result<(), BuildError> {
    // The features of WASI 0.2, and what interpreters are built with: a component that needs more would not run everywhere.
    let features = WasmFeatures::WASM2 | WasmFeatures::EXTENDED_CONST | WasmFeatures::COMPONENT_MODEL;
    Validator::new_with_features(features)
        .validate_all(component)
        .map_err(|error| BuildError::Component(error.to_string()))?;
    if exports(component) == 0 {
        return Err(BuildError::Component(
            "it exports nothing\n  hint: a skill exports skillhost:skill/tools, a plain component its own functions; \
             in Rust, `skillhost_sdk::skill!` or `wit_bindgen::generate!` and `export!` do that"
                .into(),
        ));
    }
    Ok(())
}

/// How many things the component itself exports, not those that are within it.
fn exports(component: &[u8]) -> u32 {
    let (mut depth, mut count) = (0_usize, 0);
    for payload in Parser::new(0).parse_all(component) {
        match payload {
            Ok(Payload::ModuleSection { .. } | Payload::ComponentSection { .. }) => depth += 1,
            Ok(Payload::End(_)) => depth = depth.saturating_sub(1),
            Ok(Payload::ComponentExportSection(section)) if depth == 0 => count += section.count(),
            _ => {}
        }
    }
    count
}

#[cfg(test)]
mod tests {
    use wit_component::{StringEncoding, embed_component_metadata};
    use wit_parser::Resolve;

    use super::*;

    fn refused(wasm: &[u8]) -> String {
        lift(wasm).and_then(|component| check(&component)).unwrap_err().to_string()
    }

    #[test]
    fn a_module_with_its_types_becomes_a_component() {
        let mut module = wat::parse_str(
            r#"(module (import "wasi_snapshot_preview1" "fd_close" (func $close (param i32) (result i32)))
                (func (export "add") (param i32 i32) (result i32) (drop (call $close (i32.const 9)))
                    (i32.add (local.get 0) (local.get 1)))
                (memory (export "memory") 1))"#,
        )
        .unwrap();
        assert!(refused(&module).contains("exports nothing"), "without types nothing is exported");
        let mut resolve = Resolve::default();
        let package = resolve
            .push_str("a.wit", "package a:b; world w { export add: func(a: s32, b: s32) -> s32; }")
            .unwrap();
        let world = resolve.select_world(&[package], None).unwrap();
        embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8).unwrap();
        let component = lift(&module).unwrap();
        check(&component).unwrap();
        assert_eq!(exports(&component), 1);
        assert_eq!(lift(&component).unwrap(), component, "a component stays what it is");
    }

    #[test]
    fn a_module_with_a_main_becomes_a_command() {
        let module = wat::parse_str(r#"(module (func (export "_start")) (memory (export "memory") 1))"#);
        let component = lift(&module.unwrap()).unwrap();
        check(&component).unwrap();
        let text = format!("{:?}", wit_component::decode(&component).unwrap().resolve().package_names);
        assert!(text.contains("wasi"), "{text}");
    }

    #[test]
    fn what_is_neither_is_refused() {
        assert!(refused(b"no wasm").contains("magic"));
        assert!(refused(b"\0asm\x01\0\0\0\x07").contains("unexpected end"));
        assert!(refused(&wat::parse_str("(component)").unwrap()).contains("exports nothing"));
    }
}
