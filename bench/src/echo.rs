//! Pushes of 64 bytes that are replied to, over TCP: how many a second, beside floors.

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

/// Bennu, and what it is compared with.
const PROGRAMS: [(&str, &str); 4] = [
    ("server", "Bennu"),
    ("floor", "floor: bytes only"),
    ("framing-floor", "floor: frames, unmasked and checked"),
    ("bare", "floor: bytes only, on tokio"),
];

pub(crate) fn run(plan: &Plan) -> Result<Table> {
    let mut table = Table::new(
        "Echo over TCP: pushes of 64 bytes, replied to",
        &[
            "a second",
            "Bennu's rate to it",
            "CPU us",
            "its CPU to Bennu's",
        ],
    );
    let mut programs = Vec::new();
    for (program, name) in PROGRAMS {
        let target = Target::start(&[program, "--threads", &plan.threads.to_string()])?;
        let mut client = Client::start(&target)?;
        let hello = match program {
            "server" => Hello::Shared { topics: 1 },
            _ => Hello::Silent,
        };
        client.connect(Clients {
            count: CONNECTIONS,
            hello,
        })?;
        programs.push((name, target, client));
    }
    for depth in [1, 16] {
        plan.say(&format!("echo, depth {depth}"));
        let order = Order::Echo {
            depth,
            time: plan.time(TIME),
        };
        let mut turns: Vec<Vec<Run>> = Vec::new();
        for _ in 0..plan.repeats {
            let turn = programs.iter_mut().map(|(_, _, client)| client.run(order));
            turns.push(turn.collect::<Result<_>>()?);
        }
        for (at, (name, ..)) in programs.iter().enumerate() {
            table.row(format!("depth {depth}, {name}"), &figures(&turns, at));
        }
    }
    Ok(table)
}

/// Medians of what the program at `at` did, and of how the first program compares within each turn: both ratios
/// are 1 where Bennu is as good, and less where it isn't.
fn figures(turns: &[Vec<Run>], at: usize) -> [Option<f64>; 4] {
    let runs = || turns.iter().filter_map(|it| it.get(at));
    let pairs = || turns.iter().filter_map(|it| it.first()).zip(runs());
    [
        median(runs().map(|it| it.rate())),
        median(pairs().map(|(ours, it)| ours.rate() / it.rate())),
        median(runs().map(|it| it.cpu_us())),
        median(pairs().map(|(ours, it)| it.cpu_us() / ours.cpu_us())),
    ]
}
