//! Idle connections over TCP: what each costs in resident memory of the server.

use crate::{
    Plan, Result,
    child::{Client, Target},
    load::{Clients, Hello},
    table::Table,
};

/// A process here may open 20,000 files.
const CONNECTIONS: usize = 19_000;
/// With many topics, enough for a mean.
const CONNECTIONS_OF_MANY_TOPICS: usize = 5_000;

pub(crate) fn run(plan: &Plan) -> Result<Table> {
    let mut table = Table::new(
        "Idle connections over TCP",
        &["connections", "bytes each", "per further topic"],
    );
    let one = Hello::Shared { topics: 1 };
    let many = CONNECTIONS_OF_MANY_TOPICS;
    let cases = [
        (
            "bare tokio stream in a task",
            "bare",
            CONNECTIONS,
            Hello::Silent,
            None,
        ),
        ("one topic, shared by all", "server", CONNECTIONS, one, None),
        (
            "one topic, each its own",
            "server",
            CONNECTIONS,
            Hello::Own,
            None,
        ),
        (
            "one topic, with an id",
            "server",
            CONNECTIONS,
            Hello::Id,
            None,
        ),
        ("one topic, fewer connections", "server", many, one, None),
        (
            "5 topics",
            "server",
            many,
            Hello::Shared { topics: 5 },
            Some(5),
        ),
        (
            "20 topics",
            "server",
            many,
            Hello::Shared { topics: 20 },
            Some(20),
        ),
    ];
    for (case, server, count, hello, topics) in cases {
        plan.say(case);
        let count = plan.scaled(count);
        let bytes = measure(plan, server, Clients { count, hello })?;
        let one = table.value("one topic, fewer connections", 1);
        let further = topics
            .zip(one)
            .map(|(topics, one)| (bytes - one) / f64::from(topics - 1));
        table.row(case, &[Some(count as f64), Some(bytes), further]);
    }
    Ok(table)
}

fn measure(plan: &Plan, server: &str, clients: Clients) -> Result<f64> {
    let target = Target::start(&[server, "--threads", &plan.threads.to_string()])?;
    let mut client = Client::start(&target)?;
    // Some come and go first: code, tables and the allocator's first pages aren't any connection's.
    client.connect(Clients {
        count: clients.count / 50,
        ..clients
    })?;
    client.close()?;
    let before = target.settled_rss()?;
    client.connect(clients)?;
    let after = target.settled_rss()?;
    Ok((after as f64 - before as f64) / clients.count as f64)
}
