//! Connections of HTTP: how they are taken, how long they may say nothing, and how they end.

use std::{
    convert::Infallible,
    future::pending,
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{
            AtomicBool,
            Ordering::{Relaxed, SeqCst},
        },
    },
    task::{Context, Poll, Wake, Waker},
    time::Duration,
};

use axum::response::Response;
use futures::task::AtomicWaker;
use hyper::{
    Request,
    body::Incoming,
    service::{Service, service_fn},
};
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::{conn::auto::Builder, graceful::GracefulShutdown},
};
use tokio::{
    net::{TcpListener, TcpStream},
    time::sleep,
};
use tokio_util::sync::CancellationToken;

/// How long a client may take until its first request is there, whatever of it has come.
const FIRST: Duration = Duration::from_secs(60);
/// How long it may take for the head of another one. Longer than load balancers keep a connection that they do not use, 600 s: a
/// request on one that is closed by both at once is lost.
const IDLE: Duration = Duration::from_secs(660);
/// How often it is asked on HTTP/2 whether the client is still there, and how long it may take to say so.
const PING: Duration = Duration::from_secs(60);
const PONG: Duration = Duration::from_secs(20);
/// After an error that is the machine's, such as too many open files: others may close some meanwhile.
const BREATH: Duration = Duration::from_secs(1);

/// Serve connections until `stop` is cancelled, and then what is asked on them already.
pub(super) async fn serve<S>(listener: TcpListener, service: S, stop: CancellationToken)
where
    S: Service<Request<Incoming>, Response = Response, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send + 'static,
{
    let mut builder = Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(IDLE);
    builder.http2().timer(TokioTimer::new()).keep_alive_interval(PING).keep_alive_timeout(PONG);
    let open = GracefulShutdown::new();
    while let Some(stream) = stop.run_until_cancelled(accepted(&listener)).await {
        let (builder, service, watcher) = (builder.clone(), service.clone(), open.watcher());
        tokio::spawn(async move {
            let begun = Arc::new(AtomicBool::new(false));
            let told = Arc::clone(&begun);
            let service = service_fn(move |request| {
                told.store(true, Relaxed);
                service.call(request)
            });
            let served = watcher.watch(builder.serve_connection(TokioIo::new(stream), service).into_owned());
            // hyper bounds what a head may take, but not how long it waits for the bytes that tell HTTP/1 from HTTP/2.
            let silent = async {
                sleep(FIRST).await;
                if begun.load(Relaxed) {
                    pending::<()>().await;
                }
            };
            tokio::select! {
                biased;
                ended = Again::new(served) => if let Err(error) = ended {
                    tracing::trace!(error, "a connection ended");
                },
                () = silent => tracing::debug!("a connection without a request is closed"),
            }
        });
    }
    drop(listener);
    open.shutdown().await;
}

async fn accepted(listener: &TcpListener) -> TcpStream {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                // Without this an SSE reply waits for the client's delayed acknowledgement: 42 replies a second.
                if let Err(error) = stream.set_nodelay(true) {
                    tracing::debug!(%error, "cannot set TCP_NODELAY");
                }
                return stream;
            }
            Err(error) if is_of_a_client(&error) => {}
            Err(error) => {
                tracing::error!(%error, "no connection can be taken: too many files may be open");
                sleep(BREATH).await;
            }
        }
    }
}

/// Whoever connected has gone already.
fn is_of_a_client(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset | Interrupted)
}

/// A future that is polled again at once where it has woken itself.
///
/// hyper 1.12 wakes the task of a connection, which it is in, for each body that is read. tokio puts a task that was woken while it ran
/// at the end of its queue, and wakes another thread to look whether there is something to take from it: with short calls that is
/// a tenth of what they cost.
struct Again<F> {
    inner: Pin<Box<F>>,
    bell: Arc<Bell>,
    waker: Waker,
}

#[derive(Default)]
struct Bell {
    /// Whoever polls.
    task: AtomicWaker,
    polled: AtomicBool,
    rung: AtomicBool,
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.rung.store(true, SeqCst);
        // In this order, as `poll` looks in the other one: one of both sees the other.
        if !self.polled.load(SeqCst) {
            self.task.wake();
        }
    }
}

