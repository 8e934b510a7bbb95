//! Atomics and locks, or loom's models of them: `RUSTFLAGS="--cfg skillhost_loom"` runs every interleaving of `tests/loom.rs`.

#[cfg(skillhost_loom)]
pub(crate) use loom::sync::{
    Mutex, MutexGuard,
    atomic::{AtomicU64, Ordering},
};
use std::sync::PoisonError;
#[cfg(not(skillhost_loom))]
pub(crate) use std::sync::{
    Mutex, MutexGuard,
    atomic::{AtomicU64, Ordering},
};

/// The lock, also when a thread panicked under it: each state behind one of ours is sound after every statement.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
