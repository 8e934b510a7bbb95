//! Which requests were granted: pure decisions.

use std::{
    fmt,
    net::{IpAddr, SocketAddr},
    str::FromStr,
};

use http::{Method, Uri, uri::Scheme};
use ipnet::IpNet;

use super::address;

/// Hosts a skill may send requests to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpRule {
    /// Which hosts.
    pub hosts: Hosts,
    /// Which methods. Default GET and HEAD.
    pub methods: Vec<Method>,
    /// Bytes of a request's body. Default 1 MiB.
    pub max_request: u64,
    /// Bytes of a response's body. Default 8 MiB.
    pub max_response: u64,
}

impl HttpRule {
    /// A rule with the default methods and sizes.
    #[must_use]
    pub fn new(hosts: Hosts) -> Self {
        Self { hosts, methods: vec![Method::GET, Method::HEAD], max_request: 1 << 20, max_response: 8 << 20 }
    }
}

impl fmt::Display for HttpRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let methods: Vec<_> = self.methods.iter().map(Method::as_str).collect();
        write!(f, "{} ({})", self.hosts, methods.join(" "))
    }
}

/// Hosts, as an operator writes them: `api.example.com`, `*.example.com`, `*`, `192.168.1.10`, `10.0.0.0/8`, each with
/// `:PORT` or `:*` after it where it is not the port of the scheme.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hosts {
    name: Name,
    port: Port,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Name {
    Exact(String),
    /// Below this name, at any depth, without the name itself.
    Below(String),
    Any,
    Net(IpNet),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Port {
    OfScheme,
    Any,
    Exact(u16),
}

impl Port {
    fn allows(self, port: u16, scheme: u16) -> bool {
        match self {
            Self::OfScheme => port == scheme,
            Self::Any => true,
            Self::Exact(only) => port == only,
        }
    }
}

impl FromStr for Hosts {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (host, port) = split_port(text)?;
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        let name = if let Ok(ip) = bare.parse::<IpAddr>() {
            Name::Net(address::plain(ip).into())
        } else if let Ok(net) = bare.parse::<IpNet>() {
            Name::Net(net.trunc())
        } else if host == "*" {
            Name::Any
        } else if let Some(parent) = host.strip_prefix("*.") {
            Name::Below(domain(parent)?)
        } else {
            Name::Exact(domain(host)?)
        };
        Ok(Self { name, port })
    }
}

/// `host:port`; an IPv6 address with a port stands in brackets.
fn split_port(text: &str) -> Result<(&str, Port), String> {
    let colons = text.matches(':').count();
    let Some((host, port)) = text.rsplit_once(':').filter(|(host, _)| colons == 1 || host.ends_with(']'))
    else {
        return Ok((text, Port::OfScheme));
    };
    let port = match port {
        "*" => Port::Any,
        number => Port::Exact(number.parse().map_err(|_| EXPECTED.to_owned())?),
    };
    Ok((host, port))
}

const EXPECTED: &str = "write a name such as `api.example.com`, `*.example.com` or `*`, an address, or a network such \
    as `10.0.0.0/8`, with `:PORT` or `:*` where it is not the port of http or https; no `https://` before it";

fn domain(text: &str) -> Result<String, String> {
    match url::Host::parse(text) {
        Ok(url::Host::Domain(name)) if !name.contains('*') && !text.contains('/') => {
            Ok(name.trim_end_matches('.').to_owned())
        }
        _ => Err(EXPECTED.into()),
    }
}

impl fmt::Display for Hosts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match &self.name {
            Name::Exact(name) => name.clone(),
            Name::Below(name) => format!("*.{name}"),
            Name::Any => "*".into(),
            Name::Net(net) if net.prefix_len() == net.max_prefix_len() => net.addr().to_string(),
            Name::Net(net) => net.to_string(),
        };
        let port = match self.port {
            Port::OfScheme => return f.write_str(&name),
            Port::Any => "*".into(),
            Port::Exact(port) => port.to_string(),
        };
        if name.contains(':') { write!(f, "[{name}]:{port}") } else { write!(f, "{name}:{port}") }
    }
}

/// Where a request goes, as the guest wrote it, brought to one form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Target {
    pub(super) host: url::Host,
    pub(super) port: u16,
    /// The port that goes without saying.
    pub(super) usual: u16,
}

impl Target {
    /// `None` when there is no sound host in it. Every spelling of an IPv4 address (decimal, octal, hexadecimal,
    /// short) becomes that address, as in the URL standard.
    pub(super) fn of(uri: &Uri) -> Option<Self> {
        let authority = uri.authority()?;
        if authority.as_str().contains('@') {
            return None;
        }
        let usual = if uri.scheme() == Some(&Scheme::HTTP) { 80 } else { 443 };
        let port = match authority.port() {
            Some(port) => port.as_u16(),
            // `host:` and `host:99999` have one that is no number.
            None if authority.as_str().len() != authority.host().len() => return None,
            None => usual,
        };
        let host = match url::Host::parse(authority.host()).ok()? {
            url::Host::Domain(name) => url::Host::Domain(name.trim_end_matches('.').to_owned()),
            address => address,
        };
        Some(Self { host, port, usual })
    }

    pub(super) fn ip(&self) -> Option<IpAddr> {
        match self.host {
            url::Host::Ipv4(ip) => Some(ip.into()),
            url::Host::Ipv6(ip) => Some(ip.into()),
            url::Host::Domain(_) => None,
        }
    }
}

/// The rule that lets a request of this kind through, by its host and method. The address of a name is judged
/// later.
pub(super) fn admit<'a>(rules: &'a [HttpRule], method: &Method, target: &Target) -> Option<&'a HttpRule> {
    rules.iter().find(|rule| {
        let Hosts { name, port } = &rule.hosts;
        let by_name = match (name, &target.host) {
            (Name::Any, _) => true,
            (Name::Exact(name), url::Host::Domain(host)) => name == host,
            (Name::Below(parent), url::Host::Domain(host)) => {
                host.strip_suffix(parent.as_str()).is_some_and(|rest| rest.len() > 1 && rest.ends_with('.'))
            }
            (Name::Net(net), _) => target.ip().is_some_and(|ip| address::holds(net, ip)),
            _ => false,
        };
        by_name && port.allows(target.port, target.usual) && rule.methods.contains(method)
    })
}

/// Whether a connection to `at` was granted. Public addresses are, by the rule that let the request through; others
/// only by an address or a network.
pub(super) fn reaches(rules: &[HttpRule], at: SocketAddr, usual: u16) -> bool {
    address::is_public(at.ip())
        || rules.iter().any(|rule| match &rule.hosts.name {
            Name::Net(net) => address::holds(net, at.ip()) && rule.hosts.port.allows(at.port(), usual),
            _ => false,
        })
}

#[cfg(test)]
mod tests;
