//! What `bennu bench` is run against: an endpoint with what its scenarios need, and servers that mean no good.

use std::net::SocketAddr;
use std::sync::Arc;

use bennu::{
    Channel, ConnectInfo, Context, Endpoint, Joined, Payload, RawContext, RawMessage, RawSocket,
    Reply, Result, Routes, Socket, SocketOptions, Topic, refuse,
};
use rcgen::{CertifiedKey, generate_simple_self_signed};
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::{ServerConfig, crypto, pki_types::PrivateKeyDer};

/// Counts what is pushed to rooms.
#[derive(Default)]
pub(crate) struct Pushes(watch::Sender<u64>);

struct User {
    user_id: String,
    app: Arc<Pushes>,
}

#[derive(Deserialize)]
struct Login {
    #[serde(default)]
    user_id: String,
    #[serde(default)]
    token: String,
}

impl Socket for User {
    type App = Pushes;
    type Params = Login;

    fn channels(routes: Routes<Self>) -> Routes<Self> {
        routes.channel::<Room>("room:*").channel::<Lobby>("lobby:*")
    }

    async fn connect(app: &Arc<Pushes>, login: Login, _: &ConnectInfo) -> Result<Self> {
        match login.token.as_str() {
            "bad" => Err(refuse("a bad token")),
            _ => Ok(Self {
                user_id: login.user_id,
                app: app.clone(),
            }),
        }
    }
}

struct Room;

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum In {
    Ping(Payload),
    Shout(Payload),
    /// Never answered.
    Hush {},
    /// Answered as long as there were few pushes; then the channel ends.
    Trip {},
}

/// Pushes that `Trip` allows.
const PUSHES_MAX: u64 = 50;

impl Channel for Room {
    type Socket = User;
    type Params = ();
    type In = In;
    type Info = ();

    async fn join(topic: &Topic, (): (), _: &Context<Self>) -> Result<Joined<Self>> {
        match topic.subtopic() {
            "private" => Err(refuse("unauthorized")),
            _ => Ok(Self.into()),
        }
    }

    async fn handle_in(&mut self, event: In, cx: &Context<Self>) -> Result {
        cx.socket().app.0.send_modify(|it| *it += 1);
        match event {
            In::Ping(payload) => Ok(Reply::with(payload)),
            In::Shout(payload) => {
                cx.broadcast("shout", &payload);
                Ok(Reply::none())
            }
            In::Hush {} => Ok(Reply::none()),
            In::Trip {} => {
                if *cx.socket().app.0.borrow() > PUSHES_MAX {
                    cx.stop();
                    return Ok(Reply::none());
                }
                Ok(Reply::ok())
            }
        }
    }
}

struct Lobby;

#[derive(Serialize)]
struct Meta {
    online_at: u64,
}

impl Channel for Lobby {
    type Socket = User;
    type Params = ();
    type In = bennu::RawEvent;
    type Info = ();

    async fn join(_: &Topic, (): (), cx: &Context<Self>) -> Result<Joined<Self>> {
        cx.track(&cx.socket().user_id, &Meta { online_at: 1 })?;
        cx.push_presence_state();
        Ok(Self.into())
    }

    async fn handle_in(&mut self, _: bennu::RawEvent, _: &Context<Self>) -> Result {
        Ok(Reply::ok())
    }
}

/// Answers every message with text that isn't of the protocol.
struct Babel;

impl RawSocket for Babel {
    type App = Pushes;
    type Params = ();
    type Info = ();

    async fn connect(_: &Arc<Pushes>, (): (), _: &ConnectInfo) -> Result<Self> {
        Ok(Self)
    }

    async fn handle_in(&mut self, _: RawMessage, cx: &RawContext<Self>) -> Result<()> {
        cx.send(RawMessage::Text("{\"what\":\u{0}\"is this\"".into()));
        Ok(())
    }
}

/// Serves the endpoint on a free port, for as long as the runtime lives.
pub(crate) async fn serve() -> SocketAddr {
    serve_counting().await.0
}

/// The same, with a count of what was pushed to rooms.
pub(crate) async fn serve_counting() -> (SocketAddr, watch::Receiver<u64>) {
    let (addr, count, _) = serve_with(SocketOptions::new()).await;
    (addr, count)
}

/// The same, until the task is aborted: from then on nobody listens.
pub(crate) async fn serve_for_a_while() -> (SocketAddr, watch::Receiver<u64>, JoinHandle<()>) {
    serve_with(SocketOptions::new()).await
}

/// The same for so many connections at a time; others are refused with 503.
pub(crate) async fn serve_few(connections_max: usize) -> SocketAddr {
    let options = SocketOptions::new().connections_max(connections_max);
    serve_with(options).await.0
}

async fn serve_with(options: SocketOptions) -> (SocketAddr, watch::Receiver<u64>, JoinHandle<()>) {
    let pushes = Pushes::default();
    let count = pushes.0.subscribe();
    let endpoint = Endpoint::new(pushes)
        .options(options)
        .socket::<User>("/socket")
        .raw_socket::<Babel>("/babel");
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let serving = tokio::spawn(async move {
        bennu::serve(listener, endpoint.router()).await.unwrap();
    });
    (addr, count, serving)
}

/// The same behind TLS, with a certificate that nobody knows.
pub(crate) async fn serve_tls() -> SocketAddr {
    let plain = serve().await;
    let CertifiedKey { cert, signing_key } =
        generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let key = PrivateKeyDer::try_from(signing_key.serialize_der()).unwrap();
    let provider = Arc::new(crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![cert.der().clone()], key)
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((tcp, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                let mut tls = acceptor.accept(tcp).await?;
                let mut plain = TcpStream::connect(plain).await?;
                tokio::io::copy_bidirectional(&mut tls, &mut plain).await
            });
        }
    });
    addr
}

/// Answers every request with these bytes, and hangs up or says nothing more.
pub(crate) async fn answer(bytes: &'static [u8], hangs_up: bool) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let mut open = Vec::new();
        while let Ok((mut tcp, _)) = listener.accept().await {
            let mut request = [0; 1024];
            let _ = tcp.read(&mut request).await;
            let _ = tcp.write_all(bytes).await;
            if !hangs_up {
                open.push(tcp);
            }
        }
    });
    addr
}
