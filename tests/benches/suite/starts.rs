//! (c) From the start of the process to the first list of tools, and (d) what skills and calls hold.

use std::{
    path::Path,
    process::Command,
    thread,
    time::{Duration, Instant},
};

use serde_json::json;

use crate::{
    client::{Memory, Pipes, Request, memory},
    hosts::{Serving, host_with},
    measure::{Variant, interleaved, median, of},
    report::Section,
};

/// Compiled code of all the skills.
const CACHE: &str = concat!(env!("CARGO_TARGET_TMPDIR"), "/bench-many");
/// Enough for the code of a thousand.
const CONFIG: &str = "[engine]\ncache_size = \"8 GiB\"\n";

/// `skills` of twenty tools each; a page has 500.
fn to_first_list(mut command: Command, skills: usize) -> f64 {
    command.env("SKILLHOST__SERVER__READY_WAIT", "10m");
    let began = Instant::now();
    let mut client = Pipes::start(command);
    let list = client.ask("tools/list", &json!({}));
    let took = began.elapsed().as_secs_f64() * 1e3;
    assert!(
        list["result"]["tools"].as_array().is_some_and(|tools| tools.len() >= (20 * skills).min(500)),
        "{list}"
    );
    took
}

pub(crate) fn cold(rounds: usize, most: usize) -> Section {
    let columns = ["cold, ms", "warm, ms"];
    let mut section =
        Section::new("c", "From the start to the first list of tools; 20 tools a skill", &columns);
    for skills in [1, 100, 1_000].into_iter().filter(|skills| *skills <= most) {
        // Each cold start compiles all: once is enough where it takes minutes.
        let times = if skills == 1 { rounds } else { 1 };
        let cold = median((0..times).map(|_| {
            let host = host_with(skills, None, CONFIG);
            to_first_list(host.command(&["stdio"]), skills)
        }));
        let host = host_with(skills, Some(Path::new(CACHE)), CONFIG);
        let _ = to_first_list(host.command(&["stdio"]), skills);
        let mut warm = [Variant::new("warm", || to_first_list(host.command(&["stdio"]), skills))];
        let warm = interleaved(rounds, &mut warm);
        section.row(format!("{skills} skills"), [Some(cold), of(&warm[0], |ms| *ms)]);
    }
    section.note("Cold: each component is compiled, in a process of its own, two at a time.");
    section
}

pub(crate) fn held(most: usize) -> Section {
    let columns = ["RSS, MiB", "KiB each", "own, KiB each"];
    let mut section = Section::new("d", "Memory: a skill that is not called, a call that runs", &columns);
    let serving = |skills| Serving::of(host_with(skills, Some(Path::new(CACHE)), CONFIG));
    let request = Request::new("bench_hold", json!({"n": 5_000}));
    let mut one = None;
    for skills in [1, 100, 1_000].into_iter().filter(|skills| *skills <= most) {
        let serving = serving(skills);
        let held = settled(&serving);
        let one = *one.get_or_insert(held);
        let each = |of: fn(Memory) -> f64| (skills > 1).then(|| (of(held) - of(one)) / (skills - 1) as f64);
        section.row(
            format!("{skills} skills, none called"),
            [Some(held.resident / 1024.0), each(|held| held.resident), each(|held| held.own)],
        );
    }
    let serving = serving(1);
    // Slots of the pool that were never used are not mapped.
    let before = settled(&serving);
    let calls = 32;
    let during = thread::scope(|scope| {
        scope.spawn(|| serving.target.load(&request, calls, Duration::from_millis(1)));
        thread::sleep(Duration::from_secs(2));
        memory(serving.target.pid)
    });
    let each = |of: fn(Memory) -> f64| Some((of(during) - of(before)) / calls as f64);
    section.row(
        format!("{calls} calls that wait"),
        [Some(during.resident / 1024.0), each(|held| held.resident), each(|held| held.own)],
    );
    section.note("Own: without the pages of files, such as compiled code, which the kernel takes back where they are needed.");
    section
}

/// Once its skills are loaded, and it has been called.
fn settled(serving: &Serving) -> Memory {
    serving.target.load(&Request::echo("bench_echo", "a"), 1, Duration::from_millis(200));
    memory(serving.target.pid)
}
