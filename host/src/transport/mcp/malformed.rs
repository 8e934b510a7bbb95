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
pub(super) fn refused(request: CustomRequest) -> ErrorData {
    fn problem<T: serde::de::DeserializeOwned>(params: Value) -> Option<serde_json::Error> {
        serde_json::from_value::<T>(params).err()
    }
    let params = request.params.unwrap_or_default();
    let problem = match &*request.method {
        "tools/call" => problem::<CallToolRequestParams>(params),
        "prompts/get" => problem::<GetPromptRequestParams>(params),
        "resources/read" => problem::<ReadResourceRequestParams>(params),
        "completion/complete" => problem::<CompleteRequestParams>(params),
        "tools/list" | "prompts/list" | "resources/list" | "resources/templates/list" => {
            problem::<PaginatedRequestParams>(params)
        }
        "resources/subscribe" => problem::<SubscribeRequestParams>(params),
        "resources/unsubscribe" => problem::<UnsubscribeRequestParams>(params),
        "subscriptions/listen" => problem::<SubscriptionsListenRequestParams>(params),
        "logging/setLevel" => problem::<SetLevelRequestParams>(params),
        "tasks/get" => problem::<GetTaskParams>(params),
        "tasks/update" => problem::<UpdateTaskParams>(params),
        "tasks/cancel" => problem::<CancelTaskParams>(params),
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
