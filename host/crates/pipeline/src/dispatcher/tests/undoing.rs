//! A world outside of the journal, and tools that change it, fail, and take it back.

use std::{collections::BTreeMap, path::PathBuf};

use serde::{Deserialize, Serialize};
use skillhost_core::{Digest, FoundVersion, Invoke, PrepareUndo, Undo, Versions};

use skillhost_policy::CachePolicy;

use super::{fake::UndoScript, keeping::*, *};

/// What happened in the world, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Event {
    Done(CallId, String),
    Undone(CallId, String),
}

#[derive(Default)]
pub(super) struct World {
    pub(super) values: BTreeMap<String, String>,
    pub(super) events: Vec<Event>,
    /// Undos that are to fail, by call, so far.
    failures: BTreeMap<CallId, u32>,
    /// After this many events nothing moves any more: the process is to be killed.
    pub(super) stop_after: Option<usize>,
    /// Told when that is reached.
    pub(super) stopped: Arc<tokio::sync::Notify>,
    /// Done with the event of this number.
    pub(super) at: Option<(usize, Box<dyn FnOnce() + Send>)>,
    /// Where its values are, when it outlives the process.
    pub(super) file: Option<PathBuf>,
}

impl World {
    /// One that outlives the process.
    pub(super) fn in_file(file: PathBuf) -> Self {
        let text = std::fs::read_to_string(&file).unwrap_or_else(|_| "{}".into());
        Self { values: serde_json::from_str(&text).unwrap(), file: Some(file), ..Self::default() }
    }

    fn save(&self) {
        if let Some(file) = &self.file {
            let new = file.with_extension("new");
            std::fs::write(&new, serde_json::to_string(&self.values).unwrap()).unwrap();
            std::fs::rename(new, file).unwrap();
        }
    }
}

pub(super) type Shared = Arc<Mutex<World>>;

/// How a call ends after everything else.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum End {
    Fine,
    /// It says that nothing took effect, and sees to it as far as its own effect goes.
    Permanent,
    Trap,
    /// Its time runs out.
    Hang,
}

/// How taking it back goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Back {
    Fine,
    Flaky(u32),
    Stuck,
}

/// A call as its arguments say it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Node {
    /// Whether it can be taken back.
    pub(super) undoable: bool,
    /// Whether its tool says that it only reads.
    pub(super) reads: bool,
    /// Its own effect.
    pub(super) own: Option<(String, String)>,
    /// Calls that it makes, and whether it goes on when they fail.
    pub(super) calls: Vec<(Self, bool)>,
    pub(super) end: End,
    pub(super) back: Back,
}

impl Node {
    pub(super) fn put(key: &str, value: &str) -> Self {
        Self {
            undoable: true,
            reads: false,
            own: Some((key.into(), value.into())),
            calls: vec![],
            end: End::Fine,
            back: Back::Fine,
        }
    }

    pub(super) fn tree(calls: Vec<Self>) -> Self {
        let calls = calls.into_iter().map(|call| (call, false)).collect();
        Self { undoable: true, reads: false, own: None, calls, end: End::Fine, back: Back::Fine }
    }

    pub(super) fn ending(self, end: End) -> Self {
        Self { end, ..self }
    }

    pub(super) fn back(self, back: Back) -> Self {
        Self { back, ..self }
    }

    pub(super) fn reading(self) -> Self {
        Self { reads: true, undoable: false, ..self }
    }

    pub(super) fn forever(self) -> Self {
        Self { undoable: false, ..self }
    }

    /// The tool that makes it at this depth: no tool calls itself.
    pub(super) fn tool(&self, depth: u32) -> String {
        let word = match (self.reads, self.undoable) {
            (true, _) => "look",
            (_, true) => "do",
            (_, false) => "forever",
        };
        format!("fake_{word}{depth}")
    }

    pub(super) fn arguments(&self) -> Value {
        serde_json::to_value(self).unwrap()
    }
}

#[derive(Serialize, Deserialize)]
struct Token {
    key: String,
    old: Option<String>,
    new: String,
}

/// Something happens; then, perhaps, nothing any more.
async fn happens(world: &Shared, change: impl FnOnce(&mut World)) {
    let stop = {
        let mut world = world.lock().unwrap();
        change(&mut world);
        world.save();
        let events = world.events.len();
        if world.at.as_ref().is_some_and(|(at, _)| *at == events)
            && let Some((_, deed)) = world.at.take()
        {
            deed();
        }
        let stop = world.stop_after.is_some_and(|after| events >= after);
        if stop {
            world.stopped.notify_one();
        }
        stop
    };
    if stop {
        std::future::pending::<()>().await;
    }
}

fn set(world: &mut World, key: &str, value: Option<String>) {
    match value {
        Some(value) => world.values.insert(key.to_owned(), value),
        None => world.values.remove(key),
    };
}

