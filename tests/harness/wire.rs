//! HTTP for many clients at once on one runtime, and for requests that no decent client sends.

use http_body_util::{BodyExt as _, Full};
use hyper::{
    Method, Request,
    body::{Bytes, Incoming},
    client::conn::http1,
    header::{HOST, HeaderName, HeaderValue},
};
use hyper_util::rt::TokioIo;
use tokio::{net::TcpStream, task::JoinHandle};

/// A connection of its own for each request; it ends when its reply is dropped.
struct Connection(JoinHandle<()>);

impl Drop for Connection {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// A reply, whose body is still on its way.
pub struct Reply {
    /// Of HTTP.
    pub status: u16,
    kind: String,
    session: Option<String>,
    body: Incoming,
    rest: Vec<u8>,
    _connection: Connection,
}

/// Send a request to such as `http://127.0.0.1:4711/mcp`.
///
/// # Errors
/// When there is no reply.
pub async fn send(
    method: &str,
    url: &str,
    headers: &[(String, Vec<u8>)],
    body: Vec<u8>,
) -> Result<Reply, String> {
    let (address, path) = url.trim_start_matches("http://").split_once('/').ok_or("no path in the URL")?;
    let stream = TcpStream::connect(address).await.map_err(|error| format!("cannot connect: {error}"))?;
    stream.set_nodelay(true).map_err(|error| error.to_string())?;
    let (mut sender, connection) =
        http1::handshake(TokioIo::new(stream)).await.map_err(|error| format!("no handshake: {error}"))?;
    let connection = Connection(tokio::spawn(async move {
        // What goes wrong with it shows in the reply.
        let _ = connection.await;
    }));
    let method = Method::from_bytes(method.as_bytes()).map_err(|error| error.to_string())?;
    let mut request = Request::new(Full::new(Bytes::from(body)));
    *request.method_mut() = method;
    *request.uri_mut() = format!("/{path}").parse().map_err(|_| "no such path")?;
    let own = HeaderValue::from_str(address).map_err(|error| error.to_string())?;
    request.headers_mut().insert(HOST, own);
    for (name, value) in headers {
        let name = HeaderName::from_bytes(name.as_bytes()).map_err(|error| error.to_string())?;
        let value = HeaderValue::from_bytes(value).map_err(|error| error.to_string())?;
        if name == HOST {
            request.headers_mut().insert(name, value);
        } else {
            request.headers_mut().append(name, value);
        }
    }
    let response = sender.send_request(request).await.map_err(|error| format!("no reply: {error}"))?;
    let text = |name: &str| {
        let value = response.headers().get(name)?;
        Some(String::from_utf8_lossy(value.as_bytes()).into_owned())
    };
    Ok(Reply {
        status: response.status().as_u16(),
        kind: text("content-type").unwrap_or_default(),
        session: text("mcp-session-id"),
        body: response.into_body(),
        rest: vec![],
        _connection: connection,
    })
}

impl Reply {
    /// The media type of its body.
    pub fn kind(&self) -> &str {
        &self.kind
    }

    /// Whether its body is a stream of events.
    pub fn is_stream(&self) -> bool {
        self.kind.starts_with("text/event-stream")
    }

    /// The session it opened.
    pub fn session(&self) -> Option<&str> {
        self.session.as_deref()
    }

    /// The whole body.
    ///
    /// # Errors
    /// When it breaks off.
    pub async fn whole(mut self) -> Result<Vec<u8>, String> {
        while self.more().await? {}
        Ok(self.rest)
    }

    async fn more(&mut self) -> Result<bool, String> {
        match self.body.frame().await {
            None => Ok(false),
            Some(Err(error)) => Err(format!("the body breaks off: {error}")),
            Some(Ok(frame)) => {
                if let Ok(data) = frame.into_data() {
                    self.rest.extend_from_slice(&data);
                }
                Ok(true)
            }
        }
    }

    /// The data of the next event that has any; none when the stream has ended.
    ///
    /// # Errors
    /// When it breaks off, or is no stream of events.
    pub async fn event(&mut self) -> Result<Option<String>, String> {
        loop {
            while let Some(end) = self.rest.windows(2).position(|two| two == b"\n\n") {
                let event: Vec<u8> = self.rest.drain(..end + 2).collect();
                let event = String::from_utf8(event).map_err(|error| error.to_string())?;
                let mut data = vec![];
                for line in event.lines().filter(|line| !line.is_empty()) {
                    match line.split_once(':') {
                        Some(("data", value)) => data.push(value.strip_prefix(' ').unwrap_or(value)),
                        Some(("" | "id" | "retry" | "event", _)) => {}
                        _ => return Err(format!("no line of an event: {line:?}")),
                    }
                }
                let data = data.join("\n");
                if !data.is_empty() {
                    return Ok(Some(data));
                }
            }
            if !self.more().await? {
                return match self.rest.is_empty() {
                    true => Ok(None),
                    false => Err(format!("half an event: {:?}", String::from_utf8_lossy(&self.rest))),
                };
            }
        }
    }
}
