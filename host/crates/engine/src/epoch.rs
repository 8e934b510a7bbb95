//! The epoch ticker: makes guests that only compute yield.

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread::{self, JoinHandle, Thread},
    time::Duration,
};

/// A guest that computes yields within about this time.
const TICK: Duration = Duration::from_millis(1);

/// Ticks that go on when no guest runs any more: on a host that is called again and again no call has to wake the thread.
const LINGER: u32 = 64;

/// Advances the epoch of the engines each millisecond while guests run and a while after, and sleeps then. Stops when
/// dropped.
pub(crate) struct Ticker {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

struct Shared {
    running: AtomicUsize,
    stop: AtomicBool,
    engines: Mutex<Vec<wasmtime::Engine>>,
}

/// Keeps the ticker going while a guest runs.
pub(crate) struct Ticking {
    shared: Arc<Shared>,
}

impl Shared {
    fn engines(&self) -> MutexGuard<'_, Vec<wasmtime::Engine>> {
        self.engines.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Ticker {
    /// Start the thread.
    pub(crate) fn start(engine: wasmtime::Engine) -> std::io::Result<Self> {
        let engines = Mutex::new(vec![engine]);
        let shared = Arc::new(Shared { running: AtomicUsize::new(0), stop: AtomicBool::new(false), engines });
        let seen = Arc::clone(&shared);
        let thread = thread::Builder::new().name("epoch".into()).spawn(move || {
            let mut idle = 0;
            while !seen.stop.load(Ordering::Acquire) {
                idle = if seen.running.load(Ordering::Acquire) == 0 { idle + 1 } else { 0 };
                if idle > LINGER {
                    thread::park();
                    idle = 0;
                } else {
                    thread::sleep(TICK);
                    seen.engines().iter().for_each(wasmtime::Engine::increment_epoch);
                }
            }
        })?;
        Ok(Self { shared, thread: Some(thread) })
    }

    /// Advance this one's, too.
    pub(crate) fn also(&self, engine: wasmtime::Engine) {
        self.shared.engines().push(engine);
    }

    /// Say that a guest runs, until the answer is dropped.
    pub(crate) fn running(&self) -> Ticking {
        if self.shared.running.fetch_add(1, Ordering::AcqRel) == 0 {
            self.thread().unpark();
        }
        Ticking { shared: Arc::clone(&self.shared) }
    }

    fn thread(&self) -> &Thread {
        self.thread.as_ref().expect("present until dropped").thread()
    }
}

impl Drop for Ticking {
    fn drop(&mut self) {
        self.shared.running.fetch_sub(1, Ordering::AcqRel);
    }
}

impl Drop for Ticker {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Release);
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            // Cannot fail: the thread does nothing that panics.
            let _ = thread.join();
        }
    }
}
