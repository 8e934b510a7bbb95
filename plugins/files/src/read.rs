//! The tool `read`.
use std::fs::File;
use std::io::{BufRead as _, BufReader, Read as _};

use skillhost_sdk::prelude::*;
use skillhost_sdk::types::{ResourceBody, ResourceContents};
use skillhost_sdk::{ContentBlock, Outcome};

use crate::roots::{failed, resolve};

/// Bytes of a text that are given at once.
const MAX_TEXT: usize = 256 << 10;
/// Bytes of a file that is no text.
const MAX_BINARY: u64 = 1 << 20;

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Args {
    /// The file: absolute, or relative to the only granted folder.
    path: String,
    /// The first line to give, from 1.
    #[serde(default = "one")]
    #[schemars(range(min = 1))]
    first_line: u64,
    /// How many lines to give at most.
    #[serde(default = "two_thousand")]
    #[schemars(range(min = 1, max = 100_000))]
    max_lines: u64,
}

fn one() -> u64 {
    1
}

fn two_thousand() -> u64 {
    2_000
}

#[derive(Serialize, JsonSchema)]
pub(crate) struct Part {
    /// The lines, as they are in the file.
    text: String,
    /// How many lines that is.
    lines: u64,
    /// Whether the file goes on after them; ask again with a later `first_line`.
    more: bool,
    /// Bytes of the whole file.
    size: u64,
}

/// Reads a file: the lines of a text, or the bytes of anything else up to 1 MiB. Long texts come in parts of at most
/// 2,000 lines or 256 KiB.
#[tool(read_only, idempotent, open_world = false, title = "Read a file")]
pub(crate) fn read(args: Args) -> Result<Outcome, Failure> {
    let path = resolve(&args.path)?;
    let fail = |error| failed(&path, &error);
    let file = File::open(&path).map_err(fail)?;
    let meta = file.metadata().map_err(fail)?;
    if meta.is_dir() {
        return Err(Failure::invalid_input(format_args!("`{}` is a folder; use `list`", path.display())));
    }
    let mut reader = BufReader::new(file);
    let (mut bytes, mut lines, mut number, mut more) = (vec![], 0, 0, false);
    loop {
        let before = bytes.len();
        // One more than fits, to know whether there is more.
        let room = (MAX_TEXT + 1).saturating_sub(before) as u64;
        if (&mut reader).take(room).read_until(b'\n', &mut bytes).map_err(fail)? == 0 {
            more |= room == 0;
            break;
        }
        if bytes[before..].contains(&0) {
            return binary(&args.path, &path, meta.len());
        }
        number += 1;
        if number < args.first_line {
            bytes.truncate(before);
            continue;
        }
        if lines == args.max_lines || bytes.len() > MAX_TEXT {
            more = true;
            bytes.truncate(if lines == 0 { MAX_TEXT } else { before });
            lines += u64::from(lines == 0);
            break;
        }
        lines += 1;
    }
    // A cut may have gone through a character.
    if let Err(error) = std::str::from_utf8(&bytes) {
        if error.error_len().is_some() || !more {
            return binary(&args.path, &path, meta.len());
        }
        bytes.truncate(error.valid_up_to());
    }
    let text =
        String::from_utf8(bytes).map_err(|_| Failure::permanent("the file changed while it was read"))?;
    let value = Part { lines, more, size: meta.len(), text: text.clone() };
    Ok(skillhost_sdk::IntoOutcome::into_outcome(WithText { text, value }))
}

fn binary(asked: &str, path: &std::path::Path, size: u64) -> Result<Outcome, Failure> {
    if size > MAX_BINARY {
        return Err(Failure::permanent(format_args!(
            "`{asked}` is no text and has {size} bytes; at most {MAX_BINARY} are given"
        )));
    }
    let bytes = std::fs::read(path).map_err(|error| failed(path, &error))?;
    let contents = ResourceContents {
        uri: format!("file://{}", path.display()),
        mime_type: Some("application/octet-stream".into()),
        body: ResourceBody::Blob(bytes),
        meta: None,
    };
    Ok(Reply::default().with(ContentBlock::resource(contents)).into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::roots::tests::granted;

    fn part(text: &[u8], first_line: u64, max_lines: u64) -> serde_json::Value {
        let root = granted();
        std::fs::write(root.path().join("a"), text).unwrap();
        let outcome = read(Args { path: "a".into(), first_line, max_lines }).unwrap();
        let Outcome::Reply(reply) = outcome else { panic!("no reply") };
        serde_json::from_str(reply.structured.as_deref().unwrap_or("null")).unwrap()
    }

    #[test]
    fn parts_of_a_text() {
        let text = b"one\ntwo\nthree";
        let all = part(text, 1, 10);
        assert_eq!(
            (&all["text"], &all["lines"], &all["more"]),
            (&"one\ntwo\nthree".into(), &3.into(), &false.into())
        );
        let middle = part(text, 2, 1);
        assert_eq!((&middle["text"], &middle["more"]), (&"two\n".into(), &true.into()));
        assert_eq!(part(text, 9, 1)["lines"], 0);
        assert_eq!(part(b"", 1, 1)["text"], "");
    }

    #[test]
    fn a_long_line_is_cut_between_characters() {
        let part = part("ä".repeat(MAX_TEXT).as_bytes(), 1, 10);
        assert_eq!(part["text"].as_str().unwrap().len(), MAX_TEXT);
        assert_eq!((&part["lines"], &part["more"]), (&1.into(), &true.into()));
    }

    #[test]
    fn what_is_no_text_comes_as_bytes() {
        assert!(part(b"a\0b", 1, 10).is_null() && part(b"\xff\xfe", 1, 10).is_null());
    }
}
