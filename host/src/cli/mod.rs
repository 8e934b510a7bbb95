//! The command line: one file a subcommand.

mod add;
mod auth;
mod build;
mod call;
mod compile_one;
mod config;
mod confirm;
mod dev;
mod dlq;
mod explain;
mod health;
mod inspect;
mod list;
mod live;
mod log;
mod new;
mod out;
mod policies;
mod remove;
mod saga;
mod serve;
mod stdio;
mod test;
mod wit;

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Arc,
};

use anyhow::Context as _;
use clap::{Args, Parser, Subcommand};
use skillhost_telemetry::Telemetry;

use crate::{
    app::{App, clock},
    config::{ConfigError, DEFAULT_FILE, Raw, Settings, read, with_environment},
    reload::Reload,
};

/// The command could not do its work.
const FAILED: u8 = 1;
/// The command line or the configuration is wrong. clap uses the same.
const USAGE: u8 = 2;
/// The tool was called and answered with an error.
const TOOL_ERROR: u8 = 3;
/// The durable call goes on; its result is not known yet.
const ACCEPTED: u8 = 4;
/// A signal ended the command before it had done anything.
const INTERRUPTED: u8 = 130;

/// Run WebAssembly skills and offer their tools to AI agents over MCP.
///
/// A skill is a WebAssembly component, written in any language. Drop its .wasm file into the skills folder
/// and its tools appear, each call in a fresh sandbox under limits.
#[derive(Debug, Parser)]
#[command(
    version,
    max_term_width = 100,
    after_help = "\
Examples:
  skillhost serve                                      serve MCP at http://127.0.0.1:8000/mcp
  skillhost stdio --skills ./skills                    serve one MCP client over stdin and stdout
  skillhost list                                       what is in the skills folder, and its state
  skillhost inspect text                               tools, schemas, imports and limits of a skill
  skillhost add https://example.com/hello.wasm --sha256 DIGEST
  skillhost call text_word_count --args '{\"text\":\"a b\"}'
  skillhost build hello && skillhost test hello        from source to a component, and its cases
  skillhost dlq list --state parked                    calls that wait for somebody to judge them
  skillhost undo ID                                    take back what a call did

Exit codes: 0 done; 1 it could not be done; 2 wrong command line or configuration;
3 the tool answered with an error; 4 the durable call was accepted and goes on;
130 a signal ended it before it had done anything."
)]
pub(crate) struct Cli {
    #[command(subcommand)]
    command: Command,
    #[command(flatten)]
    common: Common,
}

/// Options of every command.
#[derive(Debug, Clone, Args)]
struct Common {
    /// Configuration file [default: skillhost.toml, if it is there]
    #[arg(long, global = true, env = "SKILLHOST_CONFIG", hide_env_values = true, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Folder with the skills' .wasm files [default: skills]
    #[arg(long, global = true, env = "SKILLHOST_SKILLS", hide_env_values = true, value_name = "DIR")]
    skills: Option<PathBuf>,
    /// Folder for the host's own state, such as compiled code [default: the XDG state folder]
    #[arg(long, global = true, env = "SKILLHOST_DATA", hide_env_values = true, value_name = "DIR")]
    data: Option<PathBuf>,
    /// What is logged to stderr: error, warn, info, debug, trace, or target=level pairs
    /// [default: info; warn for commands that end]
    #[arg(long, global = true, env = "SKILLHOST_LOG", hide_env_values = true, value_name = "LEVEL")]
    log: Option<String>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve MCP over HTTP
    Serve(serve::Serve),
    /// Serve one MCP client over stdin and stdout
    Stdio,
    /// Show the skills, their state and their tools
    List(list::List),
    /// Show what a skill offers, asks for and may use
    Inspect(inspect::Inspect),
    /// Install a skill from a file or an https URL, once you have seen what it asks for
    Add(add::Add),
    /// Remove a skill
    Remove(remove::Remove),
    /// Call a tool through the whole pipeline, without a client
    Call(call::Call),
    /// Begin a skill: a project that builds, with a test
    New(new::New),
    /// Build a skill from source, with the tools of its language
    Build(build::Build),
    /// Try a skill out: its cases, through the whole pipeline
    Test(test::Test),
    /// Build a skill, serve it, and do so again with each change of its source
    Dev(dev::Dev),
    /// Show the contract between skills and this host, or what a component imports and exports
    Wit(wit::Wit),
    /// Look after dead letters: calls that did not succeed and must not be lost
    Dlq(dlq::Dlq),
    /// Look after sagas: calls that are kept or taken back together
    Saga(saga::Saga),
    /// Take back what a call did
    Undo(saga::Undo),
    /// Tell whether the host that runs is well; for probes of containers, too
    Health(health::Health),
    /// Show or change what the host that runs logs
    Log(log::Log),
    /// Make tokens for callers over HTTP
    Auth(auth::Auth),
    /// Check or show the configuration
    Config(config::Config),
    /// Tell what a kind of failure means and what to do
    Explain(explain::Explain),
    /// Compile one component from stdin to stdout. The host runs this in a child process.
    #[command(hide = true)]
    CompileOne(compile_one::CompileOne),
}

