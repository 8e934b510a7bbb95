//! Drives the real binary: folders of a test's own, the command line, and MCP over stdio and HTTP.

mod client;
mod exchange;
mod faulty;
mod modern;
mod raw;
mod syncs;
mod tree;
mod web;
pub mod wire;

use std::{
    fs::{self, DirBuilder},
    io::ErrorKind,
    os::unix::fs::DirBuilderExt as _,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    sync::Arc,
    time::Duration,
};

pub use client::{Client, Server};
pub use exchange::{Exchange, Session};
pub use faulty::{faulty, patched};
pub use modern::{Feed, Modern, Speaks};
pub use raw::Raw;
use serde_json::Value;
pub use syncs::Syncs;
use tempfile::TempDir;
pub use tree::snapshot;
pub use web::{Asked, Web, response};

/// How long anything may take before a test gives up. Generous: it only decides how a failure looks.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Look again and again until there is something to see. For what tells nobody when it happens.
///
/// # Panics
/// When it does not happen.
#[expect(clippy::disallowed_methods, reason = "how long a test waits is for the real clock to say")]
pub fn eventually<T>(mut look: impl FnMut() -> Option<T>) -> T {
    // By the clock, since a look may take long itself.
    let began = std::time::Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(began.elapsed() < PATIENCE, "it did not happen");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// The repository.
pub fn repo() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The binary that is tested: `SKILLHOST_BIN`, or the one cargo built beside this test.
///
/// # Panics
/// When it is not there: `cargo test --workspace` builds it.
pub fn binary() -> PathBuf {
    if let Some(path) = std::env::var_os("SKILLHOST_BIN") {
        return path.into();
    }
    let test = std::env::current_exe().expect("the test has a path");
    let profile = test.ancestors().nth(2).expect("target/<profile>/deps/<test>");
    let path = profile.join("skillhost");
    assert!(path.is_file(), "{} is missing: run `cargo build -p skillhost` first", path.display());
    path
}

/// A sample component: freshly built when `SKILLHOST_COMPONENTS` names a folder, else the committed one.
pub fn component(name: &str) -> Vec<u8> {
    let fresh = std::env::var_os("SKILLHOST_COMPONENTS").map(|dir| Path::new(&dir).join(name));
    let committed = ["plugins/dist", "tests/skills/dist"].map(|dir| repo().join(dir).join(name));
    let path = fresh.into_iter().chain(committed).find(|path| path.is_file());
    fs::read(path.unwrap_or_else(|| panic!("no component {name}: run `just plugins`"))).expect("readable")
}

/// A skills folder, a configuration and the binary.
pub struct Host {
    root: Arc<TempDir>,
    config: String,
    data: PathBuf,
    /// Where compiled code is shared.
    cache: Option<PathBuf>,
}

impl Drop for Host {
    fn drop(&mut self) {
        if let Some(cache) = &self.cache {
            link(&self.data.join("compiled"), cache);
        }
    }
}

/// Compiled code of `from` in `to` as well. Others may do the same at the same time.
fn link(from: &Path, to: &Path) {
    for engine in fs::read_dir(from).into_iter().flatten().flatten() {
        let to = to.join(engine.file_name());
        let made = DirBuilder::new().recursive(true).mode(0o700).create(&to);
        made.expect("a folder for compiled code");
        let mut files: Vec<_> = fs::read_dir(engine.path()).into_iter().flatten().flatten().collect();
        // Sums last: what has one is whole.
        files.sort_by_key(|file| file.path().extension().is_some_and(|extension| extension == "sum"));
        for file in files {
            let to = to.join(file.file_name());
            // There already, or half-made and gone by now.
            if fs::hard_link(file.path(), &to).is_err_and(|error| error.kind() == ErrorKind::CrossesDevices) {
                copy(&file.path(), &to);
            }
        }
    }
}

/// The same between disks. Whole at once, since others may look at the same time.
fn copy(from: &Path, to: &Path) {
    let copied = |part: &tempfile::NamedTempFile| fs::copy(from, part.path());
    let part =
        to.parent().filter(|_| !to.exists()).and_then(|folder| tempfile::NamedTempFile::new_in(folder).ok());
    if let Some(part) = part.filter(|part| copied(part).is_ok()) {
        let _ = part.persist_noclobber(to);
    }
}

impl Host {
    /// A host with an empty skills folder. Compiled code is shared between tests, under `cache`; all else is its own.
    pub fn new(cache: &str) -> Self {
        let root = Arc::new(tempfile::tempdir().expect("a folder"));
        fs::create_dir(root.path().join("skills")).expect("a skills folder");
        let (data, cache) = (root.path().join("state"), Path::new(cache).join("compiled"));
        link(&cache, &data.join("compiled"));
        Self { root, config: String::new(), data, cache: Some(cache) }
    }

    /// The same with the sample skills and `faulty`.
    pub fn with_samples(cache: &str) -> Self {
        let host = Self::new(cache);
        for name in ["text.wasm", "json.wasm", "faulty.wasm"] {
            host.put(name, &component(name));
        }
        host
    }

    /// Share nothing with other tests, not even compiled code.
    pub fn own_data(mut self) -> Self {
        self.cache = None;
        self.data = self.root.path().join("data");
        self
    }

    /// Add to the configuration.
    pub fn config(mut self, toml: &str) -> Self {
        self.config.push_str(toml);
        self.config.push('\n');
        self
    }

    /// The folder for everything of this host.
    pub fn root(&self) -> &Path {
        self.root.path()
    }

    /// The folder for state.
    pub fn data(&self) -> &Path {
        &self.data
    }

    /// A path in the skills folder.
    pub fn skill(&self, name: &str) -> PathBuf {
        self.root.path().join("skills").join(name)
    }

    /// Put a file into the skills folder at once, as a careful copy does.
    pub fn put(&self, name: &str, bytes: &[u8]) {
        let temporary = self.root.path().join(format!("{name}.part"));
        fs::write(&temporary, bytes).expect("written");
        fs::rename(temporary, self.skill(name)).expect("renamed");
    }

    /// The binary with these arguments, this host's folders, and no environment.
    pub fn command(&self, args: &[&str]) -> Command {
        let config = self.root.path().join("skillhost.toml");
        // A running host follows the file: written only when it is another.
        if fs::read_to_string(&config).ok().as_ref() != Some(&self.config) {
            fs::write(&config, &self.config).expect("written");
        }
        let mut command = Command::new(binary());
        command
            .args(args)
            .arg("--config")
            .arg(config)
            .arg("--skills")
            .arg(self.root.path().join("skills"))
            .arg("--data")
            .arg(&self.data)
            .env_clear()
            // A busy machine is no reason to list half of the skills.
            .env("SKILLHOST__SERVER__READY_WAIT", "60s")
            .current_dir(self.root.path());
        command
    }

    /// Run a command to its end.
    pub fn run(&self, args: &[&str]) -> Output {
        self.command(args).stdin(Stdio::null()).output().expect("runs")
    }

    /// Run a command that prints JSON.
    ///
    /// # Panics
    /// When it prints something else.
    pub fn json(&self, args: &[&str]) -> Value {
        let output = self.run(args);
        serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("no JSON: {output:?}"))
    }

    /// `skillhost call`, with the exit code.
    pub fn call(&self, tool: &str, args: &Value) -> (Value, Option<i32>) {
        let output = self.run(&["call", tool, "--args", &args.to_string(), "--json"]);
        let value = serde_json::from_slice(&output.stdout)
            .unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&output.stderr)));
        (value, output.status.code())
    }

    /// An MCP client over stdio.
    pub fn stdio(&self) -> Client {
        Client::start(self.command(&["stdio"]), Arc::clone(&self.root))
    }

    /// An MCP client over stdio whose log nobody reads: it goes into a pipe that soon is full.
    pub fn stdio_unread(&self) -> Client {
        let made =
            Command::new("mkfifo").arg(self.root.path().join("log")).status().expect("mkfifo is there");
        assert!(made.success());
        let plain = self.command(&["stdio"]);
        let mut command = Command::new("/bin/sh");
        // Opened for both, since whoever only writes waits for a reader.
        command.args(["-c", "exec \"$@\" 2<>log", "sh"]).arg(plain.get_program()).args(plain.get_args());
        command.env_clear().current_dir(self.root.path());
        Client::start(command, Arc::clone(&self.root))
    }

    /// The same of 2025-11-25, which can do this.
    pub fn stdio_with(&self, capabilities: Value) -> Client {
        Client::start_with(self.command(&["stdio"]), Arc::clone(&self.root), capabilities)
    }

    /// An MCP client of 2026-07-28 over stdio.
    pub fn modern(&self) -> Modern {
        Modern::stdio(self.silent(self.command(&["stdio"])))
    }

    /// A client over stdio of this command that says nothing by itself.
    pub fn silent(&self, command: Command) -> Client {
        Client::silent(command, Arc::clone(&self.root))
    }

    /// An MCP client over stdio of this command.
    pub fn client(&self, command: Command) -> Client {
        Client::start(command, Arc::clone(&self.root))
    }

    /// An HTTP server on a free port.
    pub fn serve(&self) -> Server {
        self.server(self.command(&["serve", "--listen", "127.0.0.1:0"]))
    }

    /// An HTTP server of this command.
    pub fn server(&self, command: Command) -> Server {
        Server::start(command, Arc::clone(&self.root))
    }

    /// State and reason of a skill, from `skillhost list --json`.
    pub fn state(&self, skill: &str) -> (String, String) {
        let list = self.json(&["list", "--json"]);
        let found = list["skills"].as_array().and_then(|all| all.iter().find(|one| one["name"] == skill));
        let found = found.unwrap_or_else(|| panic!("no skill {skill} in {list}"));
        let text = |key: &str| found[key].as_str().unwrap_or_default().to_owned();
        (text("state"), text("reason"))
    }
}
