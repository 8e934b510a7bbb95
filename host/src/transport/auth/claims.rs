//! Access tokens of an authorization server: JWTs (RFC 9068), signed with a key that it publishes.

use std::sync::Arc;

use anyhow::bail;
use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode, decode_header};
use serde::{Deserialize, de::IgnoredAny};
use skillhost_core::Clock;

use super::keys::Keys;
use crate::config::AuthSettings;

/// Signatures that count. None with a shared secret: whoever checks could also make them.
const ALGORITHMS: [Algorithm; 9] = [
    Algorithm::RS256,
    Algorithm::RS384,
    Algorithm::RS512,
    Algorithm::PS256,
    Algorithm::PS384,
    Algorithm::PS512,
    Algorithm::ES256,
    Algorithm::ES384,
    Algorithm::EdDSA,
];
/// Seconds that clocks may differ.
const LEEWAY: u64 = 60;
/// Bytes of a caller's name.
const MAX_NAME: usize = 512;

/// Why a token does not count.
#[derive(Debug)]
pub(super) enum Refused {
    /// It is not good.
    Invalid(&'static str),
    /// Nobody can say now.
    Later,
}

/// What is asked of access tokens.
pub(super) struct OAuth {
    keys: Arc<Keys>,
    issuer: String,
    audiences: Vec<String>,
}

#[derive(Deserialize)]
struct Claims {
    sub: Option<String>,
    scope: Option<String>,
    /// As some servers call it.
    scp: Option<Several>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Several {
    One(String),
    Many(Vec<String>),
}

impl OAuth {
    pub(super) fn open(
        settings: &AuthSettings,
        resource: &str,
        clock: Arc<dyn Clock>,
    ) -> anyhow::Result<Option<Self>> {
        let Some(issuer) = settings.issuer.clone() else { return Ok(None) };
        let Some(jwks) = &settings.jwks else { bail!("`issuer` needs `jwks`: where its keys are") };
        let audiences =
            if settings.audience.is_empty() { vec![resource.to_owned()] } else { settings.audience.clone() };
        let keys = Arc::new(Keys::open(jwks, clock)?);
        Ok(Some(Self { keys, issuer, audiences }))
    }

    pub(super) fn issuer(&self) -> &str {
        &self.issuer
    }

    /// Whose token it is, and the scopes it holds.
    pub(super) async fn verify(&self, token: &str) -> Result<(String, Vec<String>), Refused> {
        let header = decode_header(token).map_err(|_| Refused::Invalid("it is no JWT"))?;
        if !ALGORITHMS.contains(&header.alg) {
            return Err(Refused::Invalid("its algorithm does not count"));
        }
        if is_critical(token) {
            return Err(Refused::Invalid("it wants more than is known here (`crit`)"));
        }
        let key = self.keys.find(header.kid.as_deref(), header.alg).await?;
        let key = key.ok_or(Refused::Invalid("no key of the issuer fits it"))?;
        let key = DecodingKey::from_jwk(&key).map_err(|_| Refused::Invalid("its key cannot be used"))?;
        let mut wanted = Validation::new(header.alg);
        wanted.set_audience(&self.audiences);
        wanted.set_issuer(&[&self.issuer]);
        wanted.set_required_spec_claims(&["exp", "iss", "aud"]);
        wanted.validate_nbf = true;
        wanted.leeway = LEEWAY;
        let claims =
            decode::<Claims>(token, &key, &wanted).map_err(|error| Refused::Invalid(why(&error)))?.claims;
        // No other claim stands in for it: a client could be named as somebody else's `sub` is.
        let who = claims.sub.filter(|who| !who.is_empty());
        let who = who.ok_or(Refused::Invalid("it names nobody: it lacks `sub`"))?;
        // The next issuer may have an `alice`, too.
        let name = format!("oauth:{}#{who}", self.issuer);
        if name.len() > MAX_NAME || name.chars().any(char::is_control) {
            return Err(Refused::Invalid("its `sub` is too long, or holds control characters"));
        }
        let mut scopes: Vec<String> = words(claims.scope.as_deref().unwrap_or_default());
        match claims.scp {
            Some(Several::One(text)) => scopes.extend(words(&text)),
            Some(Several::Many(list)) => scopes.extend(list),
            None => {}
        }
        Ok((name, scopes))
    }
}

/// Whether its header names extensions that must be understood (RFC 7515, 4.1.11): none is.
fn is_critical(token: &str) -> bool {
    #[derive(Deserialize)]
    struct Header {
        crit: Option<IgnoredAny>,
    }
    let header = token.split('.').next().unwrap_or_default();
    let header = BASE64_URL_SAFE_NO_PAD.decode(header).unwrap_or_default();
    serde_json::from_slice(&header).map_or(true, |header: Header| header.crit.is_some())
}

fn words(text: &str) -> Vec<String> {
    text.split_ascii_whitespace().map(str::to_owned).collect()
}

fn why(error: &jsonwebtoken::errors::Error) -> &'static str {
    use jsonwebtoken::errors::ErrorKind;
    match error.kind() {
        ErrorKind::ExpiredSignature => "it has expired",
        ErrorKind::ImmatureSignature => "it is not good yet",
        ErrorKind::InvalidAudience => "it is meant for somebody else (`aud`)",
        ErrorKind::InvalidIssuer => "its issuer is none of ours (`iss`)",
        ErrorKind::MissingRequiredClaim(_) => "it lacks `exp`, `iss` or `aud`",
        ErrorKind::InvalidSignature => "its signature is wrong",
        _ => "it cannot be read",
    }
}
