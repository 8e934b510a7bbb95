//! Writing for people and programs.

use std::io::{self, Write as _};

use serde::Serialize;

/// Text to stdout.
///
/// A reader that went away (`skillhost list | head`) is no error.
pub(super) fn text(text: &str) -> anyhow::Result<()> {
    let mut stdout = io::stdout().lock();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(()),
    }
}

/// JSON to stdout.
pub(super) fn json(value: &impl Serialize) -> anyhow::Result<()> {
    text(&format!("{}\n", serde_json::to_string_pretty(value)?))
}

/// An error to stderr.
pub(super) fn error(error: &anyhow::Error) {
    // There is nobody else to tell.
    let _ = writeln!(io::stderr().lock(), "error: {}", harmless(&format!("{error:#}")));
}

/// A word beside the result, to stderr.
pub(super) fn note(text: &str) {
    // There is nobody else to tell.
    let _ = writeln!(io::stderr().lock(), "note: {text}");
}

/// Text of a skill, for a terminal: what could move the cursor or turn the reading order is escaped.
pub(super) fn harmless(text: &str) -> String {
    let harmful = |c: char| {
        c.is_control() && c != '\n'
            || matches!(c, '\u{200e}' | '\u{200f}' | '\u{061c}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    text.chars().flat_map(|c| if harmful(c) { c.escape_unicode().collect() } else { vec![c] }).collect()
}

/// A value for a query: everything but what certainly may stand there.
pub(super) fn escaped(text: &str) -> String {
    text.bytes()
        .map(|byte| match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b',' => {
                char::from(byte).to_string()
            }
            byte => format!("%{byte:02X}"),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn terminals_get_nothing_to_obey() {
        assert_eq!(harmless("a\u{1b}[2J\n\u{202e}b\u{9b}ä"), "a\\u{1b}[2J\n\\u{202e}b\\u{9b}ä");
    }
}