impl<F: Future> Again<F> {
    /// Polls in a row, so that others have a turn.
    const MOST: usize = 2;

    fn new(future: F) -> Self {
        let bell = Arc::<Bell>::default();
        Self { inner: Box::pin(future), waker: Arc::clone(&bell).into(), bell }
    }
}

impl<F: Future> Future for Again<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let Self { inner, bell, waker } = &mut *self;
        bell.task.register(cx.waker());
        bell.polled.store(true, SeqCst);
        for _ in 0..Self::MOST {
            // Not a store: whoever has rung meanwhile, and woken nobody, must be seen by the poll that follows, with what it rang for.
            bell.rung.swap(false, SeqCst);
            if let Poll::Ready(output) = inner.as_mut().poll(&mut Context::from_waker(waker)) {
                return Poll::Ready(output);
            }
            if !bell.rung.load(SeqCst) {
                break;
            }
        }
        bell.polled.store(false, SeqCst);
        if bell.rung.load(SeqCst) {
            cx.waker().wake_by_ref();
        }
        Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    use std::{future::poll_fn, sync::atomic::AtomicUsize};

    use tokio::{
        io::{AsyncReadExt as _, AsyncWriteExt as _},
        sync::mpsc,
    };

    use super::*;

    #[derive(Default)]
    struct Count(AtomicUsize);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Relaxed);
        }
    }

    /// Woken by itself so many times, then ready with its polls.
    fn wakes_itself(times: usize) -> impl Future<Output = usize> {
        let mut polls = 0;
        poll_fn(move |cx| {
            polls += 1;
            if polls > times {
                return Poll::Ready(polls);
            }
            cx.waker().wake_by_ref();
            Poll::Pending
        })
    }

    #[test]
    fn who_wakes_itself_is_polled_again_without_anybody_being_woken() {
        let count = Arc::<Count>::default();
        let waker = Arc::clone(&count).into();
        let mut cx = Context::from_waker(&waker);
        assert_eq!(Pin::new(&mut Again::new(wakes_itself(1))).poll(&mut cx), Poll::Ready(2));
        assert_eq!(count.0.load(Relaxed), 0);
        let mut often = Again::new(wakes_itself(5));
        assert_eq!(Pin::new(&mut often).poll(&mut cx), Poll::Pending);
        assert_eq!(count.0.load(Relaxed), 1, "others have a turn");
        assert_eq!(Pin::new(&mut often).poll(&mut cx), Poll::Pending);
        assert_eq!(Pin::new(&mut often).poll(&mut cx), Poll::Ready(6));
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn nobody_is_forgotten() {
        const EACH: usize = 20_000;
        let (sender, mut receiver) = mpsc::channel(1);
        for _ in 0..4 {
            let sender = sender.clone();
            tokio::spawn(Again::new(async move {
                for _ in 0..EACH {
                    sender.send(()).await.unwrap();
                }
            }));
        }
        drop(sender);
        let received = tokio::spawn(Again::new(async move {
            let mut received = 0;
            while receiver.recv().await.is_some() {
                received += 1;
            }
            received
        }));
        assert_eq!(received.await.unwrap(), 4 * EACH);
    }

    /// What a client reads that has written `said`, and no more.
    async fn read_after(said: &str) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let service = service_fn(async |_| Ok::<_, Infallible>(Response::new("answer".into())));
        tokio::spawn(serve(listener, service, CancellationToken::new()));
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(said.as_bytes()).await.unwrap();
        let mut read = String::new();
        stream.read_to_string(&mut read).await.unwrap();
        read
    }

    #[tokio::test(start_paused = true)]
    async fn connections_that_say_nothing_are_closed() {
        for nothing in ["", "P", "PRI * HTTP/2.0\r\n", "GET / HTTP/1.1\r\n", "GET / HTTP/1.1\r\nhost: x\r\n"]
        {
            assert_eq!(read_after(nothing).await, "", "{nothing:?}");
        }
        // Also after an answer.
        assert!(read_after("GET / HTTP/1.1\r\nhost: x\r\n\r\n").await.ends_with("answer"));
    }
}
