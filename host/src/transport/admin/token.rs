//! The admin API over TCP: only to who holds the token.

use std::sync::Arc;

use anyhow::{Context as _, bail};
use axum::{
    extract::{Request, State},
    http::{HeaderMap, StatusCode, header::AUTHORIZATION},
    middleware::Next,
    response::{IntoResponse as _, Response},
};
use skillhost_core::Digest;
use skillhost_engine::SecretSource;

use crate::config::AdminSettings;

/// Bytes of a token.
const LENGTH: std::ops::RangeInclusive<usize> = 16..=4_096;

/// A token that somebody must show. Only its digest is kept: comparing those tells nothing of how much is right.
#[derive(Debug, Clone)]
pub(crate) struct Token(Digest);

impl AdminSettings {
    /// The token, read from where it is kept.
    pub(crate) fn token(&self) -> anyhow::Result<Option<Token>> {
        let Some(source) = &self.token else { return Ok(None) };
        let token = match source {
            SecretSource::Variable(name) => std::env::var(name)
                .with_context(|| format!("the variable {name} of `admin.token` cannot be read"))?,
            SecretSource::File(path) => std::fs::read_to_string(path)
                .with_context(|| format!("the file {} of `admin.token` cannot be read", path.display()))?,
        };
        let token = token.trim_end_matches(['\r', '\n']);
        if !LENGTH.contains(&token.len()) {
            bail!(
                "`admin.token` has {} bytes; it must have {} to {}",
                token.len(),
                LENGTH.start(),
                LENGTH.end()
            );
        }
        Ok(Some(Token(Digest::of(token.as_bytes()))))
    }
}

impl Token {
    pub(crate) fn admits(&self, headers: &HeaderMap) -> bool {
        let shown = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
        let shown = shown.and_then(|value| value.split_once(' '));
        shown.is_some_and(|(scheme, token)| {
            scheme.eq_ignore_ascii_case("bearer") && Digest::of(token.trim().as_bytes()) == self.0
        })
    }
}

/// The layer.
pub(super) async fn require(State(token): State<Arc<Token>>, request: Request, next: Next) -> Response {
    if token.admits(request.headers()) {
        return next.run(request).await;
    }
    tracing::warn!("a request to the admin API without the right token was refused");
    let told = [("www-authenticate", "Bearer")];
    (StatusCode::UNAUTHORIZED, told, "the admin API wants `Authorization: Bearer TOKEN`\n").into_response()
}
