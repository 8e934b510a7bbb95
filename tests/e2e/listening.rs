//! Clients of both eras hear when something has changed: what is listed, and what they asked to be told of.

use std::fs;

use serde_json::{Value, json};
use skillhost_e2e::{Client, Exchange, Feed, Host, Modern, Server, Session, Speaks as _, component, faulty};

use crate::empty;

/// All three, and what is to be said of resources.
const KINDS: [&str; 3] = ["tools", "prompts", "resources"];

pub(crate) fn changed(kind: &str) -> String {
    format!("notifications/{kind}/list_changed")
}

/// A client that hears of all three lists, and of these resources.
pub(crate) enum Ear {
    Stdio(Client),
    Session(Session, Exchange),
    Modern(Modern, Feed),
}

impl Ear {
    pub(crate) fn stdio(host: &Host, uris: &[&str]) -> Self {
        let mut client = host.stdio();
        for uri in uris {
            client.ask("resources/subscribe", json!({"uri": uri}));
        }
        Self::Stdio(client)
    }

    pub(crate) fn session(server: &Server, uris: &[&str]) -> Self {
        let mut session = Session::open(server.url(), json!({}));
        for uri in uris {
            session.ask("resources/subscribe", json!({"uri": uri}));
        }
        let stream = session.listen();
        assert_eq!(stream.status, 200);
        Self::Session(session, stream)
    }

    pub(crate) fn modern(mut client: Modern, uris: &[&str]) -> Self {
        let (feed, accepted) = client.listen(all(uris));
        assert_eq!(accepted["toolsListChanged"], true, "{accepted}");
        assert_eq!(
            accepted["resourceSubscriptions"].as_array().map_or(0, Vec::len),
            uris.len(),
            "{accepted}"
        );
        Self::Modern(client, feed)
    }

    pub(crate) fn hears(&mut self, method: &str) -> Value {
        self.hears_when(method, |message| message["method"] == method)
    }

    pub(crate) fn hears_when(&mut self, what: &str, wanted: impl FnMut(&Value) -> bool) -> Value {
        match self {
            Self::Stdio(client) => client.wait_for(what, wanted),
            Self::Session(_, stream) => stream.wait_for(what, wanted),
            Self::Modern(client, feed) => client.heard(feed, what, wanted),
        }
    }

    /// What it has heard that nobody waited for.
    pub(crate) fn heard(&mut self) -> Vec<Value> {
        match self {
            Self::Stdio(client) => client.take_so_far(|message| message.get("method").is_some()),
            Self::Session(_, stream) => stream.so_far(),
            Self::Modern(client, feed) => client.heard_so_far(feed),
        }
    }

    pub(crate) fn speaks(&mut self) -> &mut dyn skillhost_e2e::Speaks {
        match self {
            Self::Stdio(client) => client,
            Self::Session(session, _) => session,
            Self::Modern(client, _) => client,
        }
    }
}

/// The filter of one who wants to hear everything.
fn all(uris: &[&str]) -> Value {
    json!({
        "toolsListChanged": true, "promptsListChanged": true, "resourcesListChanged": true,
        "resourceSubscriptions": uris,
    })
}

/// One of each era over each transport, which see what is there by now.
pub(crate) fn ears(host: &Host, uris: &[&str]) -> (Server, Vec<Ear>) {
    let server = host.serve();
    let mut all = vec![
        Ear::stdio(host, uris),
        Ear::modern(host.modern(), uris),
        Ear::session(&server, uris),
        Ear::modern(Modern::http(&server), uris),
    ];
    for ear in &mut all {
        ear.speaks().ask("tools/list", json!({}));
    }
    // What was loaded meanwhile was told; it is over by now.
    for ear in &mut all {
        ear.heard();
    }
    (server, all)
}

#[test]
fn a_skill_that_comes_or_goes_changes_all_that_it_has() {
    let host = empty();
    let (_server, all) = ears(&host, &[]);
    let mut all = all;
    host.put("whole.wasm", &component("whole.wasm"));
    for ear in &mut all {
        KINDS.iter().for_each(|kind| drop(ear.hears(&changed(kind))));
        let prompts = ear.speaks().listed("prompts/list", "prompts", "name");
        assert_eq!(prompts, ["whole_essay"]);
    }
    fs::remove_file(host.skill("whole.wasm")).unwrap();
    for ear in &mut all {
        KINDS.iter().for_each(|kind| drop(ear.hears(&changed(kind))));
        assert!(ear.speaks().listed("prompts/list", "prompts", "name").is_empty());
    }
    // One that has tools and no more.
    host.put("text.wasm", &component("text.wasm"));
    for ear in &mut all {
        ear.hears(&changed("tools"));
        let others = ear.heard();
        assert!(others.is_empty(), "{others:?}");
    }
}

