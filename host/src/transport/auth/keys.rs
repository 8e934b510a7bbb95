//! The keys of an authorization server (RFC 7517), from a file or a URL. They change: a token with a key that is not known has
//! them fetched anew, but not more often than once a minute, whatever tokens are shown.

use std::{
    fs,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail};
use axum::http::Uri;
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper::body::Bytes;
use hyper_rustls::HttpsConnectorBuilder;
use hyper_util::{client::legacy::Client, rt::TokioExecutor};
use jsonwebtoken::{
    Algorithm,
    jwk::{AlgorithmParameters, EllipticCurve, Jwk, JwkSet, PublicKeyUse},
};
use skillhost_core::Clock;

use super::claims::Refused;

/// Keys are as good as new for this long.
const FRESH: Duration = Duration::from_secs(3_600);
/// They are fetched at most this often.
const AT_MOST: Duration = Duration::from_secs(60);
/// And while there are none.
const NONE_YET: Duration = Duration::from_secs(5);
/// How long fetching them may take, and how large they may be.
const PATIENCE: Duration = Duration::from_secs(10);
const MAX_SIZE: usize = 1 << 20;

/// Letters of the base64 of the modulus of an RSA key of 2048 bits: shorter ones do not count (RFC 7518, 3.3).
const MIN_MODULUS: usize = 342;

/// Where keys are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Place {
    File(PathBuf),
    Url(Uri),
}

pub(super) struct Keys {
    place: Place,
    clock: Arc<dyn Clock>,
    kept: Mutex<Kept>,
    /// Held while they are fetched: others wait for the same answer.
    fetching: tokio::sync::Mutex<()>,
}

#[derive(Default)]
struct Kept {
    keys: Option<Arc<JwkSet>>,
    fetched: Option<Instant>,
    tried: Option<Instant>,
}

impl Place {
    fn of(text: &str) -> anyhow::Result<Self> {
        let Some((scheme, _)) = text.split_once("://") else { return Ok(Self::File(text.into())) };
        let uri: Uri = text.parse().with_context(|| format!("`jwks`: `{text}` is no URL"))?;
        let host = uri.host().unwrap_or_default();
        let loopback = matches!(host, "localhost" | "127.0.0.1" | "[::1]");
        match scheme {
            "https" => Ok(Self::Url(uri)),
            "http" if loopback => Ok(Self::Url(uri)),
            _ => bail!("`jwks`: `{text}`: keys come over https, or from a file"),
        }
    }
}

impl Keys {
    /// A file is read at once, so that a mistake shows at start. What a URL says is asked with the first token.
    pub(super) fn open(jwks: &str, clock: Arc<dyn Clock>) -> anyhow::Result<Self> {
        let place = Place::of(jwks)?;
        let mut kept = Kept::default();
        if let Place::File(path) = &place {
            kept.keys = Some(Arc::new(file(path)?));
            kept.fetched = Some(clock.now());
        }
        Ok(Self { place, clock, kept: Mutex::new(kept), fetching: tokio::sync::Mutex::default() })
    }

    /// The key with this id, or the only one that fits when the token names none.
    pub(super) async fn find(&self, kid: Option<&str>, algorithm: Algorithm) -> Result<Option<Jwk>, Refused> {
        let (keys, fresh) = self.known();
        if let Some(key) = keys.as_ref().and_then(|keys| pick(keys, kid, algorithm))
            && fresh
        {
            return Ok(Some(key));
        }
        let keys = self.renewed().await.or(keys).ok_or(Refused::Later)?;
        Ok(pick(&keys, kid, algorithm))
    }

    fn known(&self) -> (Option<Arc<JwkSet>>, bool) {
        let kept = self.kept();
        let fresh = self.within(kept.fetched, FRESH);
        (kept.keys.clone(), fresh)
    }

    fn within(&self, since: Option<Instant>, span: Duration) -> bool {
        since.is_some_and(|at| self.clock.now().saturating_duration_since(at) < span)
    }