async fn run(world: Shared, call: Call) -> fake::Answer {
    let node: Node = serde_json::from_str(call.arguments.as_deref().unwrap()).unwrap();
    let mut before = None;
    if let Some((key, new)) = &node.own {
        let old = world.lock().unwrap().values.get(key).cloned();
        let token = Token { key: key.clone(), old: old.clone(), new: new.clone() };
        before = Some((key.clone(), old));
        if node.undoable {
            let keeps: &Arc<dyn PrepareUndo> = call.undo.as_ref().unwrap();
            keeps.prepare_undo(call.attempt, serde_json::to_string(&token).unwrap()).await?;
        }
        happens(&world, |world| {
            set(world, key, Some(new.clone()));
            world.events.push(Event::Done(call.id, key.clone()));
        })
        .await;
    }
    let permanent = |text: &str| Failure::new(FailureKind::Permanent, text);
    let mut failed = None;
    for (child, ignore) in &node.calls {
        let tools = Arc::clone(&call.tools);
        let arguments = Some(child.arguments().to_string());
        if let Err(failure) = tools.call_tool(call.clone(), child.tool(call.depth + 1), arguments).await
            && !ignore
        {
            failed = Some(permanent(&format!("a callee failed: {failure}")));
            break;
        }
    }
    match (failed, node.end) {
        (None, End::Fine) => Ok(fake::text(&format!("{:?}", world.lock().unwrap().values))),
        (None, End::Trap) => Err(Failure::new(FailureKind::Trap, "it crashed")),
        (None, End::Hang) => std::future::pending().await,
        (failed, _) => {
            // Its word is true.
            if let Some((key, old)) = before {
                let mut world = world.lock().unwrap();
                set(&mut world, &key, old);
                world.save();
                world.events.push(Event::Undone(call.id, key));
            }
            Err(failed.unwrap_or_else(|| permanent("it would not")))
        }
    }
}

async fn back(world: Shared, undo: Undo) -> fake::Answer {
    let node: Node = serde_json::from_str(undo.call.arguments.as_deref().unwrap()).unwrap();
    assert!(undo.call.undo.is_none(), "an undo cannot be undone");
    let id = undo.call.id;
    // It may never have begun.
    let Some(token) = undo.token else { return Ok(Outcome::Reply(Reply::default())) };
    let token: Token = serde_json::from_str(&token).unwrap();
    let failures = *world.lock().unwrap().failures.entry(id).and_modify(|n| *n += 1).or_insert(1);
    match node.back {
        Back::Stuck => return Err(Failure::new(FailureKind::Permanent, "it cannot be taken back now")),
        Back::Flaky(n) if failures <= n => return Err(Failure::new(FailureKind::Trap, "the undo crashed")),
        Back::Fine | Back::Flaky(_) => {}
    }
    let now = world.lock().unwrap().values.get(&token.key).cloned();
    if now == token.old {
        return Ok(Outcome::Reply(Reply::default()));
    }
    if now.as_ref() != Some(&token.new) && !undo.force {
        return Err(Failure::new(FailureKind::Conflict, format!("`{}` has changed", token.key)));
    }
    happens(&world, |world| {
        set(world, &token.key, token.old);
        world.events.push(Event::Undone(id, token.key));
    })
    .await;
    Ok(Outcome::Reply(Reply::default()))
}

/// The one version there is.
struct Only(Arc<dyn Invoke>);

impl Versions for Only {
    fn version(&self, _: &SkillName, _: Digest) -> FoundVersion {
        let found = Arc::clone(&self.0);
        Box::pin(async move { Ok(found) })
    }

    fn keep_only(&self, _: &[Digest]) {}
}

/// A process on `folder` whose tools change `world`.
pub(super) fn process(world: &Shared, keeping: Keeping) -> Bench {
    let (doing, undoing) = (Arc::clone(world), Arc::clone(world));
    let script: fake::Script = Box::new(move |call| Box::pin(run(Arc::clone(&doing), call)));
    let undo: UndoScript = Box::new(move |undo| Box::pin(back(Arc::clone(&undoing), undo)));
    let names = (0..5).flat_map(|depth| {
        [("do", true), ("same", true), ("forever", false), ("look", false)]
            .map(|(word, back)| (format!("{word}{depth}"), back))
    });
    let mut policies = with_tool(plainly(), "look0", |tool| {
        tool.cache = Some(CachePolicy { ttl: Duration::from_secs(60), shared: false });
    });
    let again = with_tool(plainly(), "same0", |tool| {
        tool.retry.attempts = 2;
        tool.retry.delays = Delays::Listed(Arc::new([Duration::from_millis(10)]));
        tool.retry.attempt_timeout = Some(Duration::from_secs(1));
    });
    for (name, skill) in again.skills {
        let both = policies.skills.get_mut(&name).map(Arc::make_mut).unwrap();
        both.tools.extend(skill.tools.clone());
    }
    let (bench, invoke) = fake::undoable(names, script, undo, policies, keeping);
    bench.keeping().recovery.use_versions(Arc::new(Only(invoke)));
    bench
}

/// Nobody is kept waiting less than it takes.
pub(super) fn patient(settings: &mut crate::RecoverySettings, _: &mut skillhost_journal::Bounds) {
    settings.undo_patience = Duration::from_secs(3_600);
}

pub(super) fn bench_of(world: &Shared) -> Bench {
    process(world, Keeping::new(patient))
}

impl Bench {
    pub(super) async fn make(&self, node: &Node) -> Response {
        self.dispatcher.call(request(&node.tool(0), node.arguments())).await
    }

    /// A tool of the host's, as an agent calls it. Answers its structured result.
    pub(super) async fn ask(&self, tool: &str, arguments: Value) -> Value {
        let reply = self.call_with(tool, arguments).await.result.unwrap();
        reply.structured.unwrap_or_else(|| json!({"no": format!("{:?}", reply.content)}))
    }
}
