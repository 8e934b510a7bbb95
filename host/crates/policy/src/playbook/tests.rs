use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::{Delays, RetryPolicy};

fn rule(name: &str, when: When, action: Action) -> Playbook {
    Playbook { name: name.into(), when, action }
}

fn retry_of(attempts: u32) -> Action {
    let delays = Delays::Listed(Arc::new([Duration::from_secs(300)]));
    let retry = RetryPolicy { attempts, delays, jitter: false, attempt_timeout: None };
    let policy = RedeliveryPolicy { retry, max_age: Duration::from_secs(86_400) };
    Action::Retry { policy, even_if_unknown: false }
}

fn call(limit: u32) -> Action {
    Action::Call { tool: "notify_send".into(), arguments: Template::default(), park: false, limit }
}

const LETTER: Letter<'_> = Letter {
    skill: "fetch",
    tool: "fetch_get",
    kind: Some(FailureKind::Transient),
    message: "the server says 429",
    attempts: 2,
    tries: 2,
    age: Duration::from_secs(3_600),
    parked: false,
    due_in: Duration::from_secs(60),
    unknown: false,
    safe: false,
    undoable: false,
    priority: "normal",
    fired: &[],
};

fn does(rules: &[Playbook], letter: &Letter<'_>) -> Option<(String, Does)> {
    decide(rules, letter, 0.5).chosen.map(|(rule, does)| (rule.name.to_string(), does))
}

fn within<T>(min: Option<T>, max: Option<T>) -> Within<T> {
    Within { min, max }
}

fn seconds(n: u64) -> Duration {
    Duration::from_secs(n)
}

// Each criterion alone: what it says, whether it holds for the letter above, and the key that is told when it does not.
#[test]
fn each_criterion_is_told_when_it_does_not_hold() {
    let glob = |text: &str| Some(Glob::new(text).unwrap());
    let pattern = |text: &str| Some(Pattern::new(text).unwrap());
    let table: Vec<(When, Option<&str>)> = vec![
        (When::default(), None),
        (When { skill: glob("f*"), ..When::default() }, None),
        (When { skill: glob("text"), ..When::default() }, Some("skill")),
        (When { tool: glob("*_get"), ..When::default() }, None),
        (When { tool: glob("fetch_g"), ..When::default() }, Some("tool")),
        (When { kinds: vec![FailureKind::Timeout, FailureKind::Transient], ..When::default() }, None),
        (When { kinds: vec![FailureKind::Timeout], ..When::default() }, Some("kind")),
        (When { message: pattern("429|rate limit"), ..When::default() }, None),
        (When { message: pattern("^429"), ..When::default() }, Some("message")),
        (When { attempts: within(Some(2), Some(2)), ..When::default() }, None),
        (When { attempts: within(Some(3), None), ..When::default() }, Some("attempts")),
        (When { attempts: within(None, Some(1)), ..When::default() }, Some("attempts")),
        (When { age: within(Some(seconds(3_600)), None), ..When::default() }, None),
        (When { age: within(Some(seconds(3_601)), None), ..When::default() }, Some("age")),
        (When { age: within(None, Some(seconds(3_599))), ..When::default() }, Some("age")),
        (When { parked: Some(false), ..When::default() }, None),
        (When { parked: Some(true), ..When::default() }, Some("state")),
        (When { effect: Some(Effect::None), ..When::default() }, None),
        (When { effect: Some(Effect::Unknown), ..When::default() }, Some("effect")),
        (When { priorities: vec!["low", "normal"], ..When::default() }, None),
        (When { priorities: vec!["low"], ..When::default() }, Some("priority")),
    ];
    for (when, missed) in table {
        let told = rule("a", when.clone(), Action::Park).misses(&LETTER);
        assert_eq!(told.as_ref().map(|miss| miss.criterion), missed, "{when:?}: {told:?}");
    }
}

#[test]
fn the_first_that_matches_decides_and_the_others_say_why_not() {
    let park = |name, kind| rule(name, When { kinds: vec![kind], ..When::default() }, Action::Park);
    let rules = [
        park("traps", FailureKind::Trap),
        park("first", FailureKind::Transient),
        rule("second", When::default(), Action::Discard),
    ];
    let verdict = decide(&rules, &LETTER, 0.5);
    let (chosen, does) = verdict.chosen.unwrap();
    assert_eq!((&*chosen.name, does), ("first", Does::Park(Parks::Told)));
    let [(passed, miss)] = &verdict.passed[..] else { panic!("{:?}", verdict.passed) };
    assert_eq!((&*passed.name, &*miss.why), ("traps", "it failed with transient, not with trap"));
    assert_eq!(does_none(&[park("traps", FailureKind::Trap)]), None);
    assert_eq!(does_none(&[]), None);
}

