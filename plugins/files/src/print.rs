//! What is at a path, as far as undo must know it again.
use std::fmt;
use std::fs::{self, File};
use std::hash::{DefaultHasher, Hasher as _};
use std::io::{self, Read as _};
use std::path::Path;

use serde::{Deserialize, Serialize};
use skillhost_sdk::Failure;

use crate::roots::{failed, is_absent};
use crate::walk::entries;

/// Bytes of contents that are looked at, from the first on; beyond them lengths count. It bounds what moving a large
/// folder costs.
const CONTENTS: u64 = 64 << 20;
/// Entries of a folder that are looked at, with those below it.
const ENTRIES: usize = 10_000;

/// What is at a path.
///
/// Contents are known again by 64 bits of the standard library's hash. That is enough, since nobody gains by finding two
/// that are alike: all he could do is have his own change overwritten. And it may change from one version of the library
/// to the next, since an undo runs in the component that did the call.
///
/// In tokens it is a text such as `file 12 8f0c…`: of each place there is one, and code that reads texts is small.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub(crate) enum Print {
    Nothing,
    Folder,
    File {
        len: u64,
        hash: u64,
    },
    /// Without a target where that cannot be read: one that leads out of what was granted.
    Link(Option<String>),
    /// A socket, a device.
    Other,
}

impl Print {
    pub(crate) fn of(path: &Path) -> Result<Self, Failure> {
        look(path, &mut Digest::new()).map_err(|error| failed(path, &error))
    }

    /// That of a file with these contents.
    pub(crate) fn of_text(text: &str) -> Self {
        let mut digest = Digest::new();
        digest.update(text.as_bytes());
        Self::File { len: digest.len, hash: digest.finish() }
    }
}

impl From<Print> for String {
    fn from(print: Print) -> Self {
        match print {
            Print::Nothing => "nothing".into(),
            Print::Folder => "folder".into(),
            Print::File { len, hash } => format!("file {len} {hash:x}"),
            Print::Link(Some(target)) => format!("link {target}"),
            Print::Link(None) => "link".into(),
            Print::Other => "other".into(),
        }
    }
}

impl TryFrom<String> for Print {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let (kind, rest) = text.split_once(' ').map_or((&*text, None), |(kind, rest)| (kind, Some(rest)));
        Ok(match (kind, rest) {
            ("nothing", None) => Self::Nothing,
            ("folder", None) => Self::Folder,
            ("link", target) => Self::Link(target.map(str::to_owned)),
            ("other", None) => Self::Other,
            ("file", Some(numbers)) => {
                let numbers = numbers
                    .split_once(' ')
                    .and_then(|(len, hash)| Some((len.parse().ok()?, u64::from_str_radix(hash, 16).ok()?)));
                let (len, hash) = numbers.ok_or("a file without its numbers")?;
                Self::File { len, hash }
            }
            _ => return Err("what was there is not told"),
        })
    }
}

/// For people: what is there.
impl fmt::Display for Print {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nothing => f.write_str("nothing"),
            Self::Folder => f.write_str("a folder"),
            // Two files of one length must not read the same.
            Self::File { len, hash } => write!(f, "a file of {len} bytes ({hash:016x})"),
            Self::Link(Some(target)) => write!(f, "a link to `{target}`"),
            Self::Link(None) => f.write_str("a link that leads out of its folder"),
            Self::Other => f.write_str("neither file, folder nor link"),
        }
    }
}

/// What is at a path and, when it is a folder, below it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Tree {
    pub(crate) top: Print,
    pub(crate) below: u64,
}

impl Tree {
    pub(crate) fn of(path: &Path) -> Result<Self, Failure> {
        let fail = |error| failed(path, &error);
        let mut contents = Digest::new();
        let top = look(path, &mut contents).map_err(fail)?;
        let mut below = DefaultHasher::new();
        let mut folders = if top == Print::Folder { vec![path.to_owned()] } else { vec![] };
        let mut room = ENTRIES;
        while let Some(folder) = folders.pop() {
            // What cannot be looked into counts as empty: it is moved all the same.
            for entry in entries(&folder).unwrap_or_default() {
                if room == 0 {
                    return Ok(Self { top, below: below.finish() });
                }
                room -= 1;
                let print = look(&entry, &mut contents).unwrap_or(Print::Other);
                let is_folder = print == Print::Folder;
                below.write(entry.strip_prefix(path).unwrap_or(&entry).as_os_str().as_encoded_bytes());
                // Neither has it, so no two trees run together.
                below.write(&[0]);
                below.write(String::from(print).as_bytes());
                below.write(&[0]);
                if is_folder {
                    folders.push(entry);
                }
            }
        }
        Ok(Self { top, below: below.finish() })
    }
}

/// Contents on their way past, of one file after another.
pub(crate) struct Digest {
    hasher: DefaultHasher,
    len: u64,
    room: u64,
}

