//! Three nodes and their bus.

use std::time::Duration;

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::{Instant, interval},
};

use crate::{
    process::{Process, free_port},
    proxy::Proxy,
};

pub(crate) const NODES: usize = 3;
const NAMES: [&str; NODES] = ["web-1", "web-2", "web-3"];

pub(crate) struct Cluster {
    pub(crate) bus: Process,
    pub(crate) nodes: Vec<Process>,
    pub(crate) ports: Vec<u16>,
    /// Between the first node and the bus.
    pub(crate) network: Proxy,
}

impl Cluster {
    pub(crate) async fn start() -> Self {
        let (bus, bus_port) = on_a_free_port(|port| {
            let args = ["--port", port, "--bind", "127.0.0.1", "--save", ""];
            Process::start("redis-server", &args, "Ready to accept connections")
        });
        let network = Proxy::start(bus_port).await;
        let (mut nodes, mut ports) = (Vec::new(), Vec::new());
        for (number, name) in NAMES.into_iter().enumerate() {
            let bus_port = if number == 0 { network.port } else { bus_port };
            let redis = format!("redis://127.0.0.1:{bus_port}");
            // The proxy runs on this runtime, so that it mustn't be blocked.
            let (node, port) = tokio::task::spawn_blocking(move || {
                on_a_free_port(|port| {
                    let args = ["--port", port, "--node", name, "--redis", &redis];
                    let args = [&args[..], &["--secret", "a secret of the tests"]].concat();
                    Process::start(&conformance(), &args, "listening on")
                })
            })
            .await
            .unwrap();
            nodes.push(node);
            ports.push(port);
        }
        Self {
            bus,
            nodes,
            ports,
            network,
        }
    }

    /// Waits for a node's end after it was told to, and says how long it took.
    pub(crate) async fn ended(&mut self, node: usize, time_max: Duration) -> Duration {
        let began = Instant::now();
        let mut ticks = interval(Duration::from_millis(20));
        loop {
            if let Some(status) = self.nodes[node].exited() {
                assert!(status.success(), "{status}");
                return began.elapsed();
            }
            assert!(began.elapsed() < time_max, "it doesn't end");
            ticks.tick().await;
        }
    }

    /// A figure of a node's metrics.
    pub(crate) async fn metric(&self, node: usize, name: &str) -> u64 {
        let mut stream = TcpStream::connect(("127.0.0.1", self.ports[node]))
            .await
            .unwrap();
        let request = "GET /metrics HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        let mut lines = answer.lines().filter_map(|it| it.split_once(' '));
        let found = lines.find(|(it, _)| *it == name);
        found.and_then(|(_, value)| value.parse().ok()).unwrap()
    }
}

/// The server: of the folder that `BENNU_PROGRAMS` names, as for the suites in JavaScript, or as built with the tests.
fn conformance() -> String {
    match std::env::var("BENNU_PROGRAMS") {
        Ok(folder) => format!("{folder}/conformance"),
        Err(_) => env!("CARGO_BIN_EXE_conformance").to_owned(),
    }
}

/// Somebody else may take a port between finding it and using it: then another will do.
fn on_a_free_port(start: impl Fn(&str) -> Result<Process, String>) -> (Process, u16) {
    for _ in 0..10 {
        let port = free_port();
        if let Ok(process) = start(&port.to_string()) {
            return (process, port);
        }
    }
    panic!(
        "a program doesn't start; `cargo xtask test --only tools` installs what tests need, or says how"
    );
}
