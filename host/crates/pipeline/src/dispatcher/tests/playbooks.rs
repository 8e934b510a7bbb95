//! Rules for dead letters, in paused time.

use skillhost_journal::{Playbooks as _, State, Step};
use skillhost_policy::playbook::{Action, Pattern, Playbook, Template, When, Within};

use super::{keeping::*, *};

pub(super) fn rule(name: &str, when: When, action: Action) -> Playbook {
    Playbook { name: name.into(), when, action }
}

/// Calls `fake_run` with the letter's id as its line.
pub(super) fn tell() -> Action {
    let arguments = json!({"line": "told {id}"}).as_object().cloned().unwrap();
    let arguments = Template::new(arguments).unwrap();
    Action::Call { tool: "fake_run".into(), arguments, park: false, limit: 1 }
}

/// About calls that fail as they are told to.
pub(super) fn failing() -> When {
    When { message: Some(Pattern::new("as it was told").unwrap()), ..When::default() }
}

/// Fails when it is told to; what else it is called with is kept in the answer, and takes a second.
fn failing_bench(rules: Vec<Playbook>) -> (Bench, Arc<Mutex<Vec<String>>>, Arc<AtomicUsize>) {
    failing_bench_with(plainly(), rules)
}

fn failing_bench_with(
    policies: Policies,
    rules: Vec<Playbook>,
) -> (Bench, Arc<Mutex<Vec<String>>>, Arc<AtomicUsize>) {
    let told = Arc::new(Mutex::new(vec![]));
    let most = Arc::new(AtomicUsize::new(0));
    let (tell, now, peak) = (Arc::clone(&told), Arc::new(AtomicUsize::new(0)), Arc::clone(&most));
    let bench = kept_world(policies, Some(Keeping::new(|_, _| {})), move |call| {
        let arguments: Value = serde_json::from_str(call.arguments.as_deref().unwrap()).unwrap();
        let (tell, now, peak) = (Arc::clone(&tell), Arc::clone(&now), Arc::clone(&peak));
        async move {
            if let Some(kind) = arguments["fails"].as_str() {
                let kind = FailureKind::from_code(kind).unwrap();
                return Err(Failure::new(kind, "as it was told"));
            }
            peak.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            tokio::time::sleep(Duration::from_secs(1)).await;
            now.fetch_sub(1, Ordering::SeqCst);
            tell.lock().unwrap().push(arguments["line"].as_str().unwrap().to_owned());
            Ok(text("done"))
        }
    });
    bench.keeping().recovery.use_playbooks(rules.into());
    (bench, told, most)
}

async fn fails(bench: &Bench, kind: &str) -> Response {
    bench.dispatcher.call(durable("fake_run", json!({"fails": kind}))).await
}

#[tokio::test(start_paused = true)]
async fn an_age_is_acted_on_when_it_has_come_and_not_when_somebody_looks() {
    // Not at a moment at which the worker looks by itself.
    let hour = Duration::from_secs(3_607);
    let age = Within { min: Some(hour), max: None };
    let (bench, ..) = failing_bench(vec![rule("old", When { age, ..When::default() }, Action::Discard)]);
    let _worker = bench.work();
    fails(&bench, "permanent").await;
    let began = tokio::time::Instant::now();
    let state = async || bench.keeping().only().await.state;
    tokio::time::sleep_until(began + hour - Duration::from_millis(1)).await;
    assert_eq!(state().await, State::Parked);
    tokio::time::sleep_until(began + hour + Duration::from_millis(20)).await;
    assert_eq!(state().await, State::Discarded);
    let history = bench.keeping().letters().show(bench.keeping().only().await.id).await.unwrap().history;
    let at = |step| history.iter().find(|event| event.step == step).unwrap().at;
    assert!(at(Step::Playbook).since(at(Step::Parked)) >= hour);
}

#[tokio::test(start_paused = true)]
async fn many_letters_are_told_of_by_few_at_once() {
    let (bench, told, most) = failing_bench(vec![]);
    for _ in 0..20 {
        fails(&bench, "permanent").await;
    }
    let _worker = bench.work();
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(told.lock().unwrap().len(), 0);
    bench.keeping().recovery.use_playbooks([rule("tell", failing(), tell())].into());
    tokio::time::sleep(Duration::from_millis(5_500)).await;
    let told: std::collections::BTreeSet<_> = told.lock().unwrap().iter().cloned().collect();
    assert_eq!((told.len(), most.load(Ordering::SeqCst)), (20, 4), "four at once, five times");
}

