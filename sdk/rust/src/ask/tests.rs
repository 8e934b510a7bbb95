use serde_json::json;

use super::*;
use crate::prelude::*;
use crate::testing::Client;
use crate::types::{self, Action, AnswerValue, Ask, ClientFeatures, Elicited as Raw, Outcome};
use crate::{PromptOutcome, ReadOutcome};

#[derive(Debug, PartialEq, Deserialize, JsonSchema)]
struct Name {
    name: String,
}

#[derive(Debug, PartialEq, Deserialize, JsonSchema)]
struct Age {
    age: u8,
}

fn introduce(ctx: &Context) -> Result<String, Pause> {
    let name = ask::form::<Name>(ctx, "name", "Who?")?.or_stop()?.name;
    let age = ask::form::<Age>(ctx, "age", format!("How old, {name}?"))?.or_stop()?.age;
    Ok(format!("{name} is {age}"))
}

fn asked<T: std::fmt::Debug>(result: Result<T, Pause>) -> InputRequired {
    match result {
        Err(Pause::Asked(questions)) => questions,
        other => panic!("{other:?}"),
    }
}

fn keys(questions: &InputRequired) -> Vec<&str> {
    questions.questions.iter().map(|question| question.key.as_str()).collect()
}

fn state(questions: &InputRequired) -> &str {
    std::str::from_utf8(questions.state.as_deref().unwrap()).unwrap()
}

/// The round after `questions`, with these answers to them.
fn then(ctx: &Context, questions: InputRequired, answers: &[(&str, AnswerValue)]) -> Context {
    let answer =
        |(key, value): &(&str, AnswerValue)| types::Answer { key: (*key).into(), value: value.clone() };
    let answers = answers.iter().map(answer).collect();
    let number = ctx.round.as_ref().map_or(2, |round| round.number + 1);
    Context { round: Some(types::Round { number, state: questions.state, answers }), ..ctx.clone() }
}

fn accepted(content: &str) -> AnswerValue {
    AnswerValue::Elicited(Raw { action: Action::Accept, content: Some(content.into()) })
}

