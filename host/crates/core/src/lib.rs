//! The vocabulary that every part of skillhost shares.
//!
//! This crate holds values and two seams, no behaviour that waits: a [`Call`] travels from the pipeline
//! to whatever implements [`Invoke`] (the engine), an [`Outcome`] or a [`Failure`] comes back, and the
//! [`Catalog`] says which tools there are right now. It imports nothing else of ours.
#![deny(missing_docs)]

pub mod access;
pub mod ask;
pub mod call;
pub mod catalog;
pub mod clock;
pub mod digest;
pub mod failure;
pub mod feature;
pub mod invoke;
pub mod keyvalue;
pub mod name;
pub mod outcome;
pub mod saga;
pub mod schema;
pub mod task;
pub mod text;
pub mod tool;

pub use access::Access;
pub use ask::{Action, Answer, AnswerValue, Ask, InputRequired, Question, Root, Round};
pub use call::{Call, CallId, Caller, ClientFeatures, ClientLink, LogLevel, NoClient, Progress};
pub use catalog::{Catalog, Entry, OwnTool, SkillState, SkillStatus};
pub use clock::{Clock, SystemClock};
pub use digest::Digest;
pub use failure::{Effect, Failure, FailureKind, Hint, Retry, Verdict};
pub use feature::{
    Announced, Completing, Completion, Features, Filled, Kind, PromptArgument, PromptSpec, ResourceSpec,
    Role, Served, Subject, Target, TemplateSpec,
};
pub use invoke::{
    Attempt, CallTool, FoundVersion, Instance, Invoke, Nested, NoTools, PrepareUndo, Prepared, Report, Undo,
    Usage, Versions,
};
pub use keyvalue::{KeyValue, KeyValueBounds, KeyValueError};
pub use name::{Mount, SkillName, ToolName};
pub use outcome::{Block, Content, Media, Outcome, Reply, ResourceBody, ResourceContents, ResourceLink};
pub use saga::SagaId;
pub use schema::{Schema, SchemaError, Violation};
pub use task::{TaskId, TaskSupport};
pub use tool::{Annotations, ToolSpec, ToolSpecError};
