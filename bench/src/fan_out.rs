//! Fan-out over TCP: the server's CPU for a delivery, beside the floor's.

use std::time::Duration;

use crate::{
    Plan, Result,
    child::{Client, Target},
    client::Order,
    frame::PAYLOAD_BYTES,
    load::{Clients, FanOut, Joins, Run},
    program::Program,
    table::{Table, median},
};

pub(crate) const TITLE: &str = "Fan-out over TCP: server CPU for a delivery";
/// Columns.
pub(crate) const BENNU: usize = 0;
pub(crate) const FLOOR: usize = 1;
pub(crate) const RATIO: usize = 2;
pub(crate) const AXUM: usize = 3;
pub(crate) const SOCKETIOXIDE: usize = 4;

pub(crate) const SUBSCRIBERS: [usize; 4] = [1, 100, 2_000, 15_000];
pub(crate) const DEPTHS: [usize; 2] = [1, 32];
pub(crate) const PAYLOADS: [usize; 2] = [PAYLOAD_BYTES, 4096];
const TIME: Duration = Duration::from_millis(200);

pub(crate) fn run(plan: &Plan) -> Result<Vec<Table>> {
    let columns = [
        "us",
        "floor us",
        "ratio",
        "axum us",
        "socketioxide us",
        "gathering floor us",
        "ratio to it",
    ];
    let mut table = Table::new(TITLE, &columns);
    for subscribers in SUBSCRIBERS {
        let mut programs = Programs::start(plan, plan.scaled(subscribers))?;
        for payload_bytes in PAYLOADS {
            for depth in DEPTHS {
                let case = case(plan, payload_bytes, subscribers, depth);
                plan.say(&format!("fan-out, {case}"));
                let order = FanOut {
                    depth,
                    payload_bytes,
                    gather: false,
                    time: plan.time(TIME),
                };
                let turns = plan.turns(|| programs.turn(order))?;
                table.row(case, &figures(&turns));
            }
        }
    }
    Ok(vec![table])
}

/// The row of so many bytes to so many, at that depth.
pub(crate) fn case(plan: &Plan, payload_bytes: usize, subscribers: usize, depth: usize) -> String {
    let subscribers = plan.scaled(subscribers);
    let payload = match payload_bytes {
        4096 => "4 KiB".to_owned(),
        bytes => format!("{bytes} B"),
    };
    format!("{payload} to {subscribers}, depth {depth}")
}

/// What is compared, each with its own client and its clients connected.
struct Programs {
    bennu: (Target, Client),
    floor: (Target, Client),
    rivals: Vec<(Target, Client)>,
}

struct Turn {
    bennu: Run,
    floor: Run,
    /// The floor, where it may write all messages at once.
    gathering: Option<Run>,
    rivals: Vec<Run>,
}

impl Programs {
    fn start(plan: &Plan, count: usize) -> Result<Self> {
        let start = |program: Program| {
            let target = Target::start(program, plan.threads)?;
            let mut client = Client::start(&target)?;
            let hello = program.hello(Joins::Shared(1));
            client.connect(Clients { count, hello })?;
            Ok((target, client))
        };
        Ok(Self {
            bennu: start(Program::Bennu)?,
            floor: start(Program::Floor)?,
            rivals: Program::RIVALS
                .map(start)
                .into_iter()
                .collect::<Result<_>>()?,
        })
    }

    fn turn(&mut self, order: FanOut) -> Result<Turn> {
        let gather = Order::FanOut(FanOut {
            gather: true,
            ..order
        });
        let gathering = (order.depth > 1).then_some(gather);
        let order = Order::FanOut(order);
        Ok(Turn {
            gathering: gathering.map(|it| self.floor.1.run(it)).transpose()?,
            bennu: self.bennu.1.run(order)?,
            floor: self.floor.1.run(order)?,
            rivals: self
                .rivals
                .iter_mut()
                .map(|(_, client)| client.run(order))
                .collect::<Result<_>>()?,
        })
    }
}

/// Medians of what was measured, and of the ratios within each turn.
fn figures(turns: &[Turn]) -> [Option<f64>; 7] {
    let gathering = || turns.iter().filter_map(|it| it.gathering);
    let rival = |at: usize| {
        let runs = turns.iter().filter_map(|it| it.rivals.get(at));
        median(runs.map(|it| it.cpu_us()))
    };
    [
        median(turns.iter().map(|it| it.bennu.cpu_us())),
        median(turns.iter().map(|it| it.floor.cpu_us())),
        median(turns.iter().map(|it| it.bennu.cpu_us() / it.floor.cpu_us())),
        rival(0),
        rival(1),
        median(gathering().map(Run::cpu_us)),
        median(
            turns
                .iter()
                .zip(gathering())
                .map(|(it, floor)| it.bennu.cpu_us() / floor.cpu_us()),
        ),
    ]
}
