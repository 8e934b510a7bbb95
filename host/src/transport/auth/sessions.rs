//! Whose a session of the older eras is.

use axum::{
    extract::Request,
    http::{HeaderMap, Method},
};
use skillhost_core::Caller;

/// The header with a session's id.
const SESSION: &str = "mcp-session-id";
/// Sessions that are remembered; one that is not has to be begun anew.
const MAX: u64 = 100_000;

/// Sessions with their callers.
pub(super) struct Owners(moka::sync::Cache<String, Caller>);

impl Default for Owners {
    fn default() -> Self {
        Self(moka::sync::Cache::new(MAX))
    }
}

fn session(headers: &HeaderMap) -> Option<&str> {
    headers.get(SESSION)?.to_str().ok()
}

impl Owners {
    /// Whether the session that a request names, if it names one, is this caller's.
    pub(super) fn admit(&self, headers: &HeaderMap, caller: &Caller) -> bool {
        match headers.get(SESSION) {
            None => true,
            Some(_) => session(headers).and_then(|id| self.0.get(id)).is_some_and(|owner| owner == *caller),
        }
    }

    /// A session has begun, where the response names one, or `ended`.
    pub(super) fn note(&self, response: &HeaderMap, ended: Option<String>, caller: &Caller) {
        if let Some(ended) = ended {
            self.0.invalidate(&ended);
        } else if let Some(id) = session(response) {
            self.0.insert(id.to_owned(), caller.clone());
        }
    }
}

/// The session that a request ends.
pub(super) fn ends(request: &Request) -> Option<String> {
    (request.method() == Method::DELETE).then(|| session(request.headers()).map(str::to_owned))?
}
