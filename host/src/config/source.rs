//! Where a configuration came from, so that what is wrong with a value can be said with its place.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use toml::de::{DeTable, DeValue};

/// A file's text, and the keys that the environment said over it.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Source {
    path: PathBuf,
    text: String,
    /// Variables by the key they set.
    variables: BTreeMap<String, String>,
}

impl Source {
    pub(crate) fn new(path: &Path, text: &str) -> Self {
        Self { path: path.to_owned(), text: text.to_owned(), variables: BTreeMap::new() }
    }

    /// The file; none when only the environment said something.
    pub(crate) fn path(&self) -> Option<&Path> {
        Some(&*self.path).filter(|path| !path.as_os_str().is_empty())
    }

    /// The variable `name` said `key`.
    pub(super) fn said_by(&mut self, key: String, name: String) {
        self.variables.insert(key, name);
    }

    /// Where `key` was said: a variable, or a line and column of the file. `a.b[0].c` leads into lists.
    pub(crate) fn place(&self, key: &str) -> Option<String> {
        let variable = |name: &String| format!("the environment variable {name}");
        let inside = |said: &str| said.strip_prefix(key).is_some_and(|rest| rest.starts_with('.'));
        self.variables
            .get(key)
            .map(variable)
            .or_else(|| self.line(key))
            // A table that only a variable within it has made.
            .or_else(|| self.variables.iter().find(|(said, _)| inside(said)).map(|(_, name)| variable(name)))
    }

    /// The line and column of the file where `key` stands.
    fn line(&self, key: &str) -> Option<String> {
        let root = DeTable::parse(&self.text).ok()?;
        let mut table = Some(root.get_ref());
        let mut value: Option<&DeValue<'_>> = None;
        let mut at = None;
        for step in steps(key) {
            let next = match step {
                Step::Key(name) => {
                    let (found, inside) = table?.iter().find(|(key, _)| key.get_ref() == name)?;
                    at = Some(found.span().start);
                    inside.get_ref()
                }
                Step::Item(n) => {
                    let item = value?.as_array()?.get(n)?;
                    at = Some(item.span().start);
                    item.get_ref()
                }
            };
            (table, value) = (next.as_table(), Some(next));
        }
        let (line, column) = position(&self.text, at?);
        Some(format!("{}:{line}:{column}", self.path.display()))
    }
}

/// The line and column of a byte, each from 1.
pub(super) fn position(text: &str, at: usize) -> (usize, usize) {
    let before = &text[..text.floor_char_boundary(at)];
    let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
    (before.matches('\n').count() + 1, column)
}

enum Step<'a> {
    Key(&'a str),
    Item(usize),
}

fn steps(key: &str) -> impl Iterator<Item = Step<'_>> {
    key.split(['.', '[']).map(|step| match step.strip_suffix(']').and_then(|n| n.parse().ok()) {
        Some(n) => Step::Item(n),
        None => Step::Key(step),
    })
}