#[tokio::test(start_paused = true)]
async fn a_reply_says_what_a_rule_has_made_of_the_call() {
    let action = |kind, action| rule("a", When { kinds: vec![kind], ..When::default() }, action);
    let (bench, ..) = failing_bench(vec![
        action(FailureKind::Permanent, Action::Discard),
        Playbook { name: "b".into(), ..action(FailureKind::Transient, Action::Park) },
        Playbook { name: "c".into(), ..action(FailureKind::Conflict, Action::Archive) },
    ]);
    for (kind, word) in [
        ("permanent", "discarded"),
        ("transient", "parked"),
        ("conflict", "archived"),
        ("unsupported", "parked"),
    ] {
        let response = fails(&bench, kind).await;
        assert_eq!(response.standing.map(|standing| standing.word), Some(word), "{kind}");
        assert!(response.result.is_err(), "{kind}");
    }
    // A plain call that nobody can judge, too: it is given up before its client is told.
    bench.keeping().recovery.use_playbooks([rule("d", When::default(), Action::Discard)].into());
    let response = bench.call_with("fake_run", json!({"fails": "trap"})).await;
    assert_eq!(response.standing.map(|standing| standing.word), Some("discarded"));
}

#[tokio::test(start_paused = true)]
async fn while_the_journal_cannot_be_used_nothing_is_forgotten() {
    let (bench, told, _) = failing_bench(vec![rule("tell", failing(), tell())]);
    let _worker = bench.work();
    bench.keeping().recovery.use_playbooks([].into());
    let id = fails(&bench, "permanent").await.id;
    bench.keeping().journal.ailing.store(true, Ordering::SeqCst);
    bench.keeping().recovery.use_playbooks([rule("tell", failing(), tell())].into());
    tokio::time::sleep(Duration::from_secs(30)).await;
    assert_eq!(told.lock().unwrap().len(), 0);
    bench.keeping().journal.ailing.store(false, Ordering::SeqCst);
    tokio::time::sleep(Duration::from_secs(20)).await;
    assert_eq!(*told.lock().unwrap(), [format!("told {id}")]);
}

#[tokio::test(start_paused = true)]
async fn a_handler_that_is_refused_is_called_later() {
    let mut policies = plainly();
    let limit = RateLimit {
        max: 1,
        burst: 0,
        rate: Rate::per_second(0.1).unwrap(),
        wait: Duration::ZERO,
        shadow: false,
    };
    policies.host.caller_rate_limit = Some(limit);
    let (bench, told, _) = failing_bench_with(policies, vec![]);
    let _worker = bench.work();
    for _ in 0..3 {
        fails(&bench, "permanent").await;
        tokio::time::sleep(Duration::from_secs(10)).await;
    }
    // Its caller is one for all of them, and may call every ten seconds.
    bench.keeping().recovery.use_playbooks([rule("tell", failing(), tell())].into());
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert_eq!(told.lock().unwrap().len(), 1);
    tokio::time::sleep(Duration::from_secs(120)).await;
    let told: std::collections::BTreeSet<_> = told.lock().unwrap().iter().cloned().collect();
    assert_eq!(told.len(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_handler_that_no_host_called_in_time_is_given_up() {
    let (bench, told, _) = failing_bench(vec![]);
    let id = fails(&bench, "permanent").await.id;
    let journal = Arc::clone(&bench.keeping().journal);
    let now = |hours: u64| skillhost_journal::Timestamp(1_000_000_000 + hours * 3_600_000);
    let stamp = journal.resting(id).await.unwrap().unwrap().stamp;
    let request = json!({"tool": "fake_run", "arguments": {"line": "told"}}).to_string();
    let firing = skillhost_journal::Firing {
        rule: "tell".into(),
        stamp,
        deed: skillhost_journal::Deed::Call { request, park: false },
        told: "call".into(),
        again: None,
    };
    journal.fire(id, firing, now(0)).await.unwrap();
    // Its process is dead, and the next one comes after a day.
    let folder = Arc::clone(&bench.keeping().folder);
    drop((bench, journal));
    let bench =
        kept_world(plainly(), Some(Keeping::of(folder, |_, _| {})), |_| async { panic!("must not run") });
    tokio::time::sleep(Duration::from_secs(25 * 3_600)).await;
    let _worker = bench.work();
    tokio::time::sleep(Duration::from_secs(20)).await;
    let history = bench.keeping().letters().show(id).await.unwrap().history;
    let last = history.last().unwrap();
    assert!(last.detail.as_ref().unwrap().contains("no host was there for too long"), "{last:?}");
    assert!(told.lock().unwrap().is_empty());
}
