//! What a store holds beside the guest: the state of one call.

use std::sync::Arc;

use skillhost_core::{ClientLink, Clock};
use wasmtime::component::ResourceTable;
use wasmtime_wasi::{WasiCtx, WasiCtxBuilder, WasiCtxView, WasiView};

use crate::{
    limiter::Limiter,
    output::{Output, Stream},
    progress::Throttle,
};

/// The state of one call.
pub(crate) struct State {
    pub(crate) limiter: Limiter,
    pub(crate) output: Output,
    /// Absent while the skill is loaded: there is no call then.
    pub(crate) link: Option<Arc<dyn ClientLink>>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) progress: Throttle,
    // Made on first use: guests that never touch WASI do not pay for it.
    wasi: Option<WasiCtx>,
    table: ResourceTable,
}

impl State {
    pub(crate) fn new(
        limiter: Limiter,
        output: Output,
        link: Option<Arc<dyn ClientLink>>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self {
            limiter,
            output,
            link,
            clock,
            progress: Throttle::default(),
            wasi: None,
            table: ResourceTable::new(),
        }
    }
}

impl WasiView for State {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        let output = &self.output;
        // No folder, variable, argument or address is given: filesystem and sockets are there, because
        // toolchains import them, but empty and closed.
        let ctx = self.wasi.get_or_insert_with(|| {
            WasiCtxBuilder::new()
                .stdout(output.stream(Stream::Stdout))
                .stderr(output.stream(Stream::Stderr))
                .allow_tcp(false)
                .allow_udp(false)
                .build()
        });
        WasiCtxView { ctx, table: &mut self.table }
    }
}
