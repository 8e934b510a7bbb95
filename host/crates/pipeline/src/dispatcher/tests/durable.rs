//! Durable calls, and the worker that runs them again.

use skillhost_journal::{State, Step};

use super::{keeping::*, *};

/// Which call ran, and as which attempt.
type Runs = Arc<Mutex<Vec<(CallId, u32)>>>;

/// Fails as the script says, run by run; then succeeds with the number of the run.
fn failing(policies: Policies, kinds: &[FailureKind]) -> (Bench, Runs) {
    let runs = Arc::new(Mutex::new(vec![]));
    let (seen, kinds) = (Arc::clone(&runs), kinds.to_vec());
    let bench = kept_world(policies, Some(Keeping::new(|_, _| {})), move |call| {
        let mut seen = seen.lock().unwrap();
        let next = kinds.get(seen.len()).copied();
        seen.push((call.id, call.attempt));
        let n = seen.len();
        async move {
            match next {
                Some(kind) => Err(Failure::new(kind, "not yet")),
                None => Ok(text(&n.to_string())),
            }
        }
    });
    (bench, runs)
}

async fn after(seconds: u64) {
    tokio::time::sleep(Duration::from_secs(seconds)).await;
}

#[tokio::test(start_paused = true)]
async fn one_that_succeeds_answers_as_any_other() {
    let (bench, _) = failing(plainly(), &[]);
    let response = bench.dispatcher.call(durable("fake_run", json!({}))).await;
    assert_eq!((response.standing, response.attempts), (None, 1));
    assert_eq!(response.result.unwrap().content, [Block::text("1")]);
    assert_eq!(bench.status(response.id).await["state"], "done");
    assert!(bench.keeping().all().await.is_empty());
}

#[tokio::test(start_paused = true)]
async fn what_failed_without_an_effect_is_run_again_until_it_succeeds() {
    let (bench, runs) = failing(plainly(), &[FailureKind::Transient, FailureKind::Transient]);
    let _worker = bench.work();
    let response = bench.dispatcher.call(durable("fake_run", json!({"a": 1}))).await;
    let standing = response.standing.unwrap();
    assert_eq!((standing.state, standing.due_in), (State::Waiting, Some(Duration::from_secs(10))));
    let reply = response.result.unwrap();
    assert!(!reply.is_error);
    let Block { content: skillhost_core::Content::Text(told), .. } = &reply.content[0] else { panic!() };
    assert!(told.contains("Do not repeat it") && told.contains(&response.id.to_string()), "{told}");
    after(9).await;
    assert_eq!(bench.status(response.id).await["state"], "waiting");
    after(12).await;
    let status = bench.status(response.id).await;
    assert_eq!((&status["state"], &status["attempts"]), (&json!("recovered"), &json!(3)));
    // The same call to its skill, and to those it calls.
    assert_eq!(*runs.lock().unwrap(), [(response.id, 1), (response.id, 2), (response.id, 3)]);
    let history = bench.keeping().letters().show(response.id).await.unwrap().history;
    let steps: Vec<_> = history.iter().map(|event| event.step).collect();
    use Step::*;
    assert_eq!(steps, [Failed, Scheduled, Retried, Failed, Scheduled, Retried, Recovered]);
}

#[tokio::test(start_paused = true)]
async fn runs_have_an_end() {
    let (bench, runs) = failing(plainly(), &[FailureKind::Transient; 9]);
    let _worker = bench.work();
    let id = bench.dispatcher.call(durable("fake_run", json!({}))).await.id;
    after(600).await;
    let letter = bench.keeping().only().await;
    assert_eq!((letter.id, letter.state, letter.attempts), (id, State::Parked, 3));
    assert_eq!(runs.lock().unwrap().len(), 3);
    // By hand it has as many again.
    bench.keeping().letters().replay(id, Duration::ZERO, false, "me").await.unwrap();
    after(600).await;
    assert_eq!(bench.keeping().only().await.attempts, 6);
}

