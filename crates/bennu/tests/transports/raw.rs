//! Sockets without channels.

use std::sync::Arc;

use bennu::{ConnectInfo, RawContext, RawControl, RawMessage, RawSocket, Reason, Result, refuse};
use futures_util::{SinkExt, StreamExt};
use serde_json::Value;
use tokio_tungstenite::tungstenite::Message;

use crate::{
    client::{Address, Client, Event, Frame, Refused, Transport},
    script::check,
    server::{App, Server},
    websocket::WebSocket,
};

/// Sends back what it's sent, unless that is one of its commands.
pub(crate) struct Repeater {
    app: Arc<App>,
    params: Value,
}

impl RawSocket for Repeater {
    type App = App;
    type Params = Value;
    type Info = String;

    async fn connect(app: &Arc<App>, params: Value, _: &ConnectInfo) -> Result<Self> {
        if params.get("refuse").is_some() {
            return Err(refuse("asked to"));
        }
        let app = app.clone();
        Ok(Self { app, params })
    }

    fn id(&self) -> Option<String> {
        Some("a-raw-one".to_owned())
    }

    async fn handle_in(&mut self, message: RawMessage, cx: &RawContext<Self>) -> Result<()> {
        let RawMessage::Text(text) = &message else {
            cx.send(message);
            return Ok(());
        };
        match text.as_str() {
            "params" => cx.send(RawMessage::Text(self.params.to_string())),
            "later" => {
                let handle = cx.handle();
                tokio::spawn(async move { handle.send("later".to_owned()) });
            }
            "wait" => {
                self.app.note("waits");
                self.app.pass("raw").await;
                cx.send(RawMessage::Text("waited".to_owned()));
            }
            "ping" => cx.control(RawControl::Ping("from the server".into())),
            "close" => cx.close(4000, "asked to"),
            "fault" => Err(std::io::Error::other("asked to"))?,
            "panic" => panic!("asked to"),
            _ => cx.send(message),
        }
        Ok(())
    }

    async fn handle_control(&mut self, control: RawControl, cx: &RawContext<Self>) -> Result<()> {
        cx.send(RawMessage::Text(format!("{control:?}")));
        Ok(())
    }

    async fn handle_info(&mut self, info: String, cx: &RawContext<Self>) -> Result<()> {
        cx.send(RawMessage::Text(format!("info: {info}")));
        Ok(())
    }

    async fn terminate(&mut self, reason: Reason) {
        self.app.note(format!("raw ended: {reason:?}"));
    }
}

fn text(text: &str) -> Frame {
    Frame::Text(text.to_owned())
}

/// Sends texts in a row, and expects texts in a row.
async fn check_texts(mount: &str, sent: &[&str], expected: &[&str]) {
    for transport in Transport::ALL {
        let server = Server::start().await;
        let mut client = Client::connect(transport, server.addr, &Address::new(mount))
            .await
            .unwrap();
        for it in sent {
            client.send(text(it)).await;
        }
        for it in expected {
            assert_eq!(
                client.receive().await,
                Event::Frame(text(it)),
                "over {transport:?}"
            );
        }
    }
}

#[tokio::test]
async fn texts_come_and_go_as_they_are() {
    check_texts("/raw", &["a", "{}", "é\n"], &["a", "{}", "é\n"]).await;
}

#[tokio::test]
async fn params_are_told() {
    check_texts(
        "/raw?a=1&b[c]=2",
        &["params"],
        &[r#"{"a":"1","b":{"c":"2"}}"#],
    )
    .await;
}

#[tokio::test]
async fn a_message_of_another_task_arrives() {
    check_texts("/raw", &["later"], &["info: later"]).await;
}

#[tokio::test]
async fn a_client_may_be_refused() {
    for transport in Transport::ALL {
        let server = Server::start().await;
        let connected =
            Client::connect(transport, server.addr, &Address::new("/raw?refuse=1")).await;
        assert_eq!(connected.err(), Some(Refused(403)));
    }
}

#[tokio::test]
async fn a_raw_socket_closes_and_is_closed() {
    check(
        r#"
        = /raw
        > close
        ! 4000 asked to
        @ noted raw ended: Disconnected
        = /raw
        > fault
        ! 1011 internal error
        @ noted raw ended: Disconnected
        = /raw
        > 1
        < 1
        @ broadcast a-raw-one disconnect {}
        ! 1001 disconnected
        @ noted raw ended: Disconnected
        "#,
    )
    .await;
}

#[tokio::test]
async fn a_panic_ends_a_raw_socket() {
    for transport in Transport::ALL {
        let server = Server::start().await;
        let client = Client::connect(transport, server.addr, &Address::new("/raw")).await;
        match client.unwrap() {
            Client::LongPoll(client) => assert_eq!(client.post(text("panic")).await, 410),
            Client::WebSocket(mut client) => {
                client.send(text("panic")).await;
                let Event::Closed(closed) = client.receive().await else {
                    panic!("a message came");
                };
                assert_eq!(closed.code, Some(1011));
            }
        }
        server.emptied().await;
    }
}

/// A connection whose callback is busy isn't read from; a session whose callback is busy takes no more.
#[tokio::test]
async fn messages_wait_for_the_callback_before() {
    for transport in Transport::ALL {
        let server = Server::start().await;
        let client = Client::connect(transport, server.addr, &Address::new("/raw")).await;
        let mut client = client.unwrap();
        let waiting = async {
            client.send(text("wait")).await;
            client.send(text("and next")).await;
        };
        let opening = async {
            assert_eq!(server.note().await, "waits");
            server.act("open raw").await;
        };
        tokio::join!(waiting, opening);
        assert_eq!(client.receive().await, Event::Frame(text("waited")));
        assert_eq!(client.receive().await, Event::Frame(text("and next")));
    }
}

#[tokio::test]
async fn control_frames_are_handled() {
    let server = Server::start().await;
    let address = Address::new("/raw");
    let mut client = WebSocket::connect(server.addr, &address).await.unwrap();
    client
        .stream
        .send(Message::Ping("hello".into()))
        .await
        .unwrap();
    let pong = client.stream.next().await.unwrap().unwrap();
    assert_eq!(pong, Message::Pong("hello".into()));
    assert_eq!(
        client.receive().await,
        Event::Frame(text(r#"Ping(b"hello")"#))
    );
    client.send(text("ping")).await;
    let ping = client.stream.next().await.unwrap().unwrap();
    assert_eq!(ping, Message::Ping("from the server".into()));
    // The client answers by itself.
    client.send(text("and")).await;
    let mut came = [client.receive().await, client.receive().await];
    came.sort_by_key(|it| format!("{it:?}"));
    assert_eq!(
        came,
        [
            Event::Frame(text(r#"Pong(b"from the server")"#)),
            Event::Frame(text("and"))
        ]
    );
}

#[tokio::test]
async fn bytes_come_and_go_as_they_are() {
    check(
        r#"
        = /raw
        >x 00 ff 80
        <x 00 ff 80
        "#,
    )
    .await;
}
