//! Finding the tool of a call.

use std::{sync::Arc, time::Duration};

use skillhost_core::{Catalog, Entry, Failure, FailureKind, SkillState, name::MAX_TOOL_NAME};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// How alike two names must be for one to be suggested for the other; 1 is equal.
const ALIKE: f64 = 0.7;

/// The entry of `tool`. While its skill is still being loaded, waits for it up to `patience`.
pub(crate) async fn find(
    catalog: &watch::Receiver<Arc<Catalog>>,
    tool: &str,
    patience: Duration,
    cancel: &CancellationToken,
) -> Result<Entry, Failure> {
    let look = |catalog: &Catalog| match catalog.tools.get(tool) {
        Some(entry) => Some(Ok(entry.clone())),
        None if loading(catalog, tool) => None,
        None => Some(Err(missing(catalog, tool))),
    };
    if let Some(found) = look(&catalog.borrow()) {
        return found;
    }
    let waiting = async {
        let mut catalog = catalog.clone();
        let mut found = None;
        let known = catalog.wait_for(|catalog| {
            found = look(catalog);
            found.is_some()
        });
        tokio::select! {
            // A closed channel means the directory is gone; the last catalog has the answer.
            _ = tokio::time::timeout(patience, known) => {}
            () = cancel.cancelled() => {
                return Err(Failure::new(FailureKind::Cancelled, "the client gave up before the call began"));
            }
        }
        found.unwrap_or_else(|| Err(missing(&catalog.borrow(), tool)))
    };
    Box::pin(waiting).await
}

/// Whether the tool may yet come: from its own skill, or, with a bare name, from any.
fn loading(catalog: &Catalog, tool: &str) -> bool {
    match catalog.skill_of(tool) {
        Some(skill) => matches!(skill.state, SkillState::Waiting | SkillState::Compiling),
        None => !catalog.settled,
    }
}

fn missing(catalog: &Catalog, tool: &str) -> Failure {
    match catalog.skill_of(tool).map(|skill| (&skill.name, &skill.state)) {
        Some((skill, state @ (SkillState::Waiting | SkillState::Compiling))) => {
            Failure::new(FailureKind::NotReady, format!("the skill `{skill}` is still {}", state.as_str()))
                .retry_after(Duration::from_secs(1))
        }
        Some((skill, SkillState::Failed(_))) if !serves(catalog, tool) => Failure::new(
            FailureKind::NotReady,
            format!(
                "the skill `{skill}` failed to load; its operator finds the reason with `skillhost list`"
            ),
        ),
        _ => {
            // A comparison costs by the bytes of both: what cannot be a name is not compared.
            let comparable = tool.len() <= MAX_TOOL_NAME * 2;
            let names = catalog.tools.keys().filter(|_| comparable);
            let nearest = names
                .map(|name| (strsim::jaro_winkler(name.as_str(), tool), name))
                .filter(|(likeness, _)| *likeness >= ALIKE)
                .max_by(|(a, _), (b, _)| a.total_cmp(b));
            let hint = nearest.map_or(String::new(), |(_, name)| format!("; did you mean `{name}`?"));
            // Cut: the name is the client's own text.
            let tool: String = tool.chars().take(80).collect();
            Failure::new(FailureKind::UnknownTool, format!("unknown tool `{tool}`{hint}"))
        }
    }
}

/// Whether the skill of `tool` serves others: then it is this one that does not exist.
fn serves(catalog: &Catalog, tool: &str) -> bool {
    catalog.skill_of(tool).is_some_and(|skill| skill.serving.is_some())
}
