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
        ClientNotification, ClientRequest, JsonRpcError, JsonRpcMessage, JsonRpcNotification, JsonRpcRequest,
        RequestId,
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
    refusal, reply,
};
use crate::{app::App, shutdown::Shutdown};

/// How long the last answers may take to be written. Whoever is to read them may have stopped to. More than the 2 s that rmcp
/// 3.11 waits itself for who still listens.
const FLUSH: Duration = Duration::from_secs(3);
/// Longest line that is read at all, in bytes. Arguments have a bound of their own, with a better answer.
const MAX_LINE: usize = 64 << 20;

/// Serve one client until stdin ends, or `stop` is cancelled; either way calls in flight are let end.
pub(crate) async fn serve(app: &App, shutdown: &Shutdown, stop: CancellationToken) -> anyhow::Result<()> {
    let ends = Ends::default();
    let owed = watch::Sender::new(HashMap::new());
    let mut answered = owed.subscribe();
    let serving = served(app, ends.clone(), owed);
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
        () = ends.closed.cancelled() => {
            tracing::info!("stdin has ended");
            // What was read by then is answered, and not refused, also when its skill is still being loaded.
            let answered = async { drop(answered.wait_for(HashMap::is_empty).await) };
            shutdown.drain(app, answered).await;
        }
    }
    // rmcp writes its own before it ends, and refuses what comes now.
    ends.draining.cancel();
    let directly = |owed: &HashMap<_, Waits>| owed.values().all(|waits| waits.directly.is_none());
    let written = timeout(FLUSH, answered.wait_for(directly)).await.is_ok();
    ends.drained.cancel();
    let ended = timeout(FLUSH, serving).await;
    if !written || ended.is_err() {
        tracing::warn!("stdout is not read: the last answers are left unwritten");
    }
    ended.unwrap_or(Ok(()))
}

/// How it comes to an end, step by step.
#[derive(Clone, Default)]
struct Ends {
    /// stdin has ended though somebody still reads stdout.
    closed: CancellationToken,
    /// No call is made any more.
    draining: CancellationToken,
    /// There is nothing left to answer.
    drained: CancellationToken,
}

/// Requests that were read and are not answered.
type Owed = watch::Sender<HashMap<RequestId, Waits>>;

/// Those of one id, of which a client should have one at a time.
#[derive(Default)]
struct Waits {
    times: usize,
    /// Ends the one that is answered without rmcp.
    directly: Option<CancellationToken>,
}

/// One of this id is answered.
fn settle(owed: &Owed, id: &RequestId) {
    owed.send_if_modified(|owed| {
        let Some(waits) = owed.get_mut(id) else { return false };
        waits.times -= 1;
        if waits.times == 0 {
            owed.remove(id);
        }
        true
    });
}

async fn served(app: &App, ends: Ends, owed: Owed) -> anyhow::Result<()> {
    let drained = ends.drained.clone();
    let (server, gone) = (McpServer::start(app), CancellationToken::new());
    let transport = Lines {
        begun: false,
        server: server.another(),
        gone: gone.drop_guard(),
        ends,
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
    ends: Ends,
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
        Self::line(self.0.decode(buffer))
    }

    /// The last line may do without its end.
    fn decode_eof(&mut self, buffer: &mut BytesMut) -> io::Result<Option<Line>> {
        Self::line(self.0.decode_eof(buffer))
    }
}

impl Codec {
    fn line(read: Result<Option<String>, LinesCodecError>) -> io::Result<Option<Line>> {
        match read {
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
                self.owed.send_modify(|owed| owed.entry(request.id.clone()).or_default().times += 1);
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
                if let Some(cancel) = ended.and_then(|waits| waits.directly) {
                    cancel.cancel();
                }
            }
            _ => {}
        }
    }

    /// Answer a line without rmcp, if that can be.
    fn directly(&self, line: &str) -> bool {
        // It is rmcp's to say with what a client may begin.
        if !self.begun || self.ends.draining.is_cancelled() {
            return false;
        }
        let Some(direct) = Direct::said(line) else { return false };
        let (id, cancel) = (direct.id().clone(), self.gone.token().child_token());
        // Of two by the same id rmcp answers the second.
        let is_new = self.owed.send_if_modified(|owed| match owed.entry(id.clone()) {
            Entry::Vacant(place) => {
                place.insert(Waits { times: 1, directly: Some(cancel.clone()) });
                true
            }
            Entry::Occupied(_) => false,
        });
        if is_new {
            let (server, output, owed) = (self.server.another(), Arc::clone(&self.output), self.owed.clone());
            tokio::spawn(async move {
                let answer = direct.told(&server, cancel.clone()).await;
                // Who has given up is not answered.
                if cancel.is_cancelled() {
                    return;
                }
                if let Err(error) = write(&output, &answer).await {
                    tracing::debug!(%error, "an answer cannot be written");
                }
                settle(&owed, &id);
            });
        }
        is_new
    }
}

async fn write(
    output: &Mutex<FramedWrite<Output, LinesCodec>>,
    message: &TxJsonRpcMessage<RoleServer>,
) -> io::Result<()> {
    let line = reply::json(message)?;
    output.lock().await.send(line).await.map_err(io::Error::other)
}

impl Transport<RoleServer> for Lines {
    type Error = io::Error;

    fn send(
        &mut self,
        message: TxJsonRpcMessage<RoleServer>,
    ) -> impl Future<Output = io::Result<()>> + Send + 'static {
        let (output, owed) = (Arc::clone(&self.output), self.owed.clone());
        async move {
            write(&output, &message).await?;
            match &message {
                JsonRpcMessage::Response(response) => settle(&owed, &response.id),
                JsonRpcMessage::Error(JsonRpcError { id: Some(id), .. }) => settle(&owed, id),
                _ => {}
            }
            Ok(())
        }
    }

    async fn receive(&mut self) -> Option<RxJsonRpcMessage<RoleServer>> {
        loop {
            let next = self.input.next().await;
            if let Some(Err(error)) = &next {
                tracing::error!(%error, "stdin cannot be read");
            }
            let Some(Ok(line)) = next else {
                // What was read before is answered all the same.
                if reader_is_there() {
                    self.ends.closed.cancel();
                    self.ends.drained.cancelled().await;
                }
                return None;
            };
            let answer = match line {
                Line::TooLong => {
                    let text = format!("the message is longer than {} MiB", MAX_LINE >> 20);
                    Some((None, ErrorData::invalid_request(text, None)))
                }
                Line::NotUtf8 => Some((None, ErrorData::parse_error("the message is not UTF-8", None))),
                Line::Text(line) if line.trim().is_empty() || self.directly(&line) => None,
                Line::Text(line) => match serde_json::from_str(&line) {
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
                let output = Arc::clone(&self.output);
                tokio::spawn(async move {
                    write(&output, &TxJsonRpcMessage::<RoleServer>::error(error, id)).await
                });
            }
        }
    }

    async fn close(&mut self) -> io::Result<()> {
        let mut output = self.output.lock().await;
        SinkExt::<String>::close(&mut *output).await.map_err(io::Error::other)
    }
}
