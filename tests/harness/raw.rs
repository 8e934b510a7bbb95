//! The binary as it is: bytes in, lines out, and all that its log says.

use std::{
    collections::VecDeque,
    io::{self, BufRead as _, BufReader, Read, Write as _},
    process::{Child, ChildStdin, Command, Stdio},
    sync::{
        Arc, Mutex, PoisonError,
        mpsc::{Receiver, RecvTimeoutError, channel},
    },
    thread,
    time::Duration,
};

use serde_json::Value;

use crate::PATIENCE;

/// Lines of the log that are kept.
const KEPT: usize = 60;

#[derive(Default)]
struct Log {
    last: VecDeque<String>,
    panics: Vec<String>,
    url: Option<String>,
    ended: bool,
}

/// A running process.
pub struct Raw {
    child: Child,
    stdin: Option<ChildStdin>,
    lines: Receiver<Vec<u8>>,
    log: Arc<Mutex<Log>>,
}

fn follow(stream: impl Read + Send + 'static, mut each: impl FnMut(Vec<u8>) -> bool + Send + 'static) {
    thread::spawn(move || {
        let mut stream = BufReader::new(stream);
        let mut line = vec![];
        while stream.read_until(b'\n', &mut line).is_ok_and(|read| read > 0) {
            if !each(std::mem::take(&mut line)) {
                return;
            }
        }
        each(vec![]);
    });
}

impl Raw {
    /// Start it.
    ///
    /// # Panics
    /// When the binary does not start.
    pub fn start(mut command: Command) -> Self {
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("the binary starts");
        let (stdout, stderr) = (child.stdout.take().expect("piped"), child.stderr.take().expect("piped"));
        let stdin = child.stdin.take();
        let (sender, lines) = channel();
        follow(stdout, move |line| !line.is_empty() && sender.send(line).is_ok());
        let log = Arc::new(Mutex::new(Log::default()));
        let kept = Arc::clone(&log);
        follow(stderr, move |line| {
            let mut log = kept.lock().unwrap_or_else(PoisonError::into_inner);
            if line.is_empty() {
                log.ended = true;
                return false;
            }
            let line = String::from_utf8_lossy(&line).trim_end().to_owned();
            if log.url.is_none()
                && let Ok(entry) = serde_json::from_str::<Value>(&line)
                && entry["message"] == "listening"
            {
                log.url = entry["url"].as_str().map(str::to_owned);
            }
            if line.contains("panicked") {
                log.panics.push(line.clone());
            }
            if log.last.len() == KEPT {
                log.last.pop_front();
            }
            log.last.push_back(line);
            true
        });
        Self { child, stdin, lines, log }
    }

    /// The process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Where it listens, such as `http://127.0.0.1:4711/mcp`.
    ///
    /// # Panics
    /// When it does not come to that.
    pub fn url(&self) -> String {
        crate::eventually(|| self.log().url.clone())
    }

    fn log(&self) -> std::sync::MutexGuard<'_, Log> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Write to its stdin.
    ///
    /// # Errors
    /// When it does not read any more.
    pub fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        let stdin = self.stdin.as_mut().ok_or(io::ErrorKind::BrokenPipe)?;
        stdin.write_all(bytes)?;
        stdin.flush()
    }

    /// The next line of its stdout, if it comes in time.
    ///
    /// # Errors
    /// When there are no more.
    pub fn line(&self, within: Duration) -> Result<Option<Vec<u8>>, RecvTimeoutError> {
        match self.lines.recv_timeout(within) {
            Ok(line) => Ok(Some(line)),
            Err(RecvTimeoutError::Timeout) => Ok(None),
            Err(ended) => Err(ended),
        }
    }

    /// The exit code, if it has ended.
    pub fn ended(&mut self) -> Option<String> {
        self.child.try_wait().expect("its state").map(|status| status.to_string())
    }

    /// Lines of its log that tell of a panic.
    pub fn panics(&self) -> Vec<String> {
        self.log().panics.clone()
    }

    /// The last lines of its log.
    pub fn last_log(&self, lines: usize) -> String {
        let log = self.log();
        let from = log.last.len().saturating_sub(lines);
        log.last.iter().skip(from).map(String::as_str).collect::<Vec<_>>().join("\n")
    }

    /// Close its stdin and wait for its end: what it still says, and its exit code. None when it does not end.
    pub fn close(&mut self) -> Option<(Vec<Vec<u8>>, Option<i32>)> {
        self.stdin = None;
        let (mut left, mut rest) = (PATIENCE, vec![]);
        const EVERY: Duration = Duration::from_millis(10);
        while self.child.try_wait().expect("its state").is_none() {
            left = left.checked_sub(EVERY)?;
            match self.lines.recv_timeout(EVERY) {
                Ok(line) => rest.push(line),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => thread::sleep(EVERY),
            }
        }
        rest.extend(self.lines.iter());
        // The log ends with the process: the other side of the pipe is closed.
        crate::eventually(|| self.log().ended.then_some(()));
        Some((rest, self.child.wait().expect("it has ended").code()))
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        // Gone already, or not of interest any more.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
