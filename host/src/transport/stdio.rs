//! MCP over stdin and stdout.
//!
//! rmcp's own transport ignores lines it cannot parse and drops lines over its bound, so that the client
//! waits for ever. This one answers them, by their id where one can be found.

use std::{
    collections::{HashMap, hash_map::Entry},
    future::ready,
    io,
    sync::Arc,
    time::Duration,
};

use futures::{SinkExt, StreamExt as _};
use rmcp::{
    ErrorData, RoleServer, ServiceExt as _,
    model::{
        ClientNotification, ClientRequest, JsonRpcMessage, JsonRpcNotification, JsonRpcRequest, RequestId,
    },
    service::{RxJsonRpcMessage, ServerInitializeError, TxJsonRpcMessage},
    transport::Transport,
};
use tokio::{
    sync::{Mutex, watch},
    time::timeout,
};
use tokio_util::{
    bytes::BytesMut,
    codec::{Decoder, FramedRead, FramedWrite, LinesCodec, LinesCodecError},
    sync::{CancellationToken, DropGuard},
};

use super::{
    Direct, McpServer,
    pipes::{self, Input, Output},
    refusal,
};
use crate::{app::App, shutdown::Shutdown};

/// How long the last answers may take to be written. Whoever is to read them may have stopped to. More than the 2 s that rmcp
/// 3.11 waits itself for who still listens.
const FLUSH: Duration = Duration::from_secs(3);
/// Longest line that is read at all, in bytes. Arguments have a bound of their own, with a better answer.
const MAX_LINE: usize = 64 << 20;

/// Serve one client until stdin ends, or `stop` is cancelled; either way calls in flight are let end.
pub(crate) async fn serve(app: &App, shutdown: &Shutdown, stop: CancellationToken) -> anyhow::Result<()> {
    let (closed, drained) = (CancellationToken::new(), CancellationToken::new());
    let owed = watch::Sender::new(HashMap::new());
    let mut answered = owed.subscribe();
    let serving = served(app, closed.clone(), drained.clone(), owed);
    let mut serving = std::pin::pin!(serving);
    tokio::select! {
        // It failed, or the client said nothing at all, or went away altogether.
        ended = &mut serving => {
            ended?;
            // What its calls did is taken back before the host is gone, too.
            shutdown.drain(app, ready(())).await;
            return Ok(());
        }
        () = stop.cancelled() => shutdown.drain(app, ready(())).await,
        () = closed.cancelled() => {
            tracing::info!("stdin has ended");
            // What was read by then is answered, and not refused, also when its skill is still being loaded.
            let answered = async { drop(answered.wait_for(HashMap::is_empty).await) };
            shutdown.drain(app, answered).await;
        }
    }
    // rmcp writes its own before it ends.
    let directly = |owed: &HashMap<_, Option<_>>| owed.values().all(Option::is_none);
    let written = timeout(FLUSH, answered.wait_for(directly)).await.is_ok();
    drained.cancel();
    match timeout(FLUSH, serving).await {
        Ok(ended) if written => ended,
        Ok(_) | Err(_) => {
            tracing::warn!("stdout is not read: the last answers are left unwritten");
            Ok(())
        }
    }
}

/// Requests that were read and are not answered, with what ends those that are answered without rmcp.
type Owed = watch::Sender<HashMap<RequestId, Option<CancellationToken>>>;

async fn served(
    app: &App,
    closed: CancellationToken,
    drained: CancellationToken,
    owed: Owed,
) -> anyhow::Result<()> {
    let (server, gone) = (McpServer::start(app), CancellationToken::new());
    let transport = Lines {
        begun: false,
        server: server.another(),
        gone: gone.drop_guard(),
        closed,
        drained: drained.clone(),
        owed,
        input: FramedRead::new(pipes::stdin(), Codec(LinesCodec::new_with_max_length(MAX_LINE))),
        output: Arc::new(Mutex::new(FramedWrite::new(pipes::stdout(), LinesCodec::new()))),
    };
    let service = match Box::pin(server.serve_with_ct(transport, drained)).await {
        Ok(service) => service,
        // A client that goes away before it said anything is no error.
        Err(ServerInitializeError::ConnectionClosed(_) | ServerInitializeError::Cancelled) => return Ok(()),
        Err(error) => return Err(error.into()),
    };
    service.waiting().await?;
    Ok(())
}

/// Whether anybody may still read what is written to stdout.
fn reader_is_there() -> bool {
    let stdout = std::io::stdout();
    let mut poll = [rustix::event::PollFd::new(&stdout, rustix::event::PollFlags::OUT)];
    let now = rustix::event::Timespec { tv_sec: 0, tv_nsec: 0 };
    let looked = rustix::event::poll(&mut poll, Some(&now));
    let gone = rustix::event::PollFlags::ERR | rustix::event::PollFlags::HUP | rustix::event::PollFlags::NVAL;
    looked.is_ok() && !poll[0].revents().intersects(gone)
}

struct Lines {
    /// Whether a request has come. rmcp 3.11 ends when something else comes first.
    begun: bool,
    /// For what is answered without rmcp, which is ended when rmcp lets go of this.
    server: McpServer,
    gone: DropGuard,
    /// Cancelled when stdin has ended though somebody still reads stdout.
    closed: CancellationToken,
    /// Cancelled when there is nothing left to answer.
    drained: CancellationToken,
    owed: Owed,
    input: FramedRead<Input, Codec>,
    output: Arc<Mutex<FramedWrite<Output, LinesCodec>>>,
}

/// A line, or word that one was too long. As an error the latter would end the stream.
enum Line {
    Text(String),
    TooLong,
    NotUtf8,
}

