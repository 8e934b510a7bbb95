//! What a guest writes to stdout, stderr and `wasi:logging` becomes log events, bounded and redacted.

use std::{
    borrow::Cow,
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

use crate::{
    redact::shapes::{self, redact},
    sandbox::Sandbox,
};

/// The end of stderr that explains a trap.
const TAIL: usize = 2 << 10;
/// What is kept for that: more, since secrets must be found before anything is cut.
const RAW_TAIL: usize = 16 << 10;
/// Longest part of a line that is kept before a line break comes.
const LINE: usize = 4 << 10;

/// The events of one call, shared by its streams.
#[derive(Clone)]
pub(crate) struct Output(Arc<Mutex<Inner>>);

struct Inner {
    sandbox: Arc<Sandbox>,
    lines_left: usize,
    bytes_left: usize,
    dropped: Dropped,
    pending: [Pending; 2],
    tail: Vec<u8>,
}

/// What was over a bound.
#[derive(Debug, Default, PartialEq, Eq)]
struct Dropped {
    lines: u64,
    bytes: u64,
}

/// A line that has not ended yet.
#[derive(Default)]
struct Pending {
    bytes: Vec<u8>,
    skipped: u64,
    redacted: shapes::Lines,
}

/// A line as it was logged.
pub(crate) struct Line {
    pub(crate) context: String,
    pub(crate) text: String,
}

/// Where a line came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stream {
    Stdout,
    Stderr,
}

impl Output {
    pub(crate) fn new(sandbox: Arc<Sandbox>) -> Self {
        Self(Arc::new(Mutex::new(Inner::new(sandbox))))
    }

    /// From now on it is what another call says. Streams that the guest has go on.
    pub(crate) fn renew(&self) {
        self.with(|inner| *inner = Inner::new(Arc::clone(&inner.sandbox)));
    }

    pub(crate) fn stream(&self, stream: Stream) -> GuestStream {
        GuestStream { output: self.clone(), stream }
    }

    /// A line through `wasi:logging`, as it was logged; none when it is over a bound.
    pub(crate) fn log(&self, level: tracing::Level, context: &str, message: &str) -> Option<Line> {
        self.with(|inner| {
            if !inner.admit(context.len() + message.len()) {
                return None;
            }
            let (context, message) = (inner.cut(context), inner.cut(message));
            let line = Line { context: redact(&context).into_owned(), text: redact(&message).into_owned() };
            inner.event(level, "log", &line.context, &line.text);
            Some(line)
        })
    }

    /// End of the call: the last unfinished lines, and a word about what was dropped.
    pub(crate) fn finish(&self) {
        self.with(|inner| {
            inner.end_line(Stream::Stdout);
            inner.end_line(Stream::Stderr);
            let Dropped { lines, bytes } = std::mem::take(&mut inner.dropped);
            if bytes > 0 {
                tracing::warn!(target: "skillhost::guest", skill = %inner.sandbox.name, dropped = lines, dropped_bytes = bytes,
                    "log lines over the bounds were dropped or cut");
            }
        });
    }

    /// The redacted end of stderr, if there is any.
    pub(crate) fn stderr_tail(&self) -> Option<String> {
        self.with(|inner| {
            let text = String::from_utf8_lossy(&inner.tail);
            let text = shapes::tail(&inner.sandbox.granted.redactor.known(&text), TAIL);
            (!text.is_empty()).then_some(text)
        })
    }

