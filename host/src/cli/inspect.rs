//! `skillhost inspect`

use std::{
    fmt::Write as _,
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::Context as _;
use clap::Args;
use serde_json::{Value, json};
use skillhost_core::{PromptSpec, Schema, SkillName, TaskSupport};
use skillhost_engine::{Allowance, Engine, Grants, Loaded, Metering, OwnListeners, asked, check, unasked};
use skillhost_skills::{SkillSettings, files};

use super::{live, out, policies};
use crate::{
    app::{block_on, engine},
    config::Settings,
    transport::admin::running,
};

#[derive(Debug, Args)]
pub(super) struct Inspect {
    /// A .wasm file, or the name of a skill in the skills folder
    #[arg(value_name = "FILE|SKILL")]
    what: String,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

impl Inspect {
    pub(super) fn run(self, settings: &Settings) -> anyhow::Result<ExitCode> {
        let (name, file) = self.target(settings)?;
        let own = settings.skills.of(&name);
        let component = read(&file)?;
        let size = component.len();
        let (loaded, running) = block_on(async {
            let running = running(&settings.data).await;
            let engine = engine(settings, &OwnListeners::default())?;
            let loaded = look(&engine, settings, &name, component).await;
            Ok((loaded.with_context(|| no_skill(&file.display()))?, running))
        })?;
        let policy = settings.pipeline.policies.of(&name);
        if self.json {
            let mut described = described(&name, size, &loaded, own, &settings.skills.protected)?;
            described["policies"] = policies::described(policy);
            described["running"] = live::described(&running, name.as_str()).into();
            out::json(&described)?;
        } else {
            let mut text = page(&name, size, &loaded, own, &settings.skills.protected)?;
            text.push_str("\npolicies\n");
            let lines = policies::lines(policy).into_iter().chain(live::lines(&running, name.as_str()));
            for line in lines {
                writeln!(text, "  {line}")?;
            }
            out::text(&text)?;
        }
        Ok(ExitCode::SUCCESS)
    }

    fn target(&self, settings: &Settings) -> anyhow::Result<(SkillName, PathBuf)> {
        let path = Path::new(&self.what);
        if path.is_file() {
            let stem = path.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
            // A file need not be named as the folder wants it, to be looked at.
            let name = SkillName::new(&stem).or_else(|_| SkillName::new("unnamed"))?;
            return Ok((name, path.to_owned()));
        }
        let dir = &settings.skills.dir;
        let mut known = files(&settings.skills)
            .with_context(|| format!("the skills folder {} cannot be read", dir.display()))?;
        match known.remove_entry(self.what.as_str()) {
            Some((name, Ok(file))) => Ok((name, file)),
            Some((name, Err(reason))) => anyhow::bail!("the skill `{name}` is not loaded: {reason}"),
            None => Err(unknown(&self.what, known.keys().map(SkillName::as_str).collect())),
        }
    }
}

/// Load a component to look at it. Without its grants: what is wrong with those is shown, not in the way.
pub(super) async fn look(
    engine: &Engine,
    settings: &Settings,
    name: &SkillName,
    component: Vec<u8>,
) -> anyhow::Result<Loaded> {
    let own = settings.skills.of(name);
    let allowance = Allowance { grants: Grants::default(), ..own.allowance(&settings.skills.protected) };
    Ok(engine.load(name, component, allowance, |_| ()).await?)
}

/// What is said of a file that cannot be loaded, before the reason.
pub(super) fn no_skill(what: &impl std::fmt::Display) -> String {
    format!("{what} is not a skill this host can serve")
}

pub(super) fn unknown(what: &str, known: Vec<&str>) -> anyhow::Error {
    let likeness = |name: &str| strsim::jaro_winkler(name, what);
    let hint = match known.iter().max_by(|a, b| likeness(a).total_cmp(&likeness(b))) {
        Some(nearest) if likeness(nearest) > 0.7 => format!("did you mean `{nearest}`?"),
        Some(_) => format!("there are {}", known.join(", ")),
        None => "the skills folder is empty".into(),
    };
    anyhow::anyhow!("there is no file and no skill `{what}`\n  hint: {hint}")
}

/// Bytes of a component that is loaded.
pub(super) const MAX: u64 = 64 << 20;

pub(super) fn read(file: &Path) -> anyhow::Result<Vec<u8>> {
    let size = std::fs::metadata(file).with_context(|| format!("cannot read {}", file.display()))?.len();
    anyhow::ensure!(size <= MAX, "{} has {size} bytes; at most {MAX} (64 MiB) are loaded", file.display());
    std::fs::read(file).with_context(|| format!("cannot read {}", file.display()))
}

/// Why the skill would not be loaded with its grants.
pub(super) fn problem(loaded: &Loaded, grants: &Grants, protected: &Protected) -> Option<String> {
    if let Some(pinned) = grants.digest.filter(|pinned| *pinned != loaded.digest) {
        return Some(format!("they are pinned to {pinned}, which is not this file: it will not be loaded"));
    }
    check(grants, protected).err().map(|error| error.to_string())
}

/// What no grant may reach.
pub(super) type Protected = [(&'static str, PathBuf)];

pub(super) fn described(
    name: &SkillName,
    size: usize,
    loaded: &Loaded,
    own: &SkillSettings,
    protected: &Protected,
) -> anyhow::Result<Value> {
    let tools = loaded.tools.iter().map(|spec| {
        let a = &spec.annotations;
        Ok(json!({
            "name": own.mount.tool(name, &spec.name)?.as_str(),
            "title": spec.title,
            "description": spec.description,
            "input_schema": spec.input.raw(),
            "output_schema": spec.output.as_ref().map(|schema| schema.raw()),
            "annotations": {
                "read_only": a.read_only, "destructive": a.destructive,
                "idempotent": a.idempotent, "open_world": a.open_world,
            },
            "undoable": spec.undoable,
            "durable": spec.durable,
            "reusable": spec.is_reusable(),
            "task": spec.task.as_str(),
        }))
    });
    let limits = &own.limits;
    let asks = asked(&loaded.interfaces, &own.grants).into_iter();
    let asks = asks.map(
        |ask| json!({"import": ask.import, "gets": ask.gets, "needs": ask.needs, "granted": ask.granted}),
    );
    Ok(json!({
        "name": name.as_str(),
        "digest": loaded.digest.to_string(),
        "bytes": size,
        "imports": loaded.interfaces.imports,
        "asks": asks.collect::<Vec<_>>(),
        "grants": {
            "pinned": own.grants.digest.map(|digest| digest.to_string()),
            "problem": problem(loaded, &own.grants, protected),
            "unasked": unasked(&loaded.interfaces, &own.grants),
        },
        "exports": loaded.interfaces.exports,
        "limits": {
            "timeout_ms": u64::try_from(own.timeout.as_millis())?, "fuel": (limits.metering == Metering::Fuel).then_some(limits.fuel),
            "memory_bytes": limits.memory,
            "result_bytes": limits.result, "log_lines": limits.log_lines, "log_bytes": limits.log_bytes,
        },
        "tools": tools.collect::<anyhow::Result<Vec<_>>>()?,
        "no_tools": loaded.no_tools,
        "prompts": prompts(name, loaded, own)?,
        "resources": loaded.features.resources.iter().map(|spec| &spec.uri).collect::<Vec<_>>(),
        "templates": loaded.features.templates.iter().map(|spec| &spec.uri_template).collect::<Vec<_>>(),
        "completions": loaded.features.completes,
    }))
}

pub(super) fn page(
    name: &SkillName,
    size: usize,
    loaded: &Loaded,
    own: &SkillSettings,
    protected: &Protected,
) -> anyhow::Result<String> {
    let mut text = String::new();
    let bytes = |n: usize| bytesize::ByteSize(n as u64).display().iec();
    writeln!(text, "skill    {name}\ndigest   {}\nsize     {}", loaded.digest, bytes(size))?;
    let limits = &own.limits;
    let fuel = match limits.metering {
        Metering::Fuel => format!("fuel {}", limits.fuel),
        Metering::Time => "fuel not counted".into(),
    };
    writeln!(
        text,
        "limits   {} s, {fuel}, memory {}, result {}, {} log lines",
        own.timeout.as_secs_f64(),
        bytes(limits.memory),
        bytes(limits.result),
        limits.log_lines
    )?;
    let grants = &own.grants;
    let pinned = match grants.digest {
        Some(_) => "pinned to a digest",
        None if grants.is_empty() => "none: it touches nothing outside its sandbox",
        None => "not pinned: whatever file has this name gets them",
    };
    writeln!(text, "grants   {pinned}")?;
    if let Some(problem) = problem(loaded, grants, protected) {
        writeln!(text, "  PROBLEM  {}", out::harmless(&problem))?;
    }
    for grant in unasked(&loaded.interfaces, grants) {
        writeln!(text, "  UNASKED  `{grant}` is granted, but the skill does not ask for it")?;
    }
    writeln!(text, "\nasks for                                     and gets")?;
    for ask in asked(&loaded.interfaces, grants) {
        let mark = if ask.granted { ' ' } else { '!' };
        writeln!(text, "{mark} {:<42} {}", out::harmless(&ask.import), out::harmless(&ask.gets))?;
    }
    for spec in &loaded.tools {
        writeln!(text, "\n{}", own.mount.tool(name, &spec.name)?)?;
        if let Some(description) = &spec.description {
            writeln!(text, "  {}", out::harmless(description).replace('\n', "\n  "))?;
        }
        let a = &spec.annotations;
        let flags = [
            ("read-only", a.read_only),
            ("destructive", a.destructive),
            ("idempotent", a.idempotent),
            ("open-world", a.open_world),
            ("undoable", Some(spec.undoable)),
            ("durable", Some(spec.durable)),
            ("reusable", Some(spec.is_reusable())),
        ];
        let said: Vec<_> = flags.iter().filter(|(_, is)| *is == Some(true)).map(|(word, _)| *word).collect();
        if !said.is_empty() {
            writeln!(text, "  says it is: {}", said.join(", "))?;
        }
        if spec.task != TaskSupport::No {
            writeln!(text, "  runs as a task: {}", spec.task.as_str())?;
        }
        let schema = |schema: &Schema| out::harmless(&Value::Object(schema.raw().clone()).to_string());
        writeln!(text, "  arguments: {}", schema(&spec.input))?;
        if let Some(output) = &spec.output {
            writeln!(text, "  result:    {}", schema(output))?;
        }
    }
    no_tools(&mut text, loaded)?;
    let features = &loaded.features;
    let kinds = [
        ("prompts", prompts(name, loaded, own)?),
        ("resources", features.resources.iter().map(|spec| spec.uri.clone()).collect()),
        ("families of resources", features.templates.iter().map(|spec| spec.uri_template.clone()).collect()),
    ];
    for (kind, names) in kinds.iter().filter(|(_, names)| !names.is_empty()) {
        writeln!(text, "\n{kind}")?;
        for name in names {
            writeln!(text, "  {}", out::harmless(name))?;
        }
    }
    if features.completes {
        writeln!(text, "\nit completes arguments")?;
    }
    Ok(text)
}

/// What a plain component exports that cannot be a tool, and why.
pub(super) fn no_tools(text: &mut String, loaded: &Loaded) -> std::fmt::Result {
    if !loaded.no_tools.is_empty() {
        writeln!(text, "\nexported, but no tools")?;
    }
    loaded.no_tools.iter().try_for_each(|why| writeln!(text, "  {}", out::harmless(why)))
}

/// The prompts, as clients see their names.
fn prompts(name: &SkillName, loaded: &Loaded, own: &SkillSettings) -> anyhow::Result<Vec<String>> {
    let full = |spec: &PromptSpec| Ok(own.mount.tool(name, &spec.name)?.to_string());
    loaded.features.prompts.iter().map(full).collect()
}
