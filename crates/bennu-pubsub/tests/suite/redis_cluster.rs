//! A Redis Cluster: processes on this machine that have agreed on who has which slots.

use std::time::Duration;

use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::TcpStream,
};

use super::server::{Server, free_port};

pub(crate) const SLOTS: u32 = 16_384;
pub(crate) const PRIMARIES: u32 = 3;
/// How often servers are asked whether they have agreed. They tell nobody by themselves.
pub(crate) const ASK_EVERY: Duration = Duration::from_millis(20);

pub(crate) struct RedisCluster(pub(crate) Vec<Server>);

impl RedisCluster {
    /// Three servers with a third of the slots each.
    pub(crate) async fn start() -> Self {
        let cluster = Self((0..PRIMARIES).map(|_| server()).collect());
        let first = &cluster.0[0];
        for (nth, server) in (0_u32..).zip(&cluster.0) {
            let from = |nth: u32| nth * SLOTS / PRIMARIES;
            let (from, to) = (from(nth), from(nth + 1) - 1);
            command(server, &format!("CLUSTER ADDSLOTSRANGE {from} {to}")).await;
            if nth > 0 {
                meet(server, first).await;
            }
        }
        cluster.agreed().await;
        cluster
    }

    /// Waits until all servers know of each other.
    pub(crate) async fn agreed(&self) {
        let all = format!("cluster_known_nodes:{}\r", self.0.len());
        for server in &self.0 {
            loop {
                let info = command(server, "CLUSTER INFO").await;
                if info.contains("cluster_state:ok") && info.contains(&all) {
                    break;
                }
                tokio::time::sleep(ASK_EVERY).await;
            }
        }
    }
}

pub(crate) fn server() -> Server {
    Server::start(
        "redis-server",
        "Ready to accept connections",
        |port, folder| {
            let (port, bus) = (port.to_string(), free_port().to_string());
            let args = [
                "--port",
                &port,
                "--bind",
                "127.0.0.1",
                "--dir",
                folder,
                "--save",
                "",
                "--cluster-enabled",
                "yes",
                "--cluster-port",
                &bus,
                "--cluster-node-timeout",
                "2000",
                "--repl-diskless-sync-delay",
                "0",
            ];
            args.map(str::to_owned).to_vec()
        },
    )
}

/// Tells a server of another one.
pub(crate) async fn meet(server: &Server, other: &Server) {
    let at = other.args.iter().position(|it| it == "--cluster-port");
    let bus = &other.args[at.unwrap() + 1];
    command(
        server,
        &format!("CLUSTER MEET 127.0.0.1 {} {bus}", other.port),
    )
    .await;
}

/// Has a server do something whose words have no spaces, and hands over its answer: a line, a number or a text.
pub(crate) async fn command(server: &Server, words: &str) -> String {
    let stream = TcpStream::connect(("127.0.0.1", server.port))
        .await
        .unwrap();
    let mut stream = BufReader::new(stream);
    let line = format!("{words}\r\n");
    stream.write_all(line.as_bytes()).await.unwrap();
    let mut line = String::new();
    stream.read_line(&mut line).await.unwrap();
    let (kind, rest) = line.trim_end().split_at(1);
    match kind {
        "+" | ":" => rest.to_owned(),
        "$" => {
            let mut text = vec![0; rest.parse().unwrap()];
            stream.read_exact(&mut text).await.unwrap();
            String::from_utf8(text).unwrap()
        }
        _ => panic!("{words}: {line}"),
    }
}
