//! What another component of a skill's name would change.

use serde_json::{Value, json};
use skillhost_core::{Digest, ToolSpec};
use skillhost_engine::Loaded;

/// What changes. Without a list of the old ones, where that cannot be loaded, everything is new.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::cli) struct Changes {
    /// What is there.
    pub(super) from: Option<Digest>,
    /// Why that cannot be compared.
    pub(super) unknown: Option<String>,
    /// Names of tools.
    pub(super) added: Vec<String>,
    pub(super) removed: Vec<String>,
    pub(super) changed: Vec<String>,
    /// Interfaces that were not asked for before.
    pub(super) asks: Vec<String>,
}

impl Changes {
    /// From what is there, or why it cannot be loaded, to `to`.
    pub(super) fn between(from: Option<Digest>, old: Result<&Loaded, String>, new: &Loaded) -> Self {
        let (tools, imports): (&[ToolSpec], &[String]) = match &old {
            Ok(old) => (&old.tools, &old.interfaces.imports),
            Err(_) => (&[], &[]),
        };
        let by_name = |tools: &'_ [ToolSpec], name: &str| tools.iter().position(|tool| tool.name == name);
        let names = |these: &[ToolSpec], keep: &dyn Fn(&ToolSpec) -> bool| -> Vec<String> {
            these.iter().filter(|tool| keep(tool)).map(|tool| tool.name.clone()).collect()
        };
        Self {
            from,
            unknown: old.as_ref().err().cloned(),
            added: names(&new.tools, &|tool| by_name(tools, &tool.name).is_none()),
            removed: names(tools, &|tool| by_name(&new.tools, &tool.name).is_none()),
            changed: names(&new.tools, &|tool| {
                by_name(tools, &tool.name).is_some_and(|at| tools[at] != *tool)
            }),
            asks: new.interfaces.imports.iter().filter(|import| !imports.contains(import)).cloned().collect(),
        }
    }

    /// For programs.
    pub(super) fn described(&self) -> Value {
        json!({
            "digest": self.from.map(|digest| digest.to_string()),
            "unknown": self.unknown,
            "tools_added": self.added,
            "tools_removed": self.removed,
            "tools_changed": self.changed,
            "asks_newly": self.asks,
        })
    }

    /// For people, a line each.
    pub(super) fn lines(&self) -> Vec<String> {
        let mut lines = vec![match self.from {
            Some(digest) => format!("it replaces {digest}"),
            None => "it replaces a link that leads out of the folder or nowhere".to_owned(),
        }];
        if let Some(why) = &self.unknown {
            lines.push(format!("what is there cannot be compared: {why}"));
            return lines;
        }
        let lists = [
            ("new tools", &self.added),
            ("tools that go", &self.removed),
            ("tools that change", &self.changed),
            ("asks newly for", &self.asks),
        ];
        let told = lists.iter().filter(|(_, names)| !names.is_empty());
        lines.extend(told.map(|(what, names)| format!("{what}: {}", names.join(", "))));
        if lines.len() == 1 {
            lines.push("its tools, and what it asks for, stay as they are".into());
        }
        lines
    }
}
