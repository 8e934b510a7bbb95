//! Who may call over HTTP, checked.

use std::{collections::BTreeMap, path::PathBuf};

use crate::{
    config::{ConfigError, raw},
    transport::is_scope,
};

/// Who may call over HTTP.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct AuthSettings {
    pub(crate) tokens: Option<PathBuf>,
    pub(crate) issuer: Option<String>,
    pub(crate) jwks: Option<String>,
    pub(crate) audience: Vec<String>,
    pub(crate) resource: Option<String>,
    pub(crate) scopes: BTreeMap<String, Vec<String>>,
}

impl AuthSettings {
    /// Whether anybody is asked who he is.
    pub(crate) fn is_asked(&self) -> bool {
        self.tokens.is_some() || self.issuer.is_some()
    }

    /// Files that no skill may reach.
    pub(super) fn files(&self) -> impl Iterator<Item = PathBuf> + use<> {
        let jwks = self.jwks.clone().filter(|jwks| !jwks.contains("://")).map(PathBuf::from);
        self.tokens.clone().into_iter().chain(jwks)
    }
}

pub(super) fn auth(auth: raw::Auth) -> Result<AuthSettings, ConfigError> {
    let raw::Auth { tokens, issuer, jwks, audience, resource, scopes } = auth;
    let set = "filled";
    let (audience, scopes) = (audience.expect(set), scopes.expect(set));
    let wrong = |key: &str, problem: String| Err(ConfigError::value(key, problem));
    match (&issuer, &jwks) {
        (None, Some(_)) => {
            return wrong("auth.jwks", "is there without `issuer`: say whose keys they are".into());
        }
        (Some(_), None) => return wrong("auth.issuer", "needs `jwks`: say where its keys are".into()),
        (Some(issuer), _) if issuer.is_empty() => {
            return wrong("auth.issuer", "is empty: write it as the tokens' `iss` has it".into());
        }
        _ => {}
    }
    if let Some(resource) = &resource
        && !is_resource(resource)
    {
        return wrong(
            "auth.resource",
            format!("is `{resource}`: write a URL such as `https://tools.example/mcp`"),
        );
    }
    for (scope, patterns) in &scopes {
        let key = format!("auth.scopes.{scope}");
        if !is_scope(scope) {
            return wrong(
                "auth.scopes",
                format!("holds `{scope}`, which can be no scope: no blanks, quotes or backslashes"),
            );
        }
        if let Some(pattern) = patterns.iter().find(|pattern| !is_pattern(pattern)) {
            return wrong(
                &key,
                format!("holds `{pattern}`: write a name, a URI, or the beginning of one such as `text_*`"),
            );
        }
    }
    let settings = AuthSettings { tokens, issuer, jwks, audience, resource, scopes };
    // Whoever writes any of it believes that callers are asked.
    let meant = [
        ("auth.scopes", !settings.scopes.is_empty()),
        ("auth.audience", !settings.audience.is_empty()),
        ("auth.resource", settings.resource.is_some()),
    ];
    if let Some((key, _)) = meant.iter().find(|(_, there)| *there && !settings.is_asked()) {
        let problem =
            "counts for nothing while nobody is asked who he is: set `tokens`, or `issuer` and `jwks`";
        return wrong(key, problem.into());
    }
    Ok(settings)
}

fn is_resource(url: &str) -> bool {
    let rest = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://"));
    let plain = |c: char| c.is_ascii_graphic() && !"#\"\\<>".contains(c);
    rest.is_some_and(|rest| !rest.is_empty() && !rest.starts_with('/') && rest.chars().all(plain))
}

fn is_pattern(pattern: &str) -> bool {
    let name = pattern.strip_suffix('*').unwrap_or(pattern);
    !pattern.is_empty() && name.chars().all(|c| !c.is_whitespace() && !c.is_control() && c != '*')
}