#[tokio::test(start_paused = true)]
async fn what_may_have_taken_effect_is_run_again_only_when_that_is_safe() {
    for kind in [FailureKind::Trap, FailureKind::OutOfFuel, FailureKind::InvalidOutput] {
        let (bench, runs) = failing(plainly(), &[kind]);
        let _worker = bench.work();
        let response = bench.dispatcher.call(durable("fake_run", json!({}))).await;
        assert_eq!(response.standing.as_ref().unwrap().word, "parked");
        assert_eq!(failed(response).kind, kind);
        after(600).await;
        assert_eq!(bench.keeping().only().await.state, State::Parked);
        assert_eq!(runs.lock().unwrap().len(), 1);

        let (bench, runs) = failing(plainly(), &[kind]);
        let _worker = bench.work();
        let response = bench.dispatcher.call(durable("fake_same", json!({}))).await;
        assert_eq!(response.standing.unwrap().word, "waiting");
        after(11).await;
        assert_eq!(bench.keeping().only().await.state, State::Done);
        assert_eq!(runs.lock().unwrap().len(), 2);
    }
}

#[tokio::test(start_paused = true)]
async fn a_refusal_spends_no_try() {
    let mut policies = plainly();
    let mut skill = (*policies.defaults).clone();
    skill.breaker = BreakerSettings {
        consecutive: Some(2),
        open: Duration::from_secs(25),
        jitter: 0.0,
        ..BreakerSettings::default()
    };
    policies.defaults = Arc::new(skill);
    let (bench, runs) = failing(policies, &[FailureKind::Transient; 2]);
    let _worker = bench.work();
    let id = bench.dispatcher.call(durable("fake_run", json!({}))).await.id;
    after(5).await;
    failed(bench.call("fake_run").await);
    // At 10 s the breaker is open, for 20 s more.
    after(6).await;
    let letter = bench.keeping().only().await;
    assert_eq!((letter.state, letter.attempts), (State::Waiting, 1));
    assert_eq!(letter.problem.unwrap().kind, "circuit-open");
    after(20).await;
    let status = bench.status(id).await;
    assert_eq!((&status["state"], &status["attempts"]), (&json!("recovered"), &json!(2)));
    assert_eq!(runs.lock().unwrap().len(), 3);
    let history = bench.keeping().letters().show(id).await.unwrap().history;
    assert!(history.iter().any(|event| event.step == Step::Refused));
}

#[tokio::test(start_paused = true)]
async fn patience_ends_and_the_call_goes_on() {
    let mut policies = plainly();
    let mut skill = (*policies.defaults).clone();
    let mut tool = (*skill.defaults).clone();
    tool.patience = Duration::from_secs(2);
    skill.defaults = Arc::new(tool);
    policies.defaults = Arc::new(skill);
    let bench = kept_world(policies, Some(Keeping::new(|_, _| {})), |_| async {
        tokio::time::sleep(Duration::from_secs(5)).await;
        Ok(text("late"))
    });
    let began = tokio::time::Instant::now();
    let response = bench.dispatcher.call(durable("fake_run", json!({}))).await;
    assert_eq!((began.elapsed(), bench.running()), (Duration::from_secs(2), 1));
    assert_eq!(response.standing.unwrap().word, "running");
    assert_eq!(bench.status(response.id).await["state"], "running");
    after(4).await;
    let status = bench.status(response.id).await;
    assert_eq!((&status["state"], &status["result"]["is_error"]), (&json!("done"), &json!(false)));
}

