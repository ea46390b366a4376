//! Pushes of 64 bytes that are replied to, over TCP: how many a second, beside floors.

use std::time::Duration;

use crate::{
    Plan, Result,
    child::{Client, Target},
    client::Order,
    load::{Clients, Joins, Run},
    program::Program,
    table::{Table, median},
};

/// With as many threads as the plan says, and with two.
pub(crate) const TITLES: [&str; 2] = [
    "Echo over TCP: pushes of 64 bytes, replied to",
    "Echo over TCP, two threads each, so that server and client share both cores",
];
/// Of this table and of others that compare programs by turns.
pub(crate) const COLUMNS: [&str; 5] = [
    "a second",
    "Bennu's rate to it",
    "CPU us",
    "its CPU to Bennu's",
    "cores busy",
];
pub(crate) const RATE: usize = 0;
pub(crate) const RATIO: usize = 1;
pub(crate) const CPU_RATIO: usize = 3;
pub(crate) const CORES: usize = 4;

const CONNECTIONS: usize = 50;
pub(crate) const DEPTHS: [usize; 2] = [1, 16];
const TIME: Duration = Duration::from_millis(700);

/// Bennu, and what it is compared with.
const PROGRAMS: [Program; 6] = [
    Program::Bennu,
    Program::Floor,
    Program::FramingFloor,
    Program::Bare,
    Program::Axum,
    Program::Socketioxide,
];

pub(crate) fn run(plan: &Plan) -> Result<Vec<Table>> {
    let [one, two] = TITLES;
    let without_rivals = PROGRAMS.get(..4).unwrap_or_default();
    Ok(vec![
        table(plan, one, plan.threads, &PROGRAMS)?,
        table(plan, two, 2, without_rivals)?,
    ])
}

/// The row of a program at a depth.
pub(crate) fn case(program: Program, depth: usize) -> String {
    format!("depth {depth}, {}", program.name())
}

fn table(plan: &Plan, title: &'static str, threads: usize, programs: &[Program]) -> Result<Table> {
    let mut table = Table::new(title, &COLUMNS);
    let mut running = Vec::new();
    for program in programs {
        let target = Target::start(*program, threads)?;
        let mut client = Client::start(&target)?;
        client.connect(Clients {
            count: CONNECTIONS,
            hello: program.hello(Joins::Shared(1)),
        })?;
        running.push((target, client));
    }
    for depth in DEPTHS {
        plan.say(&format!("echo, depth {depth}, {threads} threads"));
        let order = Order::Echo {
            depth,
            time: plan.time(TIME),
        };
        let turns = plan.turns(|| {
            let turn = running.iter_mut().map(|(_, client)| client.run(order));
            turn.collect::<Result<Vec<_>>>()
        })?;
        for (at, program) in programs.iter().enumerate() {
            table.row(case(*program, depth), &figures(&turns, at));
        }
    }
    Ok(table)
}

/// Medians of what the program at `at` did, and of how the first program compares within each turn: both ratios
/// are 1 where Bennu is as good, and less where it isn't.
pub(crate) fn figures(turns: &[Vec<Run>], at: usize) -> [Option<f64>; 5] {
    let runs = || turns.iter().filter_map(|it| it.get(at));
    let pairs = || turns.iter().filter_map(|it| it.first()).zip(runs());
    [
        median(runs().map(|it| it.rate())),
        median(pairs().map(|(ours, it)| ours.rate() / it.rate())),
        median(runs().map(|it| it.cpu_us())),
        median(pairs().map(|(ours, it)| it.cpu_us() / ours.cpu_us())),
        median(runs().map(|it| it.cores())),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ratios_are_those_within_a_turn() {
        let run = |messages, cpu_ns, wall_ns| Run {
            messages,
            cpu_ns,
            wall_ns,
        };
        let turns = [
            [run(100, 900_000, 1_000_000), run(200, 800_000, 1_000_000)],
            [run(50, 900_000, 1_000_000), run(200, 400_000, 1_000_000)],
            [run(50, 600_000, 1_000_000), run(50, 300_000, 1_000_000)],
        ];
        let turns = turns.map(Vec::from);
        let check = |at: usize, expected: [f64; 5]| {
            for (found, expected) in figures(&turns, at).into_iter().zip(expected) {
                let found = found.unwrap();
                assert!((found - expected).abs() < 1e-9, "{found} {expected}");
            }
        };
        check(0, [50_000.0, 1.0, 12.0, 1.0, 0.9]);
        check(1, [200_000.0, 0.5, 4.0, 4.0 / 9.0, 0.4]);
        assert_eq!(figures(&turns, 2), [None; 5]);
    }
}
