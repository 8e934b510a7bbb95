//! The extension for tasks (SEP-2663): calls that answer with a handle at once.

use std::collections::BTreeMap;

use rmcp::{
    ErrorData,
    model::{
        ClientCapabilities, CreateTaskResult, DetailedTask, GetTaskResult, InputRequests, Task, TaskPayload,
        TaskStatus,
    },
};
use serde_json::{Map, Value, json};
use skillhost_core::{Failure, TaskId, TaskSupport};
use skillhost_pipeline::{By, Response, TaskShown, TaskShownState, Tasks};

use super::ask;
use crate::transport::reply;

/// How often a client should ask.
const POLL_MS: u64 = 500;

/// How a call ended, as it is kept for the client: a result, or the error that is none.
pub(crate) fn ended(response: Response) -> String {
    let end = match reply::to_mcp(response) {
        Ok(result) => json!({ "result": result }),
        Err(error) => json!({ "error": error }),
    };
    end.to_string()
}

/// What to do with a call of a tool.
pub(super) enum Way {
    /// It is answered as it ends.
    Wait,
    /// It gets a handle.
    Task,
}

/// How a call goes, of a client that has tasks or has none. `again`: it comes with answers.
pub(super) fn way(support: TaskSupport, has_tasks: bool, again: bool) -> Result<Way, ErrorData> {
    match support {
        TaskSupport::No => Ok(Way::Wait),
        TaskSupport::Optional => Ok(if has_tasks { Way::Task } else { Way::Wait }),
        TaskSupport::Required | TaskSupport::Answered if !has_tasks => {
            Err(ErrorData::missing_required_client_capability(
                ClientCapabilities::builder().enable_tasks().build(),
            ))
        }
        TaskSupport::Required => Ok(Way::Task),
        TaskSupport::Answered => Ok(if again { Way::Task } else { Way::Wait }),
    }
}

/// The handle of a task that has begun.
pub(super) fn created(shown: &TaskShown) -> CreateTaskResult {
    CreateTaskResult::new(task(shown, TaskStatus::Working))
}

pub(super) async fn get(tasks: &Tasks, id: &str, by: By<'_>) -> Result<GetTaskResult, ErrorData> {
    let found = tasks.get(handle(id)?, by).await.map_err(|failure| unwell(&failure))?;
    let shown = found.ok_or_else(|| unknown(id))?;
    let payload = match &shown.state {
        TaskShownState::Working(_) => TaskPayload::Working,
        TaskShownState::Cancelled => TaskPayload::Cancelled,
        TaskShownState::Asking(questions) => {
            let requests =
                questions.iter().map(|question| Ok((question.key.clone(), ask::request(question)?)));
            TaskPayload::InputRequired {
                input_requests: requests.collect::<Result<InputRequests, ErrorData>>()?,
            }
        }
        TaskShownState::Ended(end) => payload(end),
    };
    let word = match &shown.state {
        TaskShownState::Working(word) => word.clone(),
        _ => None,
    };
    let mut worded = task(&shown, payload.status());
    worded.status_message = word;
    Ok(GetTaskResult::new(DetailedTask::new(worded, payload)))
}

pub(super) async fn answer(
    tasks: &Tasks,
    id: &str,
    by: By<'_>,
    answers: BTreeMap<String, Value>,
) -> Result<(), ErrorData> {
    let known = tasks.answer(handle(id)?, by, answers).await.map_err(|failure| unwell(&failure))?;
    if known { Ok(()) } else { Err(unknown(id)) }
}

pub(super) async fn cancel(tasks: &Tasks, id: &str, by: By<'_>) -> Result<(), ErrorData> {
    let known = tasks.cancel(handle(id)?, by).await.map_err(|failure| unwell(&failure))?;
    if known { Ok(()) } else { Err(unknown(id)) }
}

fn task(shown: &TaskShown, status: TaskStatus) -> Task {
    let TaskShown { id, created, updated, expires, .. } = shown;
    let ttl = u64::try_from(expires.since(*created).as_millis()).unwrap_or(u64::MAX);
    Task::new(id.to_string(), status, created.to_string(), updated.to_string())
        .with_ttl_ms(ttl)
        .with_poll_interval_ms(POLL_MS)
}

fn payload(end: &str) -> TaskPayload {
    let mut end: Map<String, Value> = serde_json::from_str(end).unwrap_or_default();
    match (end.remove("result"), end.remove("error")) {
        (Some(Value::Object(result)), _) => TaskPayload::Completed { result },
        (_, Some(Value::Object(error))) => TaskPayload::Failed { error },
        _ => {
            let error = json!({"code": -32603, "message": "how the task ended cannot be read any more"});
            TaskPayload::Failed { error: error.as_object().cloned().unwrap_or_default() }
        }
    }
}

fn handle(id: &str) -> Result<TaskId, ErrorData> {
    id.parse().map_err(|_| unknown(id))
}

fn unknown(id: &str) -> ErrorData {
    let id = skillhost_core::text::bounded(id.to_owned(), 80);
    ErrorData::invalid_params(format!("there is no task `{id}` of this caller"), None)
}

fn unwell(failure: &Failure) -> ErrorData {
    ErrorData::internal_error(format!("{} [{}]", failure.message, failure.kind), None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_gets_a_handle() {
        let word = |support, has_tasks, again| match way(support, has_tasks, again) {
            Ok(Way::Wait) => "wait",
            Ok(Way::Task) => "task",
            Err(error) => {
                assert_eq!(error.code.0, -32021);
                let needs = &error.data.unwrap()["requiredCapabilities"]["extensions"];
                assert!(needs["io.modelcontextprotocol/tasks"].is_object(), "{needs}");
                "refused"
            }
        };
        let row = |support| {
            [(false, false), (true, false), (true, true)].map(|(has, again)| word(support, has, again))
        };
        assert_eq!(row(TaskSupport::No), ["wait", "wait", "wait"]);
        assert_eq!(row(TaskSupport::Optional), ["wait", "task", "task"]);
        assert_eq!(row(TaskSupport::Required), ["refused", "task", "task"]);
        assert_eq!(row(TaskSupport::Answered), ["refused", "wait", "task"]);
    }

    #[test]
    fn an_end_that_cannot_be_read_is_a_failure() {
        assert!(matches!(payload(r#"{"result":{"content":[]}}"#), TaskPayload::Completed { .. }));
        assert!(matches!(payload(r#"{"error":{"code":-32021,"message":"m"}}"#), TaskPayload::Failed { .. }));
        assert!(matches!(payload("nonsense"), TaskPayload::Failed { .. }));
    }
}