impl Digest {
    pub(crate) fn new() -> Self {
        Self { hasher: DefaultHasher::new(), len: 0, room: CONTENTS }
    }

    pub(crate) fn update(&mut self, bytes: &[u8]) {
        let looked_at = bytes.len().min(usize::try_from(self.room).unwrap_or(usize::MAX));
        self.hasher.write(&bytes[..looked_at]);
        self.room -= looked_at as u64;
        self.len += bytes.len() as u64;
    }

    pub(crate) fn len(&self) -> u64 {
        self.len
    }

    /// The hash of this file; the next begins anew.
    pub(crate) fn finish(&mut self) -> u64 {
        self.len = 0;
        std::mem::take(&mut self.hasher).finish()
    }
}

fn look(path: &Path, digest: &mut Digest) -> io::Result<Print> {
    let meta = match path.symlink_metadata() {
        Ok(meta) => meta,
        Err(error) if is_absent(&error) => return Ok(Print::Nothing),
        Err(error) => return Err(error),
    };
    let kind = meta.file_type();
    if kind.is_dir() {
        return Ok(Print::Folder);
    }
    if kind.is_symlink() {
        let target = fs::read_link(path).ok().and_then(|target| target.into_os_string().into_string().ok());
        return Ok(Print::Link(target));
    }
    if !kind.is_file() {
        return Ok(Print::Other);
    }
    let mut file = File::open(path)?.take(digest.room);
    let mut buffer = vec![0; 64 << 10];
    loop {
        match file.read(&mut buffer)? {
            0 => break,
            n => digest.update(&buffer[..n]),
        }
    }
    let len = meta.len().max(digest.len());
    Ok(Print::File { len, hash: digest.finish() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(path: &Path) -> Print {
        Print::of(path).unwrap()
    }

    #[test]
    fn contents_are_known_again_and_told_apart() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("a");
        assert_eq!(of(&path), Print::Nothing);
        for text in ["", "one", "two", &"x".repeat(200_000)] {
            fs::write(&path, text).unwrap();
            assert_eq!(of(&path), Print::of_text(text), "however it is read");
        }
        assert_ne!(Print::of_text("one"), Print::of_text("two"));
        assert_ne!(Print::of_text("one").to_string(), Print::of_text("two").to_string());
        assert_eq!(of(&path.join("below/a/file")), Print::Nothing);
        assert_eq!(of(&root.path().join("n".repeat(256))), Print::Nothing);
        assert_eq!(of(root.path()), Print::Folder);
        std::os::unix::fs::symlink("b", root.path().join("link")).unwrap();
        assert_eq!(of(&root.path().join("link")), Print::Link(Some("b".into())));
    }

    #[test]
    fn a_token_holds_them_as_texts() {
        let file = Print::File { len: 12, hash: 0xab };
        assert_eq!(String::from(file.clone()), "file 12 ab");
        let link = |target: &str| Print::Link(Some(target.into()));
        for print in [
            Print::Nothing,
            Print::Folder,
            file,
            Print::of_text("text"),
            link("a b"),
            link(""),
            Print::Link(None),
            Print::Other,
        ] {
            assert_eq!(Print::try_from(String::from(print.clone())), Ok(print));
        }
        for text in ["", "file", "file 1", "file x ab", "folder x", "Nothing"] {
            assert!(Print::try_from(text.to_owned()).is_err(), "{text}");
        }
    }

    #[test]
    fn a_tree_is_known_by_all_that_is_in_it() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("t");
        fs::create_dir_all(path.join("a/b")).unwrap();
        fs::write(path.join("a/x"), "1").unwrap();
        fs::write(path.join("y"), "2").unwrap();
        let before = Tree::of(&path).unwrap();
        let moved = root.path().join("elsewhere");
        fs::rename(&path, &moved).unwrap();
        assert_eq!(Tree::of(&moved).unwrap(), before, "wherever it is");
        let changes: [&dyn Fn(); 4] = [
            &|| fs::write(moved.join("a/x"), "3").unwrap(),
            &|| fs::rename(moved.join("y"), moved.join("z")).unwrap(),
            &|| fs::create_dir(moved.join("a/b/c")).unwrap(),
            &|| fs::remove_dir_all(moved.join("a")).unwrap(),
        ];
        let mut last = before;
        for change in changes {
            change();
            let now = Tree::of(&moved).unwrap();
            assert_ne!(now, last);
            last = now;
        }
    }

    #[test]
    fn a_part_of_what_is_large_is_enough() {
        let mut digest = Digest { room: 3, ..Digest::new() };
        digest.update(b"ab");
        digest.update(b"cd");
        assert_eq!((digest.len(), digest.room), (4, 0));
        let mut other = Digest { room: 3, ..Digest::new() };
        other.update(b"abcx");
        assert_eq!(digest.finish(), other.finish());
    }
}
