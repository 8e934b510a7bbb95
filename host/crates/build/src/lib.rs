//! Builds components from source.
//!
//! [`Project::find`] tells the language of a folder; [`Project::build`] calls that language's own tools and makes a component of
//! what comes out. Nothing is installed: what is missing is named, with how to get it. [`contract`] is the WIT of
//! skills, for tools that are not called from here.
#![deny(missing_docs)]

mod c;
pub mod contract;
mod docs;
mod go;
mod js;
mod lift;
mod project;
mod python;
mod rust;
mod tools;

pub use lift::{check, lift};
pub use project::{Language, Project};
pub use tools::Stop;

use std::{io, path::PathBuf};

/// A component that was built.
#[derive(Debug)]
pub struct Built {
    /// What it is called where it comes from: the package, else the folder.
    pub name: String,
    /// Its bytes.
    pub component: Vec<u8>,
    /// With what it was built, for people.
    pub with: String,
}

/// Why there is no component.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// No language is known by what is in the folder.
    #[error(
        "{} holds nothing that can be built\n  hint: a folder is built that has a Cargo.toml, package.json, pyproject.toml, \
         app.py, go.mod, *.c or *.cpp", .0.display()
    )]
    Nothing(PathBuf),
    /// A tool, or a part of one, is not on this machine.
    #[error("{what} is missing on this machine\n  hint: {install}")]
    Missing {
        /// Which.
        what: &'static str,
        /// How to get it.
        install: String,
    },
    /// A tool ended with an error, which it told itself.
    #[error("{tool} failed ({how}); what it says above is the reason")]
    Tool {
        /// Which.
        tool: String,
        /// Its exit status.
        how: String,
    },
    /// The parts do not make a whole.
    #[error(
        "{tool} failed ({how}); what it says above is the reason\n  hint: the functions that wit/ exports are declared in {}; \
         each is to be written", .header.display()
    )]
    Linked {
        /// Which.
        tool: String,
        /// Its exit status.
        how: String,
        /// Where the functions are declared.
        header: PathBuf,
    },
    /// Somebody wanted it to end.
    #[error("the build was stopped")]
    Stopped,
    /// The project is not laid out so that it can become a component.
    #[error("{0}")]
    Project(String),
    /// The WIT of the project.
    #[error("the WIT in {} is not sound: {problem}", .path.display())]
    Wit {
        /// Where it is.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// A file is in the way.
    #[error("{} is there already, and says something else\n  hint: name another folder, or --force to write over it", .0.display())]
    Other(PathBuf),
    /// A file that was to be looked at.
    #[error("{} is no component: {problem}", .path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// What came out is no component, or none that can be used.
    #[error("what was built is no component: {0}")]
    Component(String),
    /// A file.
    #[error("{what}: {error}")]
    Io {
        /// What was to be done.
        what: String,
        /// Why it could not.
        error: io::Error,
    },
}

impl BuildError {
    fn io(what: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        |error| Self::Io { what: what.into(), error }
    }
}
