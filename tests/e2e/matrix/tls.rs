//! Servers whose word is not to be trusted.

use std::{
    io::{Read as _, Write as _},
    net::TcpListener,
    sync::Arc,
    thread,
};

use rustls::{ServerConnection, StreamOwned};
use serde_json::{Value, json};

use super::host;

/// An HTTPS server that says it is `name`. Answers its port and its certificate.
fn server(name: &str) -> (u16, String) {
    let (config, certificate) = crate::tls::named(name);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let mut tls = StreamOwned::new(ServerConnection::new(Arc::clone(&config)).unwrap(), stream);
            // Who does not trust us goes away at once.
            if tls.read(&mut [0; 4096]).is_ok() {
                let _ =
                    tls.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\nconnection: close\r\n\r\nsafe");
                let _ = tls.flush();
            }
        }
    });
    (port, certificate)
}

/// What a skill gets from an HTTPS server that says it is `name`, on a machine that trusts it or not.
fn asked(name: &str, trusted: bool) -> String {
    let (port, certificate) = server(name);
    let host =
        host(&["one"]).config(&format!("[skills.one.grants]\nhttp = [{{ host = \"127.0.0.1:{port}\" }}]"));
    let (own, other) = (host.root().join("own.pem"), host.root().join("other.pem"));
    std::fs::write(&own, certificate).unwrap();
    std::fs::write(&other, crate::tls::named("127.0.0.1").1).unwrap();
    let arguments = json!({"authority": format!("127.0.0.1:{port}"), "https": true}).to_string();
    let mut command = host.command(&["call", "one_http", "--json", "--args", &arguments]);
    let output = command.env("SSL_CERT_FILE", if trusted { own } else { other }).output().unwrap();
    let result: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{output:?}"));
    result["content"][0]["text"].as_str().unwrap().to_owned()
}

#[test]
fn a_server_proves_who_it_is() {
    assert_eq!(asked("127.0.0.1", true), "status 200, 4 bytes: safe");
    assert_eq!(asked("127.0.0.1", false), "refused: ErrorCode::TlsCertificateError");
    assert_eq!(asked("other.test", true), "refused: ErrorCode::TlsCertificateError");
}

#[test]
fn without_certificates_a_grant_for_http_is_refused_at_load() {
    let host = host(&["one"]).config("[skills.one.grants]\nhttp = [{ host = \"example.com\" }]");
    std::fs::write(host.root().join("none.pem"), "").unwrap();
    let mut command = host.command(&["list", "--json"]);
    let file = host.root().join("none.pem");
    let output = command.env("SSL_CERT_FILE", &file).env("SSL_CERT_DIR", host.root()).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("no certificates to check servers by"), "{text}");
}
