//! Fan-out over TCP: the server's CPU for a delivery, beside the floor's.

use std::time::Duration;

use crate::{
    Plan, Result,
    child::{Client, Target},
    client::Order,
    load::{Clients, Hello, Run},
    table::{Table, median},
};

const SUBSCRIBERS: [usize; 3] = [100, 2_000, 15_000];
const DEEP: usize = 32;
const TIME: Duration = Duration::from_millis(1000);

pub(crate) fn run(plan: &Plan) -> Result<Table> {
    let mut table = Table::new(
        "Fan-out over TCP: server CPU for a delivery",
        &[
            "us",
            "floor us",
            "ratio",
            "gathering floor us",
            "ratio to it",
        ],
    );
    for subscribers in SUBSCRIBERS {
        let count = plan.scaled(subscribers);
        let threads = plan.threads.to_string();
        let server = Target::start(&["server", "--threads", &threads])?;
        let floor = Target::start(&["floor", "--threads", &threads])?;
        let mut ours = Client::start(&server)?;
        let mut theirs = Client::start(&floor)?;
        let hello = Hello::Shared { topics: 1 };
        ours.connect(Clients { count, hello })?;
        theirs.connect(Clients {
            count,
            hello: Hello::Silent,
        })?;
        for depth in [1, DEEP] {
            plan.say(&format!("fan-out to {count}, depth {depth}"));
            let order = |gather| Order::FanOut {
                depth,
                gather,
                time: plan.time(TIME),
            };
            let mut runs = Vec::new();
            for _ in 0..plan.repeats {
                let gathered = match depth {
                    1 => None,
                    _ => Some(theirs.run(order(true))?),
                };
                runs.push((ours.run(order(false))?, theirs.run(order(false))?, gathered));
            }
            let row = figures(&runs);
            table.row(format!("{count} subscribers, depth {depth}"), &row);
        }
    }
    Ok(table)
}

/// Medians of what was measured, and of the ratios within each repetition.
fn figures(runs: &[(Run, Run, Option<Run>)]) -> [Option<f64>; 5] {
    let gathered = || runs.iter().filter_map(|it| it.2);
    [
        median(runs.iter().map(|it| it.0.cpu_us())),
        median(runs.iter().map(|it| it.1.cpu_us())),
        median(runs.iter().map(|it| it.0.cpu_us() / it.1.cpu_us())),
        median(gathered().map(Run::cpu_us)),
        median(
            runs.iter()
                .zip(gathered())
                .map(|(it, floor)| it.0.cpu_us() / floor.cpu_us()),
        ),
    ]
}