#[tokio::test(start_paused = true)]
async fn what_was_read_before_it_ended_is_not_kept_though_its_client_has_gone() {
    let mut policies = plainly();
    let mut skill = (*policies.defaults).clone();
    let mut tool = (*skill.defaults).clone();
    tool.patience = Duration::from_secs(2);
    tool.cache = Some(skillhost_policy::CachePolicy { ttl: Duration::from_secs(60), shared: true });
    skill.defaults = Arc::new(tool);
    policies.defaults = Arc::new(skill);
    let world = Arc::new(AtomicUsize::new(0));
    let seen = Arc::clone(&world);
    let bench = kept_world(policies, Some(Keeping::new(|_, _| {})), move |call| {
        let world = Arc::clone(&seen);
        async move {
            if &*call.tool == "run" {
                tokio::time::sleep(Duration::from_secs(5)).await;
                world.store(1, Ordering::SeqCst);
            }
            Ok(text(&world.load(Ordering::SeqCst).to_string()))
        }
    });
    assert_eq!(bench.dispatcher.call(durable("fake_run", json!({}))).await.standing.unwrap().word, "running");
    let read = async || bench.call("fake_read").await.result.unwrap().content;
    assert_eq!(read().await, [Block::text("0")]);
    after(4).await;
    assert_eq!(read().await, [Block::text("1")]);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_goes_away_does_not_end_it() {
    for cancelled in [false, true] {
        let bench = kept_world(plainly(), Some(Keeping::new(|_, _| {})), |_| async {
            tokio::time::sleep(Duration::from_secs(5)).await;
            Ok(text("done"))
        });
        let request = durable("fake_run", json!({}));
        let cancel = request.cancel.clone();
        let call = bench.spawn_request(request);
        bench.settle().await;
        if cancelled {
            cancel.cancel();
            assert_eq!(failed(call.await.unwrap()).kind, FailureKind::Cancelled);
        } else {
            call.abort();
        }
        bench.settle().await;
        assert_eq!(bench.running(), 1);
        after(6).await;
        assert_eq!(bench.running(), 0);
        assert_eq!((bench.keeping().rows(), bench.keeping().all().await.len()), (1, 0));
    }
}

#[tokio::test(start_paused = true)]
async fn wrong_arguments_are_the_callers_while_it_is_there() {
    let (bench, _) = failing(plainly(), &[FailureKind::InvalidInput, FailureKind::Permanent]);
    let first = bench.dispatcher.call(durable("fake_run", json!({}))).await;
    assert_eq!((first.standing.clone(), failed(first).kind), (None, FailureKind::InvalidInput));
    assert!(bench.keeping().all().await.is_empty());
    let second = bench.dispatcher.call(durable("fake_run", json!({}))).await;
    assert_eq!(second.standing.as_ref().unwrap().word, "parked");
    assert_eq!(failed(second).kind, FailureKind::Permanent);
}

#[tokio::test(start_paused = true)]
async fn it_is_durable_by_the_operators_word_and_by_the_tools() {
    let mut policies = plainly();
    let mut skill = (*policies.defaults).clone();
    let mut tool = (*skill.defaults).clone();
    tool.delivery = Some(skillhost_journal::Delivery::Durable);
    skill.defaults = Arc::new(tool);
    policies.defaults = Arc::new(skill);
    let (bench, _) = failing(policies, &[FailureKind::Transient]);
    assert_eq!(bench.call("fake_run").await.standing.unwrap().word, "waiting");

    let own = |policies| {
        let spec = ToolSpec {
            meta: Some(json!({"skillhost/delivery": "durable"}).as_object().unwrap().clone()),
            ..Arc::into_inner(spec(ANY, None)).unwrap()
        };
        kept(policies, Arc::new(spec), |_| Err(Failure::new(FailureKind::Transient, "")))
    };
    assert_eq!(own(plainly()).call("fake_run").await.standing.unwrap().word, "waiting");
    let mut policies = plainly();
    let mut skill = (*policies.defaults).clone();
    let mut tool = (*skill.defaults).clone();
    tool.delivery = Some(skillhost_journal::Delivery::Plain);
    skill.defaults = Arc::new(tool);
    policies.defaults = Arc::new(skill);
    assert_eq!(own(policies).call("fake_run").await.standing, None);
}

#[tokio::test(start_paused = true)]
async fn a_new_version_of_the_skill_runs_its_letters_at_once() {
    let mut policies = plainly();
    let mut skill = (*policies.defaults).clone();
    let mut tool = (*skill.defaults).clone();
    tool.redelivery.retry.delays = Delays::Listed(Arc::new([Duration::from_secs(3_600)]));
    skill.defaults = Arc::new(tool);
    policies.defaults = Arc::new(skill);
    let (bench, runs) = failing(policies, &[FailureKind::Trap]);
    let _worker = bench.work();
    let id = bench.dispatcher.call(durable("fake_same", json!({}))).await.id;
    after(60).await;
    assert_eq!(bench.status(id).await["state"], "waiting");
    let before = bench.dispatcher.catalog();
    let mut tools = before.tools.clone();
    for entry in tools.values_mut().filter(|entry| entry.skill.as_str() == "fake") {
        entry.loaded = 2;
        entry.digest = skillhost_core::Digest::of(b"mended");
    }
    let catalog = Catalog { tools, skills: before.skills.clone(), settled: true, ..Catalog::default() };
    bench.publish.send_replace(Arc::new(catalog));
    after(1).await;
    assert_eq!(bench.status(id).await["state"], "recovered");
    assert_eq!(runs.lock().unwrap().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn only_so_many_letters_run_at_once() {
    let keeping = Keeping::new(|settings, _| settings.concurrency = 2);
    let (most, down) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(true)));
    let (seen, is_down) = (Arc::clone(&most), Arc::clone(&down));
    let running = Arc::new(AtomicUsize::new(0));
    let bench = kept_world(plainly(), Some(keeping), move |_| {
        let (seen, running, down) = (Arc::clone(&seen), Arc::clone(&running), is_down.load(Ordering::SeqCst));
        async move {
            if down {
                return Err(Failure::new(FailureKind::Transient, "down"));
            }
            seen.fetch_max(running.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            tokio::time::sleep(Duration::from_secs(3)).await;
            running.fetch_sub(1, Ordering::SeqCst);
            Ok(text("ok"))
        }
    });
    let _worker = bench.work();
    for n in 0..7 {
        bench.dispatcher.call(durable("fake_run", json!({"n": n}))).await.result.unwrap();
    }
    down.store(false, Ordering::SeqCst);
    after(60).await;
    assert_eq!(most.load(Ordering::SeqCst), 2);
    assert!(bench.keeping().all().await.iter().all(|letter| letter.state == State::Done));
}

#[tokio::test(start_paused = true)]
async fn a_full_queue_refuses_new_ones() {
    let keeping = Keeping::new(|_, bounds| bounds.capacity = 2);
    let bench = kept_world(plainly(), Some(keeping), |_| async { Err(Failure::new(FailureKind::Trap, "")) });
    for _ in 0..2 {
        bench.dispatcher.call(durable("fake_run", json!({}))).await;
    }
    let third = bench.dispatcher.call(durable("fake_run", json!({}))).await;
    assert_eq!(third.attempts, 0);
    assert_eq!(failed(third).kind, FailureKind::Overloaded);
    // Others go on, and what they leave behind is never dropped.
    assert_eq!(bench.call("fake_run").await.standing.unwrap().word, "parked");
    assert_eq!(bench.keeping().all().await.len(), 3);
}

#[tokio::test(start_paused = true)]
async fn another_process_takes_over_what_a_dead_one_left() {
    let folder = Arc::new(tempfile::tempdir().unwrap());
    let hang = |_| async {
        tokio::time::sleep(Duration::from_secs(3_600)).await;
        Ok(text("never"))
    };
    let dead = kept_world(plainly(), Some(Keeping::of(Arc::clone(&folder), |_, _| {})), hang);
    let before = dead.dispatcher.catalog();
    let mut tools = before.tools.clone();
    tools.values_mut().for_each(|entry| entry.timeout = Duration::from_secs(7_200));
    let catalog = Catalog { tools, skills: before.skills.clone(), settled: true, ..Catalog::default() };
    dead.publish.send_replace(Arc::new(catalog));
    let mut ids = vec![];
    for tool in ["fake_run", "fake_same"] {
        let call = dead.spawn_request(durable(tool, json!({})));
        dead.settle().await;
        call.abort();
    }
    for (tool, key) in [("fake_run", "k"), ("fake_same", "k")] {
        let call = dead.spawn_request(keyed(tool, json!({}), key));
        dead.settle().await;
        // Its task goes with the process, so it must not end with its client.
        std::mem::forget(call);
    }
    {
        let db = rusqlite::Connection::open(folder.path().join("journal.sqlite")).unwrap();
        let mut rows = db.prepare("SELECT id FROM calls WHERE state = 0 ORDER BY seq").unwrap();
        let rows = rows.query_map([], |row| row.get::<_, [u8; 16]>(0)).unwrap();
        ids.extend(rows.map(|id| CallId::from_bytes(id.unwrap())));
    }
    assert_eq!(ids.len(), 4);
    let alive = kept_world(plainly(), Some(Keeping::of(Arc::clone(&folder), |_, _| {})), |_| async {
        Ok(text("at last"))
    });
    let _worker = alive.work();
    after(60).await;
    // Its lock is held: it lives.
    for id in &ids {
        assert_eq!(alive.status(*id).await["state"], "running");
    }
    for lock in std::fs::read_dir(folder.path().join("run")).unwrap() {
        let lock = lock.unwrap();
        // As when the process dies: the one of the first journal.
        let db = rusqlite::Connection::open(folder.path().join("journal.sqlite")).unwrap();
        let first: String =
            db.query_row("SELECT lock FROM owners ORDER BY number LIMIT 1", [], |row| row.get(0)).unwrap();
        if lock.file_name().to_str() == Some(&first) {
            std::fs::remove_file(lock.path()).unwrap();
        }
    }
    after(60).await;
    let states: Vec<_> = {
        let mut states = vec![];
        for id in &ids {
            states.push(alive.status(*id).await["state"].as_str().unwrap().to_owned());
        }
        states
    };
    // Durable; durable and safe; keyed, which somebody must judge; keyed and safe, which is only known.
    assert_eq!(states, ["parked", "recovered", "parked", "unknown"]);
}

#[tokio::test(start_paused = true)]
async fn a_panic_is_the_end_of_one_run() {
    let bench = kept_world(plainly(), Some(Keeping::new(|_, _| {})), |_| async { panic!("of ours") });
    let response = bench.dispatcher.call(durable("fake_run", json!({}))).await;
    assert_eq!(response.standing.as_ref().unwrap().word, "parked");
    assert_eq!(failed(response).kind, FailureKind::Internal);
    assert_eq!(bench.running(), 0);
}

#[tokio::test(start_paused = true)]
async fn plain_calls_that_nobody_can_judge_leave_a_letter() {
    let trap = || {
        kept_world(plainly(), Some(Keeping::new(|_, _| {})), |_| async {
            Err(Failure::new(FailureKind::Trap, ""))
        })
    };
    let bench = trap();
    let response = bench.call("fake_run").await;
    assert_eq!(response.standing.as_ref().unwrap().word, "parked");
    let letter = bench.keeping().only().await;
    assert_eq!((letter.id, letter.state), (response.id, State::Parked));
    assert!(letter.problem.unwrap().unknown_effect);
    bench.call("fake_same").await;
    bench.call("fake_read").await;
    assert_eq!(bench.keeping().all().await.len(), 1);
    // Switched off.
    let keeping = Keeping::new(|settings, _| settings.park_unknown = false);
    let bench = kept_world(plainly(), Some(keeping), |_| async { Err(Failure::new(FailureKind::Trap, "")) });
    assert_eq!(bench.call("fake_run").await.standing, None);
    assert!(bench.keeping().all().await.is_empty());
    // The journal cannot be written: the answer is the same but for the letter.
    let bench = trap();
    bench.keeping().journal.ailing.store(true, Ordering::SeqCst);
    let response = bench.call("fake_run").await;
    assert_eq!((response.standing.clone(), failed(response).kind), (None, FailureKind::Trap));
}

#[tokio::test(start_paused = true)]
async fn a_plain_call_that_is_dropped_half_way_leaves_a_letter() {
    let bench = kept_world(plainly(), Some(Keeping::new(|_, _| {})), |_| async {
        tokio::time::sleep(Duration::from_secs(5)).await;
        Ok(text("late"))
    });
    for tool in ["fake_run", "fake_same"] {
        let call = bench.spawn(tool);
        bench.settle().await;
        call.abort();
        bench.settle().await;
    }
    assert_eq!(bench.running(), 0);
    let letter = bench.keeping().only().await;
    assert_eq!((&*letter.tool, letter.state), ("fake_run", State::Parked));
    // One that was done before its client went is none.
    bench.call("fake_run").await.result.unwrap();
    assert_eq!(bench.keeping().all().await.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn what_its_callees_changed_is_not_done_twice() {
    let changes = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&changes);
    let bench = kept_world(plainly(), Some(Keeping::new(|_, _| {})), move |call| {
        let count = Arc::clone(&count);
        async move {
            if call.depth > 0 {
                count.fetch_add(1, Ordering::SeqCst);
                return Ok(text("changed"));
            }
            let tools = Arc::clone(&call.tools);
            tools.call_tool(call, "other_run".into(), None).await.unwrap();
            Err(Failure::new(FailureKind::Transient, "nothing took effect, I say"))
        }
    });
    let _worker = bench.work();
    let id = bench.dispatcher.call(durable("fake_run", json!({}))).await.id;
    let key = bench.dispatcher.call(keyed("fake_run", json!({}), "k")).await.id;
    let again = bench.dispatcher.call(keyed("fake_run", json!({}), "k")).await;
    assert_eq!((again.id, again.standing.unwrap().word), (key, "parked"));
    after(600).await;
    assert_eq!(bench.status(id).await["state"], "parked");
    assert_eq!(changes.load(Ordering::SeqCst), 2);
}
