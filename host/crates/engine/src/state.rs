//! What a store holds beside the guest: the state of one call.

use std::sync::Arc;

use skillhost_core::{Call, Clock};
use tokio::sync::mpsc;
use tracing::Span;
use wasmtime::component::{Instance, ResourceTable};
use wasmtime_wasi::{WasiCtx, WasiCtxBuilder, WasiCtxView, WasiView, p2::pipe::MemoryInputPipe};
use wasmtime_wasi_http::{WasiHttpCtx, WasiHttpCtxView, WasiHttpView};

use crate::{
    changes::{Changes, Notice},
    files,
    grants::open::Granted,
    http::Hooks,
    limiter::Limiter,
    output::{Output, Stream},
    plain::Terminal,
    progress::Throttle,
    sandbox::Sandbox,
    warnings::Warnings,
};

/// The state of one call.
pub(crate) struct State {
    pub(crate) sandbox: Arc<Sandbox>,
    pub(crate) limiter: Limiter,
    pub(crate) output: Output,
    /// Absent while the skill is loaded: there is no call then.
    pub(crate) call: Option<Arc<Call>>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) progress: Throttle,
    /// Calls of other tools so far.
    pub(crate) nested: u32,
    /// What the skill says has changed; told when the call is over.
    pub(crate) changes: Changes,
    /// It kept something, or had something kept to be undone by.
    pub(crate) touched: bool,
    pub(crate) table: ResourceTable,
    pub(crate) warnings: Warnings,
    /// What a command reads and writes.
    pub(crate) terminal: Option<Terminal>,
    /// The instance of this store, where it may serve another call.
    pub(crate) instance: Option<Instance>,
    // Made on first use: guests that never touch WASI do not pay for it.
    wasi: Option<WasiCtx>,
    http: Hooks,
    http_ctx: WasiHttpCtx,
}

impl State {
    pub(crate) fn new(
        sandbox: Arc<Sandbox>,
        call: Option<Arc<Call>>,
        clock: Arc<dyn Clock>,
        notices: mpsc::Sender<Notice>,
    ) -> Self {
        let mut table = ResourceTable::new();
        // Each entry may be an open file or connection, of which the host has only so many.
        table.set_max_capacity(sandbox.limits.handles);
        let warnings = Warnings::default();
        Self {
            limiter: Limiter::new(&sandbox.limits),
            output: Output::new(Arc::clone(&sandbox)),
            http: hooks(&sandbox, call.as_deref(), &warnings),
            warnings,
            http_ctx: WasiHttpCtx::new(),
            call,
            clock,
            progress: Throttle::default(),
            nested: 0,
            touched: false,
            changes: Changes::new(sandbox.name.clone(), notices),
            sandbox,
            table,
            terminal: None,
            instance: None,
            wasi: None,
        }
    }

    /// Make it the state of another call in the same sandbox. What the guest holds stays as it is: it knows it by number.
    pub(crate) fn renew(&mut self, call: Arc<Call>) {
        self.limiter.renew();
        self.output.renew();
        self.warnings = Warnings::default();
        self.http = hooks(&self.sandbox, Some(&call), &self.warnings);
        self.progress = Throttle::default();
        self.nested = 0;
        self.touched = false;
        self.call = Some(call);
    }

    /// Whether the instance may serve another call, now that this one has ended well: no memory was refused to it, and nothing
    /// that it has begun goes on.
    pub(crate) fn is_sound(&self) -> bool {
        self.limiter.refused().is_none() && self.http.is_idle()
    }

    /// The call is over, and the instance stays for another.
    pub(crate) fn rest(&mut self) {
        self.changes.tell();
        self.call = None;
        self.http = hooks(&self.sandbox, None, &self.warnings);
    }

    /// Whether the guest may have changed something, as far as the host can see.
    pub(crate) fn touched(&self) -> bool {
        self.touched || self.http.touched()
    }

    /// What the call may touch. While the skill is loaded it may touch nothing; only `wasi:config` answers then.
    pub(crate) fn granted(&self) -> Option<&Granted> {
        self.call.as_ref().map(|_| &*self.sandbox.granted)
    }
}

fn hooks(sandbox: &Sandbox, call: Option<&Call>, warnings: &Warnings) -> Hooks {
    let of = call.map_or_else(|| (None, Span::none()), |call| (call.meta.clone(), call.span.clone()));
    Hooks::new(call.and(sandbox.granted.http.clone()), warnings.clone(), of)
}

impl WasiView for State {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        let Self { output, sandbox, call, terminal, wasi, table, .. } = self;
        // Filesystem and sockets are there, because toolchains import them, but empty and closed unless a folder
        // was granted. Requests over HTTP have an interface and rules of their own.
        let ctx = wasi.get_or_insert_with(|| {
            let mut wasi = WasiCtxBuilder::new();
            wasi.stdout(output.stream(Stream::Stdout))
                .stderr(output.stream(Stream::Stderr))
                .allow_tcp(false)
                .allow_udp(false)
                .allow_ip_name_lookup(false);
            if let Some(Terminal { args, stdin, stdout }) = terminal {
                wasi.args(args).stdin(MemoryInputPipe::new(stdin.clone())).stdout(stdout.clone());
            }
            if call.is_some() {
                wasi.envs(&sandbox.granted.env);
                files::give(&sandbox.granted.folders, &mut wasi);
            }
            wasi.build()
        });
        WasiCtxView { ctx, table }
    }
}

impl WasiHttpView for State {
    fn http(&mut self) -> WasiHttpCtxView<'_> {
        WasiHttpCtxView { hooks: &mut self.http, table: &mut self.table, ctx: &mut self.http_ctx }
    }
}
