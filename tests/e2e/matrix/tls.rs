//! Servers whose word is not to be trusted.

use std::{
    io::{Read as _, Write as _},
    net::TcpListener,
    sync::Arc,
    thread,
};

use rcgen::{CertifiedKey, generate_simple_self_signed};
use rustls::{ServerConfig, ServerConnection, StreamOwned, crypto::ring, pki_types::PrivateKeyDer};
use serde_json::{Value, json};

use super::host;

/// An HTTPS server that says it is `name`. Answers its port and its certificate.
fn server(name: &str) -> (u16, String) {
    let CertifiedKey { cert, signing_key } = generate_simple_self_signed([name.to_owned()]).unwrap();
    let key = PrivateKeyDer::try_from(signing_key.serialize_der()).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![cert.der().clone()], key)
        .unwrap();
    let config = Arc::new(config);
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
    (port, cert.pem())
}

/// What a skill gets from an HTTPS server that says it is `name`, on a machine that trusts it or not.
fn asked(name: &str, trusted: bool) -> String {
    let (port, certificate) = server(name);
    let host =
        host(&["one"]).config(&format!("[skills.one.grants]\nhttp = [{{ host = \"127.0.0.1:{port}\" }}]"));
    let (own, other) = (host.root().join("own.pem"), host.root().join("other.pem"));
    std::fs::write(&own, certificate).unwrap();
    std::fs::write(&other, generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap().cert.pem())
        .unwrap();
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
