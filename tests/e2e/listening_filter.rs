//! Nobody hears what he did not ask for, nor more often than he can bear.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use skillhost_e2e::{Feed, Host, Modern, Server, Speaks as _, component, faulty};

use crate::{
    empty,
    listening::{Ear, changed},
};

/// The host tells of the next change this long after one.
const WINDOW: Duration = Duration::from_millis(250);

fn both(host: &Host) -> (Server, [Modern; 2]) {
    let server = host.serve();
    let http = Modern::http(&server);
    (server, [host.modern(), http])
}

fn says(client: &mut Modern, kind: &str) {
    client.tool("faulty_changed", json!({"kind": kind}));
}

fn hears(client: &mut Modern, feed: &mut Feed, kind: &str) {
    let method = changed(kind);
    client.heard(feed, kind, |message| message["method"] == *method);
}

#[test]
fn a_stream_has_what_was_asked_for_and_nothing_else() {
    let host = empty();
    host.put("faulty.wasm", &faulty("features"));
    let (_server, all) = both(&host);
    for mut client in all {
        client.ask("tools/list", json!({}));
        let (mut prompts, accepted) = client.listen(json!({"promptsListChanged": true}));
        assert_eq!(accepted, json!({"promptsListChanged": true}));
        let (mut tools, _) = client.listen(json!({"toolsListChanged": true, "promptsListChanged": false}));
        let (mut rest, accepted) = client
            .listen(json!({"resourcesListChanged": true, "resourceSubscriptions": ["faulty://many/1"]}));
        assert_eq!(accepted["resourceSubscriptions"], json!(["faulty://many/1"]));
        for kind in ["tools", "resources"] {
            says(&mut client, kind);
        }
        hears(&mut client, &mut tools, "tools");
        hears(&mut client, &mut rest, "resources");
        client.tool("faulty_shout", json!({"uri": "faulty://many/{n}", "times": 3}));
        let updated = client.heard(&mut rest, "the update", |message| message["params"]["uri"].is_string());
        assert_eq!(updated["params"]["uri"], "faulty://many/1");
        says(&mut client, "prompts");
        hears(&mut client, &mut prompts, "prompts");
        for feed in [&mut prompts, &mut tools, &mut rest] {
            let more = client.heard_so_far(feed);
            assert!(more.is_empty(), "{more:?}");
        }
    }
}

#[test]
fn a_stream_that_asks_for_nothing_is_open_all_the_same() {
    let host = empty();
    host.put("faulty.wasm", &faulty("features"));
    let (_server, all) = both(&host);
    for mut client in all {
        let (mut silent, accepted) = client.listen(json!({}));
        assert_eq!(accepted, json!({}));
        let (mut loud, _) = client.listen(json!({"toolsListChanged": true}));
        says(&mut client, "tools");
        hears(&mut client, &mut loud, "tools");
        let heard = client.heard_so_far(&mut silent);
        assert!(heard.is_empty(), "{heard:?}");
    }
}

#[test]
fn a_stream_that_its_client_leaves_is_closed_and_others_go_on() {
    let host = empty();
    host.put("faulty.wasm", &faulty("features"));
    let (_server, [mut stdio, mut http]) = both(&host);
    let (gone, _) = http.listen(json!({"toolsListChanged": true}));
    let (mut stays, _) = http.listen(json!({"toolsListChanged": true}));
    drop(gone);
    says(&mut http, "tools");
    hears(&mut http, &mut stays, "tools");

    let (mut gone, _) = stdio.listen(json!({"toolsListChanged": true}));
    let (mut stays, _) = stdio.listen(json!({"toolsListChanged": true}));
    says(&mut stdio, "tools");
    hears(&mut stdio, &mut gone, "tools");
    hears(&mut stdio, &mut stays, "tools");
    let Feed::Stdio(id) = gone else { panic!("over stdio") };
    stdio.client().cancel(id);
    // It reads one message after the other.
    stdio.ask("tools/list", json!({}));
    stdio.heard_so_far(&mut gone);
    says(&mut stdio, "tools");
    hears(&mut stdio, &mut stays, "tools");
    let heard = stdio.heard_so_far(&mut gone);
    assert!(heard.is_empty(), "{heard:?}");
}

#[test]
fn a_stream_ends_with_its_host() {
    let host = empty();
    let (server, [mut stdio, mut http]) = both(&host);
    let (feed, _) = http.listen(json!({"toolsListChanged": true}));
    let Feed::Http(mut exchange) = feed else { panic!("over HTTP") };
    let killed = std::process::Command::new("kill").arg(server.id().to_string()).status().unwrap();
    assert!(killed.success());
    assert_eq!(server.wait(), Some(0));
    while exchange.next_message().is_some() {}
    // And a host with its client.
    stdio.listen(json!({"toolsListChanged": true}));
    stdio.ask("tools/list", json!({}));
    assert_eq!(stdio.close(), Some(0));
}

