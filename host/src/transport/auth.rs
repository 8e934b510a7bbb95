//! Who calls over HTTP. Nobody is asked on loopback unless the configuration says so; then a bearer token says who it is: one
//! whose hash stands in a file, or one of an OAuth 2.1 authorization server (RFC 6750, RFC 9068, RFC 9728).

mod claims;
mod keys;
mod sessions;
mod tokens;

use std::sync::Arc;

use anyhow::Context as _;
use axum::{
    Json, Router,
    body::{Body, Bytes},
    extract::Request,
    http::{
        HeaderValue, StatusCode,
        header::{RETRY_AFTER, WWW_AUTHENTICATE},
    },
    response::{IntoResponse as _, Response},
    routing::get,
};
use headers::{Authorization, HeaderMapExt as _, authorization::Bearer};
use serde::{Deserialize, Deserializer};
use serde_json::json;
use skillhost_core::{Access, Caller, Clock, access::stands_for};

use super::body::{Room, whole};
use crate::config::AuthSettings;
use claims::{OAuth, Refused};
use sessions::Owners;
use tokens::Tokens;
pub(crate) use tokens::{LENGTH, is_scope, line};

/// Where the metadata of a protected resource stands (RFC 9728, 3.1).
const METADATA: &str = "/.well-known/oauth-protected-resource";
/// Bytes of a bearer token that are looked at.
const MAX_TOKEN: usize = 16 << 10;

/// Who a request comes from, and what he may use.
#[derive(Debug, Clone)]
pub(crate) struct Identity {
    pub(crate) caller: Caller,
    pub(crate) access: Access,
}

/// Everybody: no one is asked.
impl Default for Identity {
    fn default() -> Self {
        Self { caller: Caller::local(), access: Access::default() }
    }
}

/// What is asked of requests.
pub(crate) struct Auth {
    tokens: Option<Tokens>,
    oauth: Option<OAuth>,
    /// What each scope stands for; empty: whoever is known may use everything.
    scopes: Vec<(String, Vec<String>)>,
    /// The URI of this server, as authorization servers know it.
    resource: String,
    owners: Owners,
}

impl Auth {
    /// What the settings ask for; none when they ask for nothing.
    ///
    /// # Errors
    /// When a file cannot be read, or holds something else.
    pub(crate) fn open(
        settings: &AuthSettings,
        address: &str,
        clock: &Arc<dyn Clock>,
    ) -> anyhow::Result<Option<Arc<Self>>> {
        if !settings.is_asked() {
            return Ok(None);
        }
        let resource = settings.resource.clone().unwrap_or_else(|| format!("http://{address}/mcp"));
        let tokens = settings
            .tokens
            .clone()
            .map(|path| Tokens::open(path, Arc::clone(clock)))
            .transpose()
            .context("`auth.tokens`")?;
        let oauth = OAuth::open(settings, &resource, Arc::clone(clock)).context("`auth`")?;
        let scopes = settings.scopes.iter().map(|(scope, patterns)| (scope.clone(), patterns.clone()));
        Ok(Some(Arc::new(Self {
            tokens,
            oauth,
            scopes: scopes.collect(),
            resource,
            owners: Owners::default(),
        })))
    }

    /// Where clients read how to say who they are; nobody has to say it for that.
    pub(crate) fn metadata(&self) -> Router {
        if self.oauth.is_none() {
            return Router::new();
        }
        let described = self.described();
        let tell = move || {
            let described = described.clone();
            async move { Json(described) }
        };
        let own = self.path().filter(|path| *path != "mcp" && is_plain(path));
        let router = Router::new()
            .route(METADATA, get(tell.clone()))
            .route(&format!("{METADATA}/mcp"), get(tell.clone()));
        match own {
            // As clients know it, whatever stands in front of it.
            Some(path) => router.route(&format!("{METADATA}/{path}"), get(tell)),
            None => router,
        }
    }

