//! Pushes of 64 bytes that are replied to, over TCP: how many a second, beside the floor.

use std::time::Duration;

use crate::{
    Plan, Result,
    child::{Client, Target},
    client::Order,
    load::{Clients, Hello, Run},
    table::{Table, median},
};

const CONNECTIONS: usize = 50;
const TIME: Duration = Duration::from_millis(1500);

pub(crate) fn run(plan: &Plan) -> Result<Table> {
    let mut table = Table::new(
        "Echo over TCP: pushes of 64 bytes, replied to",
        &[
            "a second",
            "floor",
            "ratio",
            "CPU us",
            "floor us",
            "ratio of CPU",
        ],
    );
    let threads = plan.threads.to_string();
    let server = Target::start(&["server", "--threads", &threads])?;
    let floor = Target::start(&["floor", "--threads", &threads])?;
    let mut ours = Client::start(&server)?;
    let mut theirs = Client::start(&floor)?;
    ours.connect(Clients {
        count: CONNECTIONS,
        hello: Hello::Shared { topics: 1 },
    })?;
    theirs.connect(Clients {
        count: CONNECTIONS,
        hello: Hello::Silent,
    })?;
    for depth in [1, 16] {
        plan.say(&format!("echo, depth {depth}"));
        let order = Order::Echo {
            depth,
            time: plan.time(TIME),
        };
        let mut runs = Vec::new();
        for _ in 0..plan.repeats {
            runs.push((ours.run(order)?, theirs.run(order)?));
        }
        table.row(
            format!("{CONNECTIONS} connections, depth {depth}"),
            &figures(&runs),
        );
    }
    Ok(table)
}

fn figures(runs: &[(Run, Run)]) -> [Option<f64>; 6] {
    let of = |figure: fn(&(Run, Run)) -> f64| median(runs.iter().map(figure));
    [
        of(|it| it.0.rate()),
        of(|it| it.1.rate()),
        of(|it| it.0.rate() / it.1.rate()),
        of(|it| it.0.cpu_us()),
        of(|it| it.1.cpu_us()),
        of(|it| it.0.cpu_us() / it.1.cpu_us()),
    ]
}
