//! The requests, over wasi:http.
use std::time::Duration;

use wasip2::http::outgoing_handler::handle;
use wasip2::http::types::{
    ErrorCode, Fields, IncomingResponse, Method, OutgoingBody, OutgoingRequest, RequestOptions, Scheme,
    http_error_code,
};
use wasip2::io::streams::StreamError;

use super::{Error, Request, Response};

/// Bytes that are written or read at once.
const CHUNK: usize = 4 << 10;

pub(super) fn send(request: &Request) -> Result<Response, Error> {
    let (outgoing, body) = outgoing(request)?;
    let options = request.timeout.map(options);
    let future = handle(outgoing, options).map_err(reason)?;
    write(body, &request.body)?;
    future.subscribe().block();
    match future.get() {
        Some(Ok(response)) => read(&response.map_err(reason)?, request.max_bytes),
        _ => Err(Error::Protocol("the host gave no response".into())),
    }
}

fn outgoing(request: &Request) -> Result<(OutgoingRequest, OutgoingBody), Error> {
    let wrong = |what: &str| Error::Url(what.to_owned());
    let (scheme, rest) =
        request.url.split_once("://").ok_or_else(|| wrong("it does not begin with https://"))?;
    let scheme = match scheme.to_ascii_lowercase().as_str() {
        "https" => Scheme::Https,
        "http" => Scheme::Http,
        _ => return Err(wrong("only https and http can be asked")),
    };
    let rest = rest.split('#').next().unwrap_or(rest);
    let (authority, path) = match rest.find(['/', '?']) {
        Some(at) if rest[at..].starts_with('?') => (&rest[..at], format!("/{}", &rest[at..])),
        Some(at) => (&rest[..at], rest[at..].to_owned()),
        None => (rest, "/".to_owned()),
    };
    let headers = Fields::new();
    let mut length = !request.body.is_empty();
    for (name, value) in &request.headers {
        length &= !name.eq_ignore_ascii_case("content-length");
        headers
            .append(name, value.as_bytes())
            .map_err(|error| Error::Protocol(format!("the header `{name}` is not allowed: {error:?}")))?;
    }
    if length {
        let _ = headers.set("content-length", &[request.body.len().to_string().into_bytes()]);
    }
    let outgoing = OutgoingRequest::new(headers);
    let method = match request.method.as_str() {
        "GET" => Method::Get,
        "POST" => Method::Post,
        other => Method::Other(other.to_owned()),
    };
    outgoing.set_method(&method).map_err(|()| Error::Protocol("the method is not sound".into()))?;
    outgoing.set_scheme(Some(&scheme)).map_err(|()| wrong("the scheme"))?;
    outgoing.set_authority(Some(authority)).map_err(|()| wrong("the host"))?;
    outgoing.set_path_with_query(Some(&path)).map_err(|()| wrong("the path"))?;
    let body = outgoing.body().map_err(|()| Error::Protocol("the request has no body".into()))?;
    Ok((outgoing, body))
}

fn options(timeout: Duration) -> RequestOptions {
    let options = RequestOptions::new();
    let nanos = u64::try_from(timeout.as_nanos()).unwrap_or(u64::MAX);
    // The host adds up the first two.
    let _ = options.set_connect_timeout(Some(0));
    let _ = options.set_first_byte_timeout(Some(nanos));
    let _ = options.set_between_bytes_timeout(Some(nanos));
    options
}

fn write(body: OutgoingBody, bytes: &[u8]) -> Result<(), Error> {
    if !bytes.is_empty() {
        let stream = body.write().map_err(|()| Error::Protocol("the body cannot be written".into()))?;
        for chunk in bytes.chunks(CHUNK) {
            // Whoever does not read on says why in the response.
            if stream.blocking_write_and_flush(chunk).is_err() {
                break;
            }
        }
    }
    // As above.
    let _ = OutgoingBody::finish(body, None);
    Ok(())
}

fn read(response: &IncomingResponse, max: usize) -> Result<Response, Error> {
    let headers = response.headers().entries().into_iter();
    let headers = headers
        .map(|(name, value)| (name.to_ascii_lowercase(), String::from_utf8_lossy(&value).into_owned()));
    let mut read =
        Response { status: response.status(), headers: headers.collect(), body: vec![], truncated: false };
    let unreadable = |()| Error::Protocol("the body cannot be read".into());
    let body = response.consume().map_err(unreadable)?;
    let stream = body.stream().map_err(unreadable)?;
    loop {
        match stream.blocking_read(CHUNK as u64 * 16) {
            Ok(chunk) => {
                let room = max - read.body.len();
                read.body.extend_from_slice(&chunk[..chunk.len().min(room)]);
                if chunk.len() > room {
                    read.truncated = true;
                    return Ok(read);
                }
            }
            Err(StreamError::Closed) => return Ok(read),
            Err(StreamError::LastOperationFailed(error)) => {
                return Err(match http_error_code(&error) {
                    Some(code) => reason(code),
                    None => Error::Protocol(error.to_debug_string()),
                });
            }
        }
    }
}

fn reason(code: ErrorCode) -> Error {
    match code {
        ErrorCode::HttpRequestDenied => Error::Denied,
        ErrorCode::DestinationIpProhibited => Error::Address,
        ErrorCode::HttpRequestUriInvalid => Error::Url("the host does not understand it".into()),
        ErrorCode::DnsError(_) | ErrorCode::DnsTimeout => Error::Name,
        ErrorCode::HttpResponseTimeout | ErrorCode::ConnectionTimeout | ErrorCode::ConnectionReadTimeout => {
            Error::Timeout
        }
        ErrorCode::TlsCertificateError => Error::Tls("its certificate is not valid".into()),
        ErrorCode::TlsProtocolError => Error::Tls("the two sides do not agree".into()),
        ErrorCode::HttpRequestBodySize(_) | ErrorCode::HttpResponseBodySize(_) => Error::TooLarge,
        ErrorCode::ConnectionRefused => Error::Connect("it was refused".into()),
        ErrorCode::ConnectionTerminated => Error::Connect("it ended early".into()),
        other => Error::Protocol(format!("{other:?}")),
    }
}