    fn described(&self) -> serde_json::Value {
        let scopes: Vec<_> = self.scopes.iter().map(|(scope, _)| scope).collect();
        json!({
            "resource": self.resource,
            "authorization_servers": self.oauth.iter().map(OAuth::issuer).collect::<Vec<_>>(),
            "scopes_supported": scopes,
            "bearer_methods_supported": ["header"],
            "resource_name": "skillhost",
        })
    }

    /// Pass a request on, with who makes it, when it says that and may.
    pub(crate) async fn admit<F: Future<Output = Response>>(
        &self,
        mut request: Request,
        room: &Room,
        next: impl FnOnce(Request) -> F,
    ) -> Response {
        let shown = match request.headers().typed_try_get::<Authorization<Bearer>>() {
            Ok(Some(bearer)) => bearer,
            Ok(None) | Err(_) => {
                return self.unauthorized(&[], "this host wants `Authorization: Bearer TOKEN`");
            }
        };
        let identity = match self.identify(shown.token()).await {
            Ok(identity) => identity,
            Err(Refused::Invalid(why)) => {
                tracing::warn!(reason = why, "a request with a token that does not count was refused");
                let error = [("error", "invalid_token"), ("error_description", why)];
                return self.unauthorized(&error, &format!("the token does not count: {why}"));
            }
            Err(Refused::Later) => {
                let text = "the keys that tokens are checked with cannot be had now; try again later\n";
                return (StatusCode::SERVICE_UNAVAILABLE, [(RETRY_AFTER, "5")], text).into_response();
            }
        };
        // A session is its caller's: to know its id gives nobody else leave.
        if !self.owners.admit(request.headers(), &identity.caller) {
            return (StatusCode::NOT_FOUND, "there is no such session of this caller\n").into_response();
        }
        if !identity.access.is_full() {
            let (parts, body) = request.into_parts();
            // Its room is taken again by who reads it for good.
            let (body, _room) = match whole(body, room).await {
                Ok(whole) => whole,
                Err(refusal) => return refusal,
            };
            if let Some(name) = target(&body).filter(|name| !identity.access.allows(name)) {
                tracing::warn!(
                    caller = identity.caller.as_str(),
                    name,
                    "a request beyond its caller's scopes was refused"
                );
                let needed = self.needed(&name);
                let mut error = vec![("error", "insufficient_scope")];
                if !needed.is_empty() {
                    error.push(("scope", &needed));
                }
                let challenge = [(WWW_AUTHENTICATE, self.challenge(&error))];
                let text = "the token's scopes do not reach this\n";
                return (StatusCode::FORBIDDEN, challenge, text).into_response();
            }
            request = Request::from_parts(parts, Body::from(body));
        }
        let caller = identity.caller.clone();
        let ended = sessions::ends(&request);
        request.extensions_mut().insert(identity);
        let response = next(request).await;
        self.owners.note(response.headers(), ended, &caller);
        response
    }

    /// Who shows this token.
    async fn identify(&self, token: &str) -> Result<Identity, Refused> {
        if token.len() > MAX_TOKEN {
            return Err(Refused::Invalid("it is too long"));
        }
        let known = self.tokens.as_ref().and_then(|tokens| tokens.find(token));
        let (name, scopes) = match (known, &self.oauth) {
            (Some(entry), _) => (format!("token:{}", entry.name), entry.scopes),
            (None, Some(oauth)) => oauth.verify(token).await?,
            (None, None) => return Err(Refused::Invalid("nobody has this token")),
        };
        Ok(Identity { caller: Caller::named(&name), access: self.access(&scopes) })
    }

    fn access(&self, scopes: &[String]) -> Access {
        if self.scopes.is_empty() {
            return Access::default();
        }
        let held = self.scopes.iter().filter(|(scope, _)| scopes.contains(scope));
        Access::to(held.flat_map(|(_, patterns)| patterns.iter().cloned()).collect())
    }

