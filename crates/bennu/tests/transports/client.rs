//! A client of any transport.

use std::{net::SocketAddr, time::Duration};

use crate::{longpoll::LongPoll, websocket::WebSocket};

/// How long anything that is bound to come is waited for.
pub(crate) const WAIT_MAX: Duration = Duration::from_secs(10);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Transport {
    WebSocket,
    LongPoll,
    /// Long-polling where all requests but the first go to another node than the session's.
    Relayed,
}

impl Transport {
    pub(crate) const ALL: [Self; 2] = [Self::WebSocket, Self::LongPoll];
    /// Those that scripts run over.
    pub(crate) const SCRIPTED: [Self; 3] = [Self::WebSocket, Self::LongPoll, Self::Relayed];
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Frame {
    Text(String),
    Binary(Vec<u8>),
}

/// What came: a message, or the end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Event {
    Frame(Frame),
    Closed(Closed),
}

/// How a connection ended. Over long-polling there is no code where the session isn't known any more.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Closed {
    pub(crate) code: Option<u16>,
    pub(crate) reason: String,
}

/// Where and as whom to connect.
#[derive(Debug, Clone, Default)]
pub(crate) struct Address {
    /// The mount's path, without the transport's.
    pub(crate) mount: String,
    pub(crate) query: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) auth_token: Option<String>,
}

/// Refused, with the status that the transport tells.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Refused(pub(crate) u16);

pub(crate) enum Client {
    WebSocket(Box<WebSocket>),
    LongPoll(Box<LongPoll>),
}

impl Client {
    pub(crate) async fn connect(
        transport: Transport,
        server: SocketAddr,
        address: &Address,
    ) -> Result<Self, Refused> {
        match transport {
            Transport::WebSocket => WebSocket::connect(server, address)
                .await
                .map(|it| Self::WebSocket(Box::new(it))),
            Transport::LongPoll | Transport::Relayed => LongPoll::connect(server, address)
                .await
                .map(|it| Self::LongPoll(Box::new(it))),
        }
    }

    /// All further requests go to another node.
    pub(crate) fn through(mut self, door: SocketAddr) -> Self {
        if let Self::LongPoll(it) = &mut self {
            it.http = it.http.at(door);
        }
        self
    }

    pub(crate) async fn send(&mut self, frame: Frame) {
        match self {
            Self::WebSocket(it) => it.send(frame).await,
            Self::LongPoll(it) => {
                let shown = format!("{frame:.200?}");
                assert_eq!(it.post(frame).await, 200, "{shown}");
            }
        }
    }

    pub(crate) async fn receive(&mut self) -> Event {
        let event = async {
            match self {
                Self::WebSocket(it) => it.receive().await,
                Self::LongPoll(it) => it.receive().await,
            }
        };
        match tokio::time::timeout(WAIT_MAX, event).await {
            Ok(event) => event,
            Err(_) => panic!("nothing came"),
        }
    }
}

impl Address {
    /// A mount and its query, as in `/socket?vsn=2.0.0`.
    pub(crate) fn new(text: &str) -> Self {
        let (mount, query) = text.split_once('?').unwrap_or((text, ""));
        Self {
            mount: mount.to_owned(),
            query: query.to_owned(),
            ..Self::default()
        }
    }

    pub(crate) fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    pub(crate) fn auth_token(mut self, token: &str) -> Self {
        self.auth_token = Some(token.to_owned());
        self
    }
}
