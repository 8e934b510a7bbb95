//! The tool `word_count`.
use skillhost_sdk::prelude::*;

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Text {
    /// The text to count.
    text: String,
}

#[derive(Serialize, JsonSchema)]
#[cfg_attr(test, derive(Debug, PartialEq))]
pub(crate) struct Counts {
    /// Runs of characters between white space.
    words: usize,
    /// Lines; the last one counts with or without a line break at its end.
    lines: usize,
    /// Unicode characters (scalar values), line breaks included.
    characters: usize,
}

/// Counts the words, lines and characters of a text. Use it rather than counting yourself: it is exact.
#[tool(read_only, idempotent, open_world = false, title = "Count words")]
pub(crate) fn word_count(args: Text) -> Counts {
    let text = args.text;
    Counts {
        words: text.split_whitespace().count(),
        lines: text.lines().count(),
        characters: text.chars().count(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(text: &str) -> [usize; 3] {
        let Counts { words, lines, characters } = word_count(Text { text: text.into() });
        [words, lines, characters]
    }

    #[test]
    fn words_lines_and_characters() {
        assert_eq!(counts(""), [0, 0, 0]);
        assert_eq!(counts("one"), [1, 1, 3]);
        assert_eq!(counts("one\n"), [1, 1, 4]);
        assert_eq!(counts("one  two\r\n\nthree"), [3, 3, 16]);
    }

    #[test]
    fn characters_are_not_bytes() {
        assert_eq!(counts("naïve 🦀"), [2, 1, 7]);
    }
}
