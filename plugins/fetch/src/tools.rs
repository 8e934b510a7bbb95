//! The tools `get` and `post`.
use std::collections::BTreeMap;
use std::time::Duration;

use skillhost_sdk::prelude::*;
use skillhost_sdk::{ContentBlock, Outcome};
use url::Url;

use crate::follow::{Ask, failed, follow};
use crate::page::markdown;

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Get {
    /// The address, with https:// or http://.
    url: String,
    /// Headers to send.
    #[serde(default)]
    headers: BTreeMap<String, String>,
    #[serde(default)]
    format: Format,
    /// How many redirects to follow; 0 gives the redirect itself.
    #[serde(default = "five")]
    #[schemars(range(max = 20))]
    max_redirects: u32,
    /// Bytes of the body to read; the rest is cut.
    #[serde(default = "megabyte")]
    #[schemars(range(min = 1, max = 8_000_000))]
    max_bytes: usize,
    /// Milliseconds to wait for the server.
    #[serde(default = "ten_seconds")]
    #[schemars(range(min = 1, max = 300_000))]
    timeout_ms: u64,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Post {
    /// The address, with https:// or http://.
    url: String,
    /// What to send, as JSON.
    #[serde(default)]
    json: Option<serde_json::Value>,
    /// What to send, as text; its type goes into the headers.
    #[serde(default)]
    text: Option<String>,
    /// Headers to send.
    #[serde(default)]
    headers: BTreeMap<String, String>,
    #[serde(default)]
    format: Format,
    /// Bytes of the body to read; the rest is cut.
    #[serde(default = "megabyte")]
    #[schemars(range(min = 1, max = 8_000_000))]
    max_bytes: usize,
    /// Milliseconds to wait for the server.
    #[serde(default = "ten_seconds")]
    #[schemars(range(min = 1, max = 300_000))]
    timeout_ms: u64,
}

/// How to give the body.
#[derive(Default, Clone, Copy, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Format {
    /// HTML as Markdown, everything else as it is.
    #[default]
    Auto,
    /// As it is.
    Raw,
}

fn five() -> u32 {
    5
}

fn megabyte() -> usize {
    1_000_000
}

fn ten_seconds() -> u64 {
    10_000
}

#[derive(Serialize, JsonSchema)]
#[cfg_attr(test, derive(Deserialize))]
pub(crate) struct Page {
    /// Where it came from, after redirects.
    url: String,
    /// Such as 200.
    status: u16,
    /// Such as `text/html`.
    content_type: String,
    /// Whether the body is longer than what was read.
    truncated: bool,
    /// Where a redirect leads that was not followed.
    #[serde(skip_serializing_if = "Option::is_none")]
    location: Option<String>,
    /// The body.
    text: String,
}

/// Fetches a page or calls a web service. HTML comes as Markdown with whole links. A status such as 404 is an answer:
/// look at it.
#[tool(read_only, idempotent, open_world, title = "Fetch a page")]
pub(crate) fn get(args: Get) -> Result<Outcome, Failure> {
    let ask = Ask {
        method: "GET",
        headers: args.headers.into_iter().collect(),
        body: vec![],
        timeout: Duration::from_millis(args.timeout_ms),
        max_bytes: args.max_bytes,
    };
    let (response, url) = follow(ask, parsed(&args.url)?, args.max_redirects)?;
    Ok(page(&response, &url, args.format))
}

/// Sends data to a web service with POST. It may change something there, and each call does so anew. Redirects are not
/// followed.
#[tool(destructive, open_world, title = "Post to a web service")]
pub(crate) fn post(args: Post) -> Result<Outcome, Failure> {
    let mut headers: Vec<_> = args.headers.into_iter().collect();
    let has_type = headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("content-type"));
    let body = match (args.json, args.text) {
        (Some(_), Some(_)) => return Err(Failure::invalid_input("say `json` or `text`, not both")),
        (Some(json), None) => {
            if !has_type {
                headers.push(("content-type".into(), "application/json".into()));
            }
            json.to_string().into_bytes()
        }
        (None, text) => text.unwrap_or_default().into_bytes(),
    };
    let timeout = Duration::from_millis(args.timeout_ms);
    let ask = Ask { method: "POST", headers, body, timeout, max_bytes: args.max_bytes };
    let url = parsed(&args.url)?;
    match ask.send(&url) {
        Ok(response) => Ok(page(&response, &url, args.format)),
        // The server may have got it: a failure would promise that nothing took effect.
        Err(error @ (http::Error::Timeout | http::Error::Protocol(_) | http::Error::TooLarge)) => {
            Ok(Reply::error(format!("{error}; it may have taken effect, so look before you repeat it"))
                .into())
        }
        Err(http::Error::Connect(why)) if why.contains("ended") => Ok(Reply::error(
            "the connection ended early; it may have taken effect, so look before you repeat it",
        )
        .into()),
        Err(error) => Err(failed(&url, error)),
    }
}

