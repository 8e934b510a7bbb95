//! The granted folders, and paths within them.
use std::io::{Error, ErrorKind};
use std::path::{Component, Path, PathBuf};

use skillhost_sdk::Failure;

/// The granted folders, by the names the operator gave them.
#[cfg(target_family = "wasm")]
pub(crate) fn granted() -> Vec<PathBuf> {
    wasip2::filesystem::preopens::get_directories().into_iter().map(|(_, name)| PathBuf::from(name)).collect()
}

#[cfg(not(target_family = "wasm"))]
pub(crate) fn granted() -> Vec<PathBuf> {
    tests::ROOTS.with(|roots| roots.borrow().clone())
}

/// The file or folder that an agent means by `path`: absolute, or relative to the only granted folder.
pub(crate) fn resolve(path: &str) -> Result<PathBuf, Failure> {
    let granted = granted();
    let (Some(first), shown) = (granted.first(), shown(&granted)) else {
        return Err(Failure::permanent(
            "no folder was granted to this skill; its operator writes, for example, \
             files = [{ host = \"/srv/docs\", guest = \"/docs\", access = \"rw\" }] into [skills.files.grants]",
        ));
    };
    let asked = Path::new(path);
    let absolute = match asked.is_absolute() {
        true => asked.to_owned(),
        false if granted.len() == 1 => first.join(asked),
        false => {
            return Err(Failure::invalid_input(format_args!(
                "`{path}` must be absolute, as several folders are granted: {shown}"
            )));
        }
    };
    // By its words alone: what links do, the host judges.
    let mut plain = PathBuf::new();
    for part in absolute.components() {
        match part {
            Component::ParentDir => {
                plain.pop();
            }
            Component::CurDir => {}
            other => plain.push(other),
        }
    }
    if granted.iter().any(|root| plain.starts_with(root)) {
        return Ok(plain);
    }
    Err(Failure::permanent(format_args!("`{path}` is in no granted folder; there are {shown}")))
}

/// The same path without links on the way to it; it may be one itself. What a call changes, its undo must find even when
/// the call moved or deleted a link that its path led through.
pub(crate) fn real(path: &Path) -> Result<PathBuf, Failure> {
    let granted = granted();
    let roots = granted.iter().filter(|root| path.starts_with(root));
    let Some(root) = roots.max_by_key(|root| root.as_os_str().len()) else { return Ok(path.to_owned()) };
    let reversed = |path: &Path| path.iter().rev().map(ToOwned::to_owned).collect::<Vec<_>>();
    let mut rest = reversed(path.strip_prefix(root).unwrap_or(path));
    let (mut real, mut links) = (root.clone(), 0);
    while let Some(part) = rest.pop() {
        if part == ".." {
            if real == *root {
                return Err(failed(path, &ErrorKind::PermissionDenied.into()));
            }
            real.pop();
            continue;
        }
        real.push(part);
        if rest.is_empty() {
            break;
        }
        // One with an absolute target leads out, and what goes through it fails.
        if let Some(target) = real.read_link().ok().filter(|target| target.is_relative()) {
            links += 1;
            if links > 40 {
                return Err(Failure::permanent(format_args!(
                    "the links on the way to `{}` lead in a circle",
                    path.display()
                )));
            }
            real.pop();
            rest.extend(reversed(&target));
        }
    }
    Ok(real)
}

/// Whether `path` is a granted folder itself.
pub(crate) fn is_root(path: &Path) -> bool {
    granted().iter().any(|root| root == path)
}

pub(crate) fn shown(granted: &[PathBuf]) -> String {
    granted.iter().map(|root| root.display().to_string()).collect::<Vec<_>>().join(", ")
}

/// What went wrong with `path`, for an agent. Nothing took effect.
pub(crate) fn failed(path: &Path, error: &Error) -> Failure {
    let path = path.display();
    match error.kind() {
        ErrorKind::NotFound => Failure::permanent(format_args!("`{path}` is not there")),
        ErrorKind::PermissionDenied => Failure::permanent(format_args!(
            "`{path}` cannot be touched: its folder was granted for reading only, or it leads out of it"
        )),
        ErrorKind::AlreadyExists => Failure::conflict(format_args!("`{path}` is there already")),
        _ if is_not_empty(error) => Failure::conflict(format_args!("the folder `{path}` is not empty")),
        ErrorKind::IsADirectory => Failure::invalid_input(format_args!("`{path}` is a folder")),
        ErrorKind::NotADirectory => Failure::invalid_input(format_args!("`{path}` is no folder")),
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => {
            Failure::transient(format_args!("there is no room for `{path}`: {error}"))
        }
        _ => Failure::permanent(format_args!("`{path}`: {error}")),
    }
}

