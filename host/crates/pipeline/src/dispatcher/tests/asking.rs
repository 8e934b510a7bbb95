//! Calls that ask before they go on.

use skillhost_core::{Action, AnswerValue, Ask, InputRequired, Question};

use super::{keeping::*, *};
use crate::{Asking, Given};

fn person() -> ClientFeatures {
    ClientFeatures { elicitation_form: true, ..ClientFeatures::default() }
}

fn question(key: &str) -> Question {
    let schema = json!({"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"]});
    Question {
        key: key.into(),
        ask: Ask::Form { message: "Who?".into(), schema: schema.as_object().unwrap().clone() },
    }
}

fn asks(key: &str, state: &str) -> Answer {
    let state = Some(state.as_bytes().to_vec());
    Ok(Outcome::InputRequired(InputRequired { questions: vec![question(key)], state }))
}

/// Asks `who`, then, when told to, `sure`; answers with what it was told. Its runs are counted.
fn asking(keeping: Keeping, policies: Policies) -> (Bench, Arc<AtomicUsize>) {
    let runs = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&runs);
    let bench = kept_world(policies, Some(keeping), move |call| {
        count.fetch_add(1, Ordering::SeqCst);
        async move {
            let arguments: Value =
                call.arguments.as_deref().map_or(Value::Null, |text| serde_json::from_str(text).unwrap());
            let Some(round) = call.round else { return asks("who", "first") };
            let name = match &round.answers[..] {
                [
                    skillhost_core::Answer {
                        value: AnswerValue::Elicited { action: Action::Accept, content },
                        ..
                    },
                ] => content.as_ref().unwrap()["name"].as_str().unwrap().to_owned(),
                [] => return asks("who", "once more"),
                other => panic!("{other:?}"),
            };
            if arguments["twice"] == true && round.number == 2 {
                assert_eq!(round.state.as_deref(), Some(b"first".as_slice()));
                return asks("sure", &name);
            }
            if let Some(kind) = arguments["fail"].as_str() {
                return Err(Failure::new(FailureKind::from_code(kind).unwrap(), "as asked"));
            }
            let state = String::from_utf8(round.state.clone().unwrap()).unwrap();
            Ok(text(&format!("{name} {state} {}", round.number)))
        }
    });
    (bench, runs)
}

fn plain() -> (Bench, Arc<AtomicUsize>) {
    asking(Keeping::new(|_, _| {}), plainly())
}

fn from(tool: &str, arguments: Value) -> Request {
    Request { client: person(), ..request(tool, arguments) }
}

async fn asked(bench: &Bench, request: Request) -> (CallId, Asking) {
    let response = bench.dispatcher.call(request).await;
    let id = response.id;
    assert_eq!(response.effect, Effect::None);
    let asked = response.asked.expect("it asks");
    assert_eq!(response.result.unwrap_err().kind, FailureKind::InputRequired);
    (id, asked)
}

fn answer(asked: &Asking, name: &str) -> Option<Given> {
    let answer = json!({"action": "accept", "content": {"name": name}});
    let answers = [(asked.questions[0].key.clone(), answer)].into();
    Some(Given { state: Some(asked.state.clone()), answers })
}

fn said(response: Response) -> String {
    match &response.result.expect("it answers").content[0].content {
        skillhost_core::Content::Text(text) => text.clone(),
        other => panic!("{other:?}"),
    }
}

async fn kind_of(bench: &Bench, request: Request) -> FailureKind {
    failed(bench.dispatcher.call(request).await).kind
}

