//! The tool `regex_search`.
use std::collections::BTreeMap;

use regex_lite::{Captures, Regex, RegexBuilder};
use skillhost_sdk::prelude::*;

/// Compiled patterns above this size are refused, so that `(.{1000}){1000}` does not eat the memory.
const PATTERN_BYTES: usize = 1 << 20;

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Search {
    /// The text to search.
    text: String,
    /// The regular expression, in Rust's syntax: no look-around, no back-references. `^` and `$` match at line
    /// breaks; `\w`, `\d`, `\s` and `\b` know ASCII only. `(?P<name>…)` names a group.
    pattern: String,
    /// Take upper and lower case of ASCII letters as the same.
    #[serde(default)]
    ignore_case: bool,
    /// Stop after this many matches.
    #[serde(default = "default_max_matches")]
    #[schemars(range(min = 1, max = 10_000))]
    max_matches: usize,
}

fn default_max_matches() -> usize {
    100
}

#[derive(Serialize, JsonSchema)]
#[cfg_attr(test, derive(Debug, PartialEq))]
pub(crate) struct Found {
    /// In the order of the text; they do not overlap.
    matches: Vec<Match>,
    /// Whether there are more than `max_matches`.
    truncated: bool,
}

#[derive(Serialize, JsonSchema)]
#[cfg_attr(test, derive(Debug, PartialEq))]
struct Match {
    /// The line on which the match begins, from 1.
    line: usize,
    /// The character of that line at which it begins, from 1.
    column: usize,
    /// What matched.
    text: String,
    /// The named groups that took part.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    groups: BTreeMap<String, String>,
}

/// Finds all places where a regular expression matches a text, with line, column and named groups. The time
/// grows linearly with the text, whatever the pattern.
#[tool(read_only, idempotent, open_world = false, title = "Search text")]
pub(crate) fn regex_search(args: Search) -> Result<Found, Failure> {
    let regex = RegexBuilder::new(&args.pattern)
        .case_insensitive(args.ignore_case)
        .multi_line(true)
        .size_limit(PATTERN_BYTES)
        .build()
        .map_err(|error| {
            Failure::invalid_input(format_args!("`pattern` is no regular expression: {error}"))
        })?;

    let mut position = Position::default();
    let mut all = regex.captures_iter(&args.text);
    let matches = all.by_ref().take(args.max_matches).filter_map(|captures| {
        let whole = captures.get(0)?;
        let (line, column) = position.advance(&args.text, whole.start());
        Some(Match { line, column, text: whole.as_str().to_owned(), groups: groups(&regex, &captures) })
    });
    let matches = matches.collect();
    Ok(Found { matches, truncated: all.next().is_some() })
}

fn groups(regex: &Regex, captures: &Captures<'_>) -> BTreeMap<String, String> {
    let named = regex.capture_names().flatten();
    named.filter_map(|name| Some((name.to_owned(), captures.name(name)?.as_str().to_owned()))).collect()
}

/// Where the search is. It moves on with the matches: to count each from the start of the text would be
/// quadratic.
struct Position {
    offset: usize,
    line: usize,
    column: usize,
}

impl Default for Position {
    fn default() -> Self {
        Self { offset: 0, line: 1, column: 1 }
    }
}

impl Position {
    fn advance(&mut self, text: &str, offset: usize) -> (usize, usize) {
        for character in text[self.offset..offset].chars() {
            if character == '\n' {
                self.line += 1;
                self.column = 1;
            } else {
                self.column += 1;
            }
        }
        self.offset = offset;
        (self.line, self.column)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn search(text: &str, pattern: &str) -> Search {
        Search { text: text.into(), pattern: pattern.into(), ignore_case: false, max_matches: 100 }
    }

    fn places(search: Search) -> Vec<(usize, usize, String)> {
        let found = regex_search(search).unwrap();
        found.matches.into_iter().map(|found| (found.line, found.column, found.text)).collect()
    }

    #[test]
    fn lines_and_columns_count_characters_from_one() {
        let found = places(search("äb\ncb b", "b"));
        assert_eq!(found, [(1, 2, "b".into()), (2, 2, "b".into()), (2, 4, "b".into())]);
    }

    #[test]
    fn anchors_hold_at_each_line() {
        assert_eq!(places(search("a\nab\nb", "^a$")), [(1, 1, "a".into())]);
    }

    #[test]
    fn case_counts_unless_told_otherwise() {
        assert!(places(search("A", "a")).is_empty());
        assert_eq!(places(Search { ignore_case: true, ..search("A", "a") }).len(), 1);
    }

    #[test]
    fn named_groups_that_took_part_are_told() {
        let found = regex_search(search("x=1", r"(?P<key>\w+)=(?P<value>\d+)|(?P<other>!)")).unwrap();
        let groups: Vec<_> = found.matches[0].groups.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
        assert_eq!(groups, [("key", "x"), ("value", "1")]);
    }

    #[test]
    fn the_number_of_matches_is_bounded() {
        let found = regex_search(Search { max_matches: 2, ..search("aaa", "a") }).unwrap();
        assert_eq!((found.matches.len(), found.truncated), (2, true));
        let found = regex_search(Search { max_matches: 3, ..search("aaa", "a") }).unwrap();
        assert_eq!((found.matches.len(), found.truncated), (3, false));
    }

    #[test]
    fn a_bad_pattern_is_explained() {
        for pattern in ["(", "a{1000}{1000}{1000}"] {
            let Err(Failure::InvalidInput(message)) = regex_search(search("", pattern)) else {
                panic!("`{pattern}` was taken");
            };
            assert!(message.starts_with("`pattern` is no regular expression: "), "{message}");
        }
    }
}