    /// The scopes that would do for `name`.
    fn needed(&self, name: &str) -> String {
        let stand = |patterns: &[String]| patterns.iter().any(|pattern| stands_for(pattern, name));
        let scopes: Vec<_> =
            self.scopes.iter().filter(|(_, patterns)| stand(patterns)).map(|(s, _)| &**s).collect();
        scopes.join(" ")
    }

    /// The challenge (RFC 6750, 3), with where to learn whom to ask for a token (RFC 9728, 5.1).
    fn challenge(&self, error: &[(&str, &str)]) -> HeaderValue {
        let mut parts = vec![];
        if self.oauth.is_some() {
            parts.push(("resource_metadata", self.metadata_url()));
        } else {
            parts.push(("realm", "skillhost".to_owned()));
        }
        parts.extend(error.iter().map(|(key, value)| (*key, (*value).to_owned())));
        let parts: Vec<_> = parts.iter().map(|(key, value)| format!("{key}=\"{value}\"")).collect();
        HeaderValue::from_str(&format!("Bearer {}", parts.join(", ")))
            .unwrap_or(HeaderValue::from_static("Bearer"))
    }

    /// The path of this resource, without slashes around it.
    fn path(&self) -> Option<&str> {
        let (_, rest) = self.resource.split_once("://")?;
        let (_, path) = rest.split_once('/')?;
        let path = path.split('?').next()?.trim_matches('/');
        (!path.is_empty()).then_some(path)
    }

    /// Where the metadata of this resource stands (RFC 9728, 3.1).
    fn metadata_url(&self) -> String {
        let (scheme, rest) = self.resource.split_once("://").unwrap_or(("http", &self.resource));
        let authority = rest.split(['/', '?']).next().unwrap_or(rest);
        let path = self.path().map(|path| format!("/{path}")).unwrap_or_default();
        format!("{scheme}://{authority}{METADATA}{path}")
    }

    fn unauthorized(&self, error: &[(&str, &str)], text: &str) -> Response {
        let challenge = [(WWW_AUTHENTICATE, self.challenge(error))];
        (StatusCode::UNAUTHORIZED, challenge, format!("{text}\n")).into_response()
    }
}

/// Whether it can be a route as it stands.
fn is_plain(path: &str) -> bool {
    path.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"/._~-".contains(&byte))
}

/// What a request is about: the tool, the prompt, or the resource. None for what belongs to everybody, the host's own tools
/// among it: they are about their caller's own calls. None also for what cannot be read: only the status depends on it, the
/// pipeline asks for itself.
fn target(body: &Bytes) -> Option<String> {
    #[derive(Deserialize)]
    struct Asked {
        method: String,
        #[serde(default)]
        params: Params,
    }
    #[derive(Default, Deserialize)]
    #[serde(default)]
    struct Params {
        #[serde(deserialize_with = "text")]
        name: Option<String>,
        #[serde(deserialize_with = "text")]
        uri: Option<String>,
        arguments: Option<Held>,
        r#ref: Option<Named>,
    }
    #[derive(Deserialize)]
    struct Named {
        name: Option<String>,
        uri: Option<String>,
    }
    /// What is no text names nothing.
    fn text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
        Ok(serde_json::Value::deserialize(deserializer)?.as_str().map(str::to_owned))
    }
    /// What `saga_call` makes is another call.
    #[derive(Deserialize)]
    struct Held {
        tool: Option<String>,
    }
    let asked: Asked = serde_json::from_slice(body).ok()?;
    match &*asked.method {
        "tools/call" => {
            let name = asked.params.name?;
            match &*name {
                "saga_call" => asked.params.arguments?.tool,
                _ => (!skillhost_pipeline::is_own(&name)).then_some(name),
            }
        }
        "prompts/get" => asked.params.name,
        "resources/read" | "resources/subscribe" => asked.params.uri,
        "completion/complete" => asked.params.r#ref.and_then(|of| of.name.or(of.uri)),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
