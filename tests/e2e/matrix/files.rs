//! Ways out of a granted folder.

use std::{
    fs,
    os::unix::fs::{MetadataExt as _, symlink},
    path::Path,
    sync::atomic::{AtomicBool, Ordering},
    thread,
};

use serde_json::json;
use skillhost_e2e::Host;

use super::{Case, case, host, reach, run};

const DENIED: &str = "refused: not-permitted";

/// Everything that is tried from within `/data`. `OUT` stands for the folder outside.
pub(super) fn cases() -> Vec<Case> {
    let read = |path: &str, got| {
        case(format!("read `{}`", path.escape_debug()), "rw_reach", reach("read", path, json!({})), got)
    };
    let deed = |op: &str, path: &str, other: &str, got| {
        let tried =
            if other.is_empty() { format!("{op} `{path}`") } else { format!("{op} `{path}` from `{other}`") };
        case(tried, "rw_reach", reach(op, path, json!({"other": other, "data": "changed"})), got)
    };
    let mut cases: Vec<_> = [
        "../outside/secret.txt",
        "sub/../../outside/secret.txt",
        "./.././outside/secret.txt",
        "sub/./../../outside/secret.txt",
        "..//outside//secret.txt",
        "../../../../../../../../etc/passwd",
        "/etc/passwd",
        "/data/../outside/secret.txt",
        "//etc/passwd",
        "/proc/self/environ",
        "/dev/../etc/passwd",
        "to-file",
        "to-file-relative",
        "to-folder/secret.txt",
        "to-folder-relative/secret.txt",
        "to-parent/outside/secret.txt",
        "chain-1",
        "sub/../to-folder/secret.txt",
        "to-folder/../to-file",
        "to-proc",
    ]
    .into_iter()
    .map(|path| read(path, DENIED))
    .collect();
    cases.extend([
        read("loop", "refused: loop"),
        read("missing/../../outside/secret.txt", "refused: no-entry"),
        read("", "refused: no-entry"),
        read("inside.txt\0", "/path holds the control character U+0000; send it without [invalid-input]\nMend the arguments and call again."),
        read("..\\outside\\secret.txt", "refused: no-entry"),
        read("%2e%2e/outside/secret.txt", "refused: no-entry"),
        read("\u{2024}\u{2024}/outside/secret.txt", "refused: no-entry"),
        read("~/secret.txt", "refused: no-entry"),
        deed("list", "..", "", DENIED),
        deed("list", "to-folder", "", DENIED),
        deed("stat", "../outside/secret.txt", "", DENIED),
        deed("stat", "to-file", "", DENIED),
        deed("readlink", "../outside/link", "", DENIED),
        deed("write", "../outside/new.txt", "", DENIED),
        deed("write", "to-file", "", DENIED),
        deed("write", "to-folder/new.txt", "", DENIED),
        deed("write", "dangling", "", DENIED),
        deed("mkdir", "../outside/new", "", DENIED),
        deed("mkdir", "to-folder/new", "", DENIED),
        deed("rmdir", "../outside/empty", "", DENIED),
        deed("rmdir", "to-folder/empty", "", DENIED),
        deed("unlink", "../outside/secret.txt", "", DENIED),
        deed("unlink", "to-folder/secret.txt", "", DENIED),
        deed("rename", "../outside/stolen.txt", "inside.txt", DENIED),
        deed("rename", "taken.txt", "../outside/secret.txt", DENIED),
        deed("rename", "taken.txt", "to-folder/secret.txt", DENIED),
        deed("link", "hard", "../outside/secret.txt", DENIED),
        deed("link", "hard", "to-folder/secret.txt", DENIED),
        deed("symlink", "new-link", "/etc/passwd", DENIED),
        deed("symlink", "new-relative-link", "../outside/secret.txt", "done"),
        read("new-relative-link", DENIED),
        case(
            "keep 1,000 files open",
            "rw_reach",
            reach("hoard", "inside.txt", json!({"n": 1000})),
            "the skill held more than 256 things of the host's at once (`handles`) [out-of-memory]\nDo not retry with the same arguments; ask for less at once.",
        ),
        case(
            "write into a folder granted for reading",
            "ro_reach",
            reach("write", "inside.txt", json!({"data": "x"})),
            DENIED,
        ),
        case(
            "remove from a folder granted for reading",
            "ro_reach",
            reach("unlink", "inside.txt", json!({})),
            DENIED,
        ),
        case("read without any grant", "none_reach", reach("read", "inside.txt", json!({})), "no folder"),
    ]);
    cases
}

