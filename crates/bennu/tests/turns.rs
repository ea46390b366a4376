//! Who has much to do lets others have their turn.

mod support;

use std::{
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll},
};

use bennu::SocketOptions;
use bennu_websocket::{Config, Deflater, Inflater};
use futures_util::FutureExt;
use http::{Request, header::SEC_WEBSOCKET_EXTENSIONS};
use serde_json::{Value, json};
use support::{Client, endpoint, reply};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf, duplex},
    net::{TcpListener, TcpStream},
};

const ROOM: &str = "room:a";
/// A heartbeat, masked with zeros.
const HEARTBEAT: &[u8] = b"\x81\xa3\0\0\0\0[null,\"1\",\"phoenix\",\"heartbeat\",{}]";

/// A frame with a compressed text, masked with zeros.
fn compressed(text: &str) -> Vec<u8> {
    let mut payload = Vec::new();
    assert!(Deflater::default().deflate(text.as_bytes(), &mut payload));
    let mut frame = b"\xc1\xff".to_vec();
    frame.extend((payload.len() as u64).to_be_bytes());
    frame.extend([0; 4]);
    frame.extend(payload);
    frame
}

#[tokio::test]
async fn while_a_long_message_is_inflated_others_have_their_turn() {
    let endpoint = endpoint(SocketOptions::new().compress(true));
    let (mut long, server) = duplex(1 << 20);
    let request = Request::get("/socket/websocket?vsn=2.0.0")
        .header(SEC_WEBSOCKET_EXTENSIONS, "permessage-deflate")
        .body(())
        .unwrap();
    endpoint.serve_upgraded(request, server).await.unwrap();
    let mut other = Client::connect(&endpoint, 1 << 20).await;
    other.join(ROOM).await;

    // Digits without a pattern, so that there's much to inflate, but not more than is read before others have their turn.
    let digits: String = (1..100_000_u64)
        .map(|n| (n.pow(3) % 9_973).to_string())
        .collect();
    let frame = compressed(&json!([null, "1", "phoenix", "heartbeat", digits]).to_string());
    assert!((100_000..250_000).contains(&frame.len()), "{}", frame.len());
    // In a task of its own, which has its turns as connections have theirs.
    let clients = tokio::spawn(async move {
        long.write_all(&frame).await.unwrap();
        other.send(json!(["1", "2", ROOM, "ping", 2])).await;
        assert_eq!(other.recv().await, reply("2", ROOM, "ok", json!(2)));
        assert!(long.read(&mut [0]).now_or_never().is_none());
        long
    });
    let (mut long, mut answer) = (clients.await.unwrap(), [0; 200]);

    let read = long.read(&mut answer).await.unwrap();
    let payload = &answer[2..read];
    let inflated = Inflater::default().inflate(&Config::default(), payload);
    let text = match answer[0] {
        0xc1 => inflated.unwrap(),
        _ => payload.to_vec(),
    };
    let ok = json!([null, "1", "phoenix", "phx_reply", {"status": "ok", "response": {}}]);
    assert_eq!(serde_json::from_slice::<Value>(&text).unwrap(), ok);
}

/// A client that always has sent one more heartbeat, and takes all answers.
struct Flood {
    reads: Arc<AtomicUsize>,
}

impl AsyncRead for Flood {
    fn poll_read(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.reads.fetch_add(1, Ordering::Relaxed);
        buffer.put_slice(HEARTBEAT);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Flood {
    fn poll_write(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

#[tokio::test]
async fn what_comes_over_the_network_is_noticed_while_another_floods() {
    let endpoint = endpoint(SocketOptions::new());
    let request = || {
        Request::get("/socket/websocket?vsn=2.0.0")
            .body(())
            .unwrap()
    };
    let reads = Arc::new(AtomicUsize::new(0));
    let flood = Flood {
        reads: reads.clone(),
    };
    endpoint.serve_upgraded(request(), flood).await.unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let client = tokio::spawn(async move {
        let mut client = TcpStream::connect(address).await.unwrap();
        let mut answer = [0; 200];
        let mut between = Vec::new();
        for _ in 0..20 {
            let before = reads.load(Ordering::Relaxed);
            client.write_all(HEARTBEAT).await.unwrap();
            assert_ne!(client.read(&mut answer).await.unwrap(), 0);
            between.push(reads.load(Ordering::Relaxed) - before);
        }
        between
    });
    let (server, _) = listener.accept().await.unwrap();
    endpoint.serve_upgraded(request(), server).await.unwrap();
    let mut between = client.await.unwrap();
    // The median: it's the kernel that carries the bytes, when it likes.
    between.sort_unstable();
    assert!(between[10] < 60, "{between:?}");
}