/// Run a command and answer the exit code.
pub(crate) fn run(cli: Cli) -> ExitCode {
    let Cli { command, common } = cli;
    let settings = || common.settings();
    let result = match command {
        Command::Serve(command) => command.run(&common),
        Command::Stdio => stdio::run(&common),
        Command::List(command) => settings().and_then(|settings| command.run(&settings)),
        Command::Inspect(command) => settings().and_then(|settings| command.run(&settings)),
        Command::Add(command) => settings().and_then(|settings| command.run(&settings)),
        Command::Remove(command) => settings().and_then(|settings| command.run(&settings)),
        Command::Call(command) => command.run(&common),
        Command::New(command) => command.run(),
        Command::Build(command) => settings().and_then(|settings| command.run(&settings)),
        Command::Test(command) => command.run(&common),
        Command::Dev(command) => command.run(&common),
        Command::Wit(command) => command.run(),
        Command::Dlq(command) => settings().and_then(|settings| command.run(&settings)),
        Command::Saga(command) => settings().and_then(|settings| command.run(&settings)),
        Command::Undo(command) => settings().and_then(|settings| command.run(&settings)),
        Command::Health(command) => settings().and_then(|settings| command.run(&settings)),
        Command::Log(command) => settings().and_then(|settings| command.run(&settings)),
        Command::Config(command) => command.run(&common),
        Command::Explain(command) => command.run(),
        Command::Auth(command) => command.run(),
        Command::CompileOne(command) => return command.run(),
    };
    result.unwrap_or_else(|error| {
        // What was logged on the way comes first.
        skillhost_telemetry::flush(LAST_LINES);
        out::error(&error);
        ExitCode::from(if error.is::<ConfigError>() { USAGE } else { FAILED })
    })
}

impl Common {
    /// The configuration with the command line's words over it, unchecked.
    fn raw(&self) -> Result<Raw, ConfigError> {
        let mut raw = match &self.config {
            Some(file) => read(file)?,
            None if Path::new(DEFAULT_FILE).is_file() => read(Path::new(DEFAULT_FILE))?,
            None => Raw::default(),
        };
        raw = with_environment(raw)?;
        if let Some(skills) = &self.skills {
            raw.server.skills = Some(skills.clone());
        }
        if let Some(data) = &self.data {
            raw.server.data = Some(data.clone());
        }
        if let Some(level) = &self.log {
            raw.log.level = Some(level.clone());
        }
        Ok(raw)
    }

    /// Take over changes of the configuration file from now on. `raw` is what counts now.
    fn follow(&self, raw: Raw, app: &App) -> anyhow::Result<Option<Reload>> {
        let common = self.clone();
        Reload::start(
            raw,
            move || common.raw(),
            (Arc::clone(&app.directory), Arc::clone(&app.dispatcher), app.keeper()),
        )
        .context("the configuration file cannot be watched")
    }

    /// Checked settings of a command that ends, with logging started.
    fn settings(&self) -> anyhow::Result<Settings> {
        start(self.raw()?, Told::Trouble).map(|(settings, _)| settings)
    }
}

/// How long the log's last lines may take when the process ends at once.
const LAST_LINES: std::time::Duration = std::time::Duration::from_millis(100);

/// What a command tells of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Told {
    /// One that goes on: what happens, in the log, metrics and traces.
    Everything,
    /// One that ends and makes calls: what is wrong, and traces.
    Calls,
    /// One that ends: what is wrong.
    Trouble,
}

/// Checked settings, with telemetry started.
fn start(mut raw: Raw, told: Told) -> anyhow::Result<(Settings, Arc<Telemetry>)> {
    if told != Told::Everything {
        raw.log.level.get_or_insert_with(|| "warn".to_owned());
    }
    let settings = raw.check()?;
    let mut telemetry = settings.telemetry.clone();
    telemetry.metrics &= told == Told::Everything;
    if told == Told::Trouble {
        telemetry.otlp = None;
    }
    let telemetry = Telemetry::start(&telemetry, clock())?;
    Ok((settings, Arc::new(telemetry)))
}

/// A signal ended the command; what it had begun is gone.
fn interrupted() -> ExitCode {
    out::note("interrupted");
    ExitCode::from(INTERRUPTED)
}

/// Cancelled at the first SIGINT or SIGTERM; a second one ends the process at once. On a thread of its own: when no other
/// turns any more, it still must.
fn stop_on_signal() -> anyhow::Result<tokio_util::sync::CancellationToken> {
    use tokio::signal::unix::{SignalKind, signal};
    let stop = tokio_util::sync::CancellationToken::new();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
    let (mut interrupt, mut terminate, mut hangup) = {
        let _inside = runtime.enter();
        (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?, signal(SignalKind::hangup())?)
    };
    let token = stop.clone();
    let watch = async move {
        loop {
            let code = tokio::select! {
                Some(()) = interrupt.recv() => 130,
                Some(()) = terminate.recv() => 143,
                // The terminal is gone.
                Some(()) = hangup.recv() => 129,
            };
            if token.is_cancelled() {
                skillhost_telemetry::flush(LAST_LINES);
                std::process::exit(code);
            }
            tracing::info!("stopping; a second signal ends at once");
            token.cancel();
        }
    };
    std::thread::Builder::new().name("signals".into()).spawn(move || runtime.block_on(watch))?;
    Ok(stop)
}

#[cfg(test)]
mod tests;
