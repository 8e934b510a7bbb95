//! `[defaults]`, `[skills.NAME]` and `[skills.NAME.tools.TOOL]`.

use std::{collections::BTreeMap, time::Duration};

use bytesize::ByteSize;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    grants::Grants,
    units::{self, duration, size},
};

/// A table whose keys are the bounds of a call and some of its own. A macro since serde cannot both flatten a struct
/// and refuse unknown keys.
macro_rules! table {
    ($(#[$about:meta])* $name:ident { $($(#[$more:meta])* $key:ident: $kind:ty,)* }) => {
        $(#[$about])*
        #[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
        #[serde(deny_unknown_fields, default)]
        pub(crate) struct $name {
            /// One deadline over everything a call waits for, 1 ms to 24 h.
            #[serde(with = "humantime_serde", skip_serializing_if = "Option::is_none")]
            #[schemars(schema_with = "duration")]
            pub(crate) timeout: Option<Duration>,
            /// About one unit an instruction, up to 5,000,000,000 a second; deterministic. From 1. Counts when tools are
            /// listed too.
            pub(crate) fuel: Option<u64>,
            /// Linear memory of one call, over all memories; 64 KiB to `engine.max_memory`.
            #[serde(serialize_with = "units::write_size", skip_serializing_if = "Option::is_none")]
            #[schemars(schema_with = "size")]
            pub(crate) memory: Option<ByteSize>,
            /// Table elements of one call, 1 to 40,000.
            pub(crate) table_elements: Option<usize>,
            /// Open files, folders, requests, buckets and timers of one call, 16 to 100,000.
            pub(crate) handles: Option<usize>,
            /// What may cross from the guest to the host at once, 1 KiB to 1 GiB.
            #[serde(serialize_with = "units::write_size", skip_serializing_if = "Option::is_none")]
            #[schemars(schema_with = "size")]
            pub(crate) result: Option<ByteSize>,
            /// Lines that one call may log; the rest is counted and dropped.
            pub(crate) log_lines: Option<usize>,
            /// Bytes of such lines, up to 1 GiB.
            #[serde(serialize_with = "units::write_size", skip_serializing_if = "Option::is_none")]
            #[schemars(schema_with = "size")]
            pub(crate) log_bytes: Option<ByteSize>,
            $($(#[$more])* pub(crate) $key: $kind,)*
        }

        impl $name {
            /// The bounds of a call that this table says.
            pub(crate) fn bounds(&self) -> Bounds {
                Bounds {
                    timeout: self.timeout,
                    fuel: self.fuel,
                    memory: self.memory,
                    table_elements: self.table_elements,
                    handles: self.handles,
                    result: self.result,
                    log_lines: self.log_lines,
                    log_bytes: self.log_bytes,
                }
            }
        }
    };
}

/// The bounds of a call, as far as they are said.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Bounds {
    pub(crate) timeout: Option<Duration>,
    pub(crate) fuel: Option<u64>,
    pub(crate) memory: Option<ByteSize>,
    pub(crate) table_elements: Option<usize>,
    pub(crate) handles: Option<usize>,
    pub(crate) result: Option<ByteSize>,
    pub(crate) log_lines: Option<usize>,
    pub(crate) log_bytes: Option<ByteSize>,
}

table! {
    /// `[defaults]`: what counts for every skill that says nothing else.
    Defaults {
        /// How long instantiating and listing tools may take when a skill is loaded, 1 ms to 24 h.
        #[serde(with = "humantime_serde", skip_serializing_if = "Option::is_none")]
        #[schemars(schema_with = "duration")]
        load_timeout: Option<Duration>,
        /// Tools a skill may declare, 1 to 10,000.
        max_tools: Option<usize>,
        /// Tools are named `skill_tool`, or just `tool`.
        mount: Option<Mount>,
    }
}

table! {
    /// `[skills.NAME]`: what counts for one skill.
    Skill {
        /// How long instantiating and listing tools may take when the skill is loaded, 1 ms to 24 h.
        #[serde(with = "humantime_serde", skip_serializing_if = "Option::is_none")]
        #[schemars(schema_with = "duration")]
        load_timeout: Option<Duration>,
        /// Tools the skill may declare, 1 to 10,000.
        max_tools: Option<usize>,
        /// Tools are named `skill_tool`, or just `tool`.
        mount: Option<Mount>,
        /// What the skill may touch. Without it: nothing.
        #[serde(skip_serializing_if = "Option::is_none")]
        grants: Option<Grants>,
        /// Tools by their name within the skill.
        #[serde(skip_serializing_if = "BTreeMap::is_empty")]
        tools: BTreeMap<String, Tool>,
    }
}

table! {
    /// `[skills.NAME.tools.TOOL]`: what counts for one tool.
    Tool {
        /// Whether the tool is offered. By default it is.
        enabled: Option<bool>,
        /// Your word that the tool changes nothing, or that it does, over the skill's own.
        read_only: Option<bool>,
        /// Your word on whether it may destroy or overwrite.
        destructive: Option<bool>,
        /// Your word on whether a repetition has no further effect.
        idempotent: Option<bool>,
        /// Your word on whether it reaches beyond a closed world.
        open_world: Option<bool>,
    }
}

/// How tools are named.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Mount {
    /// `skill_tool`
    Prefixed,
    /// `tool`
    Root,
}
