//! Fetching a component over https: within bounds, and from nowhere else than over TLS.

use std::{error::Error, time::Duration};

use anyhow::bail;
use axum::http::{
    Uri,
    header::{ACCEPT, ACCEPT_ENCODING, LOCATION, USER_AGENT},
};
use http_body_util::{BodyExt as _, Empty};
use hyper::{
    Request, Response, StatusCode,
    body::{Body as _, Bytes, Incoming},
};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use indicatif::ProgressBar;

use crate::cli::inspect::MAX;

/// Redirects that are followed.
const REDIRECTS: usize = 4;

type Https = Client<HttpsConnector<HttpConnector>, Empty<Bytes>>;

/// The URL of `text`, where that is one; a path is none.
///
/// # Errors
/// When it is a URL that nothing is fetched from.
pub(super) fn url(text: &str) -> anyhow::Result<Option<Uri>> {
    let Some((scheme, _)) = text.split_once("://") else { return Ok(None) };
    if !scheme.eq_ignore_ascii_case("https") {
        bail!(
            "`{text}`: components come over https, or from a file\n  \
             hint: fetch it yourself, and add the file with --sha256"
        );
    }
    match text.parse::<Uri>() {
        Ok(uri) if uri.authority().is_some_and(|authority| authority.as_str().contains('@')) => {
            bail!(
                "a URL with a name and a password is not fetched\n  hint: fetch it yourself, and add the file"
            )
        }
        Ok(uri) if uri.host().is_some_and(|host| !host.is_empty()) => Ok(Some(uri)),
        _ => bail!("`{text}` is no URL"),
    }
}

/// Fetch what is at `url`. The first answer that is not a redirect counts. Not through a proxy.
///
/// # Errors
/// Why it cannot be had, and what to do.
pub(super) async fn fetch(url: Uri, within: Duration, bar: &ProgressBar) -> anyhow::Result<Vec<u8>> {
    match tokio::time::timeout(within, follow(url.clone(), bar)).await {
        Ok(fetched) => fetched,
        Err(_) => bail!(
            "{url}: fetching took longer than {}\n  hint: allow more with --timeout, or fetch it yourself and add the file",
            humantime::format_duration(within)
        ),
    }
}

async fn follow(mut url: Uri, bar: &ProgressBar) -> anyhow::Result<Vec<u8>> {
    let builder = match HttpsConnectorBuilder::new().with_native_roots() {
        Ok(builder) => builder,
        Err(error) => bail!(
            "this machine has no certificates to check servers by: {error}\n  \
             hint: install its ca-certificates, or name a file of them with SSL_CERT_FILE"
        ),
    };
    let connector = builder.https_only().enable_http1().build();
    // No connection is kept for the next request: servers close those that they have redirected without a word.
    let client: Https = Client::builder(TokioExecutor::new()).pool_max_idle_per_host(0).build(connector);
    for _ in 0..=REDIRECTS {
        let response = ask(&client, &url).await?;
        let status = response.status();
        if status == StatusCode::OK {
            return body(&url, response, bar).await;
        }
        let Some(to) = response.headers().get(LOCATION).filter(|_| status.is_redirection()) else {
            bail!("{url} answers {status}\n  hint: look whether the address is right")
        };
        let to = String::from_utf8_lossy(to.as_bytes());
        match next(&url, &to) {
            Some(next) => url = next,
            None => bail!("{url} leads to `{to}`, which is not https: it is not followed"),
        }
    }
    bail!("{url}: more than {REDIRECTS} redirects are not followed\n  hint: give the address they lead to")
}

async fn ask(client: &Https, url: &Uri) -> anyhow::Result<Response<Incoming>> {
    let request = Request::get(url)
        .header(USER_AGENT, concat!("skillhost/", env!("CARGO_PKG_VERSION")))
        .header(ACCEPT, "application/wasm, */*")
        // The digest is that of the component.
        .header(ACCEPT_ENCODING, "identity")
        .body(Empty::new())?;
    client.request(request).await.map_err(|error| {
        let why = chain(&error);
        let hint = if why.contains("certificate") {
            "the server cannot prove who it is; roots of your own are named with SSL_CERT_FILE"
        } else if why.contains("message") || why.contains("alert") {
            "the server does not speak TLS as it should; look whether address and port are right"
        } else {
            "look whether the address is right and can be reached from here"
        };
        anyhow::anyhow!("{url} does not answer: {why}\n  hint: {hint}")
    })
}

/// Every cause once.
fn chain(error: &dyn Error) -> String {
    let (mut text, mut at) = (error.to_string(), error.source());
    while let Some(cause) = at {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text = format!("{text}: {cause_text}");
        }
        at = cause.source();
    }
    text
}

async fn body(url: &Uri, response: Response<Incoming>, bar: &ProgressBar) -> anyhow::Result<Vec<u8>> {
    let too_large = || anyhow::anyhow!("{url} has more than {MAX} bytes (64 MiB), the most that is loaded");
    let mut body = response.into_body();
    // What a server says of the length is good for this alone.
    let hint = body.size_hint();
    if hint.lower() > MAX {
        return Err(too_large());
    }
    if let Some(length) = hint.exact() {
        bar.set_length(length);
    }
    let mut bytes = Vec::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| {
            anyhow::anyhow!(
                "{url} broke off after {} bytes: {}\n  hint: try again",
                bytes.len(),
                chain(&error)
            )
        })?;
        let Ok(data) = frame.into_data() else { continue };
        if (bytes.len() + data.len()) as u64 > MAX {
            return Err(too_large());
        }
        bytes.extend_from_slice(&data);
        bar.inc(data.len() as u64);
    }
    Ok(bytes)
}

/// Where a redirect leads; none when that is not https.
fn next(from: &Uri, to: &str) -> Option<Uri> {
    let authority = from.authority()?.as_str();
    let absolute = match to {
        _ if to.contains("://") => to.to_owned(),
        _ if to.starts_with("//") => format!("https:{to}"),
        _ if to.starts_with('/') => format!("https://{authority}{to}"),
        _ => {
            let folder = from.path().rsplit_once('/').map_or("", |(folder, _)| folder);
            format!("https://{authority}{folder}/{to}")
        }
    };
    url(&absolute).ok().flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_https_is_fetched() {
        assert!(url("skills/a.wasm").unwrap().is_none());
        for good in ["https://a.example/x.wasm", "HTTPS://a.example:8443/x", "https://[::1]/x"] {
            assert!(url(good).unwrap().is_some(), "{good}");
        }
        for bad in [
            "http://a.example/x.wasm",
            "http://127.0.0.1/x",
            "ftp://a/x",
            "file:///etc/passwd",
            "https://",
            "https://u:p@a.example/x",
            "https://a b/x",
        ] {
            assert!(url(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn redirects_stay_on_https() {
        let from: Uri = "https://a.example:8443/dist/x.wasm?v=1".parse().unwrap();
        for (to, expected) in [
            ("https://b.example/y", Some("https://b.example/y")),
            ("//b.example/y", Some("https://b.example/y")),
            ("/y?z", Some("https://a.example:8443/y?z")),
            ("y", Some("https://a.example:8443/dist/y")),
            ("http://a.example/y", None),
            ("HTTP://a.example/y", None),
            ("file:///etc/passwd", None),
            ("https://u@b.example/y", None),
        ] {
            assert_eq!(next(&from, to).map(|uri| uri.to_string()).as_deref(), expected, "{to}");
        }
    }
}