#[tokio::test(start_paused = true)]
async fn all_rounds_are_one_call() {
    let (bench, runs) = plain();
    let arguments = json!({"twice": true});
    let (id, first) = asked(&bench, from("fake_run", arguments.clone())).await;
    let (again, second) =
        asked(&bench, Request { given: answer(&first, "Ann"), ..from("fake_run", arguments.clone()) }).await;
    assert_ne!(first.state, second.state);
    assert_eq!(second.questions[0].key, "sure");
    let last = Request { given: answer(&second, "Bob"), ..from("fake_run", arguments) };
    let response = bench.dispatcher.call(last).await;
    assert_eq!((id, id), (again, response.id));
    assert_eq!(said(response), "Bob Ann 3");
    assert_eq!((runs.load(Ordering::SeqCst), bench.running()), (3, 0));
    assert_eq!(bench.keeping.as_ref().unwrap().rows(), 0, "a plain call writes no row");
}

#[tokio::test(start_paused = true)]
async fn a_state_is_good_for_its_caller_tool_and_arguments_alone() {
    let (bench, runs) = plain();
    let (_, first) = asked(&bench, from("fake_run", json!({"a": 1}))).await;
    let good = Request { given: answer(&first, "Ann"), ..from("fake_run", json!({"a": 1})) };
    let mut tampered = answer(&first, "Ann").unwrap();
    tampered.state.as_mut().unwrap().push_str("-TAMPERED");
    let mut cut = answer(&first, "Ann").unwrap();
    cut.state.as_mut().unwrap().truncate(20);
    for (what, request) in [
        ("tampered", Request { given: Some(tampered), ..good.clone() }),
        ("cut", Request { given: Some(cut), ..good.clone() }),
        ("another caller", Request { caller: Caller::named("eve"), ..good.clone() }),
        ("another tool", Request { tool: "fake_same".into(), ..good.clone() }),
        ("other arguments", Request { arguments: json!({"a": 2}).as_object().cloned(), ..good.clone() }),
        ("no arguments", Request { arguments: None, ..good.clone() }),
    ] {
        assert_eq!(kind_of(&bench, request).await, FailureKind::InvalidAnswers, "{what}");
    }
    assert_eq!(runs.load(Ordering::SeqCst), 1, "nothing of it ran");
    let catalog = bench.publish.borrow().clone();
    let mut tools = catalog.tools.clone();
    tools.get_mut("fake_run").unwrap().digest = skillhost_core::Digest::of(b"another");
    bench.publish.send_replace(Arc::new(Catalog { tools, settled: true, ..Catalog::default() }));
    assert_eq!(kind_of(&bench, good.clone()).await, FailureKind::InvalidAnswers, "another component");
    bench.publish.send_replace(catalog);
    // The order of keys in the arguments is none, and nothing before has used it up.
    assert_eq!(said(bench.dispatcher.call(good).await), "Ann first 2");
}

#[tokio::test(start_paused = true)]
async fn a_state_expires() {
    let (bench, _) = plain();
    let (_, first) = asked(&bench, from("fake_run", json!({}))).await;
    assert_eq!(first.within, seconds(600));
    pass(601.0).await;
    let late = Request { given: answer(&first, "Ann"), ..from("fake_run", json!({})) };
    assert_eq!(kind_of(&bench, late).await, FailureKind::InvalidAnswers);
}

#[tokio::test(start_paused = true)]
async fn answers_count_once_unless_the_tool_may_run_twice_or_nothing_came_of_them() {
    let (bench, runs) = plain();
    let (_, first) = asked(&bench, from("fake_run", json!({}))).await;
    let good = Request { given: answer(&first, "Ann"), ..from("fake_run", json!({})) };
    assert_eq!(said(bench.dispatcher.call(good.clone()).await), "Ann first 2");
    assert_eq!(kind_of(&bench, good.clone()).await, FailureKind::InvalidAnswers);
    assert_eq!(runs.load(Ordering::SeqCst), 2);
    // Idempotent: as often as they come.
    let (_, first) = asked(&bench, from("fake_same", json!({}))).await;
    let same = Request { given: answer(&first, "Ann"), ..from("fake_same", json!({})) };
    for _ in 0..2 {
        assert_eq!(said(bench.dispatcher.call(same.clone()).await), "Ann first 2");
    }
    for (fail, again) in [("permanent", FailureKind::Permanent), ("trap", FailureKind::InvalidAnswers)] {
        let arguments = json!({"fail": fail});
        let (_, first) = asked(&bench, from("fake_run", arguments.clone())).await;
        let good = Request { given: answer(&first, "Ann"), ..from("fake_run", arguments) };
        assert_eq!(kind_of(&bench, good.clone()).await.code(), fail);
        assert_eq!(kind_of(&bench, good).await, again, "after {fail}");
    }
}

