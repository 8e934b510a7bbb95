//! Requests that follow redirects. The host judges each like the first.
use std::time::Duration;

use skillhost_sdk::prelude::*;
use url::{Position, Url};

/// Headers that belong to the server they were given for.
const PERSONAL: [&str; 3] = ["authorization", "cookie", "proxy-authorization"];

/// What to send, wherever redirects lead.
#[derive(Debug, Clone)]
pub(crate) struct Ask {
    pub(crate) method: &'static str,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
    pub(crate) timeout: Duration,
    pub(crate) max_bytes: usize,
}

impl Ask {
    /// Sends it, without following a redirect.
    pub(crate) fn send(&self, url: &Url) -> Result<http::Response, http::Error> {
        let request = http::Request::new(self.method, url.as_str())
            .body(self.body.clone())
            .timeout(self.timeout)
            .max_bytes(self.max_bytes);
        self.headers.iter().fold(request, |request, (name, value)| request.header(name, value)).send()
    }

    /// What a redirect asks for. As browsers do: what was posted is not posted again, except where the status says so.
    fn redirected(mut self, status: u16, from: &Url, to: &Url) -> Self {
        if !matches!(status, 307 | 308) && self.method != "GET" {
            self.method = "GET";
            self.body.clear();
            self.headers.retain(|(name, _)| !name.eq_ignore_ascii_case("content-type"));
        }
        // Another server must not learn who asks.
        if from[..Position::BeforePath] != to[..Position::BeforePath] {
            self.headers
                .retain(|(name, _)| !PERSONAL.iter().any(|personal| name.eq_ignore_ascii_case(personal)));
        }
        self
    }
}

/// Sends `ask` to `url` and follows at most `max_redirects` redirects. Answers the last response and where it came from.
pub(crate) fn follow(
    mut ask: Ask,
    mut url: Url,
    max_redirects: u32,
) -> Result<(http::Response, Url), Failure> {
    for redirects in 0.. {
        let response = ask.send(&url).map_err(|error| failed(&url, error))?;
        let Some(location) = response.location().filter(|_| max_redirects > 0) else {
            return Ok((response, url));
        };
        if redirects == max_redirects {
            break;
        }
        let next = url
            .join(location)
            .map_err(|error| Failure::permanent(format_args!("{url} redirects to `{location}`: {error}")))?;
        ask = ask.redirected(response.status, &url, &next);
        url = next;
    }
    Err(Failure::permanent(format_args!("there were more than {max_redirects} redirects")))
}

/// What an agent is told.
pub(crate) fn failed(url: &Url, error: http::Error) -> Failure {
    let host = match (url.host_str(), url.port()) {
        (Some(host), Some(port)) => format!("{host}:{port}"),
        (host, _) => host.unwrap_or_default().to_owned(),
    };
    match error {
        http::Error::Denied => Failure::permanent(format_args!(
            "requests of this kind to `{host}` were not granted to this skill; its operator writes, for example, \
             http = [{{ host = \"{host}\" }}] into [skills.fetch.grants], with `methods` where it is not GET"
        )),
        http::Error::Address => Failure::permanent(format_args!(
            "`{host}` leads to an address that is not public; its operator has to grant the address itself"
        )),
        error => error.into(),
    }
}

#[cfg(test)]
mod tests {
    use skillhost_sdk::testing::Host;

    use super::*;

    fn moved(status: u16, to: &str) -> http::Response {
        let mut response = http::Response::new(status, "");
        response.headers.push(("location".into(), to.into()));
        response
    }

    fn host() -> Host {
        Host::new().http(|request| {
            Ok(match request.url() {
                "https://a.org/there" => moved(302, "/here?x=1#y"),
                "https://a.org/away" => moved(307, "https://b.org/"),
                "https://a.org/round" => moved(301, "/round"),
                url => http::Response::new(200, format!("{} {url}", request.method())),
            })
        })
    }

    fn run(host: &Host, path: &str, max: u32) -> Result<(String, String), Failure> {
        let url = Url::parse(&format!("https://a.org{path}")).unwrap();
        let ask = Ask {
            method: "POST",
            headers: vec![
                ("Authorization".into(), "me".into()),
                ("Content-Type".into(), "text/plain".into()),
            ],
            body: b"text".to_vec(),
            timeout: Duration::from_secs(1),
            max_bytes: 1000,
        };
        host.run(|| follow(ask, url, max)).map(|(response, url)| (response.text(), url.to_string()))
    }

    #[test]
    fn a_post_becomes_a_get_where_the_status_says_so() {
        let host = host();
        let (text, url) = run(&host, "/there", 5).unwrap();
        assert!(text.starts_with("GET https://a.org/here?x=1"), "{text}");
        assert_eq!(url, "https://a.org/here?x=1#y");
        let last = host.requests().pop().unwrap();
        assert!(last.bytes().is_empty() && last.headers().len() == 1, "{last:?}");
    }

    #[test]
    fn another_server_does_not_learn_who_asks() {
        let host = host();
        assert!(run(&host, "/away", 5).unwrap().0.starts_with("POST https://b.org/"));
        let last = host.requests().pop().unwrap();
        assert_eq!(last.headers().len(), 1, "{last:?}");
        assert_eq!(last.bytes(), b"text");
    }

    #[test]
    fn redirects_come_to_an_end() {
        let host = host();
        assert!(matches!(run(&host, "/round", 5), Err(Failure::Permanent(_))));
        assert_eq!(host.requests().len(), 6);
        assert!(run(&host, "/round", 0).is_ok(), "none wanted, none followed");
    }
}
