//! A writer that escapes control characters.

use std::io::{self, Write};

use crate::writer;

/// stderr, for one event a writer.
pub(crate) fn stderr() -> impl Write {
    Escape { inner: writer::stderr() }
}

struct Escape<W> {
    inner: W,
}

impl<W: Write> Write for Escape<W> {
    /// The formatter hands over one whole event at a time, which ends with the only line break it may have.
    fn write(&mut self, event: &[u8]) -> io::Result<usize> {
        let (line, end) = match event.split_last() {
            Some((b'\n', line)) => (line, "\n"),
            _ => (event, ""),
        };
        let mut text = String::with_capacity(event.len() + 8);
        for c in String::from_utf8_lossy(line).chars() {
            if c.is_control() {
                text.extend(c.escape_default());
            } else {
                text.push(c);
            }
        }
        text.push_str(end);
        self.inner.write_all(text.as_bytes())?;
        Ok(event.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_stays_one_harmless_line() {
        let mut out = Escape { inner: Vec::new() };
        out.write_all(b"a\x1b[2J b\nERROR forged\r\tc \xc2\x9b\n").unwrap();
        assert_eq!(out.inner, b"a\\u{1b}[2J b\\nERROR forged\\r\\tc \\u{9b}\n");
    }
}
