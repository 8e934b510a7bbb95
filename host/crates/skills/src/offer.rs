//! What a version of a skill offers, under the names that clients see, and as its operator wants it.

use std::{sync::Arc, time::Duration};

use serde_json::Value;
use skillhost_core::{
    Annotations, Features, PromptSpec, ResourceSpec, Schema, SkillName, TemplateSpec, ToolName, ToolSpec,
};
use skillhost_policy::{
    FilterMode,
    content_filter::{filter_schema, filter_text},
};

use crate::SkillSettings;

/// What a version offers.
pub(crate) struct Offers {
    pub(crate) tools: Vec<Offer>,
    pub(crate) prompts: Vec<(ToolName, Arc<PromptSpec>)>,
    pub(crate) resources: Vec<(String, Arc<ResourceSpec>)>,
    pub(crate) templates: Vec<(String, Arc<TemplateSpec>)>,
    pub(crate) completes: bool,
    /// Stands in the place of a tool for all but tools.
    pub(crate) feature: Arc<ToolSpec>,
}

/// A tool that a version serves.
pub(crate) struct Offer {
    pub(crate) name: ToolName,
    pub(crate) spec: Arc<ToolSpec>,
    pub(crate) timeout: Duration,
}

/// No tool has this name.
const FEATURE: &str = "(prompts and resources)";

/// From what a skill lists to what clients are offered; why it is refused, where it is.
pub(crate) fn offers(
    skill: &SkillName,
    settings: &SkillSettings,
    tools: Vec<ToolSpec>,
    features: Features,
) -> Result<Offers, String> {
    let name = |own: &str| settings.mount.tool(skill, own);
    let Features { prompts, mut resources, mut templates, completes } = features;
    let prompts = prompts.into_iter().map(|mut spec| {
        let words = spec.arguments.iter_mut().flat_map(|a| [&mut a.title, &mut a.description]);
        let words = [&mut spec.title, &mut spec.description].into_iter().chain(words);
        clean(skill, settings.filter, &spec.name, words);
        let name = name(&spec.name).map_err(|error| format!("a prompt is named wrongly: {error}"))?;
        Ok((name, Arc::new(spec)))
    });
    let prompts = prompts.collect::<Result<_, String>>()?;
    for spec in &mut resources {
        clean(skill, settings.filter, &spec.uri, [&mut spec.title, &mut spec.description]);
    }
    for spec in &mut templates {
        clean(skill, settings.filter, &spec.uri_template, [&mut spec.title, &mut spec.description]);
    }
    Ok(Offers {
        tools: self::tools(skill, settings, tools, name)?,
        prompts,
        resources: resources.into_iter().map(|spec| (spec.uri.clone(), Arc::new(spec))).collect(),
        templates: templates.into_iter().map(|spec| (spec.uri_template.clone(), Arc::new(spec))).collect(),
        completes,
        feature: Arc::new(ToolSpec::feature(FEATURE)),
    })
}

fn tools(
    skill: &SkillName,
    settings: &SkillSettings,
    tools: Vec<ToolSpec>,
    name: impl Fn(&str) -> Result<ToolName, skillhost_core::name::NameError>,
) -> Result<Vec<Offer>, String> {
    let mut offers = Vec::with_capacity(tools.len());
    for mut spec in tools {
        let own = settings.tools.get(&spec.name);
        if own.is_some_and(|own| !own.enabled) {
            continue;
        }
        if let Some(own) = own {
            spec.annotations = over(spec.annotations, own.annotations);
        }
        filter(skill, &mut spec, settings.filter)?;
        let timeout = own.map_or(settings.timeout, |own| own.timeout);
        let name = name(&spec.name).map_err(|error| format!("a tool is named wrongly: {error}"))?;
        offers.push(Offer { name, spec: Arc::new(spec), timeout });
    }
    Ok(offers)
}

/// Hold what is said of something to the filter.
fn clean<'a>(
    skill: &SkillName,
    mode: FilterMode,
    what: &str,
    words: impl IntoIterator<Item = &'a mut Option<String>>,
) {
    let mut found = false;
    for text in words.into_iter().flatten() {
        if let Some((filtered, _)) = filter_text(text, mode) {
            (*text, found) = (filtered, true);
        }
    }
    if found {
        tracing::warn!(%skill, what, "a description holds what the filter looks for");
    }
}

/// Hold what a tool says of itself to the filter.
fn filter(skill: &SkillName, spec: &mut ToolSpec, mode: FilterMode) -> Result<(), String> {
    if mode == FilterMode::Off {
        return Ok(());
    }
    let mut found = false;
    for text in [&mut spec.title, &mut spec.description].into_iter().flatten() {
        if let Some((filtered, _)) = filter_text(text, mode) {
            (*text, found) = (filtered, true);
        }
    }
    let hides =
        |text| format!("a schema of the tool `{}` hides characters in `{text}` (`result_filter`)", spec.name);
    let mut input = spec.input.raw().clone();
    if !filter_schema(&mut input, mode).map_err(hides)?.is_empty() {
        let text = Value::Object(input).to_string();
        spec.input = Schema::for_arguments(&text).map_err(|error| error.to_string())?;
        found = true;
    }
    if let Some(output) = &mut spec.output {
        let mut raw = output.raw().clone();
        if !filter_schema(&mut raw, mode).map_err(hides)?.is_empty() {
            *output = Schema::parse(&Value::Object(raw).to_string()).map_err(|error| error.to_string())?;
            found = true;
        }
    }
    if found {
        tracing::warn!(%skill, tool = spec.name, "the tool's description holds what the filter looks for");
    }
    Ok(())
}

/// The skill's word with the operator's over it.
fn over(skills: Annotations, operators: Annotations) -> Annotations {
    Annotations {
        read_only: operators.read_only.or(skills.read_only),
        destructive: operators.destructive.or(skills.destructive),
        idempotent: operators.idempotent.or(skills.idempotent),
        open_world: operators.open_world.or(skills.open_world),
    }
}
