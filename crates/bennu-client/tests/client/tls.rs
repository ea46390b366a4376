//! TLS, in front of the conformance server.

use std::sync::Arc;

use bennu_client::{Client, ConnectionError, rustls};
use rcgen::{CertifiedKey, generate_simple_self_signed};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use serde_json::json;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

use crate::kit::{BOTH, Server, client, within};

/// Takes TLS off, and passes the bytes on. Returns its port and its certificate.
async fn terminate(server: &Server) -> (u16, String) {
    let CertifiedKey { cert, signing_key } =
        generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(signing_key.serialize_der()));
    let config = rustls::ServerConfig::builder_with_provider(Arc::new(
        rustls::crypto::ring::default_provider(),
    ))
    .with_safe_default_protocol_versions()
    .unwrap()
    .with_no_client_auth()
    .with_single_cert(vec![cert.der().clone()], key)
    .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let address = server.address;
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                if let Ok(mut stream) = acceptor.accept(stream).await {
                    let mut server = TcpStream::connect(address).await.unwrap();
                    let _ = tokio::io::copy_bidirectional(&mut stream, &mut server).await;
                }
            });
        }
    });
    (port, cert.pem())
}

#[tokio::test]
async fn a_server_with_a_certificate_one_trusts_is_talked_to() {
    let server = Server::start().await;
    let (port, pem) = terminate(&server).await;
    for transport in BOTH {
        let socket = client(&format!("wss://localhost:{port}/socket"), transport)
            .root_certificates(pem.as_bytes())
            .open();
        let socket = within(socket).await.unwrap();
        let room = within(socket.channel("room:1").join()).await.unwrap();
        let text = "x".repeat(100_000);
        let answer: String = within(room.push("ping", &text)).await.unwrap();
        assert!(answer == text);
        let answer: serde_json::Value = within(room.push("ping", &json!({}))).await.unwrap();
        assert_eq!(answer, json!({}));
    }
}

#[tokio::test]
async fn a_certificate_nobody_trusts_or_of_another_name_is_refused() {
    let server = Server::start().await;
    let (port, pem) = terminate(&server).await;
    let (_, other) = terminate(&server).await;
    for transport in BOTH {
        for (host, pem) in [("localhost", &other), ("127.0.0.1", &pem)] {
            let socket = client(&format!("wss://{host}:{port}/socket"), transport)
                .root_certificates(pem.as_bytes())
                .open();
            let error = within(socket).await.unwrap_err();
            assert!(
                matches!(&error, ConnectionError::Failed(text) if text.contains("certificate")),
                "{error}"
            );
        }
    }
    let no_pem = Client::connect("wss://localhost/socket").root_certificates(b"nothing");
    assert!(matches!(no_pem.start(), Err(ConnectionError::Invalid(_))));
}
