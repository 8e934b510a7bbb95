//! Reaches for the network over wasi:http.

use skillhost_sdk::prelude::{Deserialize, JsonSchema, tool};
use wasip2::http::{
    outgoing_handler::handle,
    types::{
        ErrorCode, Fields, FutureIncomingResponse, IncomingResponse, Method, OutgoingBody, OutgoingRequest,
        Scheme,
    },
};

#[derive(Deserialize, JsonSchema)]
pub(crate) struct Ask {
    /// What follows `http://`, up to the path.
    authority: String,
    #[serde(default)]
    path: String,
    #[serde(default)]
    https: bool,
    #[serde(default)]
    method: String,
    /// Bytes of a body to send.
    #[serde(default)]
    body: usize,
    /// How many requests at once, each kept open.
    #[serde(default)]
    hoard: usize,
}

/// Sends a request.
#[tool]
pub(crate) fn http(args: Ask) -> String {
    if args.hoard > 0 {
        let kept: Vec<_> = (0..args.hoard).map(|_| send(&args).and_then(wait)).collect();
        let good = kept.iter().filter(|result| result.is_ok()).count();
        let last = kept.iter().rev().find_map(|result| result.as_ref().err());
        return format!("kept {good}, then {last:?}");
    }
    match send(&args).and_then(wait).and_then(|response| Ok((response.status(), body(&response)?))) {
        Ok((status, body)) => {
            format!("status {status}, {} bytes: {:.200}", body.len(), String::from_utf8_lossy(&body))
        }
        Err(code) => format!("refused: {code:?}"),
    }
}

fn send(args: &Ask) -> Result<FutureIncomingResponse, ErrorCode> {
    let unsound = |()| ErrorCode::HttpRequestUriInvalid;
    let request = OutgoingRequest::new(Fields::new());
    let method = match args.method.as_str() {
        "" | "GET" => Method::Get,
        "POST" => Method::Post,
        other => Method::Other(other.to_owned()),
    };
    request.set_method(&method).map_err(unsound)?;
    request.set_scheme(Some(if args.https { &Scheme::Https } else { &Scheme::Http })).map_err(unsound)?;
    request.set_authority(Some(&args.authority)).map_err(unsound)?;
    let path = if args.path.is_empty() { "/" } else { &args.path };
    request.set_path_with_query(Some(path)).map_err(unsound)?;
    let body = request.body().map_err(unsound)?;
    let future = handle(request, None)?;
    if args.body > 0 {
        let stream = body.write().map_err(unsound)?;
        let chunk = [b'x'; 4096];
        let mut left = args.body;
        while left > 0 {
            let n = left.min(chunk.len());
            // Whoever does not listen any more tells why in the answer.
            if stream.blocking_write_and_flush(&chunk[..n]).is_err() {
                break;
            }
            left -= n;
        }
    }
    let _ = OutgoingBody::finish(body, None);
    Ok(future)
}

fn wait(future: FutureIncomingResponse) -> Result<IncomingResponse, ErrorCode> {
    future.subscribe().block();
    match future.get() {
        Some(Ok(result)) => result,
        _ => Err(ErrorCode::InternalError(None)),
    }
}

fn body(response: &IncomingResponse) -> Result<Vec<u8>, ErrorCode> {
    let unsound = |()| ErrorCode::HttpResponseIncomplete;
    let body = response.consume().map_err(unsound)?;
    let stream = body.stream().map_err(unsound)?;
    let mut bytes = vec![];
    loop {
        match stream.blocking_read(64 << 10) {
            Ok(chunk) => bytes.extend_from_slice(&chunk),
            Err(wasip2::io::streams::StreamError::Closed) => return Ok(bytes),
            Err(wasip2::io::streams::StreamError::LastOperationFailed(error)) => {
                return Err(
                    wasip2::http::types::http_error_code(&error).unwrap_or(ErrorCode::InternalError(None))
                );
            }
        }
    }
}