fn does_none(rules: &[Playbook]) -> Option<(String, Does)> {
    does(rules, &LETTER)
}

#[test]
fn what_may_have_taken_effect_is_run_again_only_on_the_rules_own_word() {
    let careful = [rule("a", When::default(), retry_of(5))];
    let Action::Retry { policy, .. } = retry_of(5) else { panic!() };
    let bold = [rule("a", When::default(), Action::Retry { policy, even_if_unknown: true })];
    let again = Some(("a".to_owned(), Does::Retry(seconds(300))));
    for (unknown, safe, may) in
        [(false, false, true), (false, true, true), (true, true, true), (true, false, false)]
    {
        let letter = Letter { unknown, safe, ..LETTER };
        assert_eq!(does(&careful, &letter), again.clone().filter(|_| may), "{unknown} {safe}");
        assert_eq!(does(&bold, &letter), again, "{unknown} {safe}");
    }
    let miss = careful[0].misses(&Letter { unknown: true, ..LETTER }).unwrap();
    assert_eq!(miss.criterion, "even_if_unknown");
}

#[test]
fn a_retry_that_is_used_up_leaves_it_to_the_rules_after_it_and_then_parks() {
    let mut rules = vec![rule("a", When::default(), retry_of(3))];
    let with = |tries| Letter { tries, attempts: tries, ..LETTER };
    assert_eq!(does(&rules, &with(2)), Some(("a".into(), Does::Retry(seconds(300)))));
    assert_eq!(does(&rules, &with(3)), Some(("a".into(), Does::Park(Parks::UsedUp))));
    let old = Letter { age: seconds(86_400), ..LETTER };
    assert_eq!(does(&rules, &old), Some(("a".into(), Does::Park(Parks::UsedUp))));
    // Runs that were refused are bound by the age alone, and keep the time that they were told.
    let refused = Letter { kind: Some(FailureKind::CircuitOpen), due_in: seconds(900), ..with(9) };
    assert_eq!(does(&rules, &refused), Some(("a".into(), Does::Retry(seconds(900)))));
    rules.push(rule("b", When::default(), call(1)));
    assert_eq!(does(&rules, &with(3)), Some(("b".into(), Does::Call { park: false })));
}

#[test]
fn undo_is_for_what_can_be_undone_and_parks_the_rest() {
    let rules = [rule("a", When::default(), Action::Undo { saga: false, limit: 1 })];
    assert_eq!(does(&rules, &LETTER), Some(("a".into(), Does::Park(Parks::NotUndoable))));
    let undoable = Letter { undoable: true, ..LETTER };
    assert_eq!(does(&rules, &undoable), Some(("a".into(), Does::Undo { saga: false })));
}

#[test]
fn a_rule_that_acts_so_many_times_goes_on_to_win_and_does_nothing_more() {
    let rules = [rule("a", When::default(), call(2)), rule("b", When::default(), Action::Discard)];
    let after = |times, this_run| {
        let fired = [Fired { rule: "a".into(), times, this_run }];
        does(&rules, &Letter { fired: &fired, ..LETTER })
    };
    assert_eq!(after(1, false), Some(("a".into(), Does::Call { park: false })));
    assert_eq!(after(1, true), Some(("a".into(), Does::Acted)));
    assert_eq!(after(2, false), Some(("a".into(), Does::Spent)));
}

#[test]
fn an_age_that_is_to_come_says_when_to_ask_again() {
    let old = |name, min: u64, kind: Option<FailureKind>| {
        let age = Within { min: Some(seconds(min)), max: None };
        rule(name, When { age, kinds: kind.into_iter().collect(), ..When::default() }, Action::Archive)
    };
    let rules = [
        old("later", 9_000, None),
        old("soon", 4_000, None),
        // Its age will come, and it will not match then either.
        old("never", 3_700, Some(FailureKind::Trap)),
        rule("now", When::default(), call(1)),
        old("behind", 3_650, None),
    ];
    let verdict = decide(&rules, &LETTER, 0.5);
    assert_eq!(verdict.again, Some(seconds(400)), "400 s are left, not 100, not 50");
    assert_eq!(verdict.chosen.unwrap().0.name, "now".into());
    // Once it has come, the earlier rule is first, though a later one has acted in this run.
    let fired = [Fired { rule: "now".into(), times: 1, this_run: true }];
    let letter = Letter { age: seconds(4_000), fired: &fired, ..LETTER };
    assert_eq!(does(&rules, &letter), Some(("soon".into(), Does::Archive)));
    assert_eq!(decide(&rules, &letter, 0.5).again, Some(seconds(5_000)));
}

