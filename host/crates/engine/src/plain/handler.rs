//! A component that answers requests (`wasi:http/incoming-handler`) as a tool: a request to it, and its response.

use std::pin::pin;

use base64::{Engine as _, prelude::BASE64_STANDARD};
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, Limited};
use serde_json::{Map, Value, json};
use skillhost_core::{Block, Failure, FailureKind, Outcome, Reply};
use tokio::sync::oneshot;
use wasmtime::{Store, component::Instance};
use wasmtime_wasi_http::{
    WasiHttpView as _,
    p2::bindings::{ProxyIndices, http::types::Scheme},
};

use crate::state::State;

/// What it is called with.
pub(crate) fn input() -> Value {
    json!({
        "type": "object",
        "properties": {
            "method": {"type": "string", "pattern": "^[A-Z]{1,20}$", "default": "GET"},
            "path": {"type": "string", "pattern": "^/[^\\x00-\\x20\\x7f<>`#]*$", "default": "/", "description": "with the query, if there is one"},
            "headers": headers(),
            "body": {"type": "string"},
            "body_base64": {"type": "string", "contentEncoding": "base64", "description": "in place of `body`, what is no text"},
        },
        "additionalProperties": false,
        "not": {"required": ["body", "body_base64"]},
    })
}

fn headers() -> Value {
    let several = json!({"type": "array", "items": {"type": "string"}});
    json!({
        "type": "object",
        "additionalProperties": {"anyOf": [{"type": "string"}, several]},
        "description": "one that comes several times has an array",
    })
}

/// What it gives.
pub(crate) fn output() -> Value {
    json!({
        "type": "object",
        "properties": {
            "status": {"type": "integer", "minimum": 100, "maximum": 999},
            "headers": headers(),
            "body": {"type": "string"},
            "body_base64": {"type": "string", "description": "in place of `body`, when that is no UTF-8"},
        },
        "required": ["status", "headers"],
        "additionalProperties": false,
    })
}

/// The request that a call's arguments tell.
pub(crate) fn request(arguments: &Map<String, Value>) -> Result<http::Request<Full<Bytes>>, Failure> {
    let refused = |at: &str, why: String| {
        let message = format!("{}: {why}", if at.is_empty() { "/" } else { at });
        Failure { pointers: vec![at.to_owned()], ..Failure::new(FailureKind::InvalidInput, message) }
    };
    let text = |name| arguments.get(name).and_then(Value::as_str);
    let body = match (text("body"), text("body_base64")) {
        (Some(_), Some(_)) => return Err(refused("", "give `body` or `body_base64`, not both".into())),
        (None, Some(encoded)) => {
            let bytes = BASE64_STANDARD.decode(encoded);
            Bytes::from(bytes.map_err(|error| refused("/body_base64", format!("it is no base64: {error}")))?)
        }
        (body, None) => Bytes::copy_from_slice(body.unwrap_or_default().as_bytes()),
    };
    let uri = format!("http://skill.invalid{}", text("path").unwrap_or("/"));
    let mut request = http::Request::builder().method(text("method").unwrap_or("GET")).uri(uri);
    for (name, value) in arguments.get("headers").and_then(Value::as_object).into_iter().flatten() {
        let each = value.as_array().map_or(std::slice::from_ref(value), Vec::as_slice);
        for value in each.iter().filter_map(Value::as_str) {
            request = request.header(name, value);
        }
    }
    request.body(Full::new(body)).map_err(|error| refused("", format!("it is no request: {error}")))
}

/// Have it answered.
pub(crate) async fn run(
    exports: &ProxyIndices,
    store: &mut Store<State>,
    instance: &Instance,
    request: http::Request<Full<Bytes>>,
    most: usize,
) -> wasmtime::Result<Result<Outcome, Failure>> {
    let failed = |kind, why: String| Ok(Err(Failure::new(kind, why)));
    let (sender, receiver) = oneshot::channel();
    let request = request.map(|body| body.map_err(|never| -> wasmtime_wasi_http::Error { match never {} }));
    let request = store.data_mut().http().new_incoming_request(Scheme::Http, request)?;
    let out = store.data_mut().http().new_response_outparam(sender)?;
    let guest = exports.load(&mut *store, instance)?;
    let running = guest.wasi_http_incoming_handler().call_handle(&mut *store, request, out);
    // It writes while it runs: somebody must read, or it waits for ever.
    let reading = async {
        let Ok(response) = receiver.await else { return Ok(None) };
        let (parts, body) =
            response.map_err(|error| format!("it answered with an error: {error:?}"))?.into_parts();
        let body = Limited::new(body, most).collect().await;
        let body = body.map_err(|error| format!("its response's body cannot be read: {error}"))?;
        Ok::<_, String>(Some((parts, body.to_bytes())))
    };
    let (mut running, mut reading) = (pin!(running), pin!(tokio::task::unconstrained(reading)));
    let mut read = None;
    loop {
        tokio::select! {
            // A trap is what counts, whatever was written before.
            biased;
            ran = &mut running => break ran?,
            done = &mut reading, if read.is_none() => read = Some(done),
        }
    }
    // What it wrote is there by now; what it left open has no end.
    if read.is_none() {
        read = tokio::select! {
            biased;
            done = &mut reading => Some(done),
            () = std::future::ready(()) => None,
        };
    }
    let (parts, body) = match read {
        Some(Ok(Some(response))) => response,
        Some(Ok(None)) => return failed(FailureKind::InvalidOutput, "it gave no response".into()),
        Some(Err(why)) => return failed(FailureKind::InvalidOutput, why),
        None => {
            let why = "it returned before its response's body was finished";
            return failed(FailureKind::InvalidOutput, why.into());
        }
    };
    let headers = parts.headers.keys().map(|name| {
        let each = parts.headers.get_all(name).into_iter();
        let mut each = each.map(|value| Value::from(String::from_utf8_lossy(value.as_bytes())));
        let value = match (each.next(), each.next()) {
            (Some(first), Some(second)) => [first, second].into_iter().chain(each).collect(),
            (first, _) => first.unwrap_or_default(),
        };
        (name.to_string(), value)
    });
    let mut result = Map::from_iter([
        ("status".to_owned(), Value::from(parts.status.as_u16())),
        ("headers".to_owned(), Value::Object(headers.collect())),
    ]);
    let mut text = parts.status.to_string();
    match String::from_utf8(body.to_vec()) {
        Ok(body) => {
            text = format!("{text}\n\n{body}");
            result.insert("body".to_owned(), body.into())
        }
        Err(error) => {
            text = format!("{text}\n\n({} bytes that are no text, in `body_base64`)", error.as_bytes().len());
            result.insert("body_base64".to_owned(), BASE64_STANDARD.encode(error.as_bytes()).into())
        }
    };
    Ok(Ok(Outcome::Reply(Reply {
        content: vec![Block::text(text)],
        structured: Some(result.into()),
        is_error: parts.status.is_client_error() || parts.status.is_server_error(),
        ..Reply::default()
    })))
}
