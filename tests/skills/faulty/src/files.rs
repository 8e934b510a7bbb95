//! Reaches for files by WASI itself, since libc refuses many paths before the host sees them.

use std::collections::BTreeSet;

use skillhost_sdk::prelude::{Deserialize, JsonSchema, tool};
use wasip2::filesystem::{
    preopens::get_directories,
    types::{Descriptor, DescriptorFlags, ErrorCode, OpenFlags, PathFlags},
};

#[derive(Deserialize, JsonSchema)]
pub(crate) struct Reach {
    /// What to do.
    op: String,
    /// Where, within the first granted folder.
    path: String,
    /// The other path of those that take two; it comes first there.
    #[serde(default)]
    other: String,
    /// What to write.
    #[serde(default)]
    data: String,
    /// How often.
    #[serde(default)]
    n: usize,
}

/// Reaches for a file.
#[tool]
pub(crate) fn reach(args: Reach) -> String {
    let folders = get_directories();
    let Some((folder, _)) = folders.first() else { return "no folder".into() };
    match act(folder, &args) {
        Ok(text) => text,
        Err(code) => format!("refused: {}", code.name()),
    }
}

/// Names the granted folders.
#[tool]
pub(crate) fn folders() -> String {
    get_directories().iter().map(|(_, name)| name.as_str()).collect::<Vec<_>>().join(" ")
}

fn act(folder: &Descriptor, args: &Reach) -> Result<String, ErrorCode> {
    let Reach { path, other, .. } = args;
    match args.op.as_str() {
        "read" => read(folder, path),
        "write" => {
            let flags = OpenFlags::CREATE | OpenFlags::TRUNCATE;
            let file = folder.open_at(PathFlags::SYMLINK_FOLLOW, path, flags, DescriptorFlags::WRITE)?;
            file.write(args.data.as_bytes(), 0).map(|n| format!("wrote {n}"))
        }
        "stat" => folder.stat_at(PathFlags::SYMLINK_FOLLOW, path).map(|stat| format!("{:?}", stat.type_)),
        "list" => {
            let flags = OpenFlags::DIRECTORY;
            let folder = folder.open_at(PathFlags::SYMLINK_FOLLOW, path, flags, DescriptorFlags::READ)?;
            let entries = folder.read_directory()?;
            let mut names = vec![];
            while let Some(entry) = entries.read_directory_entry()? {
                names.push(entry.name);
            }
            Ok(names.join(" "))
        }
        "mkdir" => folder.create_directory_at(path).map(|()| "done".into()),
        "rmdir" => folder.remove_directory_at(path).map(|()| "done".into()),
        "unlink" => folder.unlink_file_at(path).map(|()| "done".into()),
        "readlink" => folder.readlink_at(path),
        "symlink" => folder.symlink_at(other, path).map(|()| "done".into()),
        "link" => folder.link_at(PathFlags::empty(), other, folder, path).map(|()| "done".into()),
        "rename" => folder.rename_at(other, folder, path).map(|()| "done".into()),
        "hoard" => Ok(hoard(folder, path, args.n)),
        "race" => Ok(race(folder, path, args.n)),
        other => Ok(format!("no such deed: {other}")),
    }
}

fn read(folder: &Descriptor, path: &str) -> Result<String, ErrorCode> {
    let file = folder.open_at(PathFlags::SYMLINK_FOLLOW, path, OpenFlags::empty(), DescriptorFlags::READ)?;
    let (bytes, _) = file.read(4096, 0)?;
    Ok(format!("read {}", String::from_utf8_lossy(&bytes)))
}

/// Opens the same file again and again, and keeps it.
fn hoard(folder: &Descriptor, path: &str, n: usize) -> String {
    let mut kept = vec![];
    for _ in 0..n {
        match folder.open_at(PathFlags::empty(), path, OpenFlags::empty(), DescriptorFlags::READ) {
            Ok(file) => kept.push(file),
            Err(code) => return format!("kept {}, then {}", kept.len(), code.name()),
        }
    }
    format!("kept {}", kept.len())
}

/// Reads the same path again and again, while somebody changes what lies there.
fn race(folder: &Descriptor, path: &str, n: usize) -> String {
    let mut seen = BTreeSet::new();
    for _ in 0..n {
        seen.insert(read(folder, path).unwrap_or_else(|code| code.name().to_owned()));
    }
    seen.into_iter().collect::<Vec<_>>().join("; ")
}
