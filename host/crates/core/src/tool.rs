//! What a tool is.

use serde_json::{Map, Value};

use crate::{Schema, SchemaError, TaskSupport, name::NameError};

/// A tool as its skill declared it, checked.
#[derive(Debug, PartialEq)]
pub struct ToolSpec {
    /// The name inside its skill.
    pub name: String,
    /// A name for people.
    pub title: Option<String>,
    /// What a model reads.
    pub description: Option<String>,
    /// What arguments must look like.
    pub input: Schema,
    /// What the structured result must look like.
    pub output: Option<Schema>,
    /// What it does to the world.
    pub annotations: Annotations,
    /// Whether its skill can take it back.
    pub undoable: bool,
    /// Whether its calls must happen.
    pub durable: bool,
    /// Whether its calls may run as tasks.
    pub task: TaskSupport,
    /// MCP icons.
    pub icons: Option<Vec<Value>>,
    /// The tool's own `_meta`.
    pub meta: Option<Map<String, Value>>,
}

impl ToolSpec {
    /// A tool of which no more is known.
    #[must_use]
    pub fn new(name: &str, input: Schema) -> Self {
        Self {
            name: name.to_owned(),
            title: None,
            description: None,
            input,
            output: None,
            annotations: Annotations::default(),
            undoable: false,
            durable: false,
            task: TaskSupport::No,
            icons: None,
            meta: None,
        }
    }

    /// Whether it bears an instance that has served other calls: `"skillhost/reusable": true` in its `_meta`.
    #[must_use]
    pub fn is_reusable(&self) -> bool {
        self.meta.as_ref().and_then(|meta| meta.get("skillhost/reusable")) == Some(&Value::Bool(true))
    }
}

/// What a tool does to the world; `None` means that its skill did not say.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Annotations {
    /// Changes nothing.
    pub read_only: Option<bool>,
    /// May destroy or overwrite.
    pub destructive: Option<bool>,
    /// A repetition has no further effect.
    pub idempotent: Option<bool>,
    /// Reaches beyond a closed world.
    pub open_world: Option<bool>,
}

/// Why the declaration of a tool is refused, and with it the version of the skill.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ToolSpecError {
    /// None at all.
    #[error("the skill declares no tools")]
    None,
    /// Over the bound.
    #[error("the skill declares {count} tools, at most {max} are allowed (`max_tools`)")]
    TooMany {
        /// How many it declares.
        count: usize,
        /// The bound.
        max: usize,
    },
    /// Two of the same name.
    #[error("the skill declares the tool `{0}` twice")]
    Duplicate(String),
    /// A bad name.
    #[error("a tool is named wrongly: {0}")]
    Name(#[from] NameError),
    /// A bad schema.
    #[error("the {which} schema of the tool `{tool}` is refused: {error}")]
    Schema {
        /// Whose.
        tool: String,
        /// `input` or `output`.
        which: &'static str,
        /// Why.
        error: SchemaError,
    },
    /// A field that must hold JSON of some kind and does not.
    #[error("the field `{field}` of the tool `{tool}` must be {expected}")]
    Field {
        /// Whose.
        tool: String,
        /// Which.
        field: &'static str,
        /// What it must be.
        expected: &'static str,
    },
}
