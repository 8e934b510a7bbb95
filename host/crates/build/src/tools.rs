//! Calling the tools of a language.

use std::{
    env,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use crate::BuildError;

/// The program of that name on the path.
pub(crate) fn on_path(name: &str) -> Option<PathBuf> {
    env::split_paths(&env::var_os("PATH")?).map(|dir| dir.join(name)).find(|file| file.is_file())
}

/// Run a tool to its end. What it says goes to stderr, stdout included.
pub(crate) fn run(command: &mut Command) -> Result<(), BuildError> {
    let tool = name(command);
    // Ours belongs to the result of the command; and nobody is asked anything.
    let status = command.stdin(Stdio::null()).stdout(stderr()).status().map_err(started(&tool))?;
    if status.success() { Ok(()) } else { Err(BuildError::Tool { tool, how: status.to_string() }) }
}

/// The first line that a tool writes to stdout; none when it fails.
pub(crate) fn asked(command: &mut Command) -> Option<String> {
    let output = command.stdin(Stdio::null()).stderr(Stdio::null()).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    output.status.success().then(|| text.lines().next().unwrap_or_default().to_owned())
}

pub(crate) fn started(tool: &str) -> impl FnOnce(std::io::Error) -> BuildError {
    BuildError::io(format!("cannot run {tool}"))
}

pub(crate) fn name(command: &Command) -> String {
    Path::new(command.get_program()).file_name().unwrap_or_default().to_string_lossy().into_owned()
}

fn stderr() -> Stdio {
    std::io::stderr().into()
}
