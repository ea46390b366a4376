//! WebSocket, as somebody else wrote it.

use std::net::SocketAddr;

use base64::{Engine, engine::general_purpose::STANDARD_NO_PAD};
use futures_util::{SinkExt, StreamExt};
use tokio::net::TcpStream;
use tokio_tungstenite::{
    WebSocketStream, client_async,
    tungstenite::{
        self, Message,
        client::IntoClientRequest,
        http::{HeaderName, HeaderValue},
    },
};

use crate::client::{Address, Closed, Event, Frame, Refused};

pub(crate) struct WebSocket {
    pub(crate) stream: WebSocketStream<TcpStream>,
    /// What the server agreed to.
    pub(crate) subprotocol: Option<String>,
}

impl WebSocket {
    pub(crate) async fn connect(server: SocketAddr, address: &Address) -> Result<Self, Refused> {
        let Address {
            mount,
            query,
            headers,
            auth_token,
        } = address;
        // A mount may say itself where its transport is.
        let path = match mount.strip_suffix('!') {
            Some(path) => path.to_owned(),
            None => format!("{mount}/websocket"),
        };
        let url = format!("ws://{server}{path}?{query}");
        let mut request = url.into_client_request().unwrap();
        let token = auth_token.as_ref().map(|token| {
            let token = STANDARD_NO_PAD.encode(token);
            (
                "sec-websocket-protocol",
                format!("phoenix, base64url.bearer.phx.{token}"),
            )
        });
        let headers = headers
            .iter()
            .map(|(name, value)| (name.as_str(), value.clone()));
        for (name, value) in headers.chain(token) {
            let name = HeaderName::try_from(name).unwrap();
            request
                .headers_mut()
                .append(name, HeaderValue::try_from(value).unwrap());
        }
        let stream = TcpStream::connect(server).await.unwrap();
        match client_async(request, stream).await {
            Ok((stream, response)) => Ok(Self {
                stream,
                subprotocol: response
                    .headers()
                    .get("sec-websocket-protocol")
                    .map(|it| it.to_str().unwrap().to_owned()),
            }),
            Err(tungstenite::Error::Http(response)) => Err(Refused(response.status().as_u16())),
            // It insists on an answer to the subprotocols it offered, as browsers do.
            Err(tungstenite::Error::Protocol(error)) => panic!("{error}"),
            Err(error) => panic!("{error}"),
        }
    }

    pub(crate) async fn send(&mut self, frame: Frame) {
        let message = match frame {
            Frame::Text(text) => Message::text(text),
            Frame::Binary(bytes) => Message::binary(bytes),
        };
        self.stream.send(message).await.unwrap();
    }

    pub(crate) async fn receive(&mut self) -> Event {
        loop {
            match self.stream.next().await {
                Some(Ok(Message::Text(text))) => {
                    return Event::Frame(Frame::Text(text.as_str().to_owned()));
                }
                Some(Ok(Message::Binary(bytes))) => {
                    return Event::Frame(Frame::Binary(bytes.to_vec()));
                }
                Some(Ok(Message::Close(Some(close)))) => {
                    return Event::Closed(Closed {
                        code: Some(close.code.into()),
                        reason: close.reason.as_str().to_owned(),
                    });
                }
                Some(Ok(_)) => {}
                Some(Err(error)) => panic!("{error}"),
                None => panic!("the connection ended without a close frame"),
            }
        }
    }
}
