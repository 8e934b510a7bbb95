//! Calling the tools of a language.

use std::{
    env,
    ffi::OsStr,
    os::unix::process::CommandExt as _,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread,
    time::Duration,
};

use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process_group, waitid};

use crate::BuildError;

/// Makes a guest begin with so much room for its heap. One whose memory grows in a call costs more than twice as much: what has grown
/// is protected and given back again after each call, and that does not get faster with more cores.
pub(crate) const INITIAL_HEAP: &str = "--initial-heap=1048576";

/// The first version of LLVM whose linker knows it.
pub(crate) const INITIAL_HEAP_SINCE: u32 = 18;

/// The first number in a text, such as 19 in `wasm-ld-19` and in `19.1.7`.
pub(crate) fn first_number(text: &str) -> Option<u32> {
    let digits = text.trim_start_matches(|c: char| !c.is_ascii_digit());
    digits.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}

/// The program of that name on the path.
pub(crate) fn on_path(name: &str) -> Option<PathBuf> {
    env::split_paths(&env::var_os("PATH")?).map(|dir| dir.join(name)).find(|file| file.is_file())
}

/// The name of a project that says none itself.
pub(crate) fn folder_name(dir: &Path) -> String {
    dir.file_name().unwrap_or(OsStr::new("component")).to_string_lossy().into_owned()
}

/// Ends what a build runs, from elsewhere.
#[derive(Debug, Clone, Default)]
pub struct Stop(Arc<Mutex<Stage>>);

#[derive(Debug, Default)]
struct Stage {
    stopped: bool,
    /// The group of the tool and all that it started.
    running: Option<Pid>,
}

/// How long a tool may take to clean up.
const GRACE: Duration = Duration::from_millis(500);

impl Stop {
    /// The tool that runs is ended, with all that it started, and no other begins.
    pub fn stop(&self) {
        let mut stage = self.stage();
        stage.stopped = true;
        let Some(group) = stage.running else { return };
        // It may have ended by itself.
        let _ = kill_process_group(group, Signal::TERM);
        let this = self.clone();
        thread::spawn(move || {
            thread::sleep(GRACE);
            // No other has begun since.
            if let Some(group) = this.stage().running {
                let _ = kill_process_group(group, Signal::KILL);
            }
        });
    }

    /// Run a tool to its end. What it says goes to stderr, stdout included.
    pub(crate) fn run(&self, command: &mut Command) -> Result<(), BuildError> {
        // Ours belongs to the result of the command.
        self.start(command.stdout(stderr()))?.end()
    }

    /// Start a tool, which is then to be brought to its end.
    pub(crate) fn start(&self, command: &mut Command) -> Result<Running<'_>, BuildError> {
        let tool = name(command);
        let mut stage = self.stage();
        if stage.stopped {
            return Err(BuildError::Stopped);
        }
        // Nobody is asked anything.
        let child = command.stdin(Stdio::null()).process_group(0).spawn();
        let child = child.map_err(BuildError::io(format!("cannot run {tool}")))?;
        stage.running = Some(Pid::from_child(&child));
        Ok(Running { child, tool, stop: self })
    }

    fn stage(&self) -> MutexGuard<'_, Stage> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A tool that runs.
#[must_use = "it is waited for"]
pub(crate) struct Running<'a> {
    pub(crate) child: Child,
    pub(crate) tool: String,
    stop: &'a Stop,
}

impl Running<'_> {
    /// Wait for its end.
    pub(crate) fn end(self) -> Result<(), BuildError> {
        let Self { mut child, tool, stop } = self;
        // Until it is waited for nobody else has its number: before that it must not be ended any more.
        let _ = waitid(WaitId::Pid(Pid::from_child(&child)), WaitIdOptions::EXITED | WaitIdOptions::NOWAIT);
        {
            let mut stage = stop.stage();
            stage.running = None;
            if stage.stopped {
                // What it started need not have ended with it.
                let _ = kill_process_group(Pid::from_child(&child), Signal::KILL);
            }
        }
        let status = child.wait().map_err(BuildError::io(format!("cannot wait for {tool}")))?;
        match stop.stage().stopped {
            _ if status.success() => Ok(()),
            true => Err(BuildError::Stopped),
            false => Err(BuildError::Tool { tool, how: status.to_string() }),
        }
    }
}

/// The first line that a tool writes to stdout; none when it fails.
pub(crate) fn asked(command: &mut Command) -> Option<String> {
    let output = command.stdin(Stdio::null()).stderr(Stdio::null()).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    output.status.success().then(|| text.lines().next().unwrap_or_default().to_owned())
}

fn name(command: &Command) -> String {
    Path::new(command.get_program()).file_name().unwrap_or_default().to_string_lossy().into_owned()
}

fn stderr() -> Stdio {
    std::io::stderr().into()
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use super::*;

    #[test]
    fn what_runs_is_ended_with_all_that_it_started() {
        let stop = Stop::default();
        // The inner one outlives a shell that is ended alone, and holds the pipe open.
        let mut command = Command::new("sh");
        command.args(["-c", "sleep 1000 & echo started; wait"]).stdout(Stdio::piped());
        let mut running = stop.start(&mut command).unwrap();
        let mut said = running.child.stdout.take().unwrap();
        said.read_exact(&mut [0; 8]).unwrap();
        let other = stop.clone();
        thread::spawn(move || other.stop());
        assert_eq!(said.read_to_end(&mut vec![]).unwrap(), 0);
        assert!(matches!(running.end(), Err(BuildError::Stopped)));
        assert!(matches!(stop.run(&mut Command::new("true")), Err(BuildError::Stopped)));
    }

    #[test]
    fn what_does_not_want_to_end_is_ended_all_the_same() {
        let stop = Stop::default();
        let mut command = Command::new("sh");
        command
            .args(["-c", "trap '' TERM; echo started; while true; do sleep 1000; done"])
            .stdout(Stdio::piped());
        let mut running = stop.start(&mut command).unwrap();
        running.child.stdout.take().unwrap().read_exact(&mut [0; 8]).unwrap();
        stop.stop();
        assert!(matches!(running.end(), Err(BuildError::Stopped)));
    }

    #[test]
    fn a_tool_that_fails_is_named() {
        let stop = Stop::default();
        stop.run(&mut Command::new("true")).unwrap();
        let failed = stop.run(&mut Command::new("false")).unwrap_err();
        assert!(matches!(&failed, BuildError::Tool { tool, .. } if tool == "false"), "{failed}");
        let missing = stop.run(&mut Command::new("no-such-tool")).unwrap_err();
        assert!(missing.to_string().contains("cannot run no-such-tool"), "{missing}");
        // Its turn is over: there is nothing to end.
        stop.stop();
    }
}
