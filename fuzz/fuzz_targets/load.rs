//! Whatever bytes there are, as a component or as the text of one: it is refused for a reason, or its tools are described, and
//! twice alike.
#![no_main]

mod written;

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    sync::{Arc, LazyLock},
};

use libfuzzer_sys::{Corpus, fuzz_target};
use skillhost_core::{SkillName, SystemClock, ToolName, ToolSpec};
use skillhost_engine::{
    Allowance, Compiler, Engine, EngineSettings, Grants, Limits, LoadError, Loaded, OwnListeners, asked,
    unasked,
};
use skillhost_telemetry::Metrics;
use tempfile::TempDir;
use tokio::runtime::{Builder, Runtime};
use written::Written;

/// One for the process: threads and address space are not what is looked at.
static HOST: LazyLock<Host> = LazyLock::new(Host::start);

struct Host {
    runtime: Runtime,
    engine: Engine,
    name: SkillName,
    // The process ends without dropping it; what is left is a megabyte, in memory where that is to be had.
    _cache: TempDir,
}

impl Host {
    fn start() -> Self {
        let memory = Path::new("/dev/shm");
        let cache = if memory.is_dir() { TempDir::new_in(memory) } else { TempDir::new() }.expect("a folder");
        let settings = EngineSettings {
            instances: 1,
            pooled: true,
            max_memory: 1 << 20,
            threads: 1,
            cache: cache.path().join("compiled"),
            cache_size: 1 << 20,
            compiler: Compiler::InProcess,
            listeners: OwnListeners::default(),
            upstream: None,
            keyvalue: None,
            metrics: Metrics::default(),
        };
        Self {
            runtime: Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("threads"),
            engine: Engine::new(&settings, Arc::new(SystemClock)).expect("an engine"),
            name: SkillName::new("fuzzed").expect("a name"),
            _cache: cache,
        }
    }

    fn load(&self, component: &[u8]) -> Result<Loaded, LoadError> {
        // Loops end by fuel, which is the same each time, and not by the clock.
        let limits = Limits { fuel: 1_000_000, memory: 1 << 20, ..Limits::default() };
        let allowance = Allowance { limits, ..Allowance::default() };
        self.runtime.block_on(self.engine.load(&self.name, component.to_vec(), allowance, |_| ()))
    }
}

fuzz_target!(|data: &[u8]| -> Corpus {
    // A component, its text, or what one is made of.
    let (component, written) = match data {
        [b'\0' | b'(', ..] => (wat::parse_bytes(data).ok(), None),
        _ => match written::written(data) {
            Ok(written) => (wat::parse_str(&written.text).ok().map(Into::into), Some(written)),
            Err(_) => (None, None),
        },
    };
    let Some(component) = component else { return Corpus::Reject };
    match HOST.load(&component) {
        Ok(loaded) => {
            described(&loaded);
            // To describe is most of the work.
            if data.len() % 4 == 0 {
                let again = HOST.load(&component).unwrap_or_else(|error| panic!("not served again: {error}"));
                assert_eq!(told(&loaded), told(&again), "another description of the same");
            }
            if let Some(written) = written {
                nothing_lost(&loaded, &written);
            }
        }
        Err(error) => assert!(!error.to_string().trim().is_empty(), "refused for no reason: {error:?}"),
    }
    Corpus::Keep
});

/// Each function is a tool, or told of as none.
fn nothing_lost(loaded: &Loaded, written: &Written) {
    let whole =
        loaded.tools.iter().filter(|tool| tool.name.ends_with("run") || tool.name.ends_with("request"));
    let no_whole = loaded.no_tools.iter().filter(|why| {
        let place = why.split('`').nth(1).unwrap_or_default();
        ["wasi:cli/run", "wasi:http/incoming-handler"].iter().any(|name| place.starts_with(name))
    });
    let told = loaded.tools.len() + loaded.no_tools.len();
    // A command and a handler are a tool each, or none, beside all functions.
    let most = written.functions + whole.count().min(2) + no_whole.count();
    assert!(
        (written.functions..=most).contains(&told),
        "{told} of {} functions: {}",
        written.functions,
        written.text
    );
}

/// All that a component says of itself.
fn told(loaded: &Loaded) -> String {
    let Loaded { digest, interfaces, tools, no_tools, features, .. } = loaded;
    format!("{digest} {interfaces:?} {tools:?} {no_tools:?} {features:?}")
}

fn described(loaded: &Loaded) {
    let names: BTreeSet<_> = loaded.tools.iter().map(|tool| &tool.name).collect();
    assert_eq!(names.len(), loaded.tools.len(), "a name twice");
    assert!(!names.is_empty(), "it serves nothing");
    let plain = !loaded.interfaces.exports.iter().any(|name| name.starts_with("skillhost:skill/tools@"));
    loaded.tools.iter().for_each(|spec| tool(spec, plain));
    assert!(loaded.no_tools.iter().all(|why| !why.is_empty()));
    let config = BTreeMap::from([("key".to_owned(), "value".to_owned())]);
    for grants in [Grants::default(), Grants { config, ..Grants::default() }] {
        let asks = asked(&loaded.interfaces, &grants);
        assert_eq!(asks.len(), loaded.interfaces.imports.len());
        for ask in asks {
            assert!(!ask.gets.is_empty(), "nothing is said of {}", ask.import);
            assert!(ask.granted || ask.needs.is_some(), "{} fails, and no grant helps", ask.import);
        }
        let unused = unasked(&loaded.interfaces, &grants);
        assert!(unused.iter().all(|&key| key == "config"), "not granted: {unused:?}");
    }
}

fn tool(tool: &ToolSpec, plain: bool) {
    // A skill that says itself what its tools are may say wrong: the directory refuses it then.
    if let (true, Err(error)) = (plain, ToolName::prefixed(&HOST.name, &tool.name)) {
        panic!("{error}");
    }
    // They were made by the host's own parser; to parse them again is most of the work here, and would find nothing.
    for schema in [Some(&tool.input), tool.output.as_ref()].into_iter().flatten() {
        assert_eq!(
            schema.raw().get("type").and_then(|kind| kind.as_str()),
            Some("object"),
            "of the tool {}",
            tool.name
        );
    }
}
