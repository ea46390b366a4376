//! Joining where many are present: who joins is told who is there, and everybody there is told who joined.

use crate::{
    Plan, Result,
    child::{Client, Target},
    program::Program,
    table::{Table, median},
};

pub(crate) const TITLE: &str = "Presence: joining a topic where many are present";

const MEMBERS: [usize; 3] = [10, 1_000, 10_000];
const JOINERS: usize = 50;

pub(crate) fn run(plan: &Plan) -> Result<Vec<Table>> {
    let columns = [
        "ms to hear who is there",
        "CPU ms a join",
        "CPU us a join and member",
    ];
    let mut table = Table::new(TITLE, &columns);
    for members in MEMBERS {
        let members = plan.scaled(members);
        plan.say(&format!("joining {members} who are present"));
        let target = Target::start(Program::Bennu, plan.threads)?;
        let mut client = Client::start(&target)?;
        let crowded = client.join_crowd(members, plan.scaled(JOINERS))?;
        let cpu_us = crowded.run.cpu_us();
        table.row(
            format!("{members} members"),
            &[
                median(crowded.join_us).map(|it| it / 1e3),
                Some(cpu_us / 1e3),
                Some(cpu_us / members as f64),
            ],
        );
    }
    Ok(vec![table])
}