#[tokio::test(start_paused = true)]
async fn two_at_once_use_the_same_answers_once() {
    let (bench, runs) = plain();
    let (_, first) = asked(&bench, from("fake_run", json!({}))).await;
    let good = Request { given: answer(&first, "Ann"), ..from("fake_run", json!({})) };
    let calls = futures::future::join_all((0..8).map(|_| bench.dispatcher.call(good.clone()))).await;
    let done = calls.iter().filter(|response| response.result.is_ok()).count();
    assert_eq!((done, runs.load(Ordering::SeqCst)), (1, 2));
}

#[tokio::test(start_paused = true)]
async fn what_is_not_answered_is_asked_again_and_a_wrong_answer_is_refused() {
    let (bench, _) = plain();
    let (_, first) = asked(&bench, from("fake_run", json!({}))).await;
    let with = |answers: Value| {
        let answers = answers.as_object().unwrap().clone().into_iter().collect();
        let given = Some(Given { state: Some(first.state.clone()), answers });
        Request { given, ..from("fake_run", json!({})) }
    };
    let wrong = with(json!({"who": 12345}));
    assert_eq!(kind_of(&bench, wrong).await, FailureKind::InvalidAnswers);
    let (_, again) = asked(&bench, with(json!({"else": {"action": "accept"}}))).await;
    assert_eq!(again.questions[0].key, "who");
    // It was not used up by either.
    let good = Request { given: answer(&first, "Ann"), ..from("fake_run", json!({})) };
    assert_eq!(said(bench.dispatcher.call(good).await), "Ann first 2");
}

