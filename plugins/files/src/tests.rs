//! A world of files for the tests of the tools, and what holds for all of them.
use std::cell::Cell;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;
use skillhost_sdk::testing::Host;
use skillhost_sdk::{Context, Definition, Failure, Outcome, Reply};

use crate::disk::tests::kill;
use crate::roots::tests::granted;
use crate::{delete, moving, write};

mod property;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Entry {
    Folder,
    File(Vec<u8>),
    Link(PathBuf),
    Other,
}

/// A granted folder and a host around the tools.
pub(crate) struct World {
    root: tempfile::TempDir,
    pub(crate) mock: Host,
    calls: Cell<u32>,
}

/// A call, and what it left for its undo.
#[derive(Debug)]
pub(crate) struct Call {
    tool: &'static str,
    args: String,
    ctx: Context,
    pub(crate) tokens: Vec<String>,
    pub(crate) result: Result<Reply, Failure>,
}

impl World {
    pub(crate) fn new() -> Self {
        Self { root: granted(), mock: Host::new(), calls: Cell::new(0) }
    }

    pub(crate) fn path(&self, path: &str) -> PathBuf {
        self.root.path().join(path)
    }

    /// Everything in the folder.
    pub(crate) fn tree(&self) -> BTreeMap<String, Entry> {
        fn add(root: &Path, folder: &Path, tree: &mut BTreeMap<String, Entry>) {
            for entry in fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                let kind = path.symlink_metadata().unwrap().file_type();
                let found = if kind.is_dir() {
                    add(root, &path, tree);
                    Entry::Folder
                } else if kind.is_symlink() {
                    Entry::Link(fs::read_link(&path).unwrap())
                } else if kind.is_file() {
                    Entry::File(fs::read(&path).unwrap())
                } else {
                    Entry::Other
                };
                tree.insert(path.strip_prefix(root).unwrap().to_str().unwrap().to_owned(), found);
            }
        }
        let mut tree = BTreeMap::new();
        add(self.root.path(), self.root.path(), &mut tree);
        tree
    }

    fn fresh(&self, tool: &'static str, args: &Value) -> Call {
        self.calls.set(self.calls.get() + 1);
        let call_id = format!("01890a5d-ac96-774b-bcce-{:012}", self.calls.get());
        let ctx = Context { call_id, ..Context::for_tests() };
        let result = Err(Failure::permanent("it was killed"));
        Call { tool, args: args.to_string(), ctx, tokens: vec![], result }
    }

    fn run(&self, call: &mut Call) {
        self.until(call, usize::MAX);
    }

    /// Runs a call and kills it before the step number `after`; answers whether it came to its end.
    fn until(&self, call: &mut Call, after: usize) -> bool {
        let known = self.mock.undo_tokens().len();
        let run = || definition(call.tool).call(&call.ctx, Some(&call.args));
        let outcome = self.mock.run(|| kill(after, run));
        call.tokens = self.mock.undo_tokens().split_off(known);
        let done = outcome.is_some();
        match outcome {
            Some(Ok(Outcome::Reply(reply))) => call.result = Ok(reply),
            Some(Ok(Outcome::InputRequired(_))) => panic!("it asks"),
            Some(Err(failure)) => call.result = Err(failure),
            None => {}
        }
        done
    }

    pub(crate) fn call(&self, tool: &'static str, args: Value) -> Call {
        let mut call = self.fresh(tool, &args);
        self.run(&mut call);
        call
    }

    /// A call that is killed before its step number `after`, counted from 0.
    #[expect(clippy::result_large_err, reason = "a call that was killed is what is asked for")]
    pub(crate) fn killed(&self, tool: &'static str, args: &Value, after: usize) -> Result<Call, Call> {
        let mut call = self.fresh(tool, args);
        if self.until(&mut call, after) { Ok(call) } else { Err(call) }
    }

    /// The same call in another attempt.
    pub(crate) fn again(&self, call: &Call, attempt: u32) -> Call {
        let ctx = Context { attempt, ..call.ctx.clone() };
        let result = Err(Failure::permanent("it was killed"));
        let mut again = Call { tool: call.tool, args: call.args.clone(), ctx, tokens: vec![], result };
        self.run(&mut again);
        again
    }

    pub(crate) fn undo(&self, call: &Call, force: bool) -> Result<(), Failure> {
        self.undo_until(call, force, usize::MAX).expect("it is not killed")
    }

    /// None when it was killed.
    fn undo_until(&self, call: &Call, force: bool, after: usize) -> Option<Result<(), Failure>> {
        let token = call.tokens.last().map(String::as_str);
        let run = || definition(call.tool).undo(&call.ctx, Some(&call.args), token, force);
        self.mock.run(|| kill(after, run))
    }

    /// Makes a call and takes it back, whole, and killed at each step, and with an undo that is killed at each step. All is
    /// as before, each time and also after a second undo. Answers how many values the whole call kept in the bucket.
    pub(crate) fn there_and_back(&self, tool: &'static str, args: &Value) -> usize {
        let before = self.tree();
        for killed_at in 0.. {
            let (call, ended) = match self.killed(tool, args, killed_at) {
                Ok(call) => (call, true),
                Err(call) => (call, false),
            };
            if ended {
                call.result.as_ref().unwrap_or_else(|failure| panic!("{tool} {args}: {failure}"));
            }
            let token = call.tokens.last().expect("a token before the first effect");
            assert!(token.len() <= 64 << 10, "a token of {} bytes", token.len());
            let after = self.tree();
            for undo_killed_at in 0.. {
                let undone = self.undo_until(&call, false, undo_killed_at);
                let was_killed = undone.is_none();
                undone.unwrap_or(Ok(())).unwrap_or_else(|failure| {
                    panic!("{tool} {args}, killed at {killed_at}, undone until {undo_killed_at}: {failure}")
                });
                for time in ["first", "second"] {
                    self.undo(&call, false).unwrap_or_else(|failure| {
                        panic!("{tool} {args}, killed at {killed_at}, {time} undo: {failure}")
                    });
                    assert_eq!(self.tree(), before, "{tool} {args}, killed at {killed_at}, {time} undo");
                }
                if !was_killed {
                    break;
                }
                self.put(&after);
            }
            let kept = self.forget(&call);
            if ended {
                return kept;
            }
        }
        unreachable!("it ends")
    }

    /// Deletes what the call kept in the bucket, as the host does in the end; answers how many values that were.
    fn forget(&self, call: &Call) -> usize {
        let keys = self.mock.keyvalue().into_iter().map(|(key, _)| key);
        let own: Vec<_> = keys.filter(|key| key.starts_with(&format!("{}/", call.ctx.call_id))).collect();
        self.mock.run(|| own.iter().for_each(|key| skillhost_sdk::keyvalue::delete(key).unwrap()));
        own.len()
    }

    /// Makes the folder hold exactly this.
    fn put(&self, tree: &BTreeMap<String, Entry>) {
        for path in fs::read_dir(self.root.path()).unwrap().map(|entry| entry.unwrap().path()) {
            if path.symlink_metadata().unwrap().is_dir() {
                fs::remove_dir_all(path).unwrap();
            } else {
                fs::remove_file(path).unwrap();
            }
        }
        for (path, entry) in tree {
            let path = self.path(path);
            match entry {
                Entry::Folder => fs::create_dir(path).unwrap(),
                Entry::File(bytes) => fs::write(path, bytes).unwrap(),
                Entry::Link(target) => std::os::unix::fs::symlink(target, path).unwrap(),
                Entry::Other => panic!("it cannot be made"),
            }
        }
    }
}

