//! Requests that rmcp could not read: of a method that is none, or with parameters that are wrong.

use rmcp::{
    ErrorData,
    model::{
        CallToolRequestParams, CancelTaskParams, CompleteRequestParams, CustomRequest, ErrorCode,
        GetPromptRequestParams, GetTaskParams, PaginatedRequestParams, ReadResourceRequestParams,
        SetLevelRequestParams, SubscribeRequestParams, SubscriptionsListenRequestParams,
        UnsubscribeRequestParams, UpdateTaskParams,
    },
};
use serde_json::Value;
use skillhost_core::text::bounded;

/// Why a request that rmcp does not know is refused.
pub(super) fn refused(request: CustomRequest, stateless: bool) -> ErrorData {
    fn problem<T: serde::de::DeserializeOwned>(params: Value) -> Option<serde_json::Error> {
        serde_json::from_value::<T>(params).err()
    }
    let params = request.params.unwrap_or_default();
    let problem = match (&*request.method, stateless) {
        ("tools/call", _) => problem::<CallToolRequestParams>(params),
        ("prompts/get", _) => problem::<GetPromptRequestParams>(params),
        ("resources/read", _) => problem::<ReadResourceRequestParams>(params),
        ("completion/complete", _) => problem::<CompleteRequestParams>(params),
        ("tools/list" | "prompts/list" | "resources/list" | "resources/templates/list", _) => {
            problem::<PaginatedRequestParams>(params)
        }
        ("resources/subscribe", false) => problem::<SubscribeRequestParams>(params),
        ("resources/unsubscribe", false) => problem::<UnsubscribeRequestParams>(params),
        ("subscriptions/listen", true) => problem::<SubscriptionsListenRequestParams>(params),
        ("logging/setLevel", false) => problem::<SetLevelRequestParams>(params),
        ("tasks/get", true) => problem::<GetTaskParams>(params),
        ("tasks/update", true) => problem::<UpdateTaskParams>(params),
        ("tasks/cancel", true) => problem::<CancelTaskParams>(params),
        _ => None,
    };
    let method = bounded(request.method, 100);
    match problem {
        Some(error) => {
            let text = bounded(format!("the parameters of {method} are malformed: {error}"), 500);
            ErrorData::invalid_params(text, None)
        }
        None => ErrorData::new(ErrorCode::METHOD_NOT_FOUND, format!("unknown method `{method}`"), None),
    }
}
