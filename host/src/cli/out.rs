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
    let _ = writeln!(io::stderr().lock(), "error: {error:#}");
}

/// Text of a skill, for a terminal: control characters are escaped.
pub(super) fn harmless(text: &str) -> String {
    text.chars()
        .flat_map(|c| if c.is_control() && c != '\n' { c.escape_default().collect() } else { vec![c] })
        .collect()
}