#[test]
fn a_rule_behind_one_that_catches_all_of_it_is_known() {
    let kinds = |kinds: &[FailureKind]| When { kinds: kinds.to_vec(), ..When::default() };
    let (one, two) = (&[FailureKind::Trap][..], &[FailureKind::Trap, FailureKind::Timeout][..]);
    let a = |when| rule("a", when, Action::Park);
    assert!(a(When::default()).covers(&a(kinds(one))));
    assert!(a(kinds(two)).covers(&a(kinds(one))));
    assert!(!a(kinds(one)).covers(&a(kinds(two))));
    assert!(!a(kinds(one)).covers(&a(When::default())));
    assert!(!rule("a", When::default(), retry_of(3)).covers(&a(kinds(one))), "it is used up one day");
    let attempts = |min, max| When { attempts: Within { min, max }, ..When::default() };
    assert!(a(attempts(Some(2), None)).covers(&a(attempts(Some(3), Some(4)))));
    assert!(!a(attempts(Some(2), Some(3))).covers(&a(attempts(Some(3), Some(4)))));
    assert!(!a(attempts(Some(2), None)).covers(&a(attempts(None, Some(4)))));
}

#[test]
fn globs_and_expressions() {
    for (glob, yes, no) in [
        ("a", "a", "ab"),
        ("*", "", "\u{0}none"),
        ("a*", "ab", "ba"),
        ("*b", "ab", "ba"),
        ("a*b*c", "a1b2b3c", "acb"),
        ("*b*", "abc", "ac"),
        ("a*a", "aa", "a"),
    ] {
        let found = Glob::new(glob).unwrap();
        assert!(found.matches(yes), "{glob} {yes}");
        assert!(glob == "*" || !found.matches(no), "{glob} {no}");
    }
    for wrong in ["", "a b", "ä", "a/b", "a?", &"a".repeat(65)] {
        assert!(Glob::new(wrong).is_err(), "{wrong}");
    }
    assert_eq!(Pattern::new("(a").unwrap_err(), "unclosed group");
    assert!(Pattern::new("").is_err() && Pattern::new(&"a".repeat(1_001)).is_err());
    assert_eq!(Pattern::new("(\\w{90}){90}").unwrap_err(), "it is too large when it is compiled");
}

#[test]
fn a_template_is_filled_and_checked() {
    let map = |value: serde_json::Value| value.as_object().cloned().unwrap();
    let known = |name: &str| match name {
        "attempts" => json!(3),
        name => json!(format!("<{name} {{id}}>")),
    };
    let template = Template::new(map(json!({
        "n": "{attempts}", "text": "{tool} failed {attempts} times: {message}", "deep": [{"k": "{{x}} {kind}"}], "plain": 7,
    })));
    let filled = template.unwrap().filled(&known).unwrap();
    let expected = json!({
        "n": 3, "text": "<tool {id}> failed 3 times: <message {id}>", "deep": [{"k": "{x} <kind {id}>"}], "plain": 7,
    });
    assert_eq!(serde_json::Value::Object(filled), expected, "and what is filled in is not filled again");
    for wrong in ["{massage}", "{", "}", "a { b", "{id", "{}", "{{id}"] {
        assert!(Template::new(map(json!({"a": [wrong]}))).is_err(), "{wrong}");
    }
    let standard = Template::default().filled(&known).unwrap();
    let mut names: Vec<_> = standard.keys().collect();
    names.sort();
    assert_eq!(names, ["attempts", "id", "kind", "message", "tool"]);
}

fn any_rule(name: usize) -> impl Strategy<Value = Playbook> {
    let bound = || proptest::option::of(0u32..6);
    let when = (
        (bound(), bound(), proptest::option::of(0u64..6), proptest::option::of(0u64..6)),
        proptest::sample::subsequence(
            vec![FailureKind::Trap, FailureKind::Transient, FailureKind::Overloaded],
            0..3,
        ),
        proptest::option::of(any::<bool>()),
        proptest::option::of(any::<bool>()),
    )
        .prop_map(|((min, max, young, old), kinds, parked, unknown)| When {
            attempts: Within { min, max },
            age: Within { min: young.map(seconds), max: old.map(seconds) },
            kinds,
            parked,
            effect: unknown.map(|unknown| if unknown { Effect::Unknown } else { Effect::None }),
            ..When::default()
        });
    let action = prop_oneof![
        (1u32..5, any::<bool>()).prop_map(|(attempts, even_if_unknown)| match retry_of(attempts) {
            Action::Retry { policy, .. } => Action::Retry { policy, even_if_unknown },
            other => other,
        }),
        Just(Action::Park),
        (1u32..3).prop_map(|limit| Action::Undo { saga: false, limit }),
        (1u32..3).prop_map(call),
        Just(Action::Discard),
        Just(Action::Archive),
    ];
    (when, action).prop_map(move |(when, action)| rule(&format!("r{name}"), when, action))
}

