//! `skillhost new`

mod files;

use std::{
    fs, io,
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::{Context as _, ensure};
use clap::{Args, ValueEnum};
use skillhost_core::SkillName;

use super::out;
use files::File;

#[derive(Debug, Args)]
#[command(after_help = "\
  skillhost new hello --lang ts                        a project in hello/
  cd hello && npm install && skillhost test            as its README.md says

What is there builds, has tests, and brings the helper for its language along: nothing of skillhost has to be had from a
registry.")]
pub(super) struct New {
    /// The skill's name
    #[arg(value_name = "NAME", value_parser = SkillName::new)]
    name: SkillName,
    /// Its language
    #[arg(long, short, value_enum)]
    lang: Lang,
    /// The folder for it [default: the name, in the current folder]
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
}

/// A language that there is a template for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Lang {
    /// JavaScript
    Js,
    /// TypeScript
    Ts,
    /// Python
    Python,
    /// Rust
    Rust,
    /// Go
    Go,
    /// C
    C,
    /// C++
    Cpp,
}

impl Lang {
    fn name(self) -> &'static str {
        match self {
            Self::Js => "JavaScript",
            Self::Ts => "TypeScript",
            Self::Python => "Python",
            Self::Rust => "Rust",
            Self::Go => "Go",
            Self::C => "C",
            Self::Cpp => "C++",
        }
    }

    /// What it takes before it can be built.
    fn before(self) -> Option<&'static str> {
        match self {
            Self::Js | Self::Ts => Some("npm install"),
            Self::Python => Some("python3 -m venv .venv && .venv/bin/pip install componentize-py==0.25.1"),
            Self::Rust | Self::Go | Self::C | Self::Cpp => None,
        }
    }
}

impl New {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        let dir = self.dir.unwrap_or_else(|| PathBuf::from(self.name.as_str()));
        write(&dir, &self.name, self.lang)?;
        let mut text = format!(
            "{} for a skill in {}; to try it out:\n\n  cd {}\n",
            dir.display(),
            self.lang.name(),
            dir.display()
        );
        for step in self.lang.before().into_iter().chain(["skillhost test", "skillhost dev"]) {
            text.push_str(&format!("  {step}\n"));
        }
        out::text(&text)?;
        Ok(ExitCode::SUCCESS)
    }
}

/// All of it or nothing: it is made beside, and moved.
fn write(dir: &Path, name: &SkillName, lang: Lang) -> anyhow::Result<()> {
    // It is built under its folder's name: nothing else in it says another.
    ensure!(
        !matches!(lang, Lang::C | Lang::Cpp) || dir.file_name().is_some_and(|folder| folder == name.as_str()),
        "a skill in {} is called as its folder is, and {} is not {name}\n  hint: let the last part of --dir be {name}",
        lang.name(),
        dir.display()
    );
    let taken = match fs::read_dir(dir) {
        Ok(mut entries) => entries.next().is_some(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => false,
        Err(error) => return Err(error).with_context(|| format!("cannot look into {}", dir.display())),
    };
    ensure!(
        !taken,
        "{} is there already, and not empty\n  hint: name another folder with --dir",
        dir.display()
    );
    let above = dir.parent().filter(|above| !above.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let cannot = || format!("cannot write into {}", above.display());
    fs::create_dir_all(above).with_context(cannot)?;
    let made = tempfile::Builder::new().prefix(".new-").tempdir_in(above).with_context(cannot)?;
    let root = made.path().join("project");
    for File { path, text } in files::of(lang) {
        let file = root.join(path);
        let text = text.replace("{{name}}", name.as_str()).replace("{{language}}", lang.name());
        fs::create_dir_all(file.parent().unwrap_or(&root))
            .and_then(|()| fs::write(&file, text))
            .with_context(cannot)?;
    }
    // An empty folder gives way.
    fs::rename(&root, dir).with_context(|| format!("cannot make {}", dir.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_project_is_whole_or_not_there() {
        let folder = tempfile::tempdir().unwrap();
        let name = SkillName::new("hello").unwrap();
        for lang in Lang::value_variants() {
            let dir = folder.path().join(lang.name()).join("hello");
            fs::create_dir_all(&dir).unwrap();
            write(&dir, &name, *lang).unwrap();
            for file in ["README.md", ".gitignore", "tests/greet.toml"] {
                let text = fs::read_to_string(dir.join(file)).unwrap();
                assert!(!text.contains("{{"), "{lang:?} {file}: {text}");
            }
            assert!(skillhost_build::Project::find(&dir).is_ok(), "{lang:?}");
            let again = write(&dir, &name, *lang).unwrap_err().to_string();
            assert!(again.contains("not empty") && again.contains("--dir"), "{again}");
        }
        let left = fs::read_dir(folder.path()).unwrap().count();
        assert_eq!(left, Lang::value_variants().len(), "nothing else is left");
        let other = write(&folder.path().join("other"), &name, Lang::C).unwrap_err().to_string();
        assert!(other.contains("hint") && !folder.path().join("other").exists(), "{other}");
    }
}