/// Whether nothing is there. Where nothing can be, nothing is.
pub(crate) fn is_absent(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory | ErrorKind::InvalidFilename)
}

/// Whether a folder could not be removed for what is in it.
pub(crate) fn is_not_empty(error: &Error) -> bool {
    // WASI's ENOTEMPTY, which the standard library does not know there.
    let on_wasi = cfg!(target_family = "wasm") && error.raw_os_error() == Some(55);
    on_wasi || error.kind() == ErrorKind::DirectoryNotEmpty
}

#[cfg(not(target_family = "wasm"))]
pub(crate) mod tests {
    use std::cell::RefCell;
    use std::path::PathBuf;

    thread_local! {
        pub(crate) static ROOTS: RefCell<Vec<PathBuf>> = const { RefCell::new(vec![]) };
    }

    /// A folder that is granted to this test.
    #[cfg(test)]
    pub(crate) fn granted() -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        ROOTS.with(|roots| *roots.borrow_mut() = vec![folder.path().to_owned()]);
        folder
    }

    #[cfg(test)]
    mod cases {
        use skillhost_sdk::Failure;

        use super::super::*;

        #[test]
        fn paths_are_within_a_granted_folder() {
            let root = super::granted();
            let of =
                |path: &str| resolve(path).map(|path| path.strip_prefix(root.path()).unwrap().to_owned());
            assert_eq!(of("a/./b/../c").unwrap(), Path::new("a/c"));
            assert_eq!(of(root.path().join("a").to_str().unwrap()).unwrap(), Path::new("a"));
            assert_eq!(of(".").unwrap(), Path::new(""));
            for outside in ["..", "a/../../b", "/etc/passwd"] {
                let message = of(outside).unwrap_err().to_string();
                assert!(message.contains("is in no granted folder"), "{message}");
            }
        }

        #[test]
        fn links_on_the_way_are_followed_and_the_last_is_not() {
            let root = super::granted();
            let link = |target: &str, path: &str| {
                std::os::unix::fs::symlink(target, root.path().join(path)).unwrap();
            };
            std::fs::create_dir_all(root.path().join("a/b")).unwrap();
            link("a/./b", "to_b");
            link("../to_b", "a/round");
            link("../..", "a/out");
            link("circle", "circle");
            let of = |path: &str| {
                real(&resolve(path)?).map(|path| path.strip_prefix(root.path()).unwrap().to_owned())
            };
            assert_eq!(of("to_b/x").unwrap(), Path::new("a/b/x"));
            assert_eq!(of("a/round/x").unwrap(), Path::new("a/b/x"));
            assert_eq!(of("a/round").unwrap(), Path::new("a/round"));
            assert_eq!(of("none/x").unwrap(), Path::new("none/x"));
            assert_eq!(of(".").unwrap(), Path::new(""));
            assert!(of("a/out/x").unwrap_err().to_string().contains("leads out of it"));
            assert!(of("circle/x").unwrap_err().to_string().contains("in a circle"));
        }

        #[test]
        fn without_a_grant_it_says_what_to_write() {
            super::ROOTS.with(|roots| roots.borrow_mut().clear());
            let Err(Failure::Permanent(message)) = resolve("a") else { panic!("not permanent") };
            assert!(message.contains("[skills.files.grants]"), "{message}");
        }

        #[test]
        fn with_several_folders_a_path_is_absolute() {
            super::ROOTS.with(|roots| *roots.borrow_mut() = vec!["/a".into(), "/b".into()]);
            assert!(matches!(resolve("x"), Err(Failure::InvalidInput(_))));
            assert_eq!(resolve("/b/x").unwrap(), Path::new("/b/x"));
            assert!(resolve("/ab/x").is_err());
        }
    }
}
