//! From the host of a request to a connection: resolved once, every address judged, one of those connected to.

use std::{
    future::Future,
    io,
    net::{IpAddr, SocketAddr, ToSocketAddrs as _, UdpSocket},
    pin::Pin,
    sync::{Arc, PoisonError, RwLock},
    task::{Context, Poll},
    time::Duration,
};

use http::Uri;
use hyper_util::rt::TokioIo;
use tokio::{net::TcpStream, sync::Semaphore};
use tower_service::Service;

use super::{
    HttpRule, address,
    rule::{self, Target},
};

/// How long looking up a name and connecting may take, each.
const PATIENCE: Duration = Duration::from_secs(10);

/// Where this host itself listens. No skill may reach it, whatever was granted.
#[derive(Debug, Clone, Default)]
pub struct OwnListeners(Arc<RwLock<Vec<SocketAddr>>>);

impl OwnListeners {
    /// The host listens at `address`.
    pub fn add(&self, address: SocketAddr) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).push(address);
    }

    fn holds(&self, at: SocketAddr) -> bool {
        let listeners = self.0.read().unwrap_or_else(PoisonError::into_inner);
        listeners.iter().any(|own| {
            own.port() == at.port()
                && (address::plain(own.ip()) == address::plain(at.ip())
                    || at.ip().is_unspecified()
                    || (own.ip().is_unspecified() && is_ours(address::plain(at.ip()))))
        })
    }
}

/// Whether `ip` belongs to this machine: then a socket can be bound to it.
fn is_ours(ip: IpAddr) -> bool {
    UdpSocket::bind((ip, 0)).is_ok()
}

/// Looks up names. A seam, so that tests can have names that change their answers.
pub(crate) trait Resolve: Send + Sync {
    /// All addresses of `name`.
    fn resolve(&self, name: String, port: u16) -> Resolving;
}

type Resolving = Pin<Box<dyn Future<Output = io::Result<Vec<SocketAddr>>> + Send>>;

/// Look-ups of one skill at the same time. Each holds a thread until the system answers, also when nobody waits any
/// more, and files and values need threads, too.
const LOOKUPS: usize = 8;

/// The system's resolver.
pub(crate) struct System(Arc<Semaphore>);

impl Default for System {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(LOOKUPS)))
    }
}

impl Resolve for System {
    fn resolve(&self, name: String, port: u16) -> Resolving {
        let turns = Arc::clone(&self.0);
        Box::pin(async move {
            let turn = turns.acquire_owned().await.map_err(io::Error::other)?;
            let look_up = move || {
                let found = (name, port).to_socket_addrs().map(Iterator::collect);
                drop(turn);
                found
            };
            tokio::task::spawn_blocking(look_up).await.map_err(io::Error::other)?
        })
    }
}

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub(super) enum ConnectError {
    #[error("the host is not sound")]
    Host,
    #[error("the name cannot be resolved: {0}")]
    Name(io::Error),
    #[error("looking up the name took too long")]
    NameTimeout,
    #[error("{0} is an address that was not granted")]
    Address(IpAddr),
    #[error("{0} is an address of this host's own")]
    OwnListener(SocketAddr),
    #[error("the connection was refused: {0}")]
    Refused(io::Error),
    #[error("connecting took too long")]
    Timeout,
}

/// Connects for one skill.
#[derive(Clone)]
pub(super) struct Connector {
    rules: Arc<[HttpRule]>,
    listeners: OwnListeners,
    resolver: Arc<dyn Resolve>,
}

impl Connector {
    pub(super) fn new(rules: Arc<[HttpRule]>, listeners: OwnListeners, resolver: Arc<dyn Resolve>) -> Self {
        Self { rules, listeners, resolver }
    }

