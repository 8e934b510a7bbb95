//! An orchestration of real skills: a release out of a folder, which is byte for byte as before wherever it is stopped.

use std::{collections::BTreeMap, fs, path::PathBuf};

use serde_json::{Value, json};
use skillhost_e2e::{Client, Host, Web, component, eventually, response, snapshot};

use crate::{
    ledger::{id, rollback, text, undone},
    sagas::{begin, rolled_back, step},
};

/// Its steps, and how many calls have ended when one begins.
const STEPS: [(&str, usize); 9] = [
    ("read", 0),
    ("version", 2),
    ("source", 3),
    ("manifest", 4),
    ("notes", 5),
    ("changelog", 6),
    ("details", 7),
    ("lock", 8),
    ("end", 9),
];

type Snapshot = BTreeMap<PathBuf, Option<Vec<u8>>>;

/// A host with the skill `release` and those it calls, a folder to be released, and a server with the notes.
struct World {
    host: Host,
    web: Web,
    before: Snapshot,
}

impl World {
    fn new(config: &str) -> Self {
        let host = crate::empty();
        let folder = host.root().join("granted");
        fs::create_dir_all(folder.join("project/src")).unwrap();
        for (path, text) in [
            ("other.txt", "not part of it"),
            (
                "project/manifest.json",
                "{\n  \"name\": \"x\",\n  \"version\": \"1.3.9\", \"z\": [1, 2.50]\n}\n",
            ),
            ("project/CHANGELOG.txt", "1.3.9 after 1.3.8\n"),
            ("project/next.md", "# Next\nwith \u{fc}ml\u{e4}uts\n"),
            ("project/next.lock", ""),
            ("project/src/main.rs", "fn main() {}"),
        ] {
            fs::write(folder.join(path), text).unwrap();
        }
        let web = Web::start(|asked| match asked.line.split(' ').nth(1) {
            Some("/notes") => response("200 OK", &["content-type: text/plain"], b"All is new.\n"),
            _ => response("404 Not Found", &["content-type: text/plain"], b"no"),
        });
        for name in ["release", "files", "json", "fetch"] {
            host.put(&format!("{name}.wasm"), &component(&format!("{name}.wasm")));
        }
        let before = snapshot(&folder);
        let host = host.config(&format!(
            "{config}\n[defaults]\nretry = \"off\"\nbreaker = \"off\"\n\
             [skills.release.grants]\ntools = [\"files_*\", \"json_*\", \"fetch_*\"]\n\
             [skills.fetch.grants]\nhttp = [{{ host = \"{}\" }}]\n\
             [skills.files.grants]\nkeyvalue = true\nfiles = [{{ host = {folder:?}, guest = \"/data\", access = \"rw\" }}]\n",
            web.address()
        ));
        Self { host, web, before }
    }

    fn now(&self) -> Snapshot {
        snapshot(&self.host.root().join("granted"))
    }

    fn read(&self, path: &str) -> String {
        fs::read_to_string(self.host.root().join("granted/project").join(path)).unwrap()
    }

    fn arguments(&self) -> Value {
        let url = format!("http://{}/notes", self.web.address());
        json!({"folder": "/data/project", "version": "1.4.0", "source_url": url})
    }

    fn stopping(&self, step: &str, how: &str) -> Value {
        crate::ledger::and(self.arguments(), json!({"stop_at": step, "stop_how": how}))
    }

    /// A client, once all skills are there.
    fn client(&self) -> Client {
        let mut client = self.host.stdio();
        eventually(|| {
            let tools = client.tools();
            let all = ["release_run", "files_write", "json_query", "fetch_get"];
            all.iter().all(|tool| tools.iter().any(|there| there == tool)).then_some(())
        });
        client
    }

    /// How the folder is after a release, and the call of that, which is taken back.
    fn released(&self, client: &mut Client) -> Snapshot {
        let result = client.call("release_run", self.arguments());
        assert_ne!(result["isError"], true, "{result}");
        let after = self.now();
        assert_ne!(after, self.before);
        undone(client, &id(&result));
        assert_eq!(self.now(), self.before);
        after
    }
}

/// Wait until this many of the calls that the release makes have ended.
fn until_calls(client: &mut Client, count: usize) {
    for n in 0..count {
        client.wait_log(&format!("call {n} of {count}"), |line| {
            let tool = line["span"]["tool"].as_str().unwrap_or_default();
            line["message"] == "call done"
                && ["files_", "json_", "fetch_"].iter().any(|skill| tool.starts_with(skill))
        });
    }
}

#[test]
fn a_release_is_made() {
    let world = World::new("");
    let mut client = world.client();
    let result = client.call("release_run", world.arguments());
    assert_ne!(result["isError"], true, "{result}");
    let expected = json!({"before": "1.3.9", "version": "1.4.0", "notes": "/data/project/releases/1.4.0.md"});
    assert_eq!(result["structuredContent"], expected);
    let manifest: Value = serde_json::from_str(&world.read("manifest.json")).unwrap();
    assert_eq!(
        (&manifest["version"], &manifest["name"], &manifest["z"]),
        (&json!("1.4.0"), &json!("x"), &json!([1, 2.5]))
    );
    assert_eq!(world.read("releases/1.4.0.md"), "# 1.4.0\n\nAfter 1.3.9.\n\nAll is new.\n");
    assert_eq!(world.read("releases/1.4.0-details.md"), "# Next\nwith \u{fc}ml\u{e4}uts\n");
    assert_eq!(world.read("CHANGELOG.txt"), "1.3.9 after 1.3.8\n1.4.0 after 1.3.9\n");
    let now = world.now();
    for gone in ["project/next.md", "project/next.lock"] {
        assert!(!now.contains_key(&PathBuf::from(gone)), "{gone}");
    }
    assert_eq!(
        now.len(),
        world.before.len() + 1,
        "two are gone, and two and a folder are new: {:?}",
        now.keys()
    );
    assert_eq!(world.web.asked().len(), 1);
    // As a whole it is taken back; the manifest in its own words.
    undone(&mut client, &id(&result));
    assert_eq!(world.now(), world.before);
}

