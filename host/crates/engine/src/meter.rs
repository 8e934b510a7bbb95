//! What an attempt uses, readable from outside while and after it runs.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use skillhost_core::{Clock, Usage};

/// Written by the task that runs the guest, read by whoever waits for it.
pub(crate) struct Meter {
    clock: Arc<dyn Clock>,
    began: Instant,
    started: AtomicBool,
    fuel: AtomicU64,
    memory: AtomicU64,
    queued: AtomicU64,
    ran: AtomicU64,
}

impl Meter {
    pub(crate) fn new(clock: Arc<dyn Clock>) -> Self {
        Self {
            began: clock.now(),
            clock,
            started: AtomicBool::new(false),
            fuel: AtomicU64::new(0),
            memory: AtomicU64::new(0),
            queued: AtomicU64::new(0),
            ran: AtomicU64::new(0),
        }
    }

    pub(crate) fn clock(&self) -> &Arc<dyn Clock> {
        &self.clock
    }

    fn elapsed(&self) -> Duration {
        self.clock.now().saturating_duration_since(self.began)
    }

    /// The guest is about to run.
    pub(crate) fn start(&self) {
        self.queued.store(nanos(self.elapsed()), Ordering::Relaxed);
        self.started.store(true, Ordering::Release);
    }

    /// The guest's store goes away.
    pub(crate) fn stop(&self, fuel: u64, memory: usize) {
        self.fuel.store(fuel, Ordering::Relaxed);
        self.memory.store(memory as u64, Ordering::Relaxed);
        let ran = nanos(self.elapsed()).saturating_sub(self.queued.load(Ordering::Relaxed));
        self.ran.store(ran, Ordering::Release);
    }

    pub(crate) fn read(&self) -> Usage {
        let started = self.started.load(Ordering::Acquire);
        let queued =
            if started { Duration::from_nanos(self.queued.load(Ordering::Relaxed)) } else { self.elapsed() };
        Usage {
            started,
            ran: Duration::from_nanos(self.ran.load(Ordering::Acquire)),
            fuel: self.fuel.load(Ordering::Relaxed),
            memory: self.memory.load(Ordering::Relaxed),
            queued,
        }
    }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