fn definition(tool: &str) -> Definition {
    match tool {
        "write" => write::write::definition(),
        "move" => moving::r#move::definition(),
        "delete" => delete::delete::definition(),
        other => panic!("there is no tool {other}"),
    }
}

#[test]
fn what_never_began_is_taken_back_by_doing_nothing() {
    let world = World::new();
    fs::write(world.path("a"), "a").unwrap();
    let before = world.tree();
    for (tool, args) in [
        ("write", serde_json::json!({"path": "a", "text": "b", "mode": "overwrite"})),
        ("move", serde_json::json!({"from": "a", "to": "b"})),
        ("delete", serde_json::json!({"path": "a"})),
    ] {
        world.undo(&world.fresh(tool, &args), false).unwrap();
        assert_eq!(world.tree(), before);
    }
}

#[test]
fn an_undo_stays_within_what_is_granted_today() {
    let world = World::new();
    fs::write(world.path("a"), "a").unwrap();
    let calls = [
        world.call("write", serde_json::json!({"path": "b", "text": "b"})),
        world.call("write", serde_json::json!({"path": "b", "text": "b", "mode": "append"})),
        world.call("move", serde_json::json!({"from": "a", "to": "c"})),
        world.call("delete", serde_json::json!({"path": "c"})),
    ];
    let other = granted();
    for call in &calls {
        assert!(call.result.is_ok());
        let Err(Failure::Permanent(message)) = world.undo(call, true) else { panic!("undone") };
        assert!(message.contains("is in no granted folder"), "{message}");
    }
    drop(other);
}