#[test]
fn what_a_skill_says_has_changed_is_told() {
    let host = empty();
    host.put("faulty.wasm", &faulty("features"));
    let (_server, all) = ears(&host, &[]);
    for mut ear in all {
        for kind in KINDS {
            let told = ear.speaks().tool("faulty_changed", json!({"kind": kind}));
            assert_eq!(told["content"][0]["text"], "Ok(())", "{told}");
            ear.hears(&changed(kind));
        }
    }
}

#[test]
fn an_update_reaches_those_who_asked_for_it() {
    let host = empty();
    host.put("whole.wasm", &component("whole.wasm"));
    let host = host.config("[skills.whole.grants]\nkeyvalue = true");
    let (server, all) = ears(&host, &["value://a", "value://last"]);
    let set = |ear: &mut Ear, key: &str| {
        let set = ear.speaks().tool("whole_set", json!({"key": key, "value": "1"}));
        assert_ne!(set["isError"], true, "{set}");
    };
    let updated = |message: &Value| message["method"] == "notifications/resources/updated";
    // Over HTTP they share a process: one who asked for another.
    let mut other = Ear::session(&server, &["value://b"]);
    for mut ear in all {
        for key in ["a", "b"] {
            set(&mut ear, key);
        }
        assert_eq!(ear.hears_when("the update", updated)["params"]["uri"], "value://a");
        set(&mut ear, "last");
        // Nothing of `b` between.
        assert_eq!(ear.hears_when("the last update", updated)["params"]["uri"], "value://last");
    }
    assert_eq!(other.hears_when("its own", updated)["params"]["uri"], "value://b");
    let more = other.heard();
    assert!(more.iter().all(|message| message["params"]["uri"] == "value://b"), "{more:?}");
}

#[test]
fn who_has_had_enough_hears_no_more() {
    let host = empty();
    host.put("whole.wasm", &component("whole.wasm"));
    let host = host.config("[skills.whole.grants]\nkeyvalue = true");
    let server = host.serve();
    for mut ear in [
        Ear::stdio(&host, &["value://a", "value://last"]),
        Ear::session(&server, &["value://a", "value://last"]),
    ] {
        let set =
            |ear: &mut Ear, key: &str| ear.speaks().tool("whole_set", json!({"key": key, "value": "1"}));
        let updated = |message: &Value| message["method"] == "notifications/resources/updated";
        set(&mut ear, "a");
        assert_eq!(ear.hears_when("the update", updated)["params"]["uri"], "value://a");
        ear.speaks().ask("resources/unsubscribe", json!({"uri": "value://a"}));
        set(&mut ear, "a");
        set(&mut ear, "last");
        assert_eq!(ear.hears_when("the last update", updated)["params"]["uri"], "value://last");
    }
}

#[test]
fn streams_and_sessions_belong_to_their_eras() {
    let host = empty();
    let server = host.serve();
    for mut client in [host.modern(), Modern::http(&server)] {
        for method in ["resources/subscribe", "resources/unsubscribe"] {
            let error = client.refused(method, json!({"uri": "value://a"}));
            assert_eq!(error["code"], -32601, "{method}: {error}");
        }
    }
    let params = json!({"notifications": {"toolsListChanged": true}});
    let refused = host.stdio().request("subscriptions/listen", params.clone());
    assert_eq!(refused["error"]["code"], -32601, "{refused}");
    let refused = Session::open(server.url(), json!({})).begin("subscriptions/listen", params).response();
    assert_eq!(refused["error"]["code"], -32601, "{refused}");
}

#[test]
fn what_is_asked_for_wrongly_is_told_so() {
    let host = empty();
    let (mut older, mut newer) = (host.stdio(), host.modern());
    for (method, wrong) in [
        ("logging/setLevel", json!({"level": "loud"})),
        ("logging/setLevel", json!({})),
        ("resources/subscribe", json!({"uri": 5})),
        ("resources/unsubscribe", json!({})),
    ] {
        let error = older.refused(method, wrong);
        assert_eq!(error["code"], -32602, "{method}: {error}");
    }
    for (method, wrong) in [
        ("subscriptions/listen", json!({})),
        ("subscriptions/listen", json!({"notifications": {"toolsListChanged": 5}})),
        ("tasks/get", json!({"taskId": 5})),
        ("tasks/update", json!({"taskId": "a"})),
        ("tasks/cancel", json!({})),
    ] {
        let error = newer.refused(method, wrong);
        assert_eq!(error["code"], -32602, "{method}: {error}");
    }
}
