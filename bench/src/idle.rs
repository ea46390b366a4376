//! Idle connections over TCP: what each costs in resident memory of the server.

use crate::{
    Plan, Result,
    child::{Client, Target},
    load::{Clients, Joins},
    program::Program,
    table::Table,
};

pub(crate) const TITLE: &str = "Idle connections over TCP";
/// The rows that targets are about, and the columns they are in.
pub(crate) const SHARED: &str = "one topic, shared by all";
pub(crate) const BYTES: usize = 1;
pub(crate) const FURTHER: usize = 2;

/// A process here may open 20,000 files.
const CONNECTIONS: usize = 19_000;
/// With many topics, enough for a mean.
const CONNECTIONS_OF_MANY_TOPICS: usize = 5_000;
/// Where each takes a hundred times as much.
const CONNECTIONS_OF_RIVALS: usize = 2_000;
const TOPICS: [usize; 3] = [1, 5, 20];

pub(crate) fn run(plan: &Plan) -> Result<Vec<Table>> {
    let mut table = Table::new(TITLE, &["connections", "bytes each", "per further topic"]);
    let one = Joins::Shared(1);
    for (case, program, joins) in [
        ("bare tokio stream in a task", Program::Bare, Joins::Silent),
        (SHARED, Program::Bennu, one),
        ("one topic, each its own", Program::Bennu, Joins::Own),
        ("one topic, with an id", Program::Bennu, Joins::Id),
    ] {
        let clients = clients(plan, program, CONNECTIONS, joins);
        let bytes = measure(plan, program, case, clients)?;
        table.row(case, &[Some(clients.count as f64), Some(bytes)]);
    }
    for (program, count) in [
        (Program::Bennu, CONNECTIONS_OF_MANY_TOPICS),
        (Program::Axum, CONNECTIONS_OF_RIVALS),
        (Program::Socketioxide, CONNECTIONS_OF_RIVALS),
    ] {
        let mut one = None;
        for topics in TOPICS {
            let case = case(program, topics);
            let clients = clients(plan, program, count, Joins::Shared(topics));
            let bytes = measure(plan, program, &case, clients)?;
            let further = one.map(|one| (bytes - one) / (topics - 1) as f64);
            one = one.or(Some(bytes));
            table.row(case, &[Some(clients.count as f64), Some(bytes), further]);
        }
    }
    Ok(vec![table])
}

/// The row of so many topics.
pub(crate) fn case(program: Program, topics: usize) -> String {
    let name = program.name();
    match topics {
        1 => format!("{name}, 1 topic"),
        topics => format!("{name}, {topics} topics"),
    }
}

fn clients(plan: &Plan, program: Program, count: usize, joins: Joins) -> Clients {
    let count = plan.scaled(count);
    let hello = program.hello(joins);
    Clients { count, hello }
}

fn measure(plan: &Plan, program: Program, case: &str, clients: Clients) -> Result<f64> {
    plan.say(case);
    let target = Target::start(program, plan.threads)?;
    let mut client = Client::start(&target)?;
    // Some come and go first: code, tables and the allocator's first pages aren't any connection's.
    client.connect(Clients {
        count: clients.count / 50,
        ..clients
    })?;
    client.close()?;
    let before = target.settled_rss(plan)?;
    client.connect(clients)?;
    let after = target.settled_rss(plan)?;
    Ok((after as f64 - before as f64) / clients.count as f64)
}