    fn with<T>(&self, f: impl FnOnce(&mut Inner) -> T) -> T {
        // What is inside stays usable whatever a panicking thread did half-way.
        f(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Inner {
    fn new(sandbox: Arc<Sandbox>) -> Self {
        Self {
            lines_left: sandbox.limits.log_lines,
            bytes_left: sandbox.limits.log_bytes,
            sandbox,
            dropped: Dropped::default(),
            pending: Default::default(),
            tail: Vec::new(),
        }
    }

    fn write(&mut self, stream: Stream, bytes: &[u8]) {
        if stream == Stream::Stderr {
            let keep = &bytes[bytes.len().saturating_sub(RAW_TAIL)..];
            self.tail.extend_from_slice(keep);
            let over = self.tail.len().saturating_sub(RAW_TAIL);
            self.tail.drain(..over);
        }
        for part in bytes.split_inclusive(|&b| b == b'\n') {
            let (part, ends) = match part.split_last() {
                Some((b'\n', line)) => (line, true),
                _ => (part, false),
            };
            let pending = &mut self.pending[stream as usize];
            let room = LINE.saturating_sub(pending.bytes.len()).min(self.bytes_left).min(part.len());
            pending.bytes.extend_from_slice(&part[..room]);
            pending.skipped += (part.len() - room) as u64;
            if ends {
                self.end_line(stream);
            }
        }
    }

    fn end_line(&mut self, stream: Stream) {
        let mut pending = std::mem::take(&mut self.pending[stream as usize]);
        let name = match stream {
            Stream::Stdout => "stdout",
            Stream::Stderr => "stderr",
        };
        let skipped = std::mem::take(&mut pending.skipped);
        let blank = pending.bytes.is_empty() && skipped == 0;
        if !blank && self.admit(pending.bytes.len()) {
            let line = String::from_utf8_lossy(&pending.bytes);
            let line = self.known(&line, skipped > 0);
            self.event(tracing::Level::INFO, name, "", &pending.redacted.redact(&line));
        }
        self.dropped.bytes += skipped;
        pending.bytes.clear();
        self.pending[stream as usize] = pending;
    }

    /// As much of `text` as one line may have, without the skill's secrets.
    fn cut<'a>(&mut self, text: &'a str) -> Cow<'a, str> {
        let cut = &text[..text.floor_char_boundary(LINE)];
        let over = text.len() - cut.len();
        self.dropped.bytes += over as u64;
        self.known(cut, over > 0)
    }

    fn known<'a>(&self, text: &'a str, was_cut: bool) -> Cow<'a, str> {
        let redactor = &self.sandbox.granted.redactor;
        if was_cut { Cow::Owned(redactor.known_beginning(text)) } else { redactor.known(text) }
    }

    /// Whether a line of `size` bytes is within the bounds.
    fn admit(&mut self, size: usize) -> bool {
        if self.lines_left == 0 || self.bytes_left == 0 {
            self.dropped.lines += 1;
            self.dropped.bytes += size as u64;
            return false;
        }
        self.lines_left -= 1;
        self.bytes_left = self.bytes_left.saturating_sub(size);
        true
    }

    fn event(&self, level: tracing::Level, stream: &'static str, context: &str, text: &str) {
        let skill = self.sandbox.name.as_str();
        macro_rules! event {
            ($level:ident) => {
                tracing::event!(target: "skillhost::guest", tracing::Level::$level, skill, stream, context, "{text}")
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
    use skillhost_core::SkillName;

    use super::*;
    use crate::{Limits, grants::open::Granted, pace::Pace, redact::Redactor};

    fn output(log_lines: usize, log_bytes: usize) -> Output {
        Output::new(Arc::new(Sandbox {
            name: SkillName::new("test").unwrap(),
            limits: Limits { log_lines, log_bytes, ..Limits::default() },
            granted: Arc::new(Granted {
                redactor: Redactor::new(["correct horse".to_owned()].iter()),
                ..Granted::default()
            }),
            offered: Arc::default(),
            pace: Pace::default(),
            engine: wasmtime::Engine::default(),
        }))
    }

    #[test]
    fn the_tail_hides_the_secrets_of_the_skill() {
        let output = output(0, 0);
        output.with(|inner| inner.write(Stream::Stderr, b"it is correct horse\n"));
        assert_eq!(output.stderr_tail().unwrap(), "it is [redacted]");
    }

    #[test]
    fn a_flood_is_counted_not_kept() {
        let output = output(3, 1000);
        output.with(|inner| {
            inner.write(Stream::Stdout, &b"x\n".repeat(100));
            assert_eq!(inner.dropped, Dropped { lines: 97, bytes: 97 });
            inner.write(Stream::Stdout, &vec![b'y'; 10 << 20]);
            assert!(inner.pending[0].bytes.len() <= LINE);
        });
    }

    #[test]
    fn every_byte_over_the_bound_is_counted() {
        let output = output(100, 10);
        output.log(tracing::Level::INFO, "", &"x".repeat(LINE + 5));
        output.with(|inner| {
            assert_eq!(inner.dropped, Dropped { lines: 0, bytes: 5 });
            inner.write(Stream::Stdout, b"none of this\n\n");
            assert_eq!(inner.dropped, Dropped { lines: 1, bytes: 17 });
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
        assert!(tail.len() <= TAIL);
    }
}