#[tokio::test(start_paused = true)]
async fn answers_that_come_before_their_questions_count_when_they_answer_all() {
    let (bench, runs) = plain();
    let early = |answers: Value| {
        let answers = answers.as_object().unwrap().clone().into_iter().collect();
        Request { given: Some(Given { state: None, answers }), ..from("fake_run", json!({})) }
    };
    let good = json!({"action": "accept", "content": {"name": "Ann"}});
    let response = bench.dispatcher.call(early(json!({"who": good, "else": {}}))).await;
    assert_eq!(said(response), "Ann first 2");
    assert_eq!(runs.load(Ordering::SeqCst), 2);
    for useless in [json!({"else": good}), json!({"who": 12345}), json!({"who": {"action": "accept"}})] {
        asked(&bench, early(useless)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_is_asked_only_what_it_can_answer() {
    let (bench, _) = plain();
    let failure = failed(bench.dispatcher.call(request("fake_run", json!({}))).await);
    assert_eq!(
        (failure.kind, &failure.missing[..]),
        (FailureKind::MissingCapability, &["elicitation".to_owned()][..])
    );
}

#[tokio::test(start_paused = true)]
async fn a_form_that_is_none_is_the_skills_fault() {
    let bench = kept_world(plainly(), Some(Keeping::new(|_, _| {})), |_| async {
        let schema =
            json!({"type": "object", "properties": {"a": {"$ref": "#"}}}).as_object().unwrap().clone();
        let ask = Ask::Form { message: String::new(), schema };
        let questions = vec![Question { key: "k".into(), ask }];
        Ok(Outcome::InputRequired(InputRequired { questions, state: None }))
    });
    let failure = failed(bench.dispatcher.call(from("fake_run", json!({}))).await);
    assert_eq!(failure.kind, FailureKind::InvalidOutput);
}

#[tokio::test(start_paused = true)]
async fn rounds_have_an_end() {
    let bench = kept_world(plainly(), Some(Keeping::new(|_, _| {})), |_| async { asks("who", "") });
    let mut given = None;
    let mut rounds = 0;
    let failure = loop {
        let response =
            bench.dispatcher.call(Request { given: given.take(), ..from("fake_same", json!({})) }).await;
        match response.asked {
            Some(asked) => given = answer(&asked, "Ann"),
            None => break failed(response),
        }
        rounds += 1;
    };
    assert_eq!((rounds, failure.kind), (15, FailureKind::InvalidOutput));
}

#[tokio::test(start_paused = true)]
async fn asking_gives_the_key_back_and_a_later_round_takes_it() {
    let (bench, runs) = plain();
    let first = Request { client: person(), ..keyed("fake_run", json!({}), "k") };
    let (id, asking) = asked(&bench, first.clone()).await;
    // The same again is another call, which asks anew.
    let (other, _) = asked(&bench, first.clone()).await;
    assert_ne!(id, other);
    let good = Request { given: answer(&asking, "Ann"), ..first.clone() };
    let response = bench.dispatcher.call(good).await;
    assert_eq!(response.id, id);
    assert_eq!(said(response), "Ann first 2");
    // Now it is done, and neither asks nor runs again.
    let response = bench.dispatcher.call(first).await;
    assert!(response.replayed);
    assert_eq!((said(response).as_str(), runs.load(Ordering::SeqCst)), ("Ann first 2", 3));
}

#[tokio::test(start_paused = true)]
async fn a_durable_call_asks_while_somebody_waits() {
    let (bench, _) = plain();
    let durable = Asked { durable: true, ..Asked::default() };
    let first = Request { asked: durable.clone(), ..from("fake_run", json!({})) };
    let (id, asking) = asked(&bench, first.clone()).await;
    assert_eq!(bench.keeping.as_ref().unwrap().all().await, [], "it is no letter");
    let response = bench.dispatcher.call(Request { given: answer(&asking, "Ann"), ..first }).await;
    assert_eq!((response.id, said(response).as_str()), (id, "Ann first 2"));
}

#[tokio::test(start_paused = true)]
async fn asking_says_nothing_of_the_skills_health_and_is_not_kept() {
    let policies = policies(|skill, tool| {
        skill.breaker.consecutive = Some(2);
        tool.cache = Some(skillhost_policy::CachePolicy { ttl: seconds(60), shared: false });
    });
    let (bench, runs) = asking(Keeping::new(|_, _| {}), policies);
    for n in 1..=5 {
        asked(&bench, from("fake_read", json!({}))).await;
        assert_eq!(runs.load(Ordering::SeqCst), n);
    }
    assert_eq!(bench.breaker().state, "closed");
}

#[tokio::test(start_paused = true)]
async fn a_tool_that_another_calls_has_nobody_to_ask() {
    let bench = kept_world(plainly(), Some(Keeping::new(|_, _| {})), |call: Call| async move {
        if &*call.tool == "run" {
            assert!(call.client.elicitation_form);
            let tools = Arc::clone(&call.tools);
            return tools.call_tool(call, "other_same".into(), None).await.map(Outcome::Reply);
        }
        assert!(!call.client.elicitation_form);
        asks("who", "")
    });
    let failure = failed(bench.dispatcher.call(from("fake_run", json!({}))).await);
    assert_eq!(failure.kind, FailureKind::MissingCapability);
}

#[tokio::test(start_paused = true)]
async fn whoever_asks_after_it_made_others_act_is_refused() {
    let bench = kept_world(plainly(), Some(Keeping::new(|_, _| {})), |call: Call| async move {
        if call.depth == 1 {
            return Ok(text("done"));
        }
        let tools = Arc::clone(&call.tools);
        tools.call_tool(call, "other_run".into(), None).await?;
        asks("who", "")
    });
    let failure = failed(bench.dispatcher.call(from("fake_run", json!({}))).await);
    assert_eq!(failure.kind, FailureKind::InvalidOutput);
    assert!(failure.message.contains("ask first"), "{}", failure.message);
}