struct Codec(LinesCodec);

impl Decoder for Codec {
    type Item = Line;
    type Error = io::Error;

    fn decode(&mut self, buffer: &mut BytesMut) -> io::Result<Option<Line>> {
        match self.0.decode(buffer) {
            Ok(line) => Ok(line.map(Line::Text)),
            Err(LinesCodecError::MaxLineLengthExceeded) => Ok(Some(Line::TooLong)),
            Err(LinesCodecError::Io(error)) if error.kind() == io::ErrorKind::InvalidData => {
                Ok(Some(Line::NotUtf8))
            }
            Err(LinesCodecError::Io(error)) => Err(error),
        }
    }
}

impl Lines {
    /// Note what is owed from now on, and what is not any more.
    fn note(&self, message: &RxJsonRpcMessage<RoleServer>) {
        match message {
            // Who listens is answered when there is nothing more to hear.
            JsonRpcMessage::Request(JsonRpcRequest {
                request: ClientRequest::SubscriptionsListenRequest(_),
                ..
            }) => {}
            JsonRpcMessage::Request(request) => {
                self.owed.send_if_modified(|owed| owed.insert(request.id.clone(), None).is_none());
            }
            JsonRpcMessage::Notification(JsonRpcNotification {
                notification: ClientNotification::CancelledNotification(given_up),
                ..
            }) => {
                let Some(id) = &given_up.params.request_id else { return };
                let mut ended = None;
                self.owed.send_if_modified(|owed| {
                    ended = owed.remove(id);
                    ended.is_some()
                });
                if let Some(cancel) = ended.flatten() {
                    cancel.cancel();
                }
            }
            _ => {}
        }
    }

    /// Answer a line without rmcp, if that can be.
    fn directly(&self, line: &str) -> bool {
        // It is rmcp's to say with what a client may begin.
        let Some(direct) = Some(line).filter(|_| self.begun).and_then(Direct::said) else { return false };
        let (id, cancel) = (direct.id().clone(), self.gone.token().child_token());
        // Of two by the same id rmcp answers the second.
        let is_new = self.owed.send_if_modified(|owed| match owed.entry(id) {
            Entry::Vacant(place) => place.insert(Some(cancel.clone())).is_some(),
            Entry::Occupied(_) => false,
        });
        if is_new {
            let (server, output, owed) = (self.server.another(), Arc::clone(&self.output), self.owed.clone());
            tokio::spawn(async move {
                let answer = direct.told(&server, cancel.clone()).await;
                // Who has given up is not answered.
                if !cancel.is_cancelled()
                    && let Err(error) = write(&output, &owed, answer).await
                {
                    tracing::debug!(%error, "an answer cannot be written");
                }
            });
        }
        is_new
    }
}

/// Write a message; what it answers is not owed any more.
async fn write(
    output: &Mutex<FramedWrite<Output, LinesCodec>>,
    owed: &Owed,
    message: TxJsonRpcMessage<RoleServer>,
) -> io::Result<()> {
    let line = serde_json::to_string(&message)?;
    output.lock().await.send(line).await.map_err(io::Error::other)?;
    let answered = match &message {
        JsonRpcMessage::Response(response) => Some(&response.id),
        JsonRpcMessage::Error(error) => error.id.as_ref(),
        _ => None,
    };
    if let Some(id) = answered {
        owed.send_if_modified(|owed| owed.remove(id).is_some());
    }
    Ok(())
}

impl Transport<RoleServer> for Lines {
    type Error = io::Error;

    fn send(
        &mut self,
        message: TxJsonRpcMessage<RoleServer>,
    ) -> impl Future<Output = io::Result<()>> + Send + 'static {
        let (output, owed) = (Arc::clone(&self.output), self.owed.clone());
        async move { write(&output, &owed, message).await }
    }

    async fn receive(&mut self) -> Option<RxJsonRpcMessage<RoleServer>> {
        loop {
            let Some(next) = self.input.next().await else {
                if reader_is_there() {
                    self.closed.cancel();
                    self.drained.cancelled().await;
                }
                return None;
            };
            let answer = match next {
                Err(error) => {
                    tracing::error!(%error, "stdin cannot be read");
                    return None;
                }
                Ok(Line::TooLong) => {
                    let text = format!("the message is longer than {} MiB", MAX_LINE >> 20);
                    Some((None, ErrorData::invalid_request(text, None)))
                }
                Ok(Line::NotUtf8) => Some((None, ErrorData::parse_error("the message is not UTF-8", None))),
                Ok(Line::Text(line)) if line.trim().is_empty() || self.directly(&line) => None,
                Ok(Line::Text(line)) => match serde_json::from_str(&line) {
                    // A request whose `id` cannot be one looks like a notification.
                    Ok(JsonRpcMessage::Notification(_)) if refusal::asks(&line) => refusal::of(&line),
                    Ok(message) => {
                        self.begun |= matches!(message, JsonRpcMessage::Request(_));
                        if self.begun {
                            self.note(&message);
                            return Some(message);
                        }
                        tracing::debug!("a message before the first request was left out");
                        None
                    }
                    Err(_) => refusal::of(&line),
                },
            };
            if let Some((id, error)) = answer {
                // On its own: rmcp drops this future whenever something else is ready first, and an answer
                // that was awaited here would be lost with it.
                tokio::spawn(self.send(TxJsonRpcMessage::<RoleServer>::error(error, id)));
            }
        }
    }

    async fn close(&mut self) -> io::Result<()> {
        let mut output = self.output.lock().await;
        SinkExt::<String>::close(&mut *output).await.map_err(io::Error::other)
    }
}
