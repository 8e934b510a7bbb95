use serde_json::json;

use super::*;

fn form(key: &str) -> Question {
    let schema = json!({"type": "object", "properties": {"name": {"type": "string", "minLength": 2}}, "required": ["name"]});
    let schema = schema.as_object().unwrap().clone();
    Question { key: key.into(), ask: Ask::Form { message: "Who?".into(), schema } }
}

fn of(pairs: &[(&str, Value)]) -> BTreeMap<String, Value> {
    pairs.iter().map(|(key, value)| ((*key).to_owned(), value.clone())).collect()
}

fn told(questions: &[Question], pairs: &[(&str, Value)]) -> Result<Vec<Answer>, String> {
    answers(questions, &of(pairs)).map_err(|failure| failure.message)
}

#[test]
fn forms_are_checked_and_what_nobody_asked_is_left_out() {
    let questions = [form("who")];
    let good = json!({"action": "accept", "content": {"name": "Ann"}});
    let answers = told(&questions, &[("who", good.clone()), ("else", json!(1))]).unwrap();
    assert_eq!(answers.len(), 1);
    let AnswerValue::Elicited { action: Action::Accept, content: Some(content) } = &answers[0].value else {
        panic!("{answers:?}")
    };
    assert_eq!(content["name"], "Ann");
    // What was declined has no content, whatever came with it.
    let no = json!({"action": "decline", "content": {"name": 5}});
    let AnswerValue::Elicited { content: None, .. } = told(&questions, &[("who", no)]).unwrap()[0].value
    else {
        panic!()
    };
    assert_eq!(told(&questions, &[]).unwrap(), []);
    for (wrong, why) in [
        (json!(12345), "invalid type"),
        (json!({"action": "maybe"}), "maybe"),
        (json!({"action": "accept"}), "without `content`"),
        (json!({"action": "accept", "content": {}}), "name"),
        (json!({"action": "accept", "content": {"name": "A"}}), "/name"),
        (json!({"action": "accept", "content": {"name": 7}}), "/name"),
    ] {
        let error = told(&questions, &[("who", wrong.clone())]).unwrap_err();
        assert!(error.contains("`who`") && error.contains(why), "{wrong}: {error}");
    }
    assert!(all_answered(&questions, &of(&[("who", good)])));
    assert!(!all_answered(&questions, &of(&[("else", json!(1))])));
    assert!(!all_answered(&questions, &of(&[("who", json!(12345))])));
}

#[test]
fn the_other_kinds() {
    let sample = Question { key: "s".into(), ask: Ask::Sample(Map::new()) };
    let roots = Question { key: "r".into(), ask: Ask::Roots };
    let page = Question {
        key: "p".into(),
        ask: Ask::Url { message: "m".into(), url: "https://a".into(), id: "1".into() },
    };
    let questions = [sample, roots, page];
    let good = [
        ("s", json!({"role": "assistant", "model": "m", "content": {"type": "text", "text": "Paris"}})),
        ("r", json!({"roots": [{"uri": "file:///a", "name": "A"}, {"uri": "file:///b"}]})),
        ("p", json!({"action": "accept"})),
    ];
    assert_eq!(told(&questions, &good).unwrap().len(), 3);
    for wrong in [
        ("s", json!({})),
        ("s", json!([])),
        ("r", json!({"roots": [1]})),
        ("r", json!({})),
        ("p", json!("yes")),
    ] {
        assert!(told(&questions, std::slice::from_ref(&wrong)).is_err(), "{wrong:?}");
    }
    assert_eq!(beyond(&questions, &ClientFeatures::default()), ["elicitation.url", "roots", "sampling"]);
    let able =
        ClientFeatures { roots: true, sampling: true, elicitation_url: true, ..ClientFeatures::default() };
    assert_eq!(beyond(&questions, &able), [] as [String; 0]);
}
