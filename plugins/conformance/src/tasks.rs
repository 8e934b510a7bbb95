//! Tools that a client may follow as tasks. They are tools like any others, which take their time and declare it: their
//! code is the same, with a task or without.
use std::time::Duration;

use skillhost_sdk::ask::Question;
use skillhost_sdk::prelude::*;

use crate::ask::Name;

/// How long a job takes that is no more than that.
const JOB: Duration = Duration::from_secs(1);

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Greet {
    /// Whom to greet.
    name: String,
}

/// Greets, at once.
#[tool(read_only, idempotent, open_world = false, task = "no")]
pub(crate) fn greet(args: Greet) -> String {
    format!("Hello, {}!", args.name)
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Compute {
    /// How long it takes.
    #[schemars(range(max = 300))]
    seconds: u32,
    /// Tells computations apart.
    #[serde(default)]
    label: String,
}

/// Computes for some seconds.
#[tool(read_only, idempotent, open_world = false, task = "optional")]
pub(crate) fn slow_compute(args: Compute) -> String {
    for _ in 0..10 * args.seconds {
        if host::cancelled() {
            return format!("{} was cancelled", args.label);
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    format!("{} took {} s", args.label, args.seconds)
}

/// Runs for a second and answers with an error.
#[tool(read_only, idempotent, open_world = false, task = "required")]
pub(crate) fn failing_job() -> Reply {
    std::thread::sleep(JOB);
    Reply::error("This job intentionally fails")
}

/// Runs for a second and ends with a protocol error.
// A missing capability, whatever the client can do: it is the one failure of a skill that is a JSON-RPC error in this
// host. All others are results that say `isError`, and a task that has a result is `completed`, not `failed`.
#[tool(read_only, idempotent, open_world = false, task = "optional")]
pub(crate) fn protocol_error_job() -> Result<(), Failure> {
    std::thread::sleep(JOB);
    Err(Failure::missing_capability(["roots"]))
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Delete {
    /// The file. None is touched.
    filename: String,
}

#[derive(Deserialize, JsonSchema)]
struct Confirmation {
    confirm: bool,
}

/// Asks whether to delete a file, and deletes none.
#[tool(read_only, idempotent, open_world = false, task = "optional")]
pub(crate) fn confirm_delete(ctx: &Context, args: Delete) -> Result<String, Pause> {
    let question = format!("Delete {}?", args.filename);
    let confirmed = ask::form::<Confirmation>(ctx, "confirm", question)?.or_stop()?.confirm;
    Ok(format!("{} {}", if confirmed { "would delete" } else { "keeps" }, args.filename))
}

#[derive(Deserialize, JsonSchema)]
struct Part {
    name: String,
    confirm: bool,
}

/// Asks two things at once.
#[tool(read_only, idempotent, open_world = false, task = "optional")]
pub(crate) fn multi_input(ctx: &Context) -> Result<String, Pause> {
    let question = |key| Question::form::<Part>(key, format!("What about the {key}?"));
    let answers = ask::all(ctx, vec![question("first"), question("second")])?;
    let part = |key| {
        let part = answers.form::<Part>(key)?.or_stop()?;
        Ok::<_, Failure>(format!("{}: {}", part.name, part.confirm))
    };
    Ok(format!("{}, {}", part("first")?, part("second")?))
}

/// Asks for a name first, and works only then.
#[tool(read_only, idempotent, open_world = false, task = "answered")]
pub(crate) fn test_tool_with_task(ctx: &Context) -> Result<String, Pause> {
    let name = ask::form::<Name>(ctx, "user_name", "What is your name?")?.or_stop()?.name;
    std::thread::sleep(JOB);
    Ok(format!("Hello, {name}!"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use skillhost_sdk::testing::{Client, Host};

    use super::*;

    fn compute(seconds: u32) -> String {
        slow_compute(Compute { seconds, label: "it".into() })
    }

    #[test]
    fn a_computation_takes_its_time_and_can_be_cancelled() {
        assert_eq!(compute(0), "it took 0 s");
        let host = Host::new().cancel_after(2);
        assert_eq!(host.run(|| compute(60)), "it was cancelled");
    }

    #[test]
    fn a_job_may_fail_as_a_tool_or_as_a_call() {
        assert!(failing_job().is_error);
        assert_eq!(protocol_error_job(), Err(Failure::missing_capability(["roots"])));
    }

    #[test]
    fn parts_are_asked_together_and_answered_apart() {
        let first = Client::new().accepts("first", &json!({"name": "a", "confirm": true}));
        let ctx = first.context();
        let Err(Pause::Asked(both)) = multi_input(&ctx) else { panic!("not asked") };
        assert_eq!(both.questions.len(), 2);
        let ctx = first.next(&ctx, both);
        let Err(Pause::Asked(rest)) = multi_input(&ctx) else { panic!("not asked") };
        assert_eq!(rest.questions[0].key, "second");
        let second = Client::new().accepts("second", &json!({"name": "b", "confirm": false}));
        assert_eq!(multi_input(&second.next(&ctx, rest)).unwrap(), "a: true, b: false");
    }

    #[test]
    fn who_is_asked_first_is_greeted_later() {
        let client = Client::new().accepts("user_name", &json!({"name": "Alice"}));
        assert_eq!(client.run(test_tool_with_task).unwrap(), "Hello, Alice!");
    }

    #[test]
    fn a_person_confirms_before_a_file_would_go() {
        let confirm = |confirm: bool| {
            let client = Client::new().accepts("confirm", &json!({"confirm": confirm}));
            client.run(|ctx| confirm_delete(ctx, Delete { filename: "a.txt".into() })).unwrap()
        };
        assert_eq!((confirm(true), confirm(false)), ("would delete a.txt".into(), "keeps a.txt".into()));
    }
}
