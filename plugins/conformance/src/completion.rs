//! Suggestions for arguments.
use skillhost_sdk::prelude::*;
use skillhost_sdk::{Completion, CompletionRequest};

pub(crate) fn complete(_: &Context, request: &CompletionRequest) -> Result<Completion, Failure> {
    let candidates: &[&str] = match request.name.as_str() {
        "arg1" | "arg2" if request.is_prompt("test_prompt_with_arguments") => {
            &["test", "testValue1", "testValue2", "value"]
        }
        "id" if request.is_template("test://template/{id}/data") => &["1", "12", "123"],
        _ => &[],
    };
    Ok(Completion::matching(candidates.iter().copied(), &request.value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_arguments_are_completed() {
        let values = |request| complete(&Context::for_tests(), &request).unwrap().values;
        let prompt = |name| CompletionRequest::prompt("test_prompt_with_arguments", name, "test");
        assert_eq!(values(prompt("arg1")), ["test", "testValue1", "testValue2"]);
        assert!(values(prompt("other")).is_empty());
        let template = CompletionRequest::template("test://template/{id}/data", "id", "12");
        assert_eq!(values(template), ["12", "123"]);
    }
}