    async fn connect(self, uri: Uri) -> Result<TcpStream, ConnectError> {
        let target = Target::of(&uri).ok_or(ConnectError::Host)?;
        let addresses = match target.ip() {
            Some(ip) => vec![SocketAddr::new(ip, target.port)],
            None => {
                tokio::time::timeout(PATIENCE, self.resolver.resolve(target.host.to_string(), target.port))
                    .await
                    .map_err(|_| ConnectError::NameTimeout)?
                    .map_err(ConnectError::Name)?
            }
        };
        self.judge(&addresses, target.usual)?;
        let connecting = async {
            let mut last = io::Error::other("the name has no address");
            for at in addresses {
                match TcpStream::connect(at).await {
                    Ok(stream) => {
                        // Requests are small and waited for.
                        let _ = stream.set_nodelay(true);
                        return Ok(stream);
                    }
                    Err(error) => last = error,
                }
            }
            Err(ConnectError::Refused(last))
        };
        tokio::time::timeout(PATIENCE, connecting).await.map_err(|_| ConnectError::Timeout)?
    }

    /// One address that was not granted refuses all: a name that also points inside is not to be trusted.
    fn judge(&self, addresses: &[SocketAddr], usual: u16) -> Result<(), ConnectError> {
        for &at in addresses {
            if self.listeners.holds(at) {
                return Err(ConnectError::OwnListener(at));
            }
            if !rule::reaches(&self.rules, at, usual) {
                return Err(ConnectError::Address(at.ip()));
            }
        }
        Ok(())
    }
}

impl Service<Uri> for Connector {
    type Response = TokioIo<TcpStream>;
    type Error = ConnectError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, ConnectError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), ConnectError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let connector = self.clone();
        Box::pin(async move { connector.connect(uri).await.map(TokioIo::new) })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    /// Answers each look-up with the next list.
    struct Script(Vec<Vec<SocketAddr>>, AtomicUsize);

    impl Resolve for Script {
        fn resolve(&self, _: String, _: u16) -> Resolving {
            let answer = self.0[self.1.fetch_add(1, Ordering::Relaxed)].clone();
            Box::pin(async { Ok(answer) })
        }
    }

    fn connector(hosts: &[&str], script: Vec<Vec<SocketAddr>>) -> (Connector, Arc<Script>) {
        let rules = hosts.iter().map(|hosts| HttpRule::new(hosts.parse().unwrap())).collect();
        let resolver = Arc::new(Script(script, AtomicUsize::new(0)));
        (Connector::new(rules, OwnListeners::default(), resolver.clone()), resolver)
    }

    #[tokio::test]
    async fn the_address_that_was_judged_is_the_one_connected_to() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let at = listener.local_addr().unwrap();
        // A second look-up would lead elsewhere: there must not be one.
        let (connector, resolver) = connector(&["name.test:*", "127.0.0.1:*"], vec![vec![at]]);
        let uri: Uri = format!("http://name.test:{}/", at.port()).parse().unwrap();
        assert_eq!(connector.connect(uri).await.unwrap().peer_addr().unwrap(), at);
        assert_eq!(resolver.1.load(Ordering::Relaxed), 1);
    }

    #[tokio::test]
    async fn one_bad_address_refuses_the_name() {
        let public = "1.1.1.1:80".parse().unwrap();
        for inside in
            ["127.0.0.1:80", "10.0.0.1:80", "[::1]:80", "[::ffff:10.0.0.1]:80", "169.254.169.254:80"]
        {
            let (connector, _) = connector(&["name.test"], vec![vec![public, inside.parse().unwrap()]]);
            let refused = connector.connect("http://name.test/".parse().unwrap()).await.unwrap_err();
            assert!(matches!(refused, ConnectError::Address(_)), "{inside}: {refused}");
        }
    }

    #[tokio::test]
    async fn our_own_listeners_are_never_reached() {
        let listener = tokio::net::TcpListener::bind("0.0.0.0:0").await.unwrap();
        let own = listener.local_addr().unwrap();
        let (connector, _) = connector(&["0.0.0.0/0:*", "[::/0]:*"], vec![]);
        connector.listeners.add(own);
        for host in ["127.0.0.1", "127.0.0.2", "0.0.0.0", "[::ffff:127.0.0.1]"] {
            let uri: Uri = format!("http://{host}:{}/", own.port()).parse().unwrap();
            let refused = connector.clone().connect(uri).await.unwrap_err();
            assert!(matches!(refused, ConnectError::OwnListener(_)), "{host}: {refused}");
        }
    }
}
