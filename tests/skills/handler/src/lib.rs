//! Answers with what it was asked.

use std::io::{Read as _, Write as _};

use wasi::http::types::{Fields, IncomingRequest, OutgoingBody, OutgoingResponse, ResponseOutparam};

struct Handler;
wasi::http::proxy::export!(Handler);

impl wasi::exports::http::incoming_handler::Guest for Handler {
    fn handle(request: IncomingRequest, out: ResponseOutparam) {
        let path = request.path_with_query().unwrap_or_default();
        if path == "/silent" {
            return;
        }
        let mut said = vec![];
        if let Ok(body) = request.consume()
            && let Ok(mut stream) = body.stream()
        {
            let _ = stream.read_to_end(&mut said);
        }
        let headers = Fields::new();
        let _ = headers.append("x-path", path.as_bytes());
        if path == "/cookies" {
            for cookie in ["a=1", "b=2"] {
                let _ = headers.append("set-cookie", cookie.as_bytes());
            }
        }
        let response = OutgoingResponse::new(headers);
        let _ = response.set_status_code(if path == "/missing" { 404 } else { 200 });
        let body = response.body().expect("the first time");
        ResponseOutparam::set(out, Ok(response));
        assert!(path != "/panic", "after it answered");
        if path == "/unfinished" {
            std::mem::forget(body);
            return;
        }
        let mut stream = body.write().expect("the first time");
        let repeat = if path == "/flood" { 10_000 } else { 1 };
        for _ in 0..repeat {
            let _ = stream.write_all(format!("{:?} ", request.method()).as_bytes());
            let _ = stream.write_all(&said);
        }
        drop(stream);
        let _ = OutgoingBody::finish(body, None);
    }
}