/// Ears of all kinds, each on a process of its own.
fn each(host: &Host, uri: &str) -> Vec<(Option<Server>, Ear)> {
    let (one, other) = (host.serve(), host.serve());
    let (session, http) = (Ear::session(&one, &[uri]), Ear::modern(Modern::http(&other), &[uri]));
    vec![
        (None, Ear::stdio(host, &[uri])),
        (None, Ear::modern(host.modern(), &[uri])),
        (Some(one), session),
        (Some(other), http),
    ]
}

/// Shouts from now on until all is told: how often the ear hears it. It can be no more than there are windows.
fn bounded(ear: &mut Ear, mut shout: impl FnMut(&mut Ear), method: &str, last: impl Fn(&Value) -> bool) {
    ear.heard();
    #[allow(clippy::disallowed_methods, reason = "the host's windows are of this clock")]
    let began = Instant::now();
    shout(ear);
    let mut heard = 0;
    ear.hears_when("the last one", |message| {
        heard += u32::from(message["method"] == method);
        last(message)
    });
    let windows = u32::try_from(began.elapsed().as_millis() / WINDOW.as_millis()).unwrap() + 2;
    assert!((1..=windows).contains(&heard), "{heard} times in {windows} windows");
}

#[test]
fn a_skill_that_shouts_is_heard_once_a_window() {
    let host = empty();
    host.put("faulty.wasm", &faulty("features"));
    let uri = "faulty://many/1";
    for (_server, mut ear) in each(&host, uri) {
        let updated = |message: &Value| message["params"]["uri"] == uri;
        // Within one call it is one.
        let shouted = ear.speaks().tool("faulty_shout", json!({"uri": uri, "times": 1_000}));
        assert_eq!(shouted["content"][0]["text"], "1000 Some(Ok(()))", "{shouted}");
        ear.hears_when("the update", updated);
        // Over many calls, it is one a window; what comes after it says that it is over.
        let shout = |ear: &mut Ear| {
            for _ in 0..200 {
                ear.speaks().tool("faulty_shout", json!({"uri": uri, "times": 5}));
            }
            ear.speaks().tool("faulty_changed", json!({"kind": "tools"}));
        };
        let last = |message: &Value| message["method"] == *changed("tools");
        bounded(&mut ear, shout, "notifications/resources/updated", last);
        let shout = |ear: &mut Ear| {
            for _ in 0..200 {
                ear.speaks().tool("faulty_changed", json!({"kind": "prompts"}));
            }
            ear.speaks().tool("faulty_changed", json!({"kind": "resources"}));
        };
        let last = |message: &Value| message["method"] == *changed("resources");
        bounded(&mut ear, shout, &changed("prompts"), last);
    }
}

#[test]
fn one_call_announces_so_many_and_only_its_own() {
    let host = empty();
    host.put("faulty.wasm", &faulty("features"));
    host.put("whole.wasm", &component("whole.wasm"));
    let host = host.config("[skills.whole.grants]\nkeyvalue = true");
    let mut ear = Ear::modern(
        host.modern(),
        &["faulty://many/999", "faulty://many/1000", "value://a", "faulty://plain"],
    );
    let shout = |ear: &mut Ear, uri: &str, times: usize| {
        let told = ear.speaks().tool("faulty_shout", json!({"uri": uri, "times": times}));
        told["content"][0]["text"].as_str().unwrap().to_owned()
    };
    let told = shout(&mut ear, "faulty://many/{n}", 1_500);
    assert!(told.starts_with("1000 Some(Err(HostError::Unavailable("), "{told}");
    let updated = |message: &Value| message["method"] == "notifications/resources/updated";
    assert_eq!(ear.hears_when("the update", updated)["params"]["uri"], "faulty://many/999");
    // Another's.
    let told = shout(&mut ear, "value://a", 1);
    shout(&mut ear, "faulty://plain", 1);
    assert_eq!(ear.hears_when("the update", updated)["params"]["uri"], "faulty://plain", "{told}");
    for wrong in ["value://a", "faulty://nothing", "nonsense", ""] {
        let told = shout(&mut ear, wrong, 1);
        assert!(
            told.starts_with("0 Some(Err(HostError::Invalid("),
            "`{wrong}`, which is none of its own: {told}"
        );
    }
}
