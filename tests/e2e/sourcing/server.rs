//! An HTTPS server that answers as it is told, honest or not.

use std::{
    io::{Read as _, Write},
    net::TcpListener,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

use rustls::{ServerConnection, StreamOwned};

pub(super) struct Https {
    pub(super) port: u16,
    /// In PEM, for whoever is to trust it.
    pub(super) certificate: String,
    asked: Arc<AtomicUsize>,
}

impl Https {
    /// A server that says it is `name`. `answer` writes what it likes for a path.
    pub(super) fn named(
        name: &str,
        answer: impl Fn(&str, &mut dyn Write) -> std::io::Result<()> + Send + Sync + 'static,
    ) -> Self {
        let (config, certificate) = crate::tls::named(name);
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let (asked, answer) = (Arc::new(AtomicUsize::new(0)), Arc::new(answer));
        let count = Arc::clone(&asked);
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let (config, answer, count) = (Arc::clone(&config), Arc::clone(&answer), Arc::clone(&count));
                thread::spawn(move || {
                    let mut tls = StreamOwned::new(ServerConnection::new(config).unwrap(), stream);
                    let mut request = vec![];
                    let mut part = [0; 4096];
                    while !request.windows(4).any(|end| end == b"\r\n\r\n") {
                        // Who does not trust us goes away at once.
                        match tls.read(&mut part) {
                            Ok(0) | Err(_) => return,
                            Ok(read) => request.extend_from_slice(&part[..read]),
                        }
                    }
                    count.fetch_add(1, Ordering::SeqCst);
                    let request = String::from_utf8(request).unwrap();
                    let path = request.split(' ').nth(1).unwrap().to_owned();
                    // Whoever is not there any more does not want it.
                    let _ = answer(&path, &mut tls).and_then(|()| tls.flush());
                    tls.conn.send_close_notify();
                    let _ = tls.flush();
                });
            }
        });
        Self { port, certificate, asked }
    }

    /// A server at the address where it is.
    pub(super) fn start(
        answer: impl Fn(&str, &mut dyn Write) -> std::io::Result<()> + Send + Sync + 'static,
    ) -> Self {
        Self::named("127.0.0.1", answer)
    }

    pub(super) fn url(&self, path: &str) -> String {
        format!("https://127.0.0.1:{}{path}", self.port)
    }

    /// Requests so far.
    pub(super) fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }
}

/// An honest answer.
pub(super) fn ok(to: &mut dyn Write, body: &[u8]) -> std::io::Result<()> {
    write!(to, "HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", body.len())?;
    to.write_all(body)
}
