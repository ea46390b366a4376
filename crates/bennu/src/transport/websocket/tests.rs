use std::{future::IntoFuture, io};

use axum::{Router, routing::get};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
    sync::mpsc,
};

use super::*;

/// Upgrades, and tells of what hyper hands over: what was read ahead of the stream, where it's a TCP stream.
fn router(told: mpsc::UnboundedSender<Option<Vec<u8>>>) -> Router {
    Router::new().route(
        "/",
        get(move |mut request: Request| async move {
            let upgrade = request.extensions_mut().remove::<OnUpgrade>().unwrap();
            tokio::spawn(async move {
                let stream = tcp_stream(upgrade.await.unwrap());
                told.send(stream.ok().map(|(_, read)| read.to_vec()))
                    .unwrap();
            });
            let headers = [
                (header::UPGRADE, "websocket"),
                (header::CONNECTION, "upgrade"),
            ];
            (StatusCode::SWITCHING_PROTOCOLS, headers)
        }),
    )
}

async fn check<S>(serve: impl FnOnce(TcpListener, Router) -> S)
where
    S: IntoFuture<Output = io::Result<()>>,
    S::IntoFuture: Send + 'static,
{
    let (told, mut hears) = mpsc::unbounded_channel();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let server = tokio::spawn(serve(listener, router(told)).into_future());
    let mut client = TcpStream::connect(address).await.unwrap();
    let request =
        "GET / HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\nearly";
    client.write_all(request.as_bytes()).await.unwrap();
    assert_eq!(hears.recv().await.unwrap().as_deref(), Some(&b"early"[..]));
    let mut status = [0; 12];
    client.read_exact(&mut status).await.unwrap();
    assert_eq!(&status, b"HTTP/1.1 101");
    server.abort();
}

#[tokio::test]
async fn under_our_server_the_tcp_stream_comes_back_with_what_was_read() {
    check(crate::serve).await;
}

#[tokio::test]
async fn under_axums_server_the_tcp_stream_comes_back_with_what_was_read() {
    check(axum::serve).await;
}
