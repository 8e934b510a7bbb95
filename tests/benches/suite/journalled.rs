//! (f) Calls that are written down before they begin and after they end.

use std::{fs::File, io::Write as _, os::unix::fs::FileExt as _, time::Duration};

use crate::{
    client::Request,
    hosts::Serving,
    measure::{Load, Variant, interleaved, of, ratio},
    report::Section,
};

pub(crate) fn run(rounds: usize, time: Duration) -> Section {
    let columns = ["plain calls/s", "journalled calls/s", "ratio", "p50 µs", "times single commits"];
    let mut section =
        Section::new("f", "Journalled calls: an intent before, an outcome after, each on the disk", &columns);
    let serving = Serving::start("");
    let plain = Request::echo("bench_put", "a b");
    let keyed = Request::echo("bench_put", "a b").keyed();
    let folder = tempfile::tempdir_in(concat!(env!("CARGO_TARGET_TMPDIR"))).expect("a folder");
    let mut file = File::create(folder.path().join("synced")).expect("a file");
    file.write_all(&[0; 4096]).expect("written");
    for connections in [1, 8, 64] {
        let mut variants = [
            Variant::new("plain", || serving.target.load(&plain, connections, time)),
            Variant::new("journalled", || serving.target.load(&keyed, connections, time)),
            Variant::new("commits", || {
                Load::of(time / 2, || {
                    file.write_all_at(&[1; 4096], 0).expect("written");
                    file.sync_data().expect("synced");
                })
            }),
        ];
        let all = interleaved(rounds, &mut variants);
        section.row(
            format!("{connections} connections"),
            [
                of(&all[0], Load::per_second),
                of(&all[1], Load::per_second),
                ratio(&all[1], &all[0], Load::per_second),
                of(&all[1], |load| load.quantile(0.5)),
                ratio(&all[1], &all[2], Load::per_second),
            ],
        );
    }
    section.note("A single commit is one write of 4 KiB that is synced, on the same disk in the same round; a call needs two.");
    section
}
