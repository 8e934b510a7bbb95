//! Asking the person at the terminal.

use std::io::{self, BufRead as _, IsTerminal as _, Write as _};

/// What somebody says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Answer {
    Yes,
    No,
    /// There is no terminal to ask at.
    Nobody,
}

/// Ask at the terminal, unless `yes` was said before. Only `y` and `yes` are a yes.
pub(super) async fn confirm(question: &str, yes: bool) -> anyhow::Result<Answer> {
    if yes {
        return Ok(Answer::Yes);
    }
    if !io::stdin().is_terminal() || !io::stderr().is_terminal() {
        return Ok(Answer::Nobody);
    }
    write!(io::stderr().lock(), "{question} [y/N] ")?;
    // Waits for a line on a thread of its own, so that a signal ends the command.
    let line = tokio::task::spawn_blocking(|| {
        let mut line = String::new();
        io::stdin().lock().read_line(&mut line).map(|_| line)
    });
    let line = line.await??;
    let said = line.trim().to_ascii_lowercase();
    Ok(if matches!(&*said, "y" | "yes") { Answer::Yes } else { Answer::No })
}
