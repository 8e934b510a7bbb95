//! Runs skills on wasmtime.
//!
//! [`Engine::load`] turns the bytes of a component into a [`Skill`]: it compiles them (in a child
//! process, with the result kept on disk), checks them against the contract, and lists their tools.
//! A [`Skill`] then runs each call in a store of its own, on a runtime of its own, under limits.
#![deny(missing_docs)]

mod bindings;
mod cache;
mod changes;
mod compile;
mod config;
mod convert;
mod engine;
mod epoch;
mod files;
mod grants;
mod guest;
mod host;
mod http;
mod inspect;
mod keyvalue;
mod limiter;
mod meter;
mod output;
mod pace;
mod park;
mod plain;
mod progress;
mod redact;
mod sandbox;
mod settings;
mod skill;
mod state;
mod trap;
mod warnings;

pub use changes::Notice;
pub use compile::{CompileError, Compiler, compile_one};
pub use config::wasmtime_config;
pub use engine::{Engine, EngineError, LoadError, LoadStage, Loaded};
pub use grants::{
    Access, Ask, EnvValue, FolderGrant, GrantError, Grants, SecretSource, ToolPattern, asked, check, unasked,
};
pub use guest::LOADING;
pub use http::{Hosts, HttpRule, Method, OwnListeners, Upstream};
pub use inspect::Interfaces;
pub use settings::{Allowance, EngineSettings, Limits, Metering, Protected};
pub use skill::{Listed, Skill};
