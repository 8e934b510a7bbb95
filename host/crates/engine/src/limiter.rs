//! Bounds memory, tables and instances of one store, and remembers what it refused.

use wasmtime::ResourceLimiter;

use crate::Limits;

/// Bounds of one store.
pub(crate) struct Limiter {
    memory_limit: usize,
    table_limit: usize,
    memory: usize,
    table: usize,
    refused: Option<Refused>,
}

/// What was refused first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refused {
    /// Linear memory, with the bytes that were wanted.
    Memory { wanted: usize, limit: usize },
    /// Table elements.
    Table { wanted: usize, limit: usize },
}

impl Limiter {
    pub(crate) fn new(limits: &Limits) -> Self {
        Self {
            memory_limit: limits.memory,
            table_limit: limits.table_elements,
            memory: 0,
            table: 0,
            refused: None,
        }
    }

    /// The most linear memory held. Memories never shrink, so the present sum is the peak.
    pub(crate) fn memory(&self) -> usize {
        self.memory
    }

    /// What was refused to another call counts no longer. Memory stays.
    pub(crate) fn renew(&mut self) {
        self.refused = None;
    }

    pub(crate) fn refused(&self) -> Option<Refused> {
        self.refused
    }
}

impl ResourceLimiter for Limiter {
    // A refusal is told to the guest as the failed growth it is; most then die of `unreachable`, which
    // is reported as out of memory because the refusal is remembered here.
    fn memory_growing(
        &mut self,
        current: usize,
        desired: usize,
        _maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        let wanted = self.memory.saturating_sub(current).saturating_add(desired);
        if wanted > self.memory_limit {
            self.refused.get_or_insert(Refused::Memory { wanted, limit: self.memory_limit });
            return Ok(false);
        }
        self.memory = wanted;
        Ok(true)
    }

    fn memory_grow_failed(&mut self, _error: wasmtime::Error) -> wasmtime::Result<()> {
        self.refused.get_or_insert(Refused::Memory { wanted: self.memory, limit: self.memory_limit });
        Ok(())
    }

    fn table_growing(
        &mut self,
        current: usize,
        desired: usize,
        _maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        let wanted = self.table.saturating_sub(current).saturating_add(desired);
        if wanted > self.table_limit {
            self.refused.get_or_insert(Refused::Table { wanted, limit: self.table_limit });
            return Ok(false);
        }
        self.table = wanted;
        Ok(true)
    }

    fn table_grow_failed(&mut self, _error: wasmtime::Error) -> wasmtime::Result<()> {
        self.refused.get_or_insert(Refused::Table { wanted: self.table, limit: self.table_limit });
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memories_count_together() {
        let limits = Limits { memory: 300, table_elements: 10, ..Limits::default() };
        let mut limiter = Limiter::new(&limits);
        assert!(limiter.memory_growing(0, 100, None).unwrap());
        assert!(limiter.memory_growing(0, 150, None).unwrap());
        assert!(limiter.memory_growing(100, 150, None).unwrap());
        assert_eq!(limiter.memory(), 300);
        assert!(!limiter.memory_growing(150, 151, None).unwrap());
        assert_eq!(limiter.refused(), Some(Refused::Memory { wanted: 301, limit: 300 }));
        assert!(!limiter.table_growing(0, 11, None).unwrap());
        assert_eq!(limiter.refused(), Some(Refused::Memory { wanted: 301, limit: 300 }), "the first counts");
    }
}
