//! Compiling a component, in a child process that may take only so much time and memory.
//!
//! The child gets the component on stdin and writes the code to stdout. It knows no path and no environment
//! of ours, may write no file, and dies with its parent.

use std::{
    ffi::OsString,
    io::{self, Read as _},
    path::PathBuf,
    process::Stdio,
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    process::Command,
};

use crate::{Metering, config};

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
    /// More code than is kept.
    #[error("its compiled code has more than {} MiB", MAX_CODE >> 20)]
    TooMuchCode,
}

/// Exit code of the child for a component that is refused.
const REFUSED: i32 = 3;
/// Exit code of the child that ran out of memory, and was told so instead of being ended.
const OUT_OF_MEMORY: i32 = 4;

impl Compiler {
    /// The code of `component`.
    pub(crate) async fn compile(
        &self,
        component: &[u8],
        metering: Metering,
    ) -> Result<Vec<u8>, CompileError> {
        if component.len() > MAX_COMPONENT {
            return Err(CompileError::TooLarge(component.len() as u64));
        }
        match self {
            Self::InProcess => {
                let engine = wasmtime::Engine::new(&config::codegen(metering)).map_err(refused)?;
                engine.precompile_component(component).map_err(refused)
            }
            Self::Child { program, args, timeout, memory } => {
                let mut child = Command::new(program);
                child
                    .args(args)
                    .arg(format!("--memory={memory}"))
                    .arg(format!("--seconds={}", timeout.as_secs().max(1)))
                    .args((metering == Metering::Time).then_some("--unmetered"))
                    .env_clear()
                    .stdin(Stdio::piped())
                    .stdout(Stdio::piped())
                    .stderr(Stdio::piped())
                    .kill_on_drop(true);
                match tokio::time::timeout(*timeout, run(child, component)).await {
                    Err(_) => Err(CompileError::Timeout(*timeout)),
                    Ok(Err(error)) => Err(CompileError::Io(error)),
                    Ok(Ok(end)) if end.code.len() as u64 > MAX_CODE => Err(CompileError::TooMuchCode),
                    Ok(Ok(end)) if end.status.success() => Ok(end.code),
                    Ok(Ok(end)) if end.status.code() == Some(REFUSED) => {
                        Err(CompileError::Refused(end.message))
                    }
                    Ok(Ok(end)) => Err(CompileError::Died {
                        how: [end.status.to_string(), end.message]
                            .join(": ")
                            .trim_end_matches([':', ' '])
                            .into(),
                        memory: *memory,
                    }),
                }
            }
        }
    }
}

/// How the child ended.
struct End {
    status: std::process::ExitStatus,
    code: Vec<u8>,
    message: String,
}

async fn run(mut command: Command, component: &[u8]) -> io::Result<End> {
    let mut child = command.spawn()?;
    let mut stdin = child.stdin.take().expect("piped above");
    let stdout = child.stdout.take().expect("piped above");
    let stderr = child.stderr.take().expect("piped above");
    let feed = async {
        // A child that died does not read on; its exit status tells more than a broken pipe.
        let _ = stdin.write_all(component).await;
        drop(stdin);
    };
    let (mut code, mut message) = (Vec::new(), Vec::new());
    let (mut stdout, mut stderr) = (stdout.take(MAX_CODE + 1), stderr.take(MAX_MESSAGE));
    let ((), read, heard) =
        tokio::join!(feed, stdout.read_to_end(&mut code), stderr.read_to_end(&mut message));
    read.and(heard)?;
    // Not held open longer: a child with more to say must not wait for a reader.
    drop((stdout, stderr));
    let message = String::from_utf8_lossy(&message).trim().to_owned();
    Ok(End { status: child.wait().await?, code, message })
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
/// `memory` bounds what the process may allocate, in bytes; `seconds` its processor time per core; `metering`
/// is what the code counts.
pub fn compile_one(
    memory: u64,
    seconds: u64,
    metering: Metering,
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
        let engine = wasmtime::Engine::new(&config::codegen(metering)).map_err(|e| one_line(&e))?;
        engine.precompile_component(&component).map_err(|e| one_line(&e))
    };
    match compile()
        .and_then(|code| output.write_all(&code).and_then(|()| output.flush()).map_err(|e| e.to_string()))
    {
        Ok(()) => 0,
        Err(message) => {
            // Nobody may be listening any more; the exit code still tells.
            let _ = errors.write_all(message.as_bytes());
            // As wasmtime 48 and the standard library word an allocation that failed.
            if message.ends_with("out of memory") { OUT_OF_MEMORY } else { REFUSED }
        }
    }
}

fn bound(memory: u64, seconds: u64) -> io::Result<()> {
    use rustix::process::{Resource, Rlimit, setrlimit};
    let limit = |n| Rlimit { current: Some(n), maximum: Some(n) };
    let cores = std::thread::available_parallelism().map_or(1, |n| n.get() as u64);
    // The parent ends us when it ends itself. Where it was killed, Linux does; elsewhere the limit on processor time
    // does.
    #[cfg(target_os = "linux")]
    rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL))?;
    // Data, not address space: thread arenas reserve far more of that than they use.
    setrlimit(Resource::Data, limit(memory))?;
    setrlimit(Resource::Fsize, limit(0))?;
    setrlimit(Resource::Core, limit(0))?;
    // The parent keeps wall-clock time and ends us when it passes.
    setrlimit(Resource::Cpu, limit(seconds.saturating_mul(cores)))?;
    Ok(())
}
