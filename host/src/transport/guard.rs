//! Host and Origin checks of every request, against DNS rebinding: a page in a browser must not
//! reach a host on this machine by a name of its own.

use std::net::IpAddr;

use axum::{
    extract::Request,
    http::{
        HeaderMap, StatusCode, Uri,
        header::{HOST, ORIGIN},
        uri::Authority,
    },
    response::{IntoResponse, Response},
};

/// Who may be asked for, and by which pages.
#[derive(Debug)]
pub(crate) struct Guard {
    hosts: Vec<String>,
    origins: Vec<String>,
    /// Paths that may be asked for by any name.
    open: Vec<&'static str>,
}

impl Guard {
    /// `hosts`: names, with or without a port, beside the loopback ones. `origins`: `scheme://name:port`
    /// beside pages of those hosts.
    pub(crate) fn new(hosts: &[String], origins: &[String], listen: IpAddr, open: Vec<&'static str>) -> Self {
        let mut hosts: Vec<String> = hosts.iter().map(|host| host.to_ascii_lowercase()).collect();
        if !listen.is_unspecified() {
            hosts.push(match listen {
                IpAddr::V4(ip) => ip.to_string(),
                IpAddr::V6(ip) => format!("[{ip}]"),
            });
        }
        let origins = origins.iter().map(|o| o.trim_end_matches('/').to_ascii_lowercase()).collect();
        Self { hosts, origins, open }
    }

    /// What a request is answered that asks by a name which is not served here, or for a page of elsewhere.
    pub(crate) fn refusal(&self, request: &Request) -> Option<Response> {
        if self.open.contains(&request.uri().path()) {
            return None;
        }
        let reason = self.check(request.uri(), request.headers()).err()?;
        tracing::warn!(reason, "request refused");
        Some((StatusCode::FORBIDDEN, reason).into_response())
    }

    fn check(&self, uri: &Uri, headers: &HeaderMap) -> Result<(), String> {
        let authority = match headers.get(HOST) {
            Some(host) => host.to_str().ok().and_then(|host| host.parse::<Authority>().ok()),
            None => uri.authority().cloned(),
        };
        let authority = authority.ok_or("the request names no valid host")?;
        if !self.host_allowed(&authority) {
            return Err(format!("the host `{authority}` is not served here (`server.allowed_hosts`)"));
        }
        for origin in headers.get_all(ORIGIN) {
            let origin = origin.to_str().unwrap_or("").to_ascii_lowercase();
            let own = origin
                .split_once("://")
                .filter(|(scheme, _)| matches!(*scheme, "http" | "https"))
                .and_then(|(_, rest)| rest.parse::<Authority>().ok())
                .is_some_and(|authority| self.host_allowed(&authority));
            if !own && !self.origins.contains(&origin) {
                return Err(format!("pages of `{origin}` may not call this host (`server.allowed_origins`)"));
            }
        }
        Ok(())
    }

    fn host_allowed(&self, authority: &Authority) -> bool {
        let (host, full) = (authority.host(), authority.as_str());
        let is = |allowed: &str| allowed.eq_ignore_ascii_case(host);
        let own = ["localhost", "127.0.0.1", "[::1]"].iter().any(|own| is(own));
        let named = || self.hosts.iter().any(|allowed| is(allowed) || allowed.eq_ignore_ascii_case(full));
        !full.contains('@') && (own || named())
    }
}

/// Whether who asks is on this machine: by a loopback name, as no page of elsewhere, and not through a proxy, as far as that says so.
pub(crate) fn is_from_here(uri: &Uri, headers: &HeaderMap) -> bool {
    const PASSED_ON: [&str; 4] = ["forwarded", "x-forwarded-for", "x-real-ip", "via"];
    let nobody = Guard { hosts: vec![], origins: vec![], open: vec![] };
    nobody.check(uri, headers).is_ok() && !PASSED_ON.iter().any(|name| headers.contains_key(*name))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allowed(guard: &Guard, host: &str, origin: Option<&str>) -> bool {
        let mut headers = HeaderMap::new();
        headers.insert(HOST, host.parse().unwrap());
        if let Some(origin) = origin {
            headers.insert(ORIGIN, origin.parse().unwrap());
        }
        guard.check(&Uri::from_static("/mcp"), &headers).is_ok()
    }

    #[test]
    fn only_known_hosts_and_their_pages() {
        let names = ["tools.example:8443".to_owned(), "other.example".to_owned()];
        let guard = Guard::new(&names, &["https://app.example".into()], "127.0.0.1".parse().unwrap(), vec![]);
        for host in [
            "localhost",
            "localhost:8000",
            "127.0.0.1:1",
            "[::1]:8000",
            "LOCALHOST:1",
            "tools.example:8443",
            "other.example:9",
        ] {
            assert!(allowed(&guard, host, None), "{host}");
        }
        for host in [
            "evil.example",
            "localhost.evil.example",
            "tools.example:1",
            "evil@localhost",
            "127.0.0.1.evil.example",
            "",
        ] {
            assert!(!allowed(&guard, host, None), "{host}");
        }
        for origin in ["http://localhost:3000", "https://other.example", "https://app.example"] {
            assert!(allowed(&guard, "localhost", Some(origin)), "{origin}");
        }
        for origin in [
            "http://evil.example",
            "null",
            "",
            "http://app.example",
            "file://localhost",
            "https://app.example.evil",
        ] {
            assert!(!allowed(&guard, "localhost", Some(origin)), "{origin}");
        }
    }

    #[test]
    fn the_address_we_listen_on_is_ours_unless_it_is_all_of_them() {
        let guard = Guard::new(&[], &[], "192.0.2.1".parse().unwrap(), vec![]);
        assert!(allowed(&guard, "192.0.2.1:8000", None));
        let guard = Guard::new(&[], &[], "0.0.0.0".parse().unwrap(), vec![]);
        assert!(!allowed(&guard, "0.0.0.0:8000", None));
    }
}