#[test]
fn two_forms_in_sequence_take_three_rounds() {
    let first = Client::new().context();
    let who = asked(introduce(&first));
    assert_eq!((keys(&who), state(&who)), (vec!["name"], r#"{"answers":{}}"#));
    let Ask::Form(form) = &who.questions[0].ask else { panic!("no form") };
    assert_eq!(form.message, "Who?");
    assert!(form.schema.contains(r#""required":["name"]"#), "{}", form.schema);

    let second = then(&first, who, &[("name", accepted(r#"{"name": "Ada"}"#))]);
    let how_old = asked(introduce(&second));
    assert_eq!(keys(&how_old), ["age"]);
    let Ask::Form(form) = &how_old.questions[0].ask else { panic!("no form") };
    assert_eq!(form.message, "How old, Ada?");
    assert_eq!(state(&how_old), r#"{"answers":{"name":{"accept":{"name": "Ada"}}}}"#);

    let third = then(&second, how_old, &[("age", accepted(r#"{"age": 36}"#))]);
    assert_eq!(introduce(&third), Ok("Ada is 36".into()));
}

#[test]
fn what_was_not_answered_is_asked_again() {
    let first = Client::new().context();
    let again = asked(introduce(&then(&first, asked(introduce(&first)), &[])));
    assert_eq!(keys(&again), ["name"]);
    // An answer of another kind, or one that is no JSON, is none.
    for answer in [AnswerValue::Sampled("{}".into()), AnswerValue::Roots(vec![]), accepted("{")] {
        let next = then(&first, asked(introduce(&first)), &[("name", answer)]);
        assert_eq!(keys(&asked(introduce(&next))), ["name"]);
    }
}

#[test]
fn an_answer_that_fits_the_form_but_not_the_type_fails() {
    let first = Client::new().context();
    for content in ["{}", "[]", r#"{"name": 1}"#] {
        let next = then(&first, asked(introduce(&first)), &[("name", accepted(content))]);
        let Err(Pause::Failed(Failure::InvalidInput(message))) = introduce(&next) else {
            panic!("{content}")
        };
        assert!(message.starts_with("the answer to `name` does not fit: "), "{message}");
    }
}

#[test]
fn a_person_may_say_no() {
    let stopped = |client: Client| client.run(introduce).unwrap_err();
    assert_eq!(stopped(Client::new().declines("name")), Failure::permanent("the person declined"));
    let client = Client::new().accepts("name", &json!({"name": "Ada"})).cancels("age");
    assert_eq!(stopped(client), Failure::permanent("the person cancelled"));
}

/// A no stays a no while more is asked.
#[test]
fn a_no_is_remembered() {
    let work = |ctx: &Context| {
        let name = ask::form::<Name>(ctx, "name", "Who?")?;
        let age = ask::form::<Age>(ctx, "age", "How old?")?;
        Ok((name, age.accepted()))
    };
    let client = Client::new().declines("name").accepts("age", &json!({"age": 1}));
    assert_eq!(client.run(work), Ok((Elicited::Declined, Some(Age { age: 1 }))));
    assert_eq!(client.asked().len(), 2, "nothing was asked twice");
}

#[test]
fn what_the_client_cannot_do_is_told_before_it_is_asked() {
    let lacking = |ctx: &Context, work: fn(&Context) -> Result<(), Pause>| match work(ctx) {
        Err(Pause::Failed(Failure::MissingCapability(features))) => features.join(" "),
        other => panic!("{other:?}"),
    };
    let nothing = Context::for_tests();
    assert_eq!(lacking(&nothing, |ctx| ask::form::<Name>(ctx, "k", "").map(drop)), "elicitation");
    assert_eq!(lacking(&nothing, |ctx| ask::form_raw(ctx, "k", "", "{}").map(drop)), "elicitation");
    assert_eq!(lacking(&nothing, |ctx| ask::url(ctx, "k", "", "", "").map(drop)), "elicitation.url");
    assert_eq!(lacking(&nothing, |ctx| ask::prompt_model(ctx, "k", "", 1).map(drop)), "sampling");
    assert_eq!(lacking(&nothing, |ctx| ask::roots(ctx, "k").map(drop)), "roots");
    assert_eq!(
        lacking(&nothing, |ctx| {
            let questions = vec![
                Question::roots("a"),
                Question::form::<Name>("b", ""),
                Question::roots("c"),
                Question::form::<Age>("d", ""),
            ];
            ask::all(ctx, questions).map(drop)
        }),
        "roots elicitation"
    );
    // Tools in sampling are a feature of their own.
    let no_tools = Client::new().without(ClientFeatures::SAMPLING_TOOLS).context();
    assert_eq!(
        lacking(&no_tools, |ctx| ask::sample(ctx, "k", &json!({"tools": []})).map(drop)),
        "sampling.tools"
    );
    asked(ask::sample(&no_tools, "k", &json!({"messages": []})));
    // What is answered needs nothing.
    let client = Client::new().without(ClientFeatures::all());
    let questions = InputRequired { questions: vec![], state: None };
    let answered = then(&client.context(), questions, &[("name", accepted(r#"{"name": "Ada"}"#))]);
    assert!(ask::form::<Name>(&answered, "name", "").is_ok());
}

fn several(ctx: &Context) -> Result<String, Pause> {
    let questions = vec![
        Question::form::<Name>("name", "Who?"),
        Question::prompt_model("word", "Greet in a word.", 5),
        Question::roots("where"),
        Question::url("page", "Look", "https://a.org", "1"),
    ];
    let answers = ask::all(ctx, questions)?;
    let name = answers.form::<Name>("name")?.or_stop()?.name;
    let went = answers.url("page")? == Elicited::Accepted(());
    Ok(format!("{} {name} {} {went}", answers.prompt_model("word")?, answers.roots("where")?[0].uri))
}

#[test]
fn several_questions_go_out_at_once() {
    let client = Client::new()
        .accepts("name", &json!({"name": "Ada"}))
        .says("word", "Moin")
        .roots("where", ["file:///a"])
        .accepts("page", &());
    assert_eq!(client.run(several), Ok("Moin Ada file:///a true".into()));
    assert_eq!(client.asked().len(), 4);
}

#[test]
fn a_client_may_answer_some_only() {
    let first = Client::new().context();
    let all = asked(several(&first));
    assert_eq!(keys(&all), ["name", "word", "where", "page"]);
    let second = then(&first, all, &[("name", accepted(r#"{"name":"Ada"}"#)), ("page", accepted("{}"))]);
    let rest = asked(several(&second));
    assert_eq!(keys(&rest), ["word", "where"]);
    let said =
        r#"{"content": [{"type": "text", "text": "Mo"}, {"type": "image"}, {"type": "text", "text": "in"}]}"#;
    let roots = vec![Root { uri: "file:///b".into(), name: Some("B".into()) }];
    let third = then(
        &second,
        rest,
        &[("word", AnswerValue::Sampled(said.into())), ("where", AnswerValue::Roots(roots))],
    );
    assert_eq!(several(&third), Ok("Mo\nin Ada file:///b true".into()));
}

#[test]
fn mistakes_of_the_skill_are_told() {
    let ctx = Client::new().context();
    let told = |result: Result<(), Pause>| match result {
        Err(Pause::Failed(Failure::Permanent(message))) => message,
        other => panic!("{other:?}"),
    };
    let twice = vec![Question::roots("a"), Question::roots("a")];
    assert!(told(ask::all(&ctx, twice).map(drop)).contains("two questions have the key `a`"));
    assert!(told(ask::sample(&ctx, "a", &1).map(drop)).contains("the parameters of `a` are no object"));
    let odd = std::collections::BTreeMap::from([((1, 2), 3)]);
    assert!(told(ask::sample(&ctx, "a", &odd).map(drop)).contains("have no JSON"));
    assert!(told(ask::form_raw(&ctx, "a", "", "{").map(drop)).contains("the schema of `a` is no JSON"));
    assert!(told(ask::form_raw(&ctx, "a", "", "[]").map(drop)).contains("the schema of `a` is no object"));
    let none = ask::all(&ctx, vec![]).unwrap();
    assert!(
        matches!(none.roots("a"), Err(Failure::Permanent(message)) if message.contains("has the key `a`"))
    );
    assert!(none.form::<Name>("a").is_err() && none.sample("a").is_err());
    let client = Client::new().samples("a", &json!({"content": {"type": "image", "data": ""}}));
    let Err(Failure::Permanent(message)) = client.run(|ctx| ask::prompt_model(ctx, "a", "", 1)) else {
        panic!("there was text");
    };
    assert_eq!(message, "the model answered `a` without text");
}

#[test]
#[should_panic(expected = "no answer to any of [\"name\"]")]
fn a_test_without_an_answer_says_which() {
    let _ = Client::new().run(introduce);
}

#[test]
#[should_panic(expected = "without an end")]
fn a_test_that_asks_for_ever_ends() {
    let _ = Client::new().answers("name", AnswerValue::Roots(vec![])).run(introduce);
}

/// Asks and fails in all ways there are.
#[tool]
fn tool_that_asks(ctx: &Context) -> Result<Name, Pause> {
    fn fails() -> Result<(), Failure> {
        Ok(())
    }
    fails()?;
    let _ = keyvalue::get("x")?;
    Ok(ask::form(ctx, "name", "Who?")?.or_stop()?)
}

impl Serialize for Name {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        json!({"name": self.name}).serialize(serializer)
    }
}

/// Asks.
#[prompt]
fn prompt_that_asks(ctx: &Context) -> Result<String, Pause> {
    introduce(ctx)
}

/// Asks.
#[resource(uri = "a://b")]
fn resource_that_asks(ctx: &Context) -> Result<Option<String>, Pause> {
    introduce(ctx).map(Some)
}

#[test]
fn tools_prompts_and_resources_ask() {
    let ctx = Client::new().context();
    let client = Client::new().accepts("name", &json!({"name": "Ada"}));
    let host = crate::testing::Host::new();
    let tool = tool_that_asks::definition();
    assert!(matches!(host.run(|| tool.call(&ctx, None)), Ok(Outcome::InputRequired(_))));
    assert_eq!(host.run(|| client.call(&tool, None)), Ok(Reply::structured(&json!({"name": "Ada"}))));
    assert!(tool.describe().output_schema.is_some());

    let prompt = prompt_that_asks::definition();
    assert!(matches!(prompt.get(&ctx, &[]), Ok(PromptOutcome::InputRequired(_))));
    assert!(matches!(prompt.get(&Context::for_tests(), &[]), Err(Failure::MissingCapability(_))));

    let resource = resource_that_asks::definition();
    assert!(matches!(resource.read(&ctx, "a://b"), Ok(Some(ReadOutcome::InputRequired(_)))));
    assert!(matches!(resource.read(&Context::for_tests(), "a://b"), Err(Failure::MissingCapability(_))));
    assert_eq!(resource.read(&ctx, "a://c"), Ok(None));
}
