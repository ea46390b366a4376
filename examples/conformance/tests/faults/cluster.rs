//! Three nodes and their bus.

use std::{
    net::{Ipv4Addr, SocketAddr},
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::{Instant, interval},
};

use crate::{
    namespace::Namespace,
    network::Network,
    process::{Process, free_port},
    proxy::Proxy,
};

pub(crate) const NODES: usize = 3;
const NAMES: [&str; NODES] = ["web-1", "web-2", "web-3"];

pub(crate) struct Cluster {
    pub(crate) bus: Process,
    pub(crate) nodes: Vec<Process>,
    pub(crate) addresses: Vec<SocketAddr>,
    /// Between the first node and the bus. It goes after the node.
    pub(crate) network: Network,
}

impl Cluster {
    pub(crate) async fn start() -> Self {
        let (bus, bus_port) = start_bus(&[Ipv4Addr::LOCALHOST]);
        let network = Network::Proxy(Proxy::start(bus_port).await);
        Self::start_nodes(bus, bus_port, network).await
    }

    /// With the first node in a namespace. `None` where that may not be, which is said.
    pub(crate) async fn start_with_a_namespace() -> Option<Self> {
        let namespace = match Namespace::new() {
            Ok(namespace) => namespace,
            Err(why) => {
                println!(
                    "this machine has no network namespaces for us, so the proxy has to do: {why}"
                );
                return None;
            }
        };
        let (bus, bus_port) = start_bus(&[Ipv4Addr::LOCALHOST, namespace.bus]);
        let network = Network::Namespace(namespace);
        Some(Self::start_nodes(bus, bus_port, network).await)
    }

    async fn start_nodes(bus: Process, bus_port: u16, mut network: Network) -> Self {
        let (mut nodes, mut addresses) = (Vec::new(), Vec::new());
        for (number, name) in NAMES.into_iter().enumerate() {
            // The proxy runs on this runtime, so that it mustn't be blocked.
            let started = tokio::task::spawn_blocking(move || {
                let (process, port) = on_a_free_port(|port| match &network {
                    Network::Proxy(proxy) if number == 0 => {
                        start_node(name, port, Ipv4Addr::LOCALHOST, proxy.port)
                    }
                    Network::Namespace(namespace) if number == 0 => {
                        let (node, bus) = (namespace.node, namespace.bus);
                        let args = node_args(name, port, node, (bus, bus_port).into());
                        let args: Vec<&str> = args.iter().map(String::as_str).collect();
                        let program = conformance();
                        Process::start("ip", &namespace.within(&program, &args), LISTENING)
                    }
                    _ => start_node(name, port, Ipv4Addr::LOCALHOST, bus_port),
                });
                let address = match &network {
                    Network::Namespace(namespace) if number == 0 => namespace.address(port),
                    _ => (Ipv4Addr::LOCALHOST, port).into(),
                };
                (process, address, network)
            });
            let (node, address, back) = started.await.unwrap();
            network = back;
            nodes.push(node);
            addresses.push(address);
        }
        Self {
            bus,
            nodes,
            addresses,
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
        let mut stream = TcpStream::connect(self.addresses[node]).await.unwrap();
        let request = "GET /metrics HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        let mut lines = answer.lines().filter_map(|it| it.split_once(' '));
        let found = lines.find(|(it, _)| *it == name);
        found.and_then(|(_, value)| value.parse().ok()).unwrap()
    }
}

const LISTENING: &str = "listening on";

fn start_bus(addresses: &[Ipv4Addr]) -> (Process, u16) {
    let addresses: Vec<String> = addresses.iter().map(Ipv4Addr::to_string).collect();
    let addresses: Vec<&str> = addresses.iter().map(String::as_str).collect();
    on_a_free_port(|port| {
        // None of the addresses can be reached from elsewhere.
        let args = [
            "--port",
            port,
            "--save",
            "",
            "--protected-mode",
            "no",
            "--bind",
        ];
        let args = [&args[..], &addresses].concat();
        Process::start("redis-server", &args, "Ready to accept connections")
    })
}

fn start_node(name: &str, port: &str, bind: Ipv4Addr, bus_port: u16) -> Result<Process, String> {
    let args = node_args(name, port, bind, (Ipv4Addr::LOCALHOST, bus_port).into());
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    Process::start(&conformance(), &args, LISTENING)
}

fn node_args(name: &str, port: &str, bind: Ipv4Addr, bus: SocketAddr) -> Vec<String> {
    let bind = bind.to_string();
    let redis = format!("redis://{bus}");
    let secret = "a secret of the tests";
    let args = [
        "--port", port, "--bind", &bind, "--node", name, "--redis", &redis, "--secret", secret,
    ];
    args.map(str::to_owned).to_vec()
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
