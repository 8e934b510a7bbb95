//! `skillhost test`

mod case;
mod judge;
mod mock;
mod report;
mod run;
mod written;

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::{Context as _, ensure};
use clap::Args;
use skillhost_build::Project;
use skillhost_core::SkillName;
use skillhost_engine::OwnListeners;

use super::{
    Common, FAILED, Told, USAGE, add::likely, build::What, inspect, interrupted, out, start, stop_on_signal,
};
use crate::app::{block_on, engine};
use case::Case;
use run::Bench;

#[derive(Debug, Args)]
#[command(after_help = "\
Cases stand in tests/*.toml of the project:

  [[case]]
  name = \"greets by name\"
  tool = \"greet\"
  arguments = { name = \"Ada\" }
  expect = { text = \"Hello, Ada!\" }

Each runs through the whole pipeline, in a host of its own with fresh state, under the policies of the configuration.
It is granted what it says itself, and reaches no network: what it sends is answered by [[case.mock_http]].
docs/authoring.md has all that a case can say.")]
pub(super) struct Test {
    /// A project's folder, which is built first, or a .wasm file
    #[arg(value_name = "DIR|FILE", default_value = ".")]
    what: PathBuf,
    /// A file of cases, or a folder with *.toml of them [default: tests beside what is tested]
    #[arg(long, value_name = "PATH")]
    cases: Vec<PathBuf>,
    /// Run only the cases whose names hold this
    #[arg(long, value_name = "TEXT")]
    only: Option<String>,
    /// The skill's name, which the configuration's policies go by [default: that of the package or file]
    #[arg(long, value_name = "NAME", value_parser = SkillName::new)]
    name: Option<SkillName>,
    /// Write a report for CI, too
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

impl Test {
    pub(super) fn run(self, common: &Common) -> anyhow::Result<ExitCode> {
        let mut raw = common.raw()?;
        // Many cases expect what an operator would have to know of.
        raw.log.level.get_or_insert_with(|| "error".to_owned());
        let (settings, _) = start(raw.clone(), Told::Trouble)?;
        block_on(async {
            let stop = stop_on_signal()?;
            let engine = engine(&settings, &OwnListeners::default())?;
            let (name, component, loaded) = if self.what.is_dir() {
                let what = What { dir: self.what.clone(), out: None, name: self.name.clone(), extra: vec![] };
                let project = Project::find(&self.what)?;
                let making = what.make(&project, &engine, &settings);
                let Some(made) = stop.run_until_cancelled(making).await else { return Ok(interrupted()) };
                let made = made?;
                (made.name, made.built.component, made.loaded)
            } else {
                let component = inspect::read(&self.what)?;
                let name = self.named()?;
                let loaded = inspect::look(&engine, &settings, &name, component.clone()).await;
                (name, component, loaded.with_context(|| inspect::no_skill(&self.what.display()))?)
            };
            let tools: Vec<_> = loaded.tools.iter().map(|spec| spec.name.as_str()).collect();
            let cases = self.cases().and_then(|cases| {
                cases
                    .iter()
                    .try_for_each(|case| case.knows(&name, &tools).with_context(|| case.at.clone()))?;
                Ok(cases)
            });
            let cases = match cases {
                Ok(cases) => cases,
                // Told apart from cases that fail.
                Err(error) => {
                    out::error(&error);
                    return Ok(ExitCode::from(USAGE));
                }
            };
            drop(engine);
            let bench = Bench {
                name: &name,
                component: &component,
                raw: &raw,
                compiled: &settings.engine.cache,
                stop: &stop,
            };
            let mut all = vec![];
            for case in cases {
                let ran = bench.run(&case).await;
                if stop.is_cancelled() {
                    return Ok(interrupted());
                }
                if !self.json {
                    out::text(&report::lines(&case, &ran))?;
                }
                all.push((case, ran));
            }
            if let Some(file) = &self.junit {
                report::junit(file, name.as_str(), &all)?;
            }
            let failed = report::failed(&all);
            if self.json {
                out::json(&report::described(name.as_str(), &all))?;
            } else {
                out::text(&format!("{} passed, {failed} failed\n", all.len() - failed))?;
            }
            Ok(if failed == 0 { ExitCode::SUCCESS } else { ExitCode::from(FAILED) })
        })
    }

    fn named(&self) -> anyhow::Result<SkillName> {
        if let Some(name) = &self.name {
            return Ok(name.clone());
        }
        let stem = self.what.file_stem().unwrap_or_default().to_string_lossy();
        // A file need not be named as the skills folder wants it, to be tried out.
        SkillName::new(&stem).or_else(|_| SkillName::new(&likely(&stem))).map_err(Into::into)
    }

    /// The cases that are to be run.
    fn cases(&self) -> anyhow::Result<Vec<Case>> {
        let usual = self.usual();
        let from = if self.cases.is_empty() { std::slice::from_ref(&usual) } else { &self.cases[..] };
        let mut cases = vec![];
        for path in from {
            ensure!(
                path.exists(),
                "there are no cases in {}\n  hint: `skillhost test --help` shows one; --cases names another place",
                path.display()
            );
            cases.extend(case::read(path)?);
        }
        if let Some(part) = &self.only {
            cases.retain(|case| case.name.contains(part));
        }
        // A test without cases would always pass.
        let part = self.only.as_ref().map(|part| format!(" whose name holds `{part}`")).unwrap_or_default();
        let places: Vec<_> = from.iter().map(|path| path.display().to_string()).collect();
        ensure!(
            !cases.is_empty(),
            "there is no case{part} in {}\n  hint: `skillhost test --help` shows one",
            places.join(", ")
        );
        Ok(cases)
    }

    /// Beside what is tested; a project keeps its component in a folder of its own.
    fn usual(&self) -> PathBuf {
        if self.what.is_dir() {
            return self.what.join("tests");
        }
        // Where `hello.wasm` alone stands, too.
        let what = std::path::absolute(&self.what).unwrap_or_else(|_| self.what.clone());
        let folder = what.parent().unwrap_or(Path::new(""));
        let beside = folder.join("tests");
        let above = if folder.file_name().is_some() { folder.join("../tests") } else { beside.clone() };
        if !beside.is_dir() && above.is_dir() { above } else { beside }
    }
}