fn prepared() -> Host {
    let host = host(&["rw", "ro", "none"]);
    let root = host.root();
    for folder in ["inside/sub", "outside/empty"] {
        fs::create_dir_all(root.join(folder)).unwrap();
    }
    fs::write(root.join("inside/inside.txt"), "inside").unwrap();
    fs::write(root.join("outside/secret.txt"), "OUTSIDE").unwrap();
    symlink("secret.txt", root.join("outside/link")).unwrap();
    for (link, target) in [
        ("to-file", root.join("outside/secret.txt").as_path()),
        ("to-file-relative", Path::new("../outside/secret.txt")),
        ("to-folder", &root.join("outside")),
        ("to-folder-relative", Path::new("../outside")),
        ("to-parent", Path::new("..")),
        ("chain-1", Path::new("chain-2")),
        ("chain-2", Path::new("sub/../to-file-relative")),
        ("loop", Path::new("loop")),
        ("to-proc", Path::new("/proc/self/root/etc/passwd")),
        ("dangling", &root.join("outside/dangling.txt")),
    ] {
        symlink(target, root.join("inside").join(link)).unwrap();
    }
    let grant = |name: &str, access: &str| {
        let inside = root.join("inside");
        format!(
            "[skills.{name}.grants]\nfiles = [{{ host = {inside:?}, guest = \"/data\", access = \"{access}\" }}]"
        )
    };
    let (rw, ro) = (grant("rw", "rw"), grant("ro", "ro"));
    host.config(&rw).config(&ro)
}

/// Everything below `folder`, with what tells a change.
fn snapshot(folder: &Path) -> Vec<(String, u64, String)> {
    let mut all: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| {
            let path = entry.unwrap().path();
            let text = fs::read_to_string(&path).unwrap_or_default();
            (path.display().to_string(), fs::symlink_metadata(&path).unwrap().nlink(), text)
        })
        .collect();
    all.sort();
    all
}

#[test]
fn nothing_leads_out_of_a_granted_folder() {
    let host = prepared();
    let before = snapshot(&host.root().join("outside"));
    let mut client = host.stdio();
    // What was granted works, or nothing below would show anything.
    let result = client.call("rw_reach", reach("read", "inside.txt", json!({})));
    assert_eq!(result["content"][0]["text"], "read inside");
    assert_eq!(client.call("rw_folders", json!({}))["content"][0]["text"], "/data");
    let cases = cases();
    assert!(cases.len() >= 30);
    let wrong = run(&mut client, &cases);
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert_eq!(snapshot(&host.root().join("outside")), before);
}

#[test]
fn what_is_swapped_while_it_is_read_leads_nowhere() {
    let host = prepared();
    let inside = host.root().join("inside");
    let (folder, aside, link) = (inside.join("door"), inside.join("aside"), inside.join("trap"));
    fs::create_dir(&folder).unwrap();
    fs::write(folder.join("secret.txt"), "HARMLESS").unwrap();
    symlink("../outside", &link).unwrap();
    let stop = AtomicBool::new(false);
    let mut client = host.stdio();
    let seen = thread::scope(|scope| {
        scope.spawn(|| {
            // The door is a folder, then nothing, then a link that leads out, then nothing, and again.
            while !stop.load(Ordering::Relaxed) {
                fs::rename(&folder, &aside).unwrap();
                fs::rename(&link, &folder).unwrap();
                fs::rename(&folder, &link).unwrap();
                fs::rename(&aside, &folder).unwrap();
            }
        });
        let mut seen = String::new();
        // Until it was seen from both sides; the number of looks only decides how a failure looks.
        for _ in 0..50 {
            let result = client.call("rw_reach", reach("race", "door/secret.txt", json!({"n": 2000})));
            seen += result["content"][0]["text"].as_str().unwrap();
            if seen.contains("HARMLESS") && seen.contains("not-permitted") {
                break;
            }
        }
        stop.store(true, Ordering::Relaxed);
        seen
    });
    assert!(seen.contains("HARMLESS") && seen.contains("not-permitted"), "the race was not seen: {seen}");
    assert!(!seen.contains("OUTSIDE"), "{seen}");
}

#[test]
fn a_granted_folder_that_becomes_a_link_is_not_followed() {
    let host = prepared();
    let mut client = host.stdio();
    let read = |client: &mut skillhost_e2e::Client, path: &str| {
        client.call("rw_reach", reach("read", path, json!({})))["content"][0]["text"].take()
    };
    assert_eq!(read(&mut client, "inside.txt"), "read inside");
    fs::rename(host.root().join("inside"), host.root().join("moved")).unwrap();
    symlink("outside", host.root().join("inside")).unwrap();
    assert_eq!(read(&mut client, "secret.txt"), "no folder");
    client.wait_log("the folder is missed", |line| {
        line["message"].as_str().is_some_and(|text| text.contains("a granted folder cannot be opened"))
    });
    // Back in its place it counts again.
    fs::remove_file(host.root().join("inside")).unwrap();
    fs::rename(host.root().join("moved"), host.root().join("inside")).unwrap();
    assert_eq!(read(&mut client, "inside.txt"), "read inside");
}
