//! What the machine has left.

use std::{fs, path::Path};

/// Something of which there is only so much, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Room {
    pub(crate) total: u64,
    pub(crate) free: u64,
}

/// The disk under a folder.
pub(crate) fn disk(folder: &Path) -> Option<Room> {
    let stat = rustix::fs::statvfs(folder).ok()?;
    // What an ordinary user may still write.
    Some(Room {
        total: stat.f_blocks.saturating_mul(stat.f_frsize),
        free: stat.f_bavail.saturating_mul(stat.f_frsize),
    })
}

/// Memory: what the control group leaves, when that is less than what the machine does.
pub(crate) fn memory() -> Option<Room> {
    let machine = meminfo(&fs::read_to_string("/proc/meminfo").ok()?);
    let group = fs::read_to_string("/proc/self/cgroup")
        .ok()
        .and_then(|text| group(Path::new("/sys/fs/cgroup"), &text));
    [machine, group].into_iter().flatten().min_by_key(|room| room.free)
}

fn meminfo(text: &str) -> Option<Room> {
    let field = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
        line.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok()?.checked_mul(1024)
    };
    Some(Room { total: field("MemTotal")?, free: field("MemAvailable")? })
}

/// The narrowest limit of version 2 on the way up from the process's group.
fn group(root: &Path, groups: &str) -> Option<Room> {
    let own = groups.lines().find_map(|line| line.strip_prefix("0::/"))?;
    let start = root.join(own);
    let at = |folder: &Path| {
        let number = |name: &str| fs::read_to_string(folder.join(name)).ok()?.trim().parse::<u64>().ok();
        // No limit is the word `max`.
        let (total, used) = (number("memory.max")?, number("memory.current")?);
        let stat = fs::read_to_string(folder.join("memory.stat")).unwrap_or_default();
        let cached =
            stat.lines().find_map(|line| line.strip_prefix("inactive_file ")?.trim().parse::<u64>().ok());
        Some(Room { total, free: total.saturating_sub(used.saturating_sub(cached.unwrap_or(0))) })
    };
    start
        .ancestors()
        .take_while(|folder| folder.starts_with(root))
        .filter_map(at)
        .min_by_key(|room| room.free)
}

/// What the process takes.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Process {
    pub(crate) memory: u64,
    pub(crate) cpu_seconds: f64,
    pub(crate) files: u64,
    /// Seconds since 1970.
    pub(crate) started: f64,
}

pub(crate) fn process() -> Option<Process> {
    let stat = fs::read_to_string("/proc/self/stat").ok()?;
    let boot = fs::read_to_string("/proc/stat").ok()?;
    let boot: f64 = boot.lines().find_map(|line| line.strip_prefix("btime ")?.trim().parse().ok())?;
    // The name, in brackets, may hold anything.
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_ascii_whitespace().collect();
    let number = |nth: usize| fields.get(nth)?.parse::<f64>().ok();
    #[expect(clippy::cast_precision_loss, reason = "a hundred or so")]
    let ticks = rustix::param::clock_ticks_per_second() as f64;
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a count of pages")]
    let pages = number(21)? as u64;
    Some(Process {
        memory: pages.saturating_mul(rustix::param::page_size() as u64),
        cpu_seconds: (number(11)? + number(12)?) / ticks,
        files: fs::read_dir("/proc/self/fd").map_or(0, |all| all.count().saturating_sub(1) as u64),
        started: boot + number(19)? / ticks,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_tells_what_it_has() {
        let text = "MemTotal:       1000 kB\nMemFree:  1 kB\nMemAvailable:    250 kB\n";
        assert_eq!(meminfo(text), Some(Room { total: 1_024_000, free: 256_000 }));
        assert_eq!(meminfo("MemTotal: 1000 kB\n"), None);
    }

    #[test]
    fn the_narrowest_group_counts_and_its_cache_is_free() {
        let root = tempfile::tempdir().unwrap();
        let inner = root.path().join("pod/box");
        fs::create_dir_all(&inner).unwrap();
        let say = |folder: &Path, max: &str, current: &str, stat: &str| {
            fs::write(folder.join("memory.max"), max).unwrap();
            fs::write(folder.join("memory.current"), current).unwrap();
            fs::write(folder.join("memory.stat"), stat).unwrap();
        };
        say(&inner, "max\n", "10\n", "");
        assert_eq!(group(root.path(), "0::/pod/box\n"), None);
        say(&root.path().join("pod"), "1000\n", "900\n", "anon 1\ninactive_file 300\n");
        assert_eq!(group(root.path(), "0::/pod/box\n"), Some(Room { total: 1_000, free: 400 }));
        say(&inner, "500\n", "450\n", "");
        assert_eq!(group(root.path(), "0::/pod/box\n"), Some(Room { total: 500, free: 50 }));
        assert_eq!(group(root.path(), "4:memory:/pod/box\n"), None);
    }

    #[test]
    fn this_process_takes_something() {
        let process = process().unwrap();
        assert!(process.memory > 1 << 20 && process.files > 2 && process.started > 1.6e9, "{process:?}");
        assert!(disk(Path::new("/")).unwrap().total > 0 && memory().unwrap().total > 0);
    }
}
