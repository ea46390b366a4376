//! The way to other nodes, if there are some: each application has a line of its own.

use bennu::{Endpoint, NodeName};
use bennu_nats::{ConnectOptions, NatsBus, NatsOptions};
use bennu_redis::{RedisBus, RedisOptions};

/// Where the bus is, and what this node is called there.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Bus {
    pub(crate) redis: Option<String>,
    pub(crate) nats: Option<String>,
    pub(crate) node: Option<NodeName>,
}

/// An application's own line to its kin on other nodes.
pub(crate) struct Line {
    adapter: Option<Adapter>,
    node: Option<NodeName>,
}

enum Adapter {
    Redis(RedisBus),
    Nats(Box<NatsBus>),
}

impl Bus {
    /// The line of an application: what has another name hears nothing of it. The error is one of the command line.
    pub(crate) fn line(&self, name: &str) -> Result<Line, String> {
        let prefix = format!("bennu-{name}");
        let adapter = match (&self.redis, &self.nats) {
            (Some(url), _) => {
                let bus = RedisBus::servers([url.as_str()], RedisOptions::new().prefix(prefix));
                Some(Adapter::Redis(bus.map_err(|it| format!("--redis: {it}"))?))
            }
            (None, Some(url)) => {
                let options = NatsOptions::new().prefix(prefix);
                let bus = NatsBus::with([url.as_str()], ConnectOptions::new(), options);
                let bus = bus.map_err(|it| format!("--nats: {it}"))?;
                Some(Adapter::Nats(Box::new(bus)))
            }
            (None, None) => None,
        };
        let node = self.node.clone();
        Ok(Line { adapter, node })
    }
}

impl Line {
    /// An endpoint at this line.
    pub(crate) fn join<A: Send + Sync + 'static>(self, endpoint: Endpoint<A>) -> Endpoint<A> {
        let endpoint = match self.node {
            Some(name) => endpoint.node_name(name.as_str()),
            None => endpoint,
        };
        match self.adapter {
            Some(Adapter::Redis(bus)) => endpoint.adapter(bus),
            Some(Adapter::Nats(bus)) => endpoint.adapter(*bus),
            None => endpoint,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_bus_that_cannot_be_one_is_told_at_the_start() {
        let check = |redis: Option<&str>, nats: Option<&str>, expected: Result<bool, &str>| {
            let bus = Bus {
                redis: redis.map(str::to_owned),
                nats: nats.map(str::to_owned),
                node: NodeName::parse("web-1").ok(),
            };
            match (bus.line("chat"), expected) {
                (Err(why), Err(expected)) => assert!(why.starts_with(expected), "{why}"),
                (Ok(line), Ok(is_clustered)) => {
                    let pubsub = line.join(Endpoint::new(())).pubsub().clone();
                    assert_eq!(pubsub.cluster().is_some(), is_clustered, "{bus:?}");
                }
                (_, expected) => panic!("{bus:?} isn't {expected:?}"),
            }
        };
        check(None, None, Ok(false));
        check(Some("redis://127.0.0.1:6379"), None, Ok(true));
        check(None, Some("nats://127.0.0.1:4222"), Ok(true));
        check(Some("http://127.0.0.1"), None, Err("--redis: "));
        check(None, Some("http://127.0.0.1"), Err("--nats: "));
    }
}
