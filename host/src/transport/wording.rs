//! What the catalog holds as MCP words it.

use std::{borrow::Cow, sync::Arc};

use rmcp::model::{
    Annotations, Icon, MetaObject, Prompt, PromptArgument, Resource, ResourceTemplate, Tool, ToolAnnotations,
};
use serde_json::{Map, Value};
use skillhost_core::{Catalog, PromptSpec, ResourceSpec, TemplateSpec, ToolName, ToolSpec};

/// In a tool's `_meta`: `undo_call` takes its calls back.
const UNDOABLE: &str = "skillhost/undoable";

/// All tools, by name.
pub(crate) fn tools(catalog: &Catalog) -> Vec<Tool> {
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
    tool.icons = icons(spec.icons.as_deref());
    let mut meta = spec.meta.clone().unwrap_or_default();
    // Whether a call can be taken back is the host's promise, not the skill's.
    meta.remove(UNDOABLE);
    if undo && spec.undoable && spec.annotations.read_only != Some(true) {
        meta.insert(UNDOABLE.to_owned(), true.into());
    }
    tool.meta = (!meta.is_empty()).then_some(MetaObject(meta));
    tool
}

/// All prompts, by name.
pub(crate) fn prompts(catalog: &Catalog) -> Vec<Prompt> {
    catalog.prompts.iter().map(|(name, served)| prompt(name, &served.spec)).collect()
}

fn prompt(name: &ToolName, spec: &PromptSpec) -> Prompt {
    let arguments = spec.arguments.iter().map(|argument| {
        let mut worded = PromptArgument::new(&argument.name).with_required(argument.required);
        worded.title.clone_from(&argument.title);
        worded.description.clone_from(&argument.description);
        worded
    });
    let arguments = (!spec.arguments.is_empty()).then(|| arguments.collect());
    let mut prompt = Prompt::new(name.to_string(), spec.description.clone(), arguments);
    prompt.title.clone_from(&spec.title);
    prompt.icons = icons(spec.icons.as_deref());
    prompt.meta = spec.meta.clone().map(MetaObject);
    prompt
}

/// All resources with fixed URIs, by these.
pub(crate) fn resources(catalog: &Catalog) -> Vec<Resource> {
    catalog.resources.values().map(|served| resource(&served.spec)).collect()
}

fn resource(spec: &ResourceSpec) -> Resource {
    let mut resource = Resource::new(&spec.uri, &spec.name);
    resource.title.clone_from(&spec.title);
    resource.description.clone_from(&spec.description);
    resource.mime_type.clone_from(&spec.mime_type);
    resource.size = spec.size;
    resource.annotations = annotations(spec.annotations.as_ref());
    resource.icons = icons(spec.icons.as_deref());
    resource.meta = spec.meta.clone().map(MetaObject);
    resource
}

/// All families of resources, by their URI templates.
pub(crate) fn templates(catalog: &Catalog) -> Vec<ResourceTemplate> {
    catalog.templates.values().map(|served| template(&served.spec)).collect()
}

fn template(spec: &TemplateSpec) -> ResourceTemplate {
    let mut template = ResourceTemplate::new(&spec.uri_template, &spec.name);
    template.title.clone_from(&spec.title);
    template.description.clone_from(&spec.description);
    template.mime_type.clone_from(&spec.mime_type);
    template.annotations = annotations(spec.annotations.as_ref());
    template.icons = icons(spec.icons.as_deref());
    template.meta = spec.meta.clone().map(MetaObject);
    template
}

/// Icons a client could not read are left out one by one.
pub(crate) fn icons(icons: Option<&[Value]>) -> Option<Vec<Icon>> {
    Some(icons?.iter().filter_map(|icon| serde_json::from_value(icon.clone()).ok()).collect())
}

/// Annotations a client could not read are left out.
pub(crate) fn annotations(annotations: Option<&Map<String, Value>>) -> Option<Annotations> {
    serde_json::from_value(Value::Object(annotations?.clone())).ok()
}
