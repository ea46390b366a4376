//! What becomes of a poll's answer however its client goes away: over TCP, on [`bennu::serve`].

use std::{future::IntoFuture, net::SocketAddr};

use bennu::ServeStats;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

use crate::{
    client::Address,
    longpoll::Http,
    longpolling::{JOIN, token},
    server::Server,
};

/// The same endpoint, served with limits.
pub(crate) async fn served(server: &Server) -> (SocketAddr, ServeStats) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let other = server.other.as_ref().map(|(_, other)| other);
    let serve = bennu::serve(listener, other.unwrap_or(&server.endpoint).router());
    let stats = serve.stats();
    tokio::spawn(serve.into_future());
    (address, stats)
}

/// How a client leaves.
#[derive(Clone, Copy)]
enum Leaves {
    /// It closes with an answer unread, so its kernel resets the connection. Proxies do the same with what they have read.
    WithoutReading,
    /// It reads the answer and closes.
    AfterReading,
    /// It reads the answer and stays.
    Not,
}

#[tokio::test]
async fn an_answer_that_was_written_is_not_given_again_however_its_client_leaves() {
    check_leaving(Server::start).await;
}

#[tokio::test]
async fn nor_is_one_of_a_session_on_another_node() {
    check_leaving(Server::start_on_two_nodes).await;
}

async fn check_leaving(start: impl AsyncFn() -> Server) {
    for leaves in [Leaves::WithoutReading, Leaves::AfterReading, Leaves::Not] {
        let server = start().await;
        let (address, stats) = served(&server).await;
        let http = Http::new(address, &Address::new("/socket?vsn=2.0.0"));
        let began = http.at(server.addr).get().await;
        let session = http.token(token(&began));
        assert_eq!(session.post(JOIN).await.status(), 200);

        let mut client = TcpStream::connect(address).await.unwrap();
        let poll = format!(
            "GET /socket/longpoll?vsn=2.0.0&token={} HTTP/1.1\r\nhost: a\r\n\r\n",
            token(&began)
        );
        client.write_all(poll.as_bytes()).await.unwrap();
        client.readable().await.unwrap();
        let stays = match leaves {
            Leaves::WithoutReading => {
                drop(client);
                None
            }
            Leaves::AfterReading | Leaves::Not => {
                let mut text = String::new();
                while !text.ends_with("]}") {
                    let mut bytes = [0; 4096];
                    let read = client.read(&mut bytes).await.unwrap();
                    text.push_str(std::str::from_utf8(bytes.get(..read).unwrap()).unwrap());
                }
                matches!(leaves, Leaves::Not).then_some(client)
            }
        };
        if stays.is_none() {
            while stats.connections() > 0 {
                tokio::task::yield_now().await;
            }
        }
        server.act("broadcast room:a news 1").await;
        let news = r#"[null,null,"room:a","news",1]"#;
        assert_eq!(session.get().await.messages(), [news]);
    }
}
