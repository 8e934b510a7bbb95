//! The process ends at every point of every commit while calls are made, fail and are taken back. The next one goes on, and
//! the world is as before, or as committed. The world is a file of its own.

use std::{collections::BTreeMap, fs::OpenOptions, io::Write as _, path::Path};

use skillhost_journal::{Phase, SagaFilter, SagaState, Sagas as _};

use super::{keeping::*, undoing::*, *};

/// Says in which folder, and at which point the process ends; 0: it only goes on with what was left.
const CHILD: &str = "SKILLHOST_UNDO_CRASH";

#[tokio::test]
async fn child() {
    let Ok(said) = std::env::var(CHILD) else { return };
    let (point, path) = said.split_once(' ').unwrap();
    let (point, path): (usize, _) = (point.parse().unwrap(), Path::new(path).to_owned());
    let points = AtomicUsize::new(0);
    let observer = move |_: Phase| {
        if points.fetch_add(1, Ordering::SeqCst) + 1 == point {
            std::process::abort();
        }
    };
    // It is removed by who made it.
    let folder = Arc::new(tempfile::Builder::new().disable_cleanup(true).tempdir_in(&path).unwrap());
    let world = Arc::new(Mutex::new(World::in_file(path.join("world"))));
    let keeping = Keeping::shared(&path, folder, Some(Arc::new(observer)));
    let bench = process(&world, keeping);
    if point == 0 {
        let _worker = bench.work();
        let rolling = || SagaFilter { states: vec![SagaState::RollingBack], ..SagaFilter::default() };
        for _ in 0..500 {
            tokio::time::sleep(Duration::from_millis(10)).await;
            let db = rusqlite::Connection::open(path.join("journal.sqlite")).unwrap();
            let runs: i64 =
                db.query_row("SELECT count(*) FROM calls WHERE state = 0", [], |row| row.get(0)).unwrap_or(0);
            if runs == 0 && bench.keeping().journal.sagas(rolling(), None, 1).await.unwrap().is_empty() {
                return;
            }
        }
        panic!("it does not come to rest");
    }
    let say = |line: &str| {
        let mut file = OpenOptions::new().append(true).create(true).open(path.join("answers")).unwrap();
        file.write_all(format!("{line}\n").as_bytes()).unwrap();
    };
    let part = Node { own: Some(("part".into(), "x".into())), ..Node::tree(vec![Node::put("b", "x")]) };
    let fails = Node::tree(vec![Node::put("a", "x"), part]).ending(End::Trap);
    bench.make(&fails).await.result.unwrap_err();
    let id = bench.make(&Node::tree(vec![Node::put("c", "x"), Node::put("d", "x")])).await.id;
    say("undo begins");
    bench.ask("undo_call", json!({"id": id.to_string()})).await;
    say("undo answered");
    let saga = bench.ask("saga_begin", json!({})).await["saga"].as_str().unwrap().to_owned();
    for key in ["s", "t"] {
        let node = Node::put(key, "x");
        let arguments = json!({"saga": saga, "tool": node.tool(0), "arguments": node.arguments()});
        bench.call_with("saga_call", arguments).await.result.unwrap();
    }
    say("rollback begins");
    bench.ask("saga_rollback", json!({"saga": saga})).await;
    say("rollback answered");
    bench.make(&Node::put("z", "x")).await.result.unwrap();
    say("done");
}

#[test]
fn whenever_it_ends_what_failed_is_taken_back() {
    let mut point = 0;
    loop {
        point += 1;
        let folder = tempfile::tempdir().unwrap();
        let aborted = crash::process("undo_crash", CHILD, folder.path(), point);
        assert!(!crash::process("undo_crash", CHILD, folder.path(), 0), "the next process goes on");
        let read = |name| std::fs::read_to_string(folder.path().join(name)).unwrap_or_default();
        let said = read("answers");
        let world: BTreeMap<String, String> = serde_json::from_str(&read("world")).unwrap_or_default();
        let has = |key: &str| world.contains_key(key);
        let has_said = |line: &str| said.lines().any(|said| said == line);
        // What failed leaves nothing.
        assert!(!has("a") && !has("part") && !has("b"), "{point}: {world:?}");
        // All of it or nothing.
        assert_eq!(has("c"), has("d"), "{point}: {world:?}");
        if has_said("undo begins") {
            assert!(!(has("c") && has_said("undo answered")), "{point}: {world:?}");
        }
        if has_said("rollback begins") {
            assert_eq!(has("s"), has("t"), "{point}: {world:?}");
            assert!(!(has("s") && has_said("rollback answered")), "{point}: {world:?}");
        }
        assert!(!has_said("done") || has("z"), "{point}: {world:?}");
        if !aborted {
            break;
        }
    }
    // A call has four, an undo as many, each nested one too.
    assert!(point > 60, "there were only {point} points");
}