fn any_rules() -> impl Strategy<Value = Vec<Playbook>> {
    (any_rule(0), any_rule(1), any_rule(2), any_rule(3), 0usize..5)
        .prop_map(|(a, b, c, d, n)| [a, b, c, d].into_iter().take(n).collect())
}

/// Kind, attempts, age, parked, unknown, safe, undoable.
type Seen = (FailureKind, u32, u64, bool, bool, bool, bool);

fn any_seen() -> impl Strategy<Value = Seen> {
    let kinds =
        prop_oneof![Just(FailureKind::Trap), Just(FailureKind::Transient), Just(FailureKind::Overloaded)];
    (kinds, 0u32..6, 0u64..7, any::<bool>(), any::<bool>(), any::<bool>(), any::<bool>())
}

fn letter<'a>(seen: &Seen, fired: &'a [Fired]) -> Letter<'a> {
    let (kind, attempts, age, parked, unknown, safe, undoable) = *seen;
    let kind = Some(kind);
    Letter {
        kind,
        attempts,
        tries: attempts,
        age: seconds(age),
        parked,
        unknown,
        safe,
        undoable,
        fired,
        ..LETTER
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(crate::cases(2_000)))]

    /// Whatever the rules: what may have taken effect and does harm is run again only on an explicit word.
    #[test]
    fn no_rule_runs_again_what_it_may_not(rules in any_rules(), seen in any_seen()) {
        let letter = letter(&seen, &[]);
        if let Some((rule, Does::Retry(_))) = decide(&rules, &letter, 0.5).chosen {
            let bold = matches!(rule.action, Action::Retry { even_if_unknown: true, .. });
            prop_assert!(bold || letter.safe || !letter.unknown);
            prop_assert!(rule.misses(&letter).is_none());
        }
    }

    /// Asked again and again about one run, in whatever state the letter was left and however old it has grown, rules act at most
    /// once each, each before the one that acted last.
    #[test]
    fn asking_again_comes_to_an_end(rules in any_rules(), seen in any_seen(), ages in proptest::collection::vec(0u64..9, 12)) {
        let (mut fired, mut last) = (Vec::<Fired>::new(), usize::MAX);
        let (kind, attempts, _, mut parked, unknown, safe, undoable) = seen;
        for age in ages {
            let seen = (kind, attempts, age, parked, unknown, safe, undoable);
            let letter = letter(&seen, &fired);
            let Some((rule, does)) = decide(&rules, &letter, 0.5).chosen else { continue };
            if !does.acts() {
                continue;
            }
            let at = rules.iter().position(|one| one.name == rule.name).unwrap();
            prop_assert!(at < last, "{at} after {last}");
            last = at;
            parked = match does {
                Does::Retry(_) => false,
                Does::Park(_) => true,
                _ => parked,
            };
            fired.push(Fired { rule: rule.name.to_string(), times: 1, this_run: true });
        }
        prop_assert!(fired.len() <= rules.len());
    }

    /// Until the moment that is told, nothing changes by time alone that a rule waits for.
    #[test]
    fn nobody_needs_to_look_before_it_is_told(rules in any_rules(), seen in any_seen()) {
        let now = letter(&seen, &[]);
        let verdict = decide(&rules, &now, 0.5);
        let reached = |letter: &Letter<'_>| {
            let (rules, at) = (&rules, verdict.passed.len());
            let waits = |rule: &&Playbook| rule.when.age.min.is_some_and(|min| now.age < min);
            rules[..at].iter().filter(waits).filter(|rule| rule.misses(letter).is_none()).count()
        };
        let until = verdict.again.map_or(20, |again| again.as_secs());
        for more in 0..until {
            prop_assert_eq!(reached(&Letter { age: now.age + seconds(more), ..now }), 0);
        }
        if let Some(again) = verdict.again {
            let then = Letter { age: now.age + again, ..now };
            prop_assert!(reached(&then) > 0);
        }
    }

    /// A rule that is said to be covered is never chosen.
    #[test]
    fn what_is_covered_is_never_asked(rules in any_rules(), seen in any_seen()) {
        let letter = letter(&seen, &[]);
        if let Some((rule, _)) = decide(&rules, &letter, 0.5).chosen {
            let at = rules.iter().position(|one| one.name == rule.name).unwrap();
            prop_assert!(!rules[..at].iter().any(|earlier| earlier.covers(rule)), "{}", rule.name);
        }
    }
}
