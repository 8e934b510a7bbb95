//! The tool `diff`.
use diffy::{DiffOptions, Line};
use skillhost_sdk::prelude::*;

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Texts {
    /// The text as it was.
    before: String,
    /// The text as it is.
    after: String,
    /// How many unchanged lines to show around each change.
    #[serde(default = "default_context")]
    #[schemars(range(max = 1000))]
    context: u16,
}

fn default_context() -> u16 {
    3
}

#[derive(Serialize, JsonSchema)]
pub(crate) struct Difference {
    /// The unified diff; empty when the texts are equal.
    diff: String,
    /// Lines that only the text after has.
    added: usize,
    /// Lines that only the text before has.
    removed: usize,
}

/// Compares two texts line by line and shows what changed as a unified diff, the format of `git diff`, which
/// `patch` reads.
#[tool(read_only, idempotent, open_world = false, title = "Compare texts")]
pub(crate) fn diff(args: Texts) -> WithText<Difference> {
    let patch = DiffOptions::new()
        .set_context_len(args.context.into())
        .set_original_filename("before")
        .set_modified_filename("after")
        .create_patch(&args.before, &args.after);
    let lines = || patch.hunks().iter().flat_map(|hunk| hunk.lines());
    let value = Difference {
        // A patch without hunks would still print its two header lines.
        diff: if patch.hunks().is_empty() { String::new() } else { patch.to_string() },
        added: lines().filter(|line| matches!(line, Line::Insert(_))).count(),
        removed: lines().filter(|line| matches!(line, Line::Delete(_))).count(),
    };
    let text = if value.diff.is_empty() { "The texts are equal.".to_owned() } else { value.diff.clone() };
    WithText { text, value }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(before: &str, after: &str, context: u16) -> WithText<Difference> {
        diff(Texts { before: before.into(), after: after.into(), context })
    }

    #[test]
    fn a_changed_line_is_one_removed_and_one_added() {
        let result = run("a\nb\nc\n", "a\nB\nc\n", 3);
        assert_eq!(result.value.diff, "--- before\n+++ after\n@@ -1,3 +1,3 @@\n a\n-b\n+B\n c\n");
        assert_eq!((result.value.added, result.value.removed), (1, 1));
        assert_eq!(result.text, result.value.diff);
    }

    #[test]
    fn the_context_is_as_wide_as_asked() {
        let result = run("a\nb\nc\n", "a\nB\nc\n", 0);
        assert_eq!(result.value.diff, "--- before\n+++ after\n@@ -2 +2 @@\n-b\n+B\n");
    }

    #[test]
    fn equal_texts_have_an_empty_diff() {
        let result = run("same\n", "same\n", 3);
        assert_eq!(result.value.diff, "");
        assert_eq!(result.text, "The texts are equal.");
    }

    #[test]
    fn a_missing_line_break_at_the_end_is_told() {
        assert!(run("a\n", "a", 3).value.diff.contains("\\ No newline at end of file"));
    }
}
