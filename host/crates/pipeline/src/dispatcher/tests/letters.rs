//! What an operator does with letters.

use skillhost_journal::{State, Step};

use super::{keeping::*, *};
use crate::LettersError;

/// Fails until it is mended; then tells its arguments.
fn broken() -> (Bench, Arc<AtomicBool>) {
    broken_with(|_, _| {})
}

fn broken_with(
    change: impl FnOnce(&mut crate::RecoverySettings, &mut skillhost_journal::Bounds),
) -> (Bench, Arc<AtomicBool>) {
    let mended = Arc::new(AtomicBool::new(false));
    let is_mended = Arc::clone(&mended);
    let bench = kept_world(plainly(), Some(Keeping::new(change)), move |call| {
        let mended = is_mended.load(Ordering::SeqCst);
        async move {
            match mended {
                true => Ok(text(call.arguments.as_deref().map_or("", String::as_str))),
                false => Err(Failure::new(FailureKind::Permanent, "out of order")),
            }
        }
    });
    (bench, mended)
}

async fn result(bench: &Bench, id: CallId) -> Vec<Block> {
    bench.call_with("call_status", json!({"id": id.to_string()})).await.result.unwrap().content
}

#[tokio::test(start_paused = true)]
async fn secrets_are_sealed_and_the_tool_gets_them_all_the_same() {
    let (bench, mended) = broken();
    let arguments = json!({"user": "ann", "token": "hunter2"});
    let id = bench.dispatcher.call(durable("fake_run", arguments.clone())).await.id;
    let letter = bench.keeping().only().await;
    assert_eq!(letter.arguments.shown.as_deref(), Some(r#"{"user":"ann","token":"[secret]"}"#));
    for file in std::fs::read_dir(bench.keeping().folder.path()).unwrap() {
        let path = file.unwrap().path();
        let bytes = if path.is_file() { std::fs::read(&path).unwrap() } else { vec![] };
        assert!(!String::from_utf8_lossy(&bytes).contains("hunter2"), "{}", path.display());
    }
    mended.store(true, Ordering::SeqCst);
    let _worker = bench.work();
    bench.keeping().letters().replay(id, Duration::ZERO, false, "me").await.unwrap();
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(result(&bench, id).await[1], Block::text(arguments.to_string()));
}

#[tokio::test(start_paused = true)]
async fn edited_arguments_keep_their_secrets() {
    let (bench, mended) = broken();
    let letters =
        crate::Letters::new(Arc::clone(&bench.keeping().recovery), Some(Arc::clone(&bench.dispatcher)));
    let arguments = json!({"user": "ann", "token": "hunter2"});
    let id = bench.dispatcher.call(durable("fake_run", arguments)).await.id;
    let edit = json!({"user": "bob", "token": "[secret]"}).as_object().unwrap().clone();
    letters.edit(id, Some(edit), None, "me").await.unwrap();
    assert_eq!(
        bench.keeping().only().await.arguments.shown.as_deref(),
        Some(r#"{"user":"bob","token":"[secret]"}"#)
    );
    // A secret that comes with an edit is one too.
    let other = bench.dispatcher.call(durable("fake_run", json!({"user": "ann"}))).await.id;
    let edit = json!({"token": "swordfish"}).as_object().unwrap().clone();
    letters.edit(other, Some(edit.clone()), None, "me").await.unwrap();
    let shown = letters.show(other).await.unwrap().letter;
    assert_eq!(shown.arguments.shown.as_deref(), Some(r#"{"token":"[secret]"}"#));
    // Without a host nobody can tell what is secret.
    let refused = bench.keeping().letters().edit(other, Some(edit), None, "me").await.unwrap_err();
    assert!(matches!(refused, LettersError::Arguments(_)), "{refused}");
    letters.discard(other, "me").await.unwrap();
    mended.store(true, Ordering::SeqCst);
    let _worker = bench.work();
    letters.replay(id, Duration::ZERO, false, "me").await.unwrap();
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(result(&bench, id).await[1], Block::text(r#"{"user":"bob","token":"hunter2"}"#));
    // What has recovered is not changed any more.
    let error = letters.edit(id, None, Some(skillhost_journal::Priority::High), "me").await.unwrap_err();
    assert!(matches!(error, LettersError::State(_, State::Done)), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_pinned_replay_wants_the_version_that_failed() {
    let (bench, mended) = broken();
    let letters = bench.keeping().letters();
    let id = bench.dispatcher.call(durable("fake_run", json!({}))).await.id;
    mended.store(true, Ordering::SeqCst);
    let before = bench.dispatcher.catalog();
    let mut tools = before.tools.clone();
    for entry in tools.values_mut() {
        entry.digest = skillhost_core::Digest::of(b"another");
    }
    let catalog = Catalog { tools, skills: before.skills.clone(), settled: true, ..Catalog::default() };
    bench.publish.send_replace(Arc::new(catalog));
    let _worker = bench.work();
    letters.replay(id, Duration::ZERO, true, "me").await.unwrap();
    tokio::time::sleep(Duration::from_secs(1)).await;
    let letter = bench.keeping().only().await;
    assert_eq!(letter.state, State::Parked);
    assert!(letter.problem.unwrap().message.contains("not there now"));
    letters.replay(id, Duration::ZERO, false, "me").await.unwrap();
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(bench.keeping().only().await.state, State::Done);
}

#[tokio::test(start_paused = true)]
async fn archived_and_restored_it_is_the_same_letter() {
    let (bench, _) = broken();
    let letters = bench.keeping().letters();
    let id = bench.dispatcher.call(durable("fake_run", json!({"token": "hunter2"}))).await.id;
    let before = letters.show(id).await.unwrap();
    let (archived, file) = letters.archive(&[id, CallId::new()]).await.unwrap();
    assert_eq!(archived, 1);
    assert!(matches!(letters.show(id).await, Err(LettersError::Missing(_))));
    let lines = std::fs::read_to_string(&file).unwrap();
    assert!(!lines.contains("hunter2"));
    let restored = letters.restore(&format!("{lines}\nnot a letter\n{lines}")).await.unwrap();
    assert_eq!((restored.restored, restored.present), (1, 1));
    assert_eq!(restored.refused[0].0, 3);
    let after = letters.show(id).await.unwrap();
    assert_eq!(after.letter, skillhost_journal::Record { epoch: 0, ..before.letter });
    assert_eq!(after.history[..before.history.len()], before.history);
    assert_eq!(after.history.last().unwrap().step, Step::Restored);
    // A second write goes behind the first.
    letters.archive(&[id]).await.unwrap();
    assert_eq!(std::fs::read_to_string(&file).unwrap().lines().count(), 2);
}

#[tokio::test(start_paused = true)]
async fn it_is_explained() {
    let (bench, _) = broken();
    let letters =
        crate::Letters::new(Arc::clone(&bench.keeping().recovery), Some(Arc::clone(&bench.dispatcher)));
    let id = bench.dispatcher.call(durable("fake_run", json!({}))).await.id;
    let explained = letters.explain(id).await.unwrap();
    assert_eq!(explained.state, "parked");
    assert!(explained.why[0].contains("out of order"), "{explained:?}");
    assert!(explained.options.iter().any(|option| option.contains(&format!("dlq replay {id}"))));
    assert!(matches!(letters.explain(CallId::new()).await, Err(LettersError::Missing(_))));
}

#[tokio::test(start_paused = true)]
async fn discarded_it_is_over() {
    let (bench, _) = broken();
    let letters = bench.keeping().letters();
    let id = bench.dispatcher.call(durable("fake_run", json!({}))).await.id;
    letters.discard(id, "me").await.unwrap();
    let _worker = bench.work();
    tokio::time::sleep(Duration::from_secs(600)).await;
    assert_eq!(bench.status(id).await["state"], "discarded");
    assert!(matches!(letters.replay(id, Duration::ZERO, false, "me").await, Err(LettersError::State(..))));
    assert!(matches!(letters.discard(CallId::new(), "me").await, Err(LettersError::Missing(_))));
}

#[tokio::test(start_paused = true)]
async fn others_do_not_learn_of_a_call() {
    let (bench, _) = broken();
    let id = bench.dispatcher.call(durable("fake_run", json!({}))).await.id;
    let asked = Request {
        caller: Caller::named("somebody else"),
        ..request("call_status", json!({"id": id.to_string()}))
    };
    let reply = bench.dispatcher.call(asked).await.result.unwrap();
    assert!(reply.is_error);
    assert_eq!(reply.structured, None);
}

#[tokio::test(start_paused = true)]
async fn ended_letters_go_to_the_archive_by_themselves() {
    let (bench, mended) = broken_with(|settings, _| {
        settings.key_ttl = Duration::from_secs(600);
        settings.keep = Duration::from_secs(1_800);
        settings.archive_after = Duration::from_secs(3_600);
    });
    let letters = bench.keeping().letters();
    let id = bench.dispatcher.call(durable("fake_run", json!({}))).await.id;
    mended.store(true, Ordering::SeqCst);
    let _worker = bench.work();
    letters.replay(id, Duration::ZERO, false, "me").await.unwrap();
    let key = bench.dispatcher.call(keyed("fake_run", json!({}), "k")).await.id;
    tokio::time::sleep(Duration::from_secs(3_000)).await;
    assert_eq!(bench.keeping().only().await.state, State::Done);
    // A call that is no letter is forgotten earlier.
    assert_eq!(bench.status(key).await, json!({"none": 1}));
    tokio::time::sleep(Duration::from_secs(1_500)).await;
    assert!(bench.keeping().all().await.is_empty());
    let archive = std::fs::read_dir(bench.keeping().folder.path().join("archive")).unwrap();
    let lines: Vec<_> = archive.map(|file| std::fs::read_to_string(file.unwrap().path()).unwrap()).collect();
    assert!(lines.concat().contains(&id.to_string()));
}
