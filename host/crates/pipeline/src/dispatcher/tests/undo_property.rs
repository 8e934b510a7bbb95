//! Whatever tree of calls fails however, at whatever point it is cancelled, or its process dies: afterwards the world is as
//! before, or as committed; and what could not be taken back is named.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use skillhost_journal::{SagaFilter, SagaState, Sagas as _};

use super::{keeping::*, undoing::*, *};
use crate::Sagas;

/// What disturbs the call, at the event of this number.
#[derive(Debug, Clone, Copy)]
enum Disturbance {
    None,
    Cancel(usize),
    Kill(usize),
}

fn leaf() -> impl Strategy<Value = Node> {
    let end = prop_oneof![6 => Just(End::Fine), 1 => Just(End::Permanent), 1 => Just(End::Trap), 1 => Just(End::Hang)];
    let back =
        prop_oneof![6 => Just(Back::Fine), 2 => (1..3u32).prop_map(Back::Flaky), 1 => Just(Back::Stuck)];
    (0..4u8, 0..100u8, end, back, prop::bool::weighted(0.85)).prop_map(|(key, value, end, back, undoable)| {
        Node {
            undoable,
            reads: false,
            own: Some((format!("k{key}"), value.to_string())),
            calls: vec![],
            end,
            back: if undoable { back } else { Back::Fine },
        }
    })
}

fn tree() -> impl Strategy<Value = Node> {
    let inner = leaf().prop_recursive(3, 16, 4, |inner| {
        let calls = prop::collection::vec((inner, prop::bool::weighted(0.3)), 1..4);
        (leaf(), calls, any::<bool>(), any::<bool>()).prop_map(|(own, calls, has_own, reads)| Node {
            // One that cannot be taken back may as well be one that says it only reads.
            reads: reads && !own.undoable,
            // What is only a frame for others has no effect of its own.
            own: own.own.filter(|_| own.undoable && has_own),
            calls,
            ..own
        })
    });
    inner.prop_filter("a tree", |node| !node.calls.is_empty())
}

/// Give keys of their own to effects that stay whatever happens: others could not restore what was before them.
fn number(node: &mut Node, n: &mut u32) {
    *n += 1;
    if let Some((key, value)) = &mut node.own {
        // A value that no other call writes.
        *value = format!("v{n}");
        // So does who puts back its own before what it made others do is taken back.
        if !node.undoable || node.back == Back::Stuck || !node.calls.is_empty() {
            *key = format!("own{n}");
        }
    }
    for (child, _) in &mut node.calls {
        number(child, n);
    }
}

/// What should become of it, when nobody disturbs it: the effects that stand, in order, and whether it succeeds.
fn model(node: &Node, standing: &mut Vec<(String, String, bool)>) -> Result<(), bool> {
    let mine = standing.len();
    if let Some((key, value)) = &node.own {
        standing.push((key.clone(), value.clone(), node.undoable && node.back != Back::Stuck));
    }
    let mut ended = match node.end {
        End::Fine => Ok(()),
        End::Hang => Err(true),
        End::Permanent | End::Trap => Err(false),
    };
    for (child, ignore) in &node.calls {
        match model(child, standing) {
            // Nobody has time left.
            Err(true) => {
                ended = Err(true);
                break;
            }
            Err(false) if !ignore => {
                ended = Err(false);
                break;
            }
            _ => {}
        }
    }
    let by_its_word = node.end == End::Permanent && ended == Err(false) || {
        // A callee that failed fails it, by its word.
        ended == Err(false) && node.end != End::Trap
    };
    if ended.is_err() {
        let own = standing[mine..].first().cloned().filter(|_| node.own.is_some());
        let mut left: Vec<_> = standing.split_off(mine).into_iter().filter(|(_, _, back)| !back).collect();
        // Who says that nothing took effect has seen to it.
        if by_its_word && let Some(own) = own {
            left.retain(|effect| *effect != own);
        }
        standing.extend(left);
    }
    ended
}

fn keys(node: &Node, all: &mut BTreeMap<String, bool>) {
    if let Some((key, _)) = &node.own {
        all.insert(key.clone(), node.undoable && node.back != Back::Stuck);
    }
    node.calls.iter().for_each(|(child, _)| keys(child, all));
}

/// A node that a callee fails never gets to its own end: say so, for the model tells the two apart by the end alone. Answers
/// whether the node fails.
fn plain_ends(node: &mut Node) -> bool {
    let mut failed = false;
    for (child, ignore) in &mut node.calls {
        failed |= plain_ends(child) && !*ignore;
    }
    if failed && node.end == End::Trap {
        node.end = End::Fine;
    }
    failed || node.end != End::Fine
}