#[test]
fn a_release_that_fails_at_any_step_leaves_everything_as_before() {
    let world = World::new("");
    let mut client = world.client();
    for how in ["fail", "transient", "conflict", "trap"] {
        for (step, calls) in STEPS {
            let result = client.call("release_run", world.stopping(step, how));
            assert_eq!(result["isError"], true, "{step} {how}: {result}");
            assert_eq!(world.now(), world.before, "{step} {how}: {result}");
            if calls > 4 {
                let report = rollback(&result);
                assert_eq!(
                    (&report["state"], &report["stays"]),
                    (&json!("rolled-back"), &json!([])),
                    "{step} {how}: {result}"
                );
                assert!(
                    text(&result).contains("Rolled back: nothing of it stays."),
                    "{step} {how}: {result}"
                );
            }
        }
    }
    // Nothing of all that is in the way of one that succeeds.
    world.released(&mut client);
}

#[test]
fn a_release_that_fails_by_itself_leaves_everything_as_before() {
    let world = World::new("");
    let mut client = world.client();
    let not_there = format!("http://{}/nothing", world.web.address());
    for (change, word) in [
        (json!({"version": "1.3.9"}), "is not later"),
        (json!({"version": "one"}), "is no version"),
        (json!({"source_url": not_there}), "answers 404"),
        (json!({"folder": "/data/nowhere"}), "is not there"),
        (json!({"folder": "/elsewhere"}), "granted"),
    ] {
        let failed = client.call_fails("release_run", crate::ledger::and(world.arguments(), change));
        assert!(failed.contains(word), "{failed}");
        assert_eq!(world.now(), world.before, "{failed}");
    }
    // Half-way: what it wants to write is there already.
    fs::create_dir(world.host.root().join("granted/project/releases")).unwrap();
    fs::write(world.host.root().join("granted/project/releases/1.4.0-details.md"), "mine").unwrap();
    let before = world.now();
    let failed = client.call_fails("release_run", world.arguments());
    assert!(failed.contains("is there already") && failed.contains("nothing of it stays"), "{failed}");
    assert_eq!(world.now(), before);
}

#[test]
fn a_release_that_hangs_is_ended_and_taken_back() {
    let world = World::new("[skills.release]\ntimeout = \"8s\"");
    let mut client = world.client();
    let result = client.call("release_run", world.stopping("lock", "hang"));
    crate::ledger::nothing_stays(&result, "timeout");
    assert_eq!(world.now(), world.before);
    // And when its client gives it up.
    let request = client.begin_call("release_run", world.stopping("end", "hang"));
    client.logs();
    eventually(|| (!world.now().contains_key(&PathBuf::from("project/next.lock"))).then_some(()));
    client.cancel(request);
    eventually(|| (world.now() == world.before).then_some(()));
}

#[test]
fn a_release_is_a_step_like_any_other() {
    let world = World::new("");
    let mut client = world.client();
    let saga = begin(&mut client, json!({}));
    step(&mut client, &saga, "files_write", json!({"path": "project/before.txt", "text": "x"}));
    step(&mut client, &saga, "release_run", world.arguments());
    step(
        &mut client,
        &saga,
        "files_write",
        json!({"path": "project/manifest.json", "text": "{}", "mode": "overwrite"}),
    );
    rolled_back(&mut client, &saga);
    assert_eq!(world.now(), world.before);
}

/// Kill the host when this many calls have ended; a next one must bring everything in order. Whether the release had
/// been made before.
fn killed(world: &World, after: &Snapshot, arguments: Value, calls: usize, case: &str) -> bool {
    let mut client = world.client();
    client.logs();
    client.begin_call_with("release_run", arguments, json!({"progressToken": case}));
    // The first report always comes; later ones only when they are not too close together.
    let first = client.wait_notification("notifications/progress");
    assert_eq!(first["params"]["message"], "read", "{first}");
    until_calls(&mut client, calls);
    client.kill();
    let mut client = world.client();
    let call = eventually(|| {
        let call = client.call("list_calls", json!({}))["structuredContent"]["calls"][0].take();
        let state = call["state"].as_str().unwrap_or_default().to_owned();
        (!["running", "rolling-back"].contains(&&*state)).then_some(call)
    });
    let open = world.host.json(&["saga", "list", "--state", "rolling-back,stuck,partial", "--json"]);
    assert_eq!(open["sagas"], json!([]), "{case}: {open}");
    if call["state"] == "done" {
        assert_eq!(world.now(), *after, "{case}: {call}");
        undone(&mut client, call["id"].as_str().unwrap());
        assert_eq!(world.now(), world.before, "{case}: taken back");
        return true;
    }
    assert_eq!(world.now(), world.before, "{case}: {call}");
    false
}

#[test]
fn a_release_whose_host_is_killed_at_any_step_leaves_everything_as_before() {
    let world = World::new("");
    let after = world.released(&mut world.client());
    for (step, calls) in STEPS {
        let was_made = killed(&world, &after, world.stopping(step, "hang"), calls, step);
        assert!(!was_made, "{step}");
    }
    world.released(&mut world.client());
}

#[test]
fn a_release_whose_host_is_killed_at_any_time_is_made_or_it_is_not() {
    let world = World::new("");
    let after = world.released(&mut world.client());
    for calls in 0..=9 {
        killed(&world, &after, world.arguments(), calls, &format!("after {calls} calls"));
    }
    world.released(&mut world.client());
}
