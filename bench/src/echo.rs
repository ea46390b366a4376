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
            "framing floor",
            "ratio to it",
            "CPU us",
            "floor us",
            "framing floor us",
        ],
    );
    let threads = plan.threads.to_string();
    let server = Target::start(&["server", "--threads", &threads])?;
    let floor = Target::start(&["floor", "--threads", &threads])?;
    let framing = Target::start(&["framing-floor", "--threads", &threads])?;
    let connected = |target, hello| {
        let mut client = Client::start(target)?;
        client.connect(Clients {
            count: CONNECTIONS,
            hello,
        })?;
        Ok::<_, crate::Error>(client)
    };
    let mut ours = connected(&server, Hello::Shared { topics: 1 })?;
    let mut theirs = connected(&floor, Hello::Silent)?;
    let mut framed = connected(&framing, Hello::Silent)?;
    for depth in [1, 16] {
        plan.say(&format!("echo, depth {depth}"));
        let order = Order::Echo {
            depth,
            time: plan.time(TIME),
        };
        let mut runs = Vec::new();
        for _ in 0..plan.repeats {
            runs.push([ours.run(order)?, theirs.run(order)?, framed.run(order)?]);
        }
        table.row(
            format!("{CONNECTIONS} connections, depth {depth}"),
            &figures(&runs),
        );
    }
    Ok(table)
}

/// Medians of what was measured, and of the ratios within each repetition.
fn figures(runs: &[[Run; 3]]) -> [Option<f64>; 8] {
    let of = |figure: fn(&[Run; 3]) -> f64| median(runs.iter().map(figure));
    [
        of(|[ours, ..]| ours.rate()),
        of(|[_, floor, _]| floor.rate()),
        of(|[ours, floor, _]| ours.rate() / floor.rate()),
        of(|[_, _, framing]| framing.rate()),
        of(|[ours, _, framing]| ours.rate() / framing.rate()),
        of(|[ours, ..]| ours.cpu_us()),
        of(|[_, floor, _]| floor.cpu_us()),
        of(|[_, _, framing]| framing.cpu_us()),
    ]
}
