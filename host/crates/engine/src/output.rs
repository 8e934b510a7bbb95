//! What a guest writes to stdout, stderr and `wasi:logging` becomes log events, bounded and redacted.

use std::{
    io,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll},
};

use tokio::io::AsyncWrite;
use wasmtime_wasi::{
    async_trait,
    cli::{IsTerminal, StdoutStream},
    p2::{OutputStream, Pollable, StreamResult},
};

use crate::{Limits, redact::redact};

/// The end of stderr that explains a trap.
const TAIL: usize = 2 << 10;
/// Longest part of a line that is kept before a line break comes.
const LINE: usize = 4 << 10;

/// The events of one call, shared by its streams.
#[derive(Clone)]
pub(crate) struct Output(Arc<Mutex<Inner>>);

struct Inner {
    skill: Arc<str>,
    lines_left: usize,
    bytes_left: usize,
    dropped_lines: u64,
    pending: [Vec<u8>; 2],
    tail: Vec<u8>,
}

/// Where a line came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stream {
    Stdout,
    Stderr,
}

impl Output {
    pub(crate) fn new(skill: Arc<str>, limits: &Limits) -> Self {
        Self(Arc::new(Mutex::new(Inner {
            skill,
            lines_left: limits.log_lines,
            bytes_left: limits.log_bytes,
            dropped_lines: 0,
            pending: [Vec::new(), Vec::new()],
            tail: Vec::new(),
        })))
    }

    pub(crate) fn stream(&self, stream: Stream) -> GuestStream {
        GuestStream { output: self.clone(), stream }
    }

    /// A line through `wasi:logging`.
    pub(crate) fn log(&self, level: tracing::Level, context: &str, message: &str) {
        self.with(|inner| inner.event(level, "log", context, message));
    }

    /// End of the call: the last unfinished lines, and a word about what was dropped.
    pub(crate) fn finish(&self) {
        self.with(|inner| {
            inner.end_line(Stream::Stdout);
            inner.end_line(Stream::Stderr);
            if inner.dropped_lines > 0 {
                let dropped = std::mem::take(&mut inner.dropped_lines);
                tracing::warn!(target: "skillhost::guest", skill = %inner.skill, dropped, "log lines over the bound were dropped");
            }
        });
    }

    /// The redacted end of stderr, if there is any.
    pub(crate) fn stderr_tail(&self) -> Option<String> {
        self.with(|inner| {
            let text = String::from_utf8_lossy(&inner.tail);
            let text = text.trim();
            (!text.is_empty()).then(|| redact(text).into_owned())
        })
    }

    fn with<T>(&self, f: impl FnOnce(&mut Inner) -> T) -> T {
        // What is inside stays usable whatever a panicking thread did half-way.
        f(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Inner {
    fn write(&mut self, stream: Stream, bytes: &[u8]) {
        if stream == Stream::Stderr {
            let keep = &bytes[bytes.len().saturating_sub(TAIL)..];
            self.tail.extend_from_slice(keep);
            let over = self.tail.len().saturating_sub(TAIL);
            self.tail.drain(..over);
        }
        for part in bytes.split_inclusive(|&b| b == b'\n') {
            let (part, ends) = match part.split_last() {
                Some((b'\n', line)) => (line, true),
                _ => (part, false),
            };
            let pending = &mut self.pending[stream as usize];
            let room = LINE.saturating_sub(pending.len()).min(self.bytes_left);
            pending.extend_from_slice(&part[..part.len().min(room)]);
            if ends {
                self.end_line(stream);
            }
        }
    }

    fn end_line(&mut self, stream: Stream) {
        let mut line = std::mem::take(&mut self.pending[stream as usize]);
        if line.is_empty() {
            return;
        }
        let name = match stream {
            Stream::Stdout => "stdout",
            Stream::Stderr => "stderr",
        };
        self.event(tracing::Level::INFO, name, "", &String::from_utf8_lossy(&line));
        line.clear();
        self.pending[stream as usize] = line;
    }

    fn event(&mut self, level: tracing::Level, stream: &'static str, context: &str, text: &str) {
        let size = text.len() + context.len();
        if self.lines_left == 0 || self.bytes_left == 0 {
            self.dropped_lines += 1;
            return;
        }
        self.lines_left -= 1;
        self.bytes_left = self.bytes_left.saturating_sub(size);
        let (context, text) = (redact(cut(context)), redact(cut(text)));
        let skill = &*self.skill;
        macro_rules! event {
            ($level:ident) => {
                tracing::event!(target: "skillhost::guest", tracing::Level::$level, skill, stream, context = &*context, "{text}")
            };
        }
        match level {
            tracing::Level::ERROR => event!(ERROR),
            tracing::Level::WARN => event!(WARN),
            tracing::Level::INFO => event!(INFO),
            tracing::Level::DEBUG => event!(DEBUG),
            tracing::Level::TRACE => event!(TRACE),
        }
    }
}

fn cut(text: &str) -> &str {
    &text[..text.floor_char_boundary(LINE)]
}

/// One of the guest's output streams. Always ready: over the bound it counts instead of keeping.
#[derive(Clone)]
pub(crate) struct GuestStream {
    output: Output,
    stream: Stream,
}

impl IsTerminal for GuestStream {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdoutStream for GuestStream {
    fn async_stream(&self) -> Box<dyn AsyncWrite + Send + Sync> {
        Box::new(self.clone())
    }

    fn p2_stream(&self) -> Box<dyn OutputStream> {
        Box::new(self.clone())
    }
}

#[async_trait]
impl Pollable for GuestStream {
    async fn ready(&mut self) {}
}

#[async_trait]
impl OutputStream for GuestStream {
    fn write(&mut self, bytes: bytes::Bytes) -> StreamResult<()> {
        self.output.with(|inner| inner.write(self.stream, &bytes));
        Ok(())
    }

    fn flush(&mut self) -> StreamResult<()> {
        Ok(())
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        Ok(64 << 10)
    }
}

impl AsyncWrite for GuestStream {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.output.with(|inner| inner.write(self.stream, bytes));
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn output(log_lines: usize, log_bytes: usize) -> Output {
        Output::new("test".into(), &Limits { log_lines, log_bytes, ..Limits::default() })
    }

    #[test]
    fn a_flood_is_counted_not_kept() {
        let output = output(3, 1000);
        output.with(|inner| {
            inner.write(Stream::Stdout, &b"x\n".repeat(100));
            assert_eq!(inner.dropped_lines, 97);
            inner.write(Stream::Stdout, &vec![b'y'; 10 << 20]);
            assert!(inner.pending[0].len() <= LINE);
        });
    }

    #[test]
    fn the_tail_is_the_end_and_redacted() {
        let output = output(0, 0);
        output.with(|inner| {
            inner.write(Stream::Stderr, &vec![b'a'; 5000]);
            inner.write(Stream::Stderr, b"\npassword=hunter2\nboom\n");
        });
        let tail = output.stderr_tail().unwrap();
        assert!(tail.ends_with("password=[redacted]\nboom"), "{tail}");
        assert!(tail.len() <= TAIL + 16);
    }
}
