//! Connections made and topics joined: how many a second, beside what a bare upgrade costs.

use crate::{
    Plan, Result,
    child::{Client, Target},
    client::Order,
    echo::{COLUMNS, figures},
    load::{Clients, Joins},
    program::Program,
    table::Table,
};

pub(crate) const TITLE: &str = "Connecting and joining over TCP";

const CONNECTIONS: usize = 4_000;
const JOIN: Joins = Joins::Shared(1);

/// What is compared.
const CASES: [(Program, Joins); 5] = [
    (Program::Bennu, JOIN),
    (Program::Bennu, Joins::Upgrade),
    (Program::Hyper, Joins::Upgrade),
    (Program::Axum, JOIN),
    (Program::Socketioxide, JOIN),
];

pub(crate) fn run(plan: &Plan) -> Result<Vec<Table>> {
    plan.say("connecting and joining");
    let mut table = Table::new(TITLE, &COLUMNS);
    let mut running = Vec::new();
    for (program, joins) in CASES {
        let target = Target::start(program, plan.threads)?;
        let client = Client::start(&target)?;
        let order = Order::Handshakes(Clients {
            count: plan.scaled(CONNECTIONS),
            hello: program.hello(joins),
        });
        running.push((target, client, order));
    }
    let mut turn = || {
        let turn = running
            .iter_mut()
            .map(|(_, client, order)| client.run(*order));
        turn.collect::<Result<Vec<_>>>()
    };
    // The first connections bring code and memory that later ones find.
    turn()?;
    let turns = plan.turns(turn)?;
    for (at, (program, joins)) in CASES.into_iter().enumerate() {
        table.row(case(program, joins), &figures(&turns, at));
    }
    Ok(vec![table])
}

/// The row of a program.
pub(crate) fn case(program: Program, joins: Joins) -> String {
    let what = match joins {
        Joins::Upgrade => "connect",
        _ => "connect and join",
    };
    format!("{}, {what}", program.name())
}
