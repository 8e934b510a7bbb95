//! A component in wasmtime itself, with nothing of ours around it.

use std::time::Duration;

use skillhost_core::Clock as _;
use wasmtime::{
    Config, Engine, Store,
    component::{Component, InstancePre, Linker, ResourceTable, ResourceType, types::ComponentItem},
};
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};

use bindings::{
    SkillIndices,
    skillhost::skill::types::{ClientFeatures, Context},
};

#[allow(missing_docs, unreachable_pub, clippy::all, reason = "generated")]
mod bindings {
    wasmtime::component::bindgen!({ path: "../wit", world: "skill", exports: { default: async } });
}

/// What the settings of the engine bound a guest by; here each can be left out.
#[derive(Clone, Copy)]
pub(crate) struct Bounds {
    pub(crate) fuel: bool,
    pub(crate) epochs: bool,
}

pub(crate) struct State {
    ctx: Option<WasiCtx>,
    table: ResourceTable,
}

impl WasiView for State {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        let ctx = self.ctx.get_or_insert_with(|| WasiCtx::builder().build());
        WasiCtxView { ctx, table: &mut self.table }
    }
}

pub(crate) struct Bare {
    engine: Engine,
    pre: InstancePre<State>,
    exports: SkillIndices,
    bounds: Bounds,
}

/// An instance that serves again and again.
pub(crate) struct Reused {
    store: Store<State>,
    skill: bindings::Skill,
}

impl Bare {
    pub(crate) fn new(config: &mut Config, bounds: Bounds, component: &[u8]) -> Self {
        config.consume_fuel(bounds.fuel).epoch_interruption(bounds.epochs);
        let engine = Engine::new(config).expect("an engine");
        let component = Component::new(&engine, component).expect("it compiles");
        let mut linker = Linker::new(&engine);
        wasmtime_wasi::p2::add_to_linker_async(&mut linker).expect("WASI");
        imports_of_the_host(&engine, &component, &mut linker);
        let pre = linker.instantiate_pre(&component).expect("it fits");
        let exports = SkillIndices::new(&pre).expect("a skill");
        Self { engine, pre, exports, bounds }
    }

    pub(crate) async fn instance(&self) -> Reused {
        let mut store = Store::new(&self.engine, State { ctx: None, table: ResourceTable::new() });
        if self.bounds.fuel {
            store.set_fuel(u64::MAX / 2).expect("there is fuel");
            store.fuel_async_yield_interval(Some(1_000_000)).expect("there is fuel");
        }
        if self.bounds.epochs {
            store.set_epoch_deadline(1);
            store.epoch_deadline_async_yield_and_update(1);
        }
        let instance = self.pre.instantiate_async(&mut store).await.expect("an instance");
        let skill = self.exports.load(&mut store, &instance).expect("a skill");
        Reused { store, skill }
    }

    /// A fresh instance, and one call of it.
    pub(crate) async fn call(&self, tool: &str, arguments: &str) {
        self.instance().await.call(tool, arguments).await;
    }
}

/// What the component imports beside WASI: it calls nothing of it here.
fn imports_of_the_host(engine: &Engine, component: &Component, linker: &mut Linker<State>) {
    for (name, import) in component.component_type().imports(engine) {
        let ours = ["skillhost:", "wasi:keyvalue", "wasi:config", "wasi:logging"]
            .iter()
            .any(|package| name.starts_with(package));
        let (true, ComponentItem::ComponentInstance(functions)) = (ours, import.ty) else { continue };
        let mut instance = linker.instance(name).expect("a name");
        for (function, item) in functions.exports(engine) {
            match item.ty {
                ComponentItem::ComponentFunc(_) => instance
                    .func_new(function, |_, _, _, _| Err(wasmtime::Error::msg("nobody answers")))
                    .expect("a function"),
                ComponentItem::Resource(_) => {
                    instance
                        .resource(function, ResourceType::host::<()>(), |_, _| Ok(()))
                        .expect("a resource");
                }
                _ => {}
            }
        }
    }
}

impl Reused {
    pub(crate) async fn call(&mut self, tool: &str, arguments: &str) {
        let context = Context {
            call_id: skillhost_core::CallId::new().to_string(),
            correlation_id: "bench".into(),
            attempt: 1,
            time_left_ms: 30_000,
            caller: "local".into(),
            client: ClientFeatures::empty(),
            meta: None,
            round: None,
        };
        let tools = self.skill.skillhost_skill_tools();
        let arguments = arguments.to_owned();
        let result = tools.call_call(&mut self.store, &context, tool, Some(&arguments)).await;
        let result = result.expect("it does not trap");
        assert!(result.is_ok(), "{result:?}");
    }
}

/// Advances the epoch of an engine each millisecond, as the host does.
pub(crate) struct Ticking(Option<std::sync::mpsc::Sender<()>>, Option<std::thread::JoinHandle<()>>);

impl Ticking {
    pub(crate) fn of(bare: &Bare) -> Self {
        let engine = bare.engine.clone();
        let (stop, stopped) = std::sync::mpsc::channel();
        let thread = std::thread::spawn(move || {
            use std::sync::mpsc::RecvTimeoutError;
            while stopped.recv_timeout(Duration::from_millis(1)) == Err(RecvTimeoutError::Timeout) {
                engine.increment_epoch();
            }
        });
        Self(Some(stop), Some(thread))
    }
}

impl Drop for Ticking {
    fn drop(&mut self) {
        self.0.take();
        let _ = self.1.take().map(std::thread::JoinHandle::join);
    }
}

/// A moment that is far away.
pub(crate) fn later() -> std::time::Instant {
    skillhost_core::SystemClock.now() + Duration::from_secs(30)
}
