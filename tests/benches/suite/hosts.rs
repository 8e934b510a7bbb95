//! The servers that are measured.

use std::{
    fs,
    io::{BufRead as _, BufReader},
    path::{Path, PathBuf},
    process::{Child, Stdio},
};

use skillhost_e2e::{Host, Server, component};

use crate::{client::Target, native};

/// Compiled code is kept between runs, but where compiling is measured.
const CACHE: &str = concat!(env!("CARGO_TARGET_TMPDIR"), "/bench-data");

/// A host and its server; both go away with it.
pub(crate) struct Serving {
    pub(crate) target: Target,
    _server: Server,
    _host: Host,
}

impl Serving {
    /// A host as anybody has it, with the skill `bench`, over HTTP.
    pub(crate) fn start(config: &str) -> Self {
        Self::of(bench_host(config))
    }

    pub(crate) fn of(host: Host) -> Self {
        // It says where it listens.
        Self::logging(host, "error,skillhost::transport::http=info")
    }

    /// A host that says so much in its log.
    pub(crate) fn logging(host: Host, level: &str) -> Self {
        let mut command = host.command(&["serve", "--listen", "127.0.0.1:0"]);
        command.env("SKILLHOST_LOG", level);
        let server = host.server(command);
        let target = Target::new(server.url(), server.id());
        // It waits until all skills are loaded.
        target.list();
        Self { target, _server: server, _host: host }
    }
}

/// Such a host.
pub(crate) fn bench_host(config: &str) -> Host {
    let host = Host::new(CACHE).config(config);
    host.put("bench.wasm", &component("bench.wasm"));
    host
}

/// A host with so many skills of twenty tools each. All are different files, so that nothing is shared between them.
pub(crate) fn host_with(skills: usize, cache: Option<&Path>, config: &str) -> Host {
    let host = match cache {
        Some(cache) => Host::new(&cache.to_string_lossy()),
        None => Host::new("/nonexistent").own_data(),
    };
    let host = host.config(config);
    for n in 0..skills {
        let name = if n == 0 { "bench.wasm".to_owned() } else { format!("bench{n}.wasm") };
        host.put(&name, &numbered(component("bench.wasm"), n));
    }
    host
}

/// Another component that does the same: it has a section more, which says nothing.
fn numbered(mut component: Vec<u8>, n: usize) -> Vec<u8> {
    if n > 0 {
        let content = format!("{n:08}");
        let name = "bench";
        component.extend([0, u8::try_from(1 + name.len() + content.len()).expect("it is short")]);
        component.push(u8::try_from(name.len()).expect("it is short"));
        component.extend(name.bytes().chain(content.bytes()));
    }
    component
}

/// The native server over HTTP.
pub(crate) struct Native {
    pub(crate) target: Target,
    child: Child,
}

impl Native {
    pub(crate) fn start() -> Self {
        let mut child = native::command("http").stdout(Stdio::piped()).spawn().expect("it starts");
        let mut url = String::new();
        let said = BufReader::new(child.stdout.take().expect("piped")).read_line(&mut url);
        said.expect("it says where it listens");
        Self { target: Target::new(url.trim(), child.id()), child }
    }
}

impl Drop for Native {
    fn drop(&mut self) {
        // Gone already, or not of interest any more.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A skill of `tests/languages` in another language, where it was built: `.ci/run` leaves them in target/ci/languages.
pub(crate) fn language(name: &str) -> Option<Vec<u8>> {
    let folder = std::env::var_os("SKILLHOST_LANGUAGES")
        .map_or_else(|| skillhost_e2e::repo().join("target/ci/languages"), PathBuf::from);
    fs::read(folder.join(format!("behaves-{name}.wasm"))).ok()
}
