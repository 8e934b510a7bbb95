//! Rules and hosts that are killed: a handler is called at least once about a letter, and takes effect at most once.

use serde_json::json;
use skillhost_e2e::{Host, eventually};

use crate::{
    crash::Random,
    playbooks::{id, lines, record, shown},
    recovery::{effects, recording, status},
};

const TELL: &str = "[[playbooks]]\nname = \"tell\"\nmatch = { message = \"never be written\" }\naction = \"call\"\n\
    tool = \"faulty_record\"\n";

fn told(host: &Host, id: &str) -> usize {
    effects(host).iter().filter(|line| line.starts_with(&format!("told {id} "))).count()
}

#[test]
fn a_host_that_is_killed_while_a_handler_runs_does_not_call_it_twice() {
    let host = recording(&format!("{TELL}arguments = {{ line = \"told {{id}}\", after = \"hang\" }}"));
    let mut client = host.stdio();
    let id = id(&record(&mut client, "a", json!({"before": "permanent"})));
    eventually(|| (told(&host, &id) == 1).then_some(()));
    client.kill();
    let mut client = host.stdio();
    let lines = eventually(|| Some(lines(&host, &id)).filter(|lines| lines.len() == 2));
    assert!(lines[1].contains("that is parked"), "{lines:?}");
    assert_eq!(told(&host, &id), 1);
    assert_eq!(status(&mut client, &id)["state"], "parked");
}

#[test]
fn what_a_dead_process_left_is_asked_about() {
    let host = recording(
        "[[playbooks]]\nname = \"drop\"\nmatch = { message = \"the host ended\" }\naction = \"discard\"",
    );
    let mut client = host.stdio();
    let meta = json!({"skillhost/durable": true});
    client.begin_call_with("faulty_record", json!({"line": "a", "after": "hang"}), meta);
    let line = eventually(|| effects(&host).into_iter().next());
    let id = line.split_once(' ').unwrap().1.to_owned();
    client.kill();
    let mut client = host.stdio();
    eventually(|| Some(status(&mut client, &id)).filter(|status| status["state"] == "discarded"));
    let shown = shown(&host, &id);
    let steps: Vec<_> =
        shown["history"].as_array().unwrap().iter().map(|event| event["step"].as_str().unwrap()).collect();
    assert_eq!(steps, ["taken-over", "failed", "parked", "playbook", "discarded"], "{shown}");
}

#[test]
fn hosts_that_are_killed_at_any_moment_call_each_handler() {
    let host = recording(&format!("{TELL}arguments = {{ line = \"told {{id}}\" }}"));
    let mut random = Random(20_261_127);
    let mut answered = vec![];
    for cycle in 0..12 {
        let mut client = host.stdio();
        let sent: Vec<_> = (0..6)
            .map(|n| {
                let arguments = json!({"line": format!("{cycle}-{n}"), "before": "permanent"});
                client.begin_call_with("faulty_record", arguments, json!({"skillhost/durable": true}))
            })
            .collect();
        for request in sent.into_iter().take(random.below(7)) {
            answered.push(id(&client.wait(request)["result"]));
        }
        client.kill();
    }
    let client = host.stdio();
    // Those that were not answered, too: whatever became a letter.
    let all = host.json(&["dlq", "list", "--text", "never be written", "--limit", "0", "--json"]);
    let all: Vec<_> = all["letters"]
        .as_array()
        .unwrap()
        .iter()
        .map(|letter| letter["id"].as_str().unwrap().to_owned())
        .collect();
    assert!(answered.iter().all(|id| all.contains(id)));
    assert!(all.len() >= 20, "{}", all.len());
    for id in &all {
        let lines = eventually(|| Some(lines(&host, id)).filter(|lines| lines.len() >= 2));
        assert_eq!(lines.len(), 2, "one firing, and what came of it: {lines:?}");
        let lost = lines[1].contains("that is parked");
        match told(&host, id) {
            1 => {}
            // Killed between its beginning and its effect: nobody knows, and that is kept.
            0 => assert!(lost, "{lines:?}"),
            n => panic!("{n} times: {lines:?}"),
        }
    }
    drop(client);
}
