//! The steps of a release, and where it is told to stop.
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use skillhost_sdk::{Failure, host};

#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Step {
    /// Reads the manifest and looks what is in the folder.
    Read,
    /// Checks the version.
    Version,
    /// Fetches the text of the release notes.
    Source,
    /// Writes the manifest.
    Manifest,
    /// Writes the release notes.
    Notes,
    /// Adds to the changelog.
    Changelog,
    /// Moves next.md.
    Details,
    /// Deletes next.lock.
    Lock,
    /// All is done.
    End,
}

impl Step {
    pub(crate) const ALL: [Self; 9] = [
        Self::Read,
        Self::Version,
        Self::Source,
        Self::Manifest,
        Self::Notes,
        Self::Changelog,
        Self::Details,
        Self::Lock,
        Self::End,
    ];

    /// As it stands in the arguments.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Version => "version",
            Self::Source => "source",
            Self::Manifest => "manifest",
            Self::Notes => "notes",
            Self::Changelog => "changelog",
            Self::Details => "details",
            Self::Lock => "lock",
            Self::End => "end",
        }
    }
}

/// How to stop.
#[derive(Debug, Default, Clone, Copy, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum How {
    /// Fail for good.
    #[default]
    Fail,
    /// Fail, and say that another attempt may help.
    Transient,
    /// Fail, and say that something is not as expected.
    Conflict,
    /// Crash.
    Trap,
    /// Never end.
    Hang,
}

pub(crate) struct Steps {
    pub(crate) stop_at: Option<Step>,
    pub(crate) how: How,
}

impl Steps {
    /// Announces a step; stops when it is the one to stop at.
    pub(crate) fn begin(&self, step: Step) -> Result<(), Failure> {
        host::progress(f64::from(step as u8 + 1), Some(Step::ALL.len() as f64), Some(step.name()));
        if self.stop_at != Some(step) {
            return Ok(());
        }
        let message = format!("stopped before the step `{}`, as asked", step.name());
        match self.how {
            How::Fail => Err(Failure::permanent(message)),
            How::Transient => Err(Failure::transient(message)),
            How::Conflict => Err(Failure::conflict(message)),
            How::Trap => panic!("{message}"),
            How::Hang => loop {
                std::thread::sleep(Duration::from_secs(60));
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_are_called_as_they_stand_in_the_arguments() {
        for (n, step) in Step::ALL.into_iter().enumerate() {
            assert_eq!(serde_json::to_string(&step).unwrap(), format!("{:?}", step.name()));
            assert_eq!(step as usize, n, "announced in this order");
        }
    }
}
