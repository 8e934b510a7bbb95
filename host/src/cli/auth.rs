//! `skillhost auth`

use std::{
    fs::OpenOptions,
    io::{Read as _, Seek as _, SeekFrom, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::Context as _;
use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use clap::{Args, Subcommand};
use serde_json::json;

use super::out;
use crate::transport::{TOKEN_LENGTH, token_line};

#[derive(Debug, Args)]
pub(super) struct Auth {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Make a bearer token for a caller. It is shown once; the file of `auth.tokens` holds its hash alone
    Token {
        /// Who will show it: what limits, keys and sagas are kept by, as `token:NAME`
        name: String,
        /// A scope it holds, of `[auth.scopes]`; may be said several times
        #[arg(long = "scope", value_name = "SCOPE")]
        scopes: Vec<String>,
        /// Add the line to this file instead of printing it. A host that reads it notices within a second
        #[arg(long, value_name = "FILE")]
        add: Option<PathBuf>,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
}

impl Auth {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        let Command::Token { name, scopes, add, json } = self.command;
        let mut random = [0; TOKEN_LENGTH];
        getrandom::fill(&mut random).map_err(|error| anyhow::anyhow!("no random numbers: {error}"))?;
        // The beginning tells scanners of published secrets what it is.
        let token = format!("skh_{}", BASE64_URL_SAFE_NO_PAD.encode(random));
        let line = token_line(&name, &token, &scopes)?;
        if let Some(file) = &add {
            append(file, &line).with_context(|| format!("the file {} cannot be written", file.display()))?;
        }
        if json {
            out::json(&json!({"token": token, "line": line, "added_to": add}))?;
        } else if add.is_some() {
            out::text(&format!("{token}\n"))?;
        } else {
            out::text(&format!(
                "token, shown this once:      {token}\nline for the tokens' file:   {line}\n"
            ))?;
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// A line of its own, whatever the file ends with.
fn append(file: &Path, line: &str) -> std::io::Result<()> {
    let mut file = OpenOptions::new().read(true).append(true).create(true).mode(0o600).open(file)?;
    let mut last = [b'\n'];
    if file.seek(SeekFrom::End(0))? > 0 {
        file.seek(SeekFrom::End(-1))?;
        file.read_exact(&mut last)?;
    }
    let gap = if last == [b'\n'] { "" } else { "\n" };
    file.write_all(format!("{gap}{line}\n").as_bytes())?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_stay_lines() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("tokens");
        append(&file, "a").unwrap();
        append(&file, "b").unwrap();
        std::fs::write(&file, "a\nb").unwrap();
        append(&file, "c").unwrap();
        assert_eq!(std::fs::read_to_string(&file).unwrap(), "a\nb\nc\n");
    }
}
