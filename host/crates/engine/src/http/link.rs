//! `wasi:http` for guests.

use wasmtime::component::{Linker, Resource};
use wasmtime_wasi_http::{Error, p2::bindings::http::types::ErrorCode};

use crate::state::State;

/// Offer `wasi:http` to guests.
pub(crate) fn add_to_linker(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    wasmtime_wasi_http::p2::add_only_http_to_linker_async(linker)?;
    // wasmtime-wasi-http 48.0.8 looks for an `ErrorCode` in errors of streams, where it puts its own `Error`: a guest
    // could never learn why a body ended. This puts the function right.
    linker.allow_shadowing(true);
    linker.instance("wasi:http/types@0.2.12")?.func_wrap(
        "http-error-code",
        |store, (error,): (Resource<wasmtime::Error>,)| {
            let error = store.data().table.get(&error)?;
            Ok((error.downcast_ref::<Error>().map(code).or_else(|| error.downcast_ref().cloned()),))
        },
    )?;
    linker.allow_shadowing(false);
    Ok(())
}

/// What can go wrong while a body is on its way.
fn code(error: &Error) -> ErrorCode {
    match error {
        Error::HttpRequestBodySize(size) => ErrorCode::HttpRequestBodySize(*size),
        Error::HttpResponseBodySize(size) => ErrorCode::HttpResponseBodySize(*size),
        Error::ConnectionReadTimeout => ErrorCode::ConnectionReadTimeout,
        Error::Hyper(error) if error.is_incomplete_message() => ErrorCode::HttpResponseIncomplete,
        _ => ErrorCode::HttpProtocolError,
    }
}
