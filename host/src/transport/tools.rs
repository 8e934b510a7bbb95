//! The catalog's tools as MCP words them.

use std::{borrow::Cow, sync::Arc};

use rmcp::model::{MetaObject, Tool, ToolAnnotations};
use skillhost_core::{Catalog, ToolName, ToolSpec};

/// In a tool's `_meta`: `undo_call` takes its calls back.
const UNDOABLE: &str = "skillhost/undoable";

/// All tools, by name.
pub(crate) fn list(catalog: &Catalog) -> Vec<Tool> {
    let undo = catalog.tools.contains_key("undo_call");
    catalog.tools.iter().map(|(name, entry)| tool(name, &entry.spec, undo)).collect()
}

fn tool(name: &ToolName, spec: &ToolSpec, undo: bool) -> Tool {
    let mut tool = Tool::new_with_raw(
        name.to_string(),
        spec.description.clone().map(Cow::Owned),
        Arc::new(spec.input.raw().clone()),
    );
    tool.title.clone_from(&spec.title);
    tool.output_schema = spec.output.as_ref().map(|schema| Arc::new(schema.raw().clone()));
    let a = &spec.annotations;
    let said = [a.read_only, a.destructive, a.idempotent, a.open_world];
    if said.iter().any(Option::is_some) {
        tool.annotations =
            Some(ToolAnnotations::from_raw(None, a.read_only, a.destructive, a.idempotent, a.open_world));
    }
    // Icons a client could not read are left out one by one.
    tool.icons = spec
        .icons
        .as_ref()
        .map(|icons| icons.iter().filter_map(|icon| serde_json::from_value(icon.clone()).ok()).collect());
    let mut meta = spec.meta.clone().unwrap_or_default();
    // Whether a call can be taken back is the host's promise, not the skill's.
    meta.remove(UNDOABLE);
    if undo && spec.undoable && spec.annotations.read_only != Some(true) {
        meta.insert(UNDOABLE.to_owned(), true.into());
    }
    tool.meta = (!meta.is_empty()).then_some(MetaObject(meta));
    tool
}
