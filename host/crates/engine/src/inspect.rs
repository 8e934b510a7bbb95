//! What a component imports and exports, held against what the host offers.

use wasmtime::component::Component;

/// The contract's package and the version this host speaks.
const PACKAGE: &str = "skillhost:skill/";
const VERSION: &str = "0.1";

/// Interfaces a component names, in its own order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Interfaces {
    /// What it asks for.
    pub imports: Vec<String>,
    /// What it offers.
    pub exports: Vec<String>,
}

impl Interfaces {
    pub(crate) fn of(component: &Component, engine: &wasmtime::Engine) -> Self {
        let ty = component.component_type();
        Self {
            imports: ty.imports(engine).map(|(name, _)| name.to_owned()).collect(),
            exports: ty.exports(engine).map(|(name, _)| name.to_owned()).collect(),
        }
    }

    /// Whether the component is a skill, and not a plain one that knows nothing of this host.
    ///
    /// # Errors
    /// When it is one of a version that this host does not speak, in words for its author.
    pub(crate) fn is_skill(&self) -> Result<bool, String> {
        let ours = format!("{PACKAGE}tools@{VERSION}.");
        if self.exports.iter().any(|name| name.starts_with(&ours)) {
            return Ok(true);
        }
        match self.exports.iter().find(|name| name.starts_with(&format!("{PACKAGE}tools"))) {
            Some(other) => Err(format!(
                "it exports `{other}`, but this host speaks version {VERSION}.x of skillhost:skill"
            )),
            None => Ok(false),
        }
    }
}
