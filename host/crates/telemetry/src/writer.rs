//! Log lines reach stderr by a thread of their own. Whoever reads stderr may stop to, and then the pipe is full: nobody but
//! that thread waits for it, and what does not fit is counted instead.
//!
//! tracing-appender 0.2 does nearly that; but its bound is in lines, which may be of any length, and when its end is not in
//! time it says so on stdout, which belongs to MCP here.

use std::{
    collections::VecDeque,
    io::{self, Write},
    sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError},
    time::Duration,
};

/// Bytes of lines that wait. Further ones are lost.
const MOST: usize = 4 << 20;

/// How long to wait before a pipe that takes nothing now is tried again.
const AGAIN: Duration = Duration::from_millis(10);

/// The lines of this process.
static LINES: OnceLock<Lines> = OnceLock::new();

/// stderr, for one event a writer.
pub(crate) fn stderr() -> Lines {
    let lines = LINES.get_or_init(|| {
        let lines = Lines::default();
        let own = lines.clone();
        let started =
            std::thread::Builder::new().name("log".into()).spawn(move || own.keep_writing(io::stderr()));
        // Without a thread lines are only kept; the host has none for its work either.
        drop(started);
        lines
    });
    lines.clone()
}

/// Wait until what was logged so far is written, for as long as `patience`. For the end of a process.
pub fn flush(patience: Duration) {
    if let Some(lines) = LINES.get() {
        lines.flush(patience);
    }
}

/// Lines that were lost so far, since nobody read them.
pub(crate) fn lost() -> u64 {
    LINES.get().map_or(0, |lines| lines.waiting().lost)
}

#[derive(Clone, Default)]
pub(crate) struct Lines(Arc<Shared>);

#[derive(Default)]
struct Shared {
    waiting: Mutex<Waiting>,
    /// There is something to write.
    come: Condvar,
    /// All is written.
    gone: Condvar,
}

#[derive(Default)]
struct Waiting {
    lines: VecDeque<Vec<u8>>,
    bytes: usize,
    lost: u64,
    /// Of those, what was not told yet.
    untold: u64,
    /// What was taken from here is being written.
    writing: bool,
}

impl Lines {
    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.0.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn keep_writing(&self, mut to: impl Write) {
        loop {
            let (lines, untold) = {
                let waiting = self.waiting();
                let mut waiting = self
                    .0
                    .come
                    .wait_while(waiting, |waiting| waiting.lines.is_empty())
                    .unwrap_or_else(PoisonError::into_inner);
                waiting.writing = true;
                waiting.bytes = 0;
                (std::mem::take(&mut waiting.lines), std::mem::take(&mut waiting.untold))
            };
            let mut unwritten = 0;
            for line in lines {
                unwritten += u64::from(whole(&mut to, &line).is_err());
            }
            if untold > 0 {
                // A line like others, behind those that were kept.
                tracing::warn!(lines = untold, "log lines were lost: stderr was not read in time");
            }
            let mut waiting = self.waiting();
            waiting.writing = false;
            waiting.lost += unwritten;
            if waiting.lines.is_empty() {
                self.0.gone.notify_all();
            }
        }
    }

    fn flush(&self, patience: Duration) {
        let waiting = self.waiting();
        let unwritten = |waiting: &mut Waiting| waiting.writing || !waiting.lines.is_empty();
        drop(self.0.gone.wait_timeout_while(waiting, patience, unwritten));
    }
}

impl Write for Lines {
    /// The formatter hands over one whole event at a time.
    fn write(&mut self, event: &[u8]) -> io::Result<usize> {
        let mut waiting = self.waiting();
        if waiting.bytes + event.len() > MOST {
            waiting.lost += 1;
            waiting.untold += 1;
        } else {
            waiting.bytes += event.len();
            waiting.lines.push_back(event.to_vec());
            self.0.come.notify_one();
        }
        Ok(event.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Write a line whole, also to a pipe that says "not now" in the place of waiting: whoever started the host may have made it so.
fn whole(to: &mut impl Write, mut line: &[u8]) -> io::Result<()> {
    while !line.is_empty() {
        match to.write(line) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => line = &line[written..],
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => std::thread::sleep(AGAIN),
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    /// Takes nothing until it is let.
    struct Stuck(mpsc::Receiver<()>, mpsc::Sender<Vec<u8>>);

    impl Write for Stuck {
        fn write(&mut self, line: &[u8]) -> io::Result<usize> {
            let _ = self.0.recv();
            let _ = self.1.send(line.to_vec());
            Ok(line.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn nobody_waits_for_who_does_not_read_and_what_is_lost_is_counted() {
        let (lines, (go, wait), (told, heard)) = (Lines::default(), mpsc::channel(), mpsc::channel());
        let own = lines.clone();
        std::thread::spawn(move || own.keep_writing(Stuck(wait, told)));
        let line = vec![b'x'; 1 << 20];
        for _ in 0..10 {
            lines.clone().write_all(&line).unwrap();
        }
        // Four wait, and as many as waited when the thread came are on their way.
        let lost = lines.waiting().lost;
        assert!((2..=6).contains(&lost), "{lost}");
        lines.flush(Duration::ZERO);
        drop(go);
        for _ in 0..10 - lost {
            assert_eq!(heard.recv().unwrap(), line);
        }
        lines.flush(Duration::from_secs(60));
        let waiting = lines.waiting();
        assert!(waiting.lines.is_empty() && !waiting.writing);
    }
}