fn check(mut node: Node, disturbance: Disturbance) {
    plain_ends(&mut node);
    number(&mut node, &mut 0);
    let runtime = || {
        let mut builder = tokio::runtime::Builder::new_current_thread();
        builder.enable_all().start_paused(true).build().unwrap()
    };
    let before: BTreeMap<String, String> = [("k0".into(), "0".into()), ("k1".into(), "1".into())].into();
    let world = Shared::default();
    world.lock().unwrap().values = before.clone();
    let folder = Arc::new(tempfile::tempdir().unwrap());
    let first = runtime();
    let response = first.block_on(async {
        let bench = process(&world, Keeping::of(Arc::clone(&folder), patient));
        let cancel = CancellationToken::new();
        let stopped = {
            let mut world = world.lock().unwrap();
            match disturbance {
                Disturbance::None => {}
                Disturbance::Cancel(at) => {
                    let cancel = cancel.clone();
                    world.at = Some((at, Box::new(move || cancel.cancel())));
                }
                Disturbance::Kill(at) => world.stop_after = Some(at),
            }
            Arc::clone(&world.stopped)
        };
        let request = Request { cancel, ..request(&node.tool(0), node.arguments()) };
        let response = tokio::select! {
            response = bench.dispatcher.call(request) => Some(response),
            () = stopped.notified() => None,
        };
        if response.is_some() {
            bench.dispatcher.idle().await;
        }
        response
    });
    // With everything that it still does, as a kill ends it.
    first.shutdown_background();
    {
        let mut world = world.lock().unwrap();
        (world.stop_after, world.at) = (None, None);
    }
    runtime().block_on(async {
        let bench = process(&world, Keeping::of(Arc::clone(&folder), patient));
        let _worker = bench.work();
        let journal = &bench.keeping().journal;
        // Until nothing is left to be done.
        loop {
            tokio::time::sleep(Duration::from_secs(30)).await;
            let filter = SagaFilter { states: vec![SagaState::RollingBack], ..SagaFilter::default() };
            if journal.sagas(filter, None, 1).await.unwrap().is_empty() {
                break;
            }
        }
        let (values, events) = {
            let world = world.lock().unwrap();
            (world.values.clone(), world.events.clone())
        };
        let mut all = BTreeMap::new();
        keys(&node, &mut all);
        let undisturbed = response.is_some() && matches!(disturbance, Disturbance::None);
        let succeeded = response.as_ref().is_some_and(|response| response.result.is_ok());
        if undisturbed || succeeded {
            let mut standing = vec![];
            let ended = model(&node, &mut standing);
            assert_eq!(ended.is_ok(), succeeded, "{response:?}");
            let mut expected = before.clone();
            expected.extend(standing.into_iter().map(|(key, value, _)| (key, value)));
            assert_eq!(values, expected);
        } else {
            // What can be taken back was.
            for (key, back) in &all {
                if *back {
                    assert_eq!(values.get(key), before.get(key), "{key}");
                }
            }
        }
        // No effect was taken back twice, and none that was not there.
        let mut open: BTreeSet<(CallId, String)> = BTreeSet::new();
        for event in &events {
            match event {
                Event::Done(call, key) => assert!(open.insert((*call, key.clone())), "{event:?} twice"),
                Event::Undone(call, key) => assert!(open.remove(&(*call, key.clone())), "{event:?} twice"),
            }
        }
        if succeeded {
            return;
        }
        // Whatever stays is named.
        let Some(Event::Done(..)) = events.first() else { return };
        let sagas = Sagas::new(Arc::clone(&bench.keeping().recovery));
        let listed = journal.sagas(SagaFilter::default(), None, 100).await.unwrap();
        let mut named = BTreeSet::new();
        for saga in listed {
            let shown = sagas.show(saga.id).await.unwrap();
            named.extend(shown.steps.iter().filter(|step| step.stays()).map(|step| step.call.id));
        }
        for (call, key) in &open {
            assert!(named.contains(call), "{key} of {call} stays, and nobody says so: {named:?}");
        }
    });
}

fn disturbances() -> impl Strategy<Value = Disturbance> {
    prop_oneof![
        2 => Just(Disturbance::None),
        1 => (1..12usize).prop_map(Disturbance::Cancel),
        2 => (1..16usize).prop_map(Disturbance::Kill),
    ]
}

fn cases() -> u32 {
    if std::env::var_os("SKILLHOST_NIGHTLY").is_some() { 20_000 } else { 300 }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(cases()))]

    #[test]
    fn the_world_is_as_before_or_as_committed(node in tree(), disturbance in disturbances()) {
        check(node, disturbance);
    }
}