fn parsed(url: &str) -> Result<Url, Failure> {
    Url::parse(url).ok().filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host()).ok_or_else(
        || Failure::invalid_input(format_args!("`{url}` is no address that begins with https:// or http://")),
    )
}

fn page(response: &http::Response, url: &Url, format: Format) -> Outcome {
    let content_type = response.header("content-type").unwrap_or_default().to_owned();
    let kind = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    if !is_text(&kind) && std::str::from_utf8(&response.body).is_err() {
        return media(response, kind);
    }
    let text = response.text();
    let text = match format {
        Format::Auto if kind == "text/html" || kind == "application/xhtml+xml" => markdown(&text, url),
        Format::Auto | Format::Raw => text,
    };
    let (status, truncated) = (response.status, response.truncated);
    let value = Page {
        url: url.to_string(),
        status,
        content_type,
        truncated,
        location: response.location().map(str::to_owned),
        text,
    };
    let note = if value.truncated { "\n\n[The rest was cut.]" } else { "" };
    let text = format!("{} {}\n\n{}{note}", value.status, value.url, value.text);
    skillhost_sdk::IntoOutcome::into_outcome(WithText { text, value })
}

fn is_text(kind: &str) -> bool {
    kind.starts_with("text/")
        || kind.ends_with("json")
        || kind.ends_with("xml")
        || kind.ends_with("javascript")
}

/// What is no text, as bytes.
fn media(response: &http::Response, kind: String) -> Outcome {
    let bytes = response.body.clone();
    let block = if kind.starts_with("image/") {
        ContentBlock::image(bytes, kind)
    } else if kind.starts_with("audio/") {
        ContentBlock::audio(bytes, kind)
    } else {
        let text = format!("status {}, {} bytes of {kind}, which is no text", response.status, bytes.len());
        return Reply::text(text).into();
    };
    Reply::text(format!("status {}", response.status)).with(block).into()
}

#[cfg(test)]
mod tests {
    use skillhost_sdk::testing::Host;

    use super::*;

    fn fetched(kind: &'static str, body: &'static [u8], format: Format) -> Reply {
        let host = Host::new().http(move |_| {
            let mut response = http::Response::new(404, body);
            response.headers.push(("content-type".into(), kind.into()));
            Ok(response)
        });
        let args = Get {
            url: "https://a.org/x".into(),
            headers: BTreeMap::new(),
            format,
            max_redirects: 5,
            max_bytes: 20,
            timeout_ms: 1,
        };
        let Ok(Outcome::Reply(reply)) = host.run(|| get(args)) else { panic!("no reply") };
        reply
    }

    fn page_of(reply: &Reply) -> Page {
        serde_json::from_str(reply.structured.as_deref().unwrap()).unwrap()
    }

    #[test]
    fn html_is_markdown_unless_it_is_wanted_raw() {
        let html = b"<h1>A</h1><p>b</p>";
        let page = page_of(&fetched("text/html; charset=utf-8", html, Format::Auto));
        assert_eq!((page.status, page.text.as_str(), page.truncated), (404, "# A\n\nb", false));
        assert!(page_of(&fetched("text/html", html, Format::Raw)).text.starts_with("<h1>"));
    }

    #[test]
    fn a_long_body_is_cut_and_bytes_are_not_text() {
        assert!(page_of(&fetched("text/plain", &[b'x'; 21], Format::Auto)).truncated);
        let picture = fetched("image/png", &[0x89, 0xff], Format::Auto);
        assert_eq!((picture.structured.as_deref(), picture.content.len()), (None, 2));
    }

    #[test]
    fn a_post_that_may_have_arrived_is_no_failure() {
        let run = |error: http::Error| {
            let host = Host::new().http(move |_| Err(error.clone()));
            let args = serde_json::from_str(r#"{"url": "https://a.org", "json": {"a": 1}}"#).unwrap();
            let result = host.run(|| post(args));
            assert_eq!(
                host.requests()[0].headers(),
                [("content-type".to_owned(), "application/json".to_owned())]
            );
            result
        };
        let Ok(Outcome::Reply(reply)) = run(http::Error::Timeout) else { panic!("no reply") };
        assert!(reply.is_error);
        assert!(matches!(run(http::Error::Name), Err(Failure::Transient(_))));
        let Err(Failure::Permanent(message)) = run(http::Error::Denied) else { panic!("not permanent") };
        assert!(message.contains("[skills.fetch.grants]"), "{message}");
    }

    #[test]
    fn only_the_web_is_fetched() {
        for url in ["file:///etc/passwd", "a.org", "ftp://a.org", "javascript:x", "data:text/plain,x"] {
            assert!(matches!(parsed(url), Err(Failure::InvalidInput(_))), "{url}");
        }
    }
}
