//! Compiling a component, in a child process that may take only so much time and memory.
//!
//! The child gets the component on stdin and writes the code to stdout, which is a file of the cache. It
//! knows no path and no environment of ours.

use std::{
    ffi::OsString,
    io::{self, Read as _, Write as _},
    path::PathBuf,
    process::Stdio,
    time::Duration,
};

use tempfile::NamedTempFile;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    process::Command,
};

use crate::config;

/// Largest component that is compiled, in bytes.
pub(crate) const MAX_COMPONENT: usize = 64 << 20;
/// Largest compiled code, in bytes.
const MAX_CODE: u64 = 1 << 30;
/// What is read of the child's stderr.
const MAX_MESSAGE: u64 = 4 << 10;

/// How components are compiled.
#[derive(Debug, Clone)]
pub enum Compiler {
    /// By `program args…`, which must call [`compile_one`].
    Child {
        /// The program, usually ourselves.
        program: PathBuf,
        /// What makes it compile.
        args: Vec<OsString>,
        /// How long one component may take.
        timeout: Duration,
        /// Bytes of memory the child may allocate.
        memory: u64,
    },
    /// In this process, unbounded. For tests of trusted components.
    InProcess,
}

/// Why there is no compiled code.
#[derive(Debug, thiserror::Error)]
pub enum CompileError {
    /// Over the bound.
    #[error("the file has {0} bytes; at most {MAX_COMPONENT} (64 MiB) are compiled")]
    TooLarge(u64),
    /// Too slow.
    #[error("compiling took longer than {} s (`compile_timeout`) and was ended", .0.as_secs_f32())]
    Timeout(Duration),
    /// Ended by a signal or the allocator.
    #[error("the compiler died ({how}); its bound is {} MiB of memory (`compile_memory`)", .memory >> 20)]
    Died {
        /// Exit status and what it said last.
        how: String,
        /// The bound in bytes.
        memory: u64,
    },
    /// The component is not valid.
    #[error("{0}")]
    Refused(String),
    /// The child could not be run.
    #[error("the compiler could not be run: {0}")]
    Io(#[from] io::Error),
}

/// Exit code of the child for a component that is refused.
const REFUSED: i32 = 3;

impl Compiler {
    /// Compile `component` into `out`.
    pub(crate) async fn compile(&self, component: &[u8], out: &NamedTempFile) -> Result<(), CompileError> {
        if component.len() > MAX_COMPONENT {
            return Err(CompileError::TooLarge(component.len() as u64));
        }
        match self {
            Self::InProcess => {
                let engine = wasmtime::Engine::new(&config::codegen()).map_err(refused)?;
                let code = engine.precompile_component(component).map_err(refused)?;
                Ok(out.as_file().write_all(&code)?)
            }
            Self::Child { program, args, timeout, memory } => {
                let mut child = Command::new(program);
                child
                    .args(args)
                    .arg(format!("--memory={memory}"))
                    .arg(format!("--seconds={}", timeout.as_secs().max(1)))
                    .env_clear()
                    .stdin(Stdio::piped())
                    .stdout(out.as_file().try_clone()?)
                    .stderr(Stdio::piped())
                    .kill_on_drop(true);
                match tokio::time::timeout(*timeout, run(child, component)).await {
                    Err(_) => Err(CompileError::Timeout(*timeout)),
                    Ok(Err(error)) => Err(CompileError::Io(error)),
                    Ok(Ok((status, _))) if status.success() => Ok(()),
                    Ok(Ok((status, message))) if status.code() == Some(REFUSED) => {
                        Err(CompileError::Refused(message))
                    }
                    Ok(Ok((status, message))) => Err(CompileError::Died {
                        how: [status.to_string(), message].join(": ").trim_end_matches([':', ' ']).into(),
                        memory: *memory,
                    }),
                }
            }
        }
    }
}

async fn run(mut command: Command, component: &[u8]) -> io::Result<(std::process::ExitStatus, String)> {
    let mut child = command.spawn()?;
    let mut stdin = child.stdin.take().expect("piped above");
    let stderr = child.stderr.take().expect("piped above");
    let feed = async {
        // A child that died does not read on; its exit status tells more than a broken pipe.
        let _ = stdin.write_all(component).await;
        drop(stdin);
    };
    let listen = async {
        let mut message = Vec::new();
        let mut stderr = stderr.take(MAX_MESSAGE);
        stderr.read_to_end(&mut message).await?;
        io::Result::Ok(String::from_utf8_lossy(&message).trim().to_owned())
    };
    let ((), message) = tokio::join!(feed, listen);
    Ok((child.wait().await?, message?))
}

fn refused(error: wasmtime::Error) -> CompileError {
    CompileError::Refused(one_line(&error))
}

/// The chain of an error without wasmtime's multi-line decoration.
fn one_line(error: &wasmtime::Error) -> String {
    let chain: Vec<_> = error.chain().map(|e| e.to_string().trim().replace('\n', " ")).collect();
    chain.join(": ")
}

/// The child's work: bound ourselves, read a component from `input`, write its code to `output`. Answers
/// the exit code of the process; the reason for another one than 0 goes to `errors`.
///
/// `memory` bounds what the process may allocate, in bytes; `seconds` its processor time per core.
pub fn compile_one(
    memory: u64,
    seconds: u64,
    input: impl io::Read,
    mut output: impl io::Write,
    mut errors: impl io::Write,
) -> i32 {
    let compile = || -> Result<Vec<u8>, String> {
        bound(memory, seconds).map_err(|e| format!("cannot bound the compiler: {e}"))?;
        let mut component = Vec::new();
        input.take(MAX_COMPONENT as u64 + 1).read_to_end(&mut component).map_err(|e| e.to_string())?;
        if component.len() > MAX_COMPONENT {
            return Err(CompileError::TooLarge(component.len() as u64).to_string());
        }
        let engine = wasmtime::Engine::new(&config::codegen()).map_err(|e| one_line(&e))?;
        engine.precompile_component(&component).map_err(|e| one_line(&e))
    };
    match compile().and_then(|code| output.write_all(&code).map_err(unwritten)) {
        Ok(()) => 0,
        Err(message) => {
            // Nobody may be listening any more; the exit code still tells.
            let _ = errors.write_all(message.as_bytes());
            REFUSED
        }
    }
}

fn unwritten(error: io::Error) -> String {
    format!("its compiled code cannot be written to the data folder: {error}")
}

fn bound(memory: u64, seconds: u64) -> io::Result<()> {
    use rustix::process::{Resource, Rlimit, setrlimit};
    let limit = |n| Rlimit { current: Some(n), maximum: Some(n) };
    let cores = std::thread::available_parallelism().map_or(1, |n| n.get() as u64);
    // Data, not address space: thread arenas reserve far more of that than they use.
    setrlimit(Resource::Data, limit(memory))?;
    setrlimit(Resource::Fsize, limit(MAX_CODE))?;
    setrlimit(Resource::Core, limit(0))?;
    // The parent keeps wall-clock time; this ends the child when the parent was killed.
    setrlimit(Resource::Cpu, limit(seconds.saturating_mul(cores)))?;
    Ok(())
}
