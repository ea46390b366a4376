//! What the conformance server is told at its start.

use std::{net::IpAddr, time::Duration};

use bennu::{CheckOrigin, Endpoint, LongPoll, NameError, NodeName, OriginError, SocketOptions};
use bennu_nats::{ConnectOptions, NatsBus, NatsOptions};
use bennu_redis::{RedisBus, RedisOptions};
use clap::Parser;

/// Bennu's conformance server: a fixed contract for clients, load tools and fault tests.
#[derive(Debug, Parser)]
pub struct Options {
    /// The port to listen on; 0 picks a free one.
    #[arg(long, default_value_t = 4000)]
    pub port: u16,
    /// The address to listen on.
    #[arg(long, default_value = "127.0.0.1")]
    pub bind: IpAddr,
    /// How long a client may be silent.
    #[arg(long, default_value_t = 60_000, value_parser = clap::value_parser!(u64).range(1..))]
    pub idle_timeout_ms: u64,
    /// Channels that one connection may have joined.
    #[arg(long, default_value_t = 100)]
    pub max_channels: usize,
    /// Bytes that may wait to be written to one connection. Room for two messages of 8 MB by default.
    #[arg(long, default_value_t = 16_000_000)]
    pub queue_bytes_max: usize,
    /// Agrees to compress messages with clients that offer it.
    #[arg(long)]
    pub compress: bool,
    /// Origins to accept, such as `//example.com`, separated by commas. All by default.
    #[arg(long, value_parser = origins)]
    pub check_origin: Option<CheckOrigin>,
    /// This node's name in a cluster. At random by default.
    #[arg(long, value_parser = node)]
    pub node: Option<NodeName>,
    /// A Redis to form a cluster over, or several, separated by commas, that share the load.
    #[arg(long, value_delimiter = ',', conflicts_with_all = ["nats", "redis_cluster"])]
    pub redis: Vec<String>,
    /// A Redis Cluster (7 or newer) to form a cluster over: one of its servers, or several, separated by commas, of which
    /// any may be down.
    #[arg(long, value_delimiter = ',', conflicts_with = "nats")]
    pub redis_cluster: Vec<String>,
    /// A NATS server to form a cluster over, or several of one cluster, separated by commas.
    #[arg(long, value_delimiter = ',')]
    pub nats: Vec<String>,
    /// How long a long-poll waits.
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u64).range(1..))]
    pub window_ms: u64,
    /// The secret that tokens are signed with, at least 20 bytes. At random by default.
    #[arg(long, value_parser = secret)]
    pub secret: Option<String>,
}

impl Options {
    /// An endpoint that reaches the other nodes, if there are any. The error is one of the command line.
    pub(crate) fn endpoint(&self) -> Result<Endpoint<()>, String> {
        let mut endpoint = Endpoint::new(());
        if let Some(secret) = &self.secret {
            endpoint = endpoint.secret(secret);
        }
        if let Some(name) = &self.node {
            endpoint = endpoint.node_name(name.as_str());
        }
        if !self.redis.is_empty() {
            let urls = self.redis.iter().map(String::as_str);
            let bus = RedisBus::servers(urls, RedisOptions::new());
            endpoint = endpoint.adapter(bus.map_err(|error| format!("--redis: {error}"))?);
        }
        if !self.redis_cluster.is_empty() {
            let urls = self.redis_cluster.iter().map(String::as_str);
            let bus = RedisBus::cluster(urls, RedisOptions::new());
            endpoint = endpoint.adapter(bus.map_err(|error| format!("--redis-cluster: {error}"))?);
        }
        if !self.nats.is_empty() {
            let bus = NatsBus::with(&self.nats, ConnectOptions::new(), NatsOptions::new());
            endpoint = endpoint.adapter(bus.map_err(|error| format!("--nats: {error}"))?);
        }
        Ok(endpoint)
    }

    pub(crate) fn socket(&self) -> SocketOptions {
        let check_origin = self.check_origin.clone();
        SocketOptions::new()
            .auth_token(true)
            .compress(self.compress)
            .check_origin(check_origin.unwrap_or_else(CheckOrigin::off))
            .idle_timeout(Duration::from_millis(self.idle_timeout_ms))
            .channels_max(self.max_channels)
            .queue_bytes_max(self.queue_bytes_max)
            .longpoll(LongPoll {
                window: Duration::from_millis(self.window_ms),
                ..LongPoll::default()
            })
    }
}

fn node(name: &str) -> Result<NodeName, NameError> {
    NodeName::parse(name)
}

fn secret(secret: &str) -> Result<String, String> {
    match secret.len() {
        20.. => Ok(secret.to_owned()),
        bytes => Err(format!("it needs 20 bytes and has {bytes}")),
    }
}

fn origins(list: &str) -> Result<CheckOrigin, OriginError> {
    CheckOrigin::list(list.split(','))
}