    fn kept(&self) -> std::sync::MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keys that were fetched just now, or not long ago. None when they cannot be had.
    async fn renewed(&self) -> Option<Arc<JwkSet>> {
        let _one = self.fetching.lock().await;
        {
            let mut kept = self.kept();
            let pause = if kept.keys.is_some() { AT_MOST } else { NONE_YET };
            if self.within(kept.tried, pause) {
                return kept.keys.clone();
            }
            kept.tried = Some(self.clock.now());
        }
        let fetched = match &self.place {
            Place::File(path) => file(path),
            Place::Url(uri) => {
                let fetched = tokio::time::timeout(PATIENCE, fetch(uri.clone())).await;
                fetched
                    .unwrap_or_else(|_| Err(anyhow::anyhow!("it took longer than {} s", PATIENCE.as_secs())))
            }
        };
        match fetched {
            Ok(keys) => {
                let keys = Arc::new(keys);
                let mut kept = self.kept();
                (kept.keys, kept.fetched) = (Some(Arc::clone(&keys)), Some(self.clock.now()));
                Some(keys)
            }
            Err(error) => {
                tracing::error!(
                    error = format!("{error:#}"),
                    "the keys of the authorization server cannot be had; those known go on counting"
                );
                None
            }
        }
    }
}

fn file(path: &PathBuf) -> anyhow::Result<JwkSet> {
    let text =
        fs::read(path).with_context(|| format!("`jwks`: the file {} cannot be read", path.display()))?;
    serde_json::from_slice(&text)
        .with_context(|| format!("`jwks`: the file {} is no set of JSON Web Keys", path.display()))
}

/// Not through a proxy, and not wherever a redirect leads.
async fn fetch(uri: Uri) -> anyhow::Result<JwkSet> {
    let connector = HttpsConnectorBuilder::new().with_native_roots()?.https_or_http().enable_http1().build();
    let client: Client<_, Empty<Bytes>> = Client::builder(TokioExecutor::new()).build(connector);
    let response = client.get(uri.clone()).await.with_context(|| format!("{uri} does not answer"))?;
    if response.status() != hyper::StatusCode::OK {
        bail!("{uri} answers {}", response.status());
    }
    let body = Limited::new(response.into_body(), MAX_SIZE).collect().await;
    let body = body.map_err(|error| anyhow::anyhow!("{uri} cannot be read: {error}"))?.to_bytes();
    serde_json::from_slice(&body).with_context(|| format!("{uri} holds no set of JSON Web Keys"))
}

fn pick(keys: &JwkSet, kid: Option<&str>, algorithm: Algorithm) -> Option<Jwk> {
    let fits = |key: &&Jwk| fits(key, algorithm);
    match kid {
        Some(kid) => {
            keys.keys.iter().filter(|key| key.common.key_id.as_deref() == Some(kid)).find(fits).cloned()
        }
        None => {
            let mut fitting = keys.keys.iter().filter(fits);
            let first = fitting.next()?;
            // With several nobody says which.
            fitting.next().is_none().then(|| first.clone())
        }
    }
}

/// Whether a key is for signatures, and for these.
fn fits(key: &Jwk, algorithm: Algorithm) -> bool {
    let signs = matches!(key.common.public_key_use, None | Some(PublicKeyUse::Signature));
    let named =
        key.common.key_algorithm.as_ref().is_none_or(|named| named.to_string() == format!("{algorithm:?}"));
    let kind = match (&key.algorithm, algorithm) {
        (AlgorithmParameters::EllipticCurve(curve), Algorithm::ES256) => curve.curve == EllipticCurve::P256,
        (AlgorithmParameters::EllipticCurve(curve), Algorithm::ES384) => curve.curve == EllipticCurve::P384,
        (AlgorithmParameters::OctetKeyPair(_), Algorithm::EdDSA) => true,
        (
            AlgorithmParameters::RSA(rsa),
            Algorithm::RS256
            | Algorithm::RS384
            | Algorithm::RS512
            | Algorithm::PS256
            | Algorithm::PS384
            | Algorithm::PS512,
        ) => rsa.n.len() >= MIN_MODULUS,
        _ => false,
    };
    signs && named && kind
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_rsa_keys_fit_nothing() {
        let key = |bytes: usize| -> Jwk {
            let n = "w".repeat((bytes * 4).div_ceil(3));
            serde_json::from_value(serde_json::json!({"kty": "RSA", "n": n, "e": "AQAB"})).unwrap()
        };
        assert!(fits(&key(256), Algorithm::RS256));
        assert!(!fits(&key(128), Algorithm::RS256) && !fits(&key(255), Algorithm::PS512));
    }

    #[test]
    fn keys_come_from_files_and_over_https() {
        assert_eq!(Place::of("keys.json").unwrap(), Place::File("keys.json".into()));
        assert!(matches!(Place::of("https://auth.example/jwks").unwrap(), Place::Url(_)));
        assert!(matches!(Place::of("http://127.0.0.1:9/jwks").unwrap(), Place::Url(_)));
        for wrong in ["http://auth.example/jwks", "ftp://a/b", "https://"] {
            assert!(Place::of(wrong).is_err(), "{wrong}");
        }
    }
}
