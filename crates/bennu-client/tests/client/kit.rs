//! Servers to talk to, and patience with an end.

use std::{net::SocketAddr, time::Duration};

use bennu::Endpoint;
use bennu_client::{Channel, Client, Event, Events, Socket, Transport};
use clap::Parser;
use conformance::Options;
use serde_json::{Value, json};
use tokio::{net::TcpListener, sync::oneshot, task::JoinHandle, time::timeout};

pub(crate) const BOTH: [Transport; 2] = [Transport::WebSocket, Transport::LongPoll];

/// Awaits what has to come, for as long as a busy machine may take.
#[track_caller]
pub(crate) fn within<F: Future>(future: F) -> impl Future<Output = F::Output> {
    let caller = std::panic::Location::caller();
    async move {
        let done = timeout(Duration::from_secs(20), future).await;
        done.unwrap_or_else(|_| panic!("it takes too long: {caller}"))
    }
}

/// A conformance server in this process.
pub(crate) struct Server {
    pub(crate) endpoint: Endpoint<()>,
    pub(crate) address: SocketAddr,
    stop: oneshot::Sender<()>,
    task: JoinHandle<std::io::Result<()>>,
}

impl Server {
    pub(crate) async fn start() -> Self {
        Self::start_with(&[]).await
    }

    /// With options as its program takes them.
    pub(crate) async fn start_with(args: &[&str]) -> Self {
        Self::start_at("127.0.0.1:0".parse().unwrap(), args).await
    }

    pub(crate) async fn start_at(address: SocketAddr, args: &[&str]) -> Self {
        let args = [&["conformance"], args].concat();
        let endpoint = conformance::endpoint(&Options::parse_from(args)).unwrap();
        let listener = TcpListener::bind(address).await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel::<()>();
        let serve = bennu::serve(listener, conformance::router(&endpoint))
            .drain(&endpoint)
            .with_graceful_shutdown(async {
                let _ = stopped.await;
            });
        let task = tokio::spawn(async move { serve.await });
        Self {
            endpoint,
            address,
            stop,
            task,
        }
    }

    pub(crate) fn url(&self) -> String {
        format!("ws://{}/socket", self.address)
    }

    /// A client of this server whose waits are short.
    pub(crate) fn client(&self, transport: Transport) -> Client {
        client(&self.url(), transport).params(&json!({"user_id": "ada"}))
    }

    /// A connection.
    pub(crate) async fn socket(&self, transport: Transport) -> Socket {
        within(self.client(transport).open()).await.unwrap()
    }

    pub(crate) async fn join(&self, transport: Transport, topic: &str) -> Channel {
        let socket = self.socket(transport).await;
        within(socket.channel(topic).join()).await.unwrap()
    }

    /// Drains, ends, and gives the port free.
    pub(crate) async fn stop(self) {
        let _ = self.stop.send(());
        within(self.task).await.unwrap().unwrap();
    }
}

pub(crate) fn client(url: &str, transport: Transport) -> Client {
    let waits = [5, 20, 50].map(Duration::from_millis);
    Client::connect(url)
        .transport(transport)
        .reconnect_after(&waits)
        .rejoin_after(&waits)
}

/// The next event, as its name and its payload.
pub(crate) async fn next(events: &mut Events) -> (String, Value) {
    let Event { event, payload } = within(events.next()).await.unwrap();
    (event, payload.decode().unwrap())
}
