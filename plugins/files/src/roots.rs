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
        ErrorKind::DirectoryNotEmpty => Failure::conflict(format_args!("the folder `{path}` is not empty")),
        ErrorKind::IsADirectory => Failure::invalid_input(format_args!("`{path}` is a folder")),
        ErrorKind::NotADirectory => Failure::invalid_input(format_args!("`{path}` is no folder")),
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => {
            Failure::transient(format_args!("there is no room for `{path}`: {error}"))
        }
        _ => Failure::permanent(format_args!("`{path}`: {error}")),
    }
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
