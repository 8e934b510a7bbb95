//! The tool `search`.
use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use regex_lite::{Regex, RegexBuilder};
use skillhost_sdk::prelude::*;

use crate::roots::resolve;
use crate::walk::walk;

/// Bytes of a file that are searched.
const MAX_FILE: u64 = 4 << 20;
/// Characters of a line that are given.
const MAX_LINE: usize = 400;
/// Compiled patterns above this size are refused.
const PATTERN_BYTES: usize = 1 << 20;

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Args {
    /// The folder to search in, or one file.
    path: String,
    /// Names of files, such as `*.txt` or `**/test_*`; they are matched below the folder. Without it all files.
    #[serde(default)]
    name: Option<String>,
    /// A regular expression in Rust's syntax that a line must match. Without it names alone count.
    #[serde(default)]
    pattern: Option<String>,
    /// Take upper and lower case of ASCII letters as the same.
    #[serde(default)]
    ignore_case: bool,
    /// Stop after this many matches.
    #[serde(default = "hundred")]
    #[schemars(range(min = 1, max = 10_000))]
    max_matches: usize,
}

fn hundred() -> usize {
    100
}

#[derive(Serialize, JsonSchema)]
pub(crate) struct Found {
    /// In alphabetical order of their files.
    matches: Vec<Match>,
    /// Whether there are more than `max_matches`.
    truncated: bool,
}

#[derive(Serialize, JsonSchema)]
struct Match {
    path: String,
    /// The line, from 1; absent when names alone were asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    line: Option<usize>,
    /// The text of the line, cut at 400 characters.
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<String>,
}

/// Searches a folder for files by their names, or for lines by what they hold. Looks 32 levels deep, at the first 4 MiB
/// of each file, and skips what is no text.
#[tool(read_only, idempotent, open_world = false, title = "Search files")]
pub(crate) fn search(args: Args) -> Result<Found, Failure> {
    let start = resolve(&args.path)?;
    let pattern = args.pattern.as_deref().map(|pattern| compiled(pattern, args.ignore_case)).transpose()?;
    if args.name.is_none() && pattern.is_none() {
        return Err(Failure::invalid_input("say a `name`, a `pattern`, or both"));
    }
    let mut found = Found { matches: vec![], truncated: false };
    let mut look = |path: &Path| {
        let below = path.strip_prefix(&start).unwrap_or(path).to_string_lossy();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let named = args.name.as_deref().is_none_or(|glob| {
            glob_match::glob_match(glob, &below)
                || (!glob.contains('/') && glob_match::glob_match(glob, &name))
        });
        if named {
            match &pattern {
                None => add(&mut found, args.max_matches, path, None),
                Some(pattern) => lines(path, pattern, &mut found, args.max_matches),
            }
        }
        !found.truncated
    };
    if start.is_file() {
        look(&start);
    } else {
        walk(&start, 32, &mut |path, meta| !meta.is_file() || look(path))?;
    }
    Ok(found)
}

fn compiled(pattern: &str, ignore_case: bool) -> Result<Regex, Failure> {
    RegexBuilder::new(pattern)
        .case_insensitive(ignore_case)
        .size_limit(PATTERN_BYTES)
        .build()
        .map_err(|error| Failure::invalid_input(format_args!("the pattern is not sound: {error}")))
}

fn lines(path: &Path, pattern: &Regex, found: &mut Found, max: usize) {
    let mut bytes = vec![];
    // What cannot be read is skipped, like what is no text.
    let Ok(file) = File::open(path) else { return };
    if file.take(MAX_FILE).read_to_end(&mut bytes).is_err() || bytes.contains(&0) {
        return;
    }
    let text = String::from_utf8_lossy(&bytes);
    for (n, line) in text.lines().enumerate().filter(|(_, line)| pattern.is_match(line)) {
        add(found, max, path, Some((n + 1, line)));
        if found.truncated {
            return;
        }
    }
}

fn add(found: &mut Found, max: usize, path: &Path, line: Option<(usize, &str)>) {
    if found.matches.len() == max {
        found.truncated = true;
        return;
    }
    found.matches.push(Match {
        path: path.display().to_string(),
        line: line.map(|(n, _)| n),
        text: line.map(|(_, text)| text.chars().take(MAX_LINE).collect()),
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::roots::tests::granted;

    #[test]
    fn names_and_lines() {
        let root = granted();
        std::fs::create_dir(root.path().join("sub")).unwrap();
        std::fs::write(root.path().join("a.txt"), "one\nTwo\n").unwrap();
        std::fs::write(root.path().join("sub/b.txt"), "two\n").unwrap();
        std::fs::write(root.path().join("sub/c.bin"), "two\0").unwrap();
        let run = |name: Option<&str>, pattern: Option<&str>, max_matches| {
            let (name, pattern) = (name.map(str::to_owned), pattern.map(str::to_owned));
            let found = search(Args { path: ".".into(), name, pattern, ignore_case: true, max_matches })?;
            let matches = found
                .matches
                .iter()
                .map(|found| (found.path.rsplit('/').next().unwrap_or_default().to_owned(), found.line));
            Ok::<_, Failure>((matches.collect::<Vec<_>>(), found.truncated))
        };
        let named = |names: &[(&str, Option<usize>)]| {
            names.iter().map(|(n, l)| ((*n).to_owned(), *l)).collect::<Vec<_>>()
        };
        assert_eq!(run(Some("*.txt"), None, 9).unwrap().0, named(&[("a.txt", None), ("b.txt", None)]));
        assert_eq!(run(Some("sub/*"), None, 9).unwrap().0, named(&[("b.txt", None), ("c.bin", None)]));
        assert_eq!(run(None, Some("^two$"), 9).unwrap().0, named(&[("a.txt", Some(2)), ("b.txt", Some(1))]));
        assert_eq!(run(None, Some("two"), 1).unwrap(), (named(&[("a.txt", Some(2))]), true));
        assert!(matches!(run(None, None, 1), Err(Failure::InvalidInput(_))));
        assert!(matches!(run(None, Some("("), 1), Err(Failure::InvalidInput(_))));
    }
}
