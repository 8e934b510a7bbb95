//! Which language a folder is in.

use std::{
    ffi::{OsStr, OsString},
    fmt, fs,
    path::{Path, PathBuf},
};

use crate::{BuildError, Built, Stop, c, docs, go, js, lift, python, rust};

/// A language that compiles to components.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Language {
    /// A Cargo package.
    Rust,
    /// An npm package.
    JavaScript,
    /// An npm package with a tsconfig.json.
    TypeScript,
    /// A folder with pyproject.toml or app.py.
    Python,
    /// A Go module.
    Go,
    /// A folder with C++ files, and maybe some of C.
    Cpp,
    /// A folder with C files.
    C,
}

impl fmt::Display for Language {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Rust => "Rust",
            Self::JavaScript => "JavaScript",
            Self::TypeScript => "TypeScript",
            Self::Python => "Python",
            Self::Go => "Go",
            Self::C => "C",
            Self::Cpp => "C++",
        })
    }
}

/// A folder with the source of one component.
#[derive(Debug, Clone)]
pub struct Project {
    /// The folder, as an absolute path.
    pub dir: PathBuf,
    /// Its language.
    pub language: Language,
}

impl Project {
    /// Look what `dir` is. The files that a language's tools go by decide, in the order of [`Language`].
    ///
    /// # Errors
    /// When it cannot be read, or holds nothing that is known.
    pub fn find(dir: &Path) -> Result<Self, BuildError> {
        let dir = dir.canonicalize().map_err(BuildError::io(format!("cannot read {}", dir.display())))?;
        let there = |name: &str| dir.join(name).is_file();
        let language = if there("Cargo.toml") {
            Language::Rust
        } else if there("package.json") {
            if there("tsconfig.json") { Language::TypeScript } else { Language::JavaScript }
        } else if there("pyproject.toml") || there("app.py") {
            Language::Python
        } else if there("go.mod") {
            Language::Go
        } else if !sources(&[dir.clone(), dir.join("src")], &c::CPP)?.is_empty() {
            Language::Cpp
        } else if !sources(&[dir.clone(), dir.join("src")], &["c"])?.is_empty() {
            Language::C
        } else {
            return Err(BuildError::Nothing(dir));
        };
        Ok(Self { dir, language })
    }

    /// Build it, with `extra` arguments for the language's own tool. What the tools say goes to stderr. Blocks, at most until
    /// `stop` says so.
    ///
    /// # Errors
    /// [`BuildError`] says what to mend or to install.
    pub fn build(&self, extra: &[OsString], stop: &Stop) -> Result<Built, BuildError> {
        let mut built = match self.language {
            Language::Rust => rust::build(&self.dir, extra, stop),
            Language::C | Language::Cpp => c::build(&self.dir, self.language, extra, stop),
            Language::JavaScript | Language::TypeScript => js::build(&self.dir, self.language, extra, stop),
            Language::Python => python::build(&self.dir, extra, stop),
            Language::Go => go::build(&self.dir, extra, stop),
        }?;
        lift::check(&built.component)?;
        docs::keep(&mut built.component, &self.dir)?;
        Ok(built)
    }

    /// Names of folders within it that hold no source: what tools make, and what is not ours to look at.
    #[must_use]
    pub fn is_made(name: &OsStr) -> bool {
        const MADE: [&str; 9] =
            ["target", "dist", "build", "gen", "node_modules", "__pycache__", "venv", "env", "third_party"];
        name.to_str().is_none_or(|name| name.starts_with('.') || MADE.contains(&name))
    }
}

/// Source files in these folders, as far as they are there, in a stable order.
pub(crate) fn sources(folders: &[PathBuf], extensions: &[&str]) -> Result<Vec<PathBuf>, BuildError> {
    let mut found = vec![];
    for folder in folders {
        if !folder.is_dir() {
            continue;
        }
        let unreadable = || BuildError::io(format!("cannot read {}", folder.display()));
        for entry in fs::read_dir(folder).map_err(unreadable())? {
            let path = entry.map_err(unreadable())?.path();
            let named = path.extension().and_then(OsStr::to_str).is_some_and(|e| extensions.contains(&e));
            if named && path.is_file() {
                found.push(path);
            }
        }
    }
    found.sort();
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_files_tell_the_language() {
        for (files, language) in [
            (&["Cargo.toml", "package.json"][..], Language::Rust),
            (&["package.json", "helper.py"], Language::JavaScript),
            (&["package.json", "tsconfig.json"], Language::TypeScript),
            (&["pyproject.toml"], Language::Python),
            (&["app.py"], Language::Python),
            (&["go.mod", "main.c"], Language::Go),
            (&["a.c", "b.cpp"], Language::Cpp),
            (&["src/a.c"], Language::C),
            (&["a.cc"], Language::Cpp),
        ] {
            let dir = tempfile::tempdir().unwrap();
            fs::create_dir(dir.path().join("src")).unwrap();
            for file in files {
                fs::write(dir.path().join(file), "").unwrap();
            }
            assert_eq!(Project::find(dir.path()).unwrap().language, language, "{files:?}");
        }
    }

    #[test]
    fn what_is_nothing_is_said_to_be_nothing() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("README.md"), "").unwrap();
        fs::create_dir(dir.path().join("Cargo.toml")).unwrap();
        let error = Project::find(dir.path()).unwrap_err().to_string();
        assert!(error.contains("Cargo.toml") && error.contains("hint"), "{error}");
        assert!(matches!(Project::find(&dir.path().join("none")), Err(BuildError::Io { .. })));
    }
}
