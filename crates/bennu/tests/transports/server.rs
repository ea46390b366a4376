//! The server under test, and what a script may do on its side.

use std::{
    collections::HashMap,
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use bennu::{CheckOrigin, Endpoint, LocalBus, LongPoll, SocketOptions};
use tokio::{
    net::TcpListener,
    sync::{
        Mutex as AsyncMutex, Semaphore,
        mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel},
    },
    time::timeout,
};

use crate::{
    channels::{AdminSocket, UserSocket},
    client::WAIT_MAX,
    raw::Repeater,
};

pub(crate) struct Server {
    pub(crate) addr: SocketAddr,
    pub(crate) endpoint: Endpoint<App>,
    /// Another node of the same cluster.
    pub(crate) other: Option<(SocketAddr, Endpoint<App>)>,
}

/// What channels and scripts share.
pub(crate) struct App {
    /// Callbacks wait at a gate until the script opens it.
    gates: Mutex<HashMap<String, Arc<Semaphore>>>,
    notes: UnboundedSender<String>,
    noted: AsyncMutex<UnboundedReceiver<String>>,
}

impl App {
    fn new() -> Self {
        let (notes, noted) = unbounded_channel();
        Self {
            gates: Mutex::default(),
            notes,
            noted: AsyncMutex::new(noted),
        }
    }

    fn gate(&self, name: &str) -> Arc<Semaphore> {
        let mut gates = self.gates.lock().unwrap();
        let gate = gates.entry(name.to_owned());
        gate.or_insert_with(|| Arc::new(Semaphore::new(0))).clone()
    }

    /// Waits until a script opens the gate, for one callback each time.
    pub(crate) async fn pass(&self, gate: &str) {
        self.gate(gate).acquire().await.unwrap().forget();
    }

    /// Tells the script.
    pub(crate) fn note(&self, note: impl Into<String>) {
        // A script that has ended reads no notes.
        let _ = self.notes.send(note.into());
    }
}

impl Server {
    pub(crate) async fn start() -> Self {
        Self::start_with(|it| it).await
    }

    /// With options of the test's own for all its mounts.
    pub(crate) async fn start_with(change: impl Fn(SocketOptions) -> SocketOptions) -> Self {
        let endpoint = endpoint(Endpoint::new(App::new()), &change);
        let addr = serve(&endpoint).await;
        let other = None;
        Self {
            addr,
            endpoint,
            other,
        }
    }

    /// Two nodes with the same application.
    pub(crate) async fn start_on_two_nodes() -> Self {
        Self::start_on_two_nodes_with(|it| it).await
    }

    pub(crate) async fn start_on_two_nodes_with(
        change: impl Fn(SocketOptions) -> SocketOptions,
    ) -> Self {
        let (bus, app) = (LocalBus::new(), Arc::new(App::new()));
        let node = |name: &str| {
            let node = Endpoint::new(app.clone()).adapter(bus.adapter());
            endpoint(node.node_name(name), &change)
        };
        let (here, there) = (node("here"), node("there"));
        let (addr, door) = (serve(&here).await, serve(&there).await);
        for it in [&here, &there] {
            assert!(it.pubsub().cluster().unwrap().ready().await);
        }
        Self {
            addr,
            endpoint: here,
            other: Some((door, there)),
        }
    }

    /// A line of a script that concerns the server: `open GATE`, `noted TEXT`, `broadcast TOPIC EVENT JSON`.
    pub(crate) async fn act(&self, line: &str) {
        let app = self.endpoint.app();
        match line.split_once(' ') {
            Some(("open", gate)) => app.gate(gate).add_permits(1),
            Some(("noted", expected)) => {
                assert_eq!(self.note().await, expected);
            }
            Some(("broadcast", rest)) => {
                let mut parts = rest.splitn(3, ' ');
                let (topic, event) = (parts.next().unwrap(), parts.next().unwrap());
                let payload: serde_json::Value =
                    serde_json::from_str(parts.next().unwrap()).unwrap();
                self.endpoint.broadcast(topic, event, &payload);
            }
            _ => panic!("no such action: {line}"),
        }
    }

    /// The next note of a channel.
    pub(crate) async fn note(&self) -> String {
        let mut noted = self.endpoint.app().noted.lock().await;
        match timeout(WAIT_MAX, noted.recv()).await {
            Ok(Some(note)) => note,
            _ => panic!("no note came"),
        }
    }

    /// Waits until all connections are gone.
    pub(crate) async fn emptied(&self) {
        let mut ticks = tokio::time::interval(Duration::from_millis(1));
        let emptied = async {
            while self.endpoint.connections() > 0 {
                ticks.tick().await;
            }
        };
        timeout(WAIT_MAX, emptied).await.unwrap();
    }
}

/// All mounts of the tests.
fn endpoint(
    endpoint: Endpoint<App>,
    change: &impl Fn(SocketOptions) -> SocketOptions,
) -> Endpoint<App> {
    let options = || change(SocketOptions::new().longpoll(LongPoll::default()));
    endpoint
        .secret("a secret of the tests")
        .options(options())
        .socket::<UserSocket>("/socket")
        .socket::<AdminSocket>("/socket/admin")
        .raw_socket::<Repeater>("/raw")
        .socket_with::<UserSocket>("/auth", options().auth_token(true))
        .socket_with::<UserSocket>("/sip", options().subprotocols(["sip", "xmpp"]))
        .socket_with::<UserSocket>(
            "/pages",
            options().check_origin(CheckOrigin::list(["//example.com"]).unwrap()),
        )
        .socket_with::<UserSocket>(
            "/asked",
            options().check_origin(CheckOrigin::callback(|origin| {
                origin.host().unwrap() == "example.com"
            })),
        )
        .socket_with::<UserSocket>("/two", options().channels_max(2))
        .socket_with::<UserSocket>(
            "/of/:tenant",
            options().websocket_path("nested/:shard/:_hidden/path"),
        )
}

async fn serve(endpoint: &Endpoint<App>) -> SocketAddr {
    // As an application's routes may be, under a path of its own.
    let router = axum::Router::new()
        .nest("/app", endpoint.router())
        .merge(endpoint.router());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let service = router.into_make_service_with_connect_info::<SocketAddr>();
    tokio::spawn(async move { axum::serve(listener, service).await });
    addr
}
