//! Pushes that are replied to over long-polling: a POST and a GET for each exchange.

use std::time::Duration;

use crate::{
    Plan, Result,
    child::{Client, Target},
    client::Order,
    echo::{COLUMNS, DEPTHS, case, figures},
    program::Program,
    table::Table,
};

pub(crate) const TITLE: &str =
    "Echo over long-polling: pushes of 64 bytes, posted, and their replies, fetched";

const SESSIONS: usize = 50;
const TIME: Duration = Duration::from_millis(700);
const PROGRAMS: [Program; 2] = [Program::Bennu, Program::Hyper];

pub(crate) fn run(plan: &Plan) -> Result<Vec<Table>> {
    let mut table = Table::new(TITLE, &COLUMNS);
    let mut running = Vec::new();
    for program in PROGRAMS {
        let target = Target::start(program, plan.threads)?;
        let client = Client::start(&target)?;
        running.push((target, client));
    }
    for depth in DEPTHS {
        plan.say(&format!("echo over long-polling, depth {depth}"));
        let order = Order::LongPoll {
            sessions: SESSIONS,
            depth,
            time: plan.time(TIME),
        };
        let turns = plan.turns(|| {
            let turn = running.iter_mut().map(|(_, client)| client.run(order));
            turn.collect::<Result<Vec<_>>>()
        })?;
        for (at, program) in PROGRAMS.into_iter().enumerate() {
            table.row(case(program, depth), &figures(&turns, at));
        }
    }
    Ok(vec![table])
}
