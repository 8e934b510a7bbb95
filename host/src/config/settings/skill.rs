//! One skill and its tools: each key from the tool, else the skill, else the defaults.

use bytesize::ByteSize;
use skillhost_core::{Annotations, Mount, ToolName};
use skillhost_engine::{Limits, Metering};
use skillhost_skills::{SkillSettings, ToolSettings};

use super::{
    grants, policies,
    values::{bytes, time, within},
};
use crate::config::{
    ConfigError,
    raw::{self, Bounds},
};

const SET: &str = "the defaults are filled";

/// The settings of one skill; of a skill that is not named, when `own` is absent.
pub(super) fn settings(
    table: &str,
    own: Option<&raw::Skill>,
    defaults: &raw::Defaults,
    max_memory: usize,
) -> Result<SkillSettings, ConfigError> {
    let nothing = raw::Skill::default();
    let own = own.unwrap_or(&nothing);
    let key = |name| format!("{table}.{name}");
    let said = own.bounds().or(defaults.bounds());
    let built_in = Limits::default();
    let whole = Whole {
        load_timeout: time(&key("load_timeout"), own.load_timeout.or(defaults.load_timeout))?,
        max_tools: within(&key("max_tools"), own.max_tools.or(defaults.max_tools).expect(SET), 1, 10_000)?,
        metering: match own.metering.unwrap_or(raw::Metering::Fuel) {
            raw::Metering::Fuel => Metering::Fuel,
            raw::Metering::Time => Metering::Time,
        },
        reuse_calls: within(
            &key("reuse_calls"),
            own.reuse_calls.unwrap_or(built_in.reuse_calls),
            1,
            1_000_000,
        )?,
        reuse_age: time(&key("reuse_age"), own.reuse_age.or(Some(built_in.reuse_age)))?,
    };
    let bounded_by_fuel = |table: &str, own: &Bounds| match (whole.metering, own.fuel) {
        (Metering::Time, Some(_)) => {
            let problem = "has no effect: with `metering = \"time\"` no fuel is counted; remove one of both";
            Err(ConfigError::value(format!("{table}.fuel"), problem))
        }
        _ => Ok(()),
    };
    bounded_by_fuel(table, &own.bounds())?;
    let tools = own.tools.iter().map(|(name, tool)| {
        let table = format!("{table}.tools.{name}");
        ToolName::bare(name)
            .map_err(|error| ConfigError::value(&table, format!("names no tool: {error}")))?;
        bounded_by_fuel(&table, &tool.bounds())?;
        let said = tool.bounds().or(said.clone());
        let settings = ToolSettings {
            enabled: tool.enabled.unwrap_or(true),
            timeout: time(&format!("{table}.timeout"), said.timeout)?,
            limits: limits(&table, &said, whole, max_memory)?,
            annotations: Annotations {
                read_only: tool.read_only,
                destructive: tool.destructive,
                idempotent: tool.idempotent,
                open_world: tool.open_world,
            },
            undone_by: tool.undone_by.clone(),
        };
        Ok((name.clone(), settings))
    });
    Ok(SkillSettings {
        limits: limits(table, &said, whole, max_memory)?,
        timeout: time(&key("timeout"), said.timeout)?,
        mount: match own.mount.or(defaults.mount).expect(SET) {
            raw::Mount::Prefixed => Mount::Prefixed,
            raw::Mount::Root => Mount::Root,
        },
        grants: match &own.grants {
            Some(own) => grants::grants(&key("grants"), own)?,
            None => Default::default(),
        },
        filter: policies::filter(own, defaults),
        tools: tools.collect::<Result<_, _>>()?,
    })
}

/// Bounds that a tool cannot have for itself.
#[derive(Clone, Copy)]
struct Whole {
    load_timeout: std::time::Duration,
    max_tools: usize,
    metering: Metering,
    reuse_calls: u32,
    reuse_age: std::time::Duration,
}

fn limits(table: &str, said: &Bounds, whole: Whole, max_memory: usize) -> Result<Limits, ConfigError> {
    let key = |name| format!("{table}.{name}");
    let memory = bytes(&key("memory"), said.memory, 1 << 16, 4 << 30)?;
    if memory > max_memory {
        let max = ByteSize(max_memory as u64).display().iec();
        return Err(ConfigError::value(
            key("memory"),
            format!("is over `engine.max_memory` ({max}); raise that too"),
        ));
    }
    Ok(Limits {
        fuel: within(&key("fuel"), said.fuel.expect(SET), 1, u64::MAX / 2)?,
        memory,
        // The pool's tables have room for 40,000.
        table_elements: within(&key("table_elements"), said.table_elements.expect(SET), 1, 40_000)?,
        handles: within(&key("handles"), said.handles.expect(SET), 16, 100_000)?,
        result: bytes(&key("result"), said.result, 1 << 10, 1 << 30)?,
        log_lines: said.log_lines.expect(SET),
        log_bytes: bytes(&key("log_bytes"), said.log_bytes, 0, 1 << 30)?,
        load_timeout: whole.load_timeout,
        max_tools: whole.max_tools,
        metering: whole.metering,
        reuse_calls: whole.reuse_calls,
        reuse_age: whole.reuse_age,
    })
}
