//! All that one run measured: as JSON, and as the figures in `docs/performance.md`.

mod page;
mod plots;
mod targets;

use std::{fs, path::Path, time::Duration};

use serde::Serialize;

use crate::{Plan, Result, echo, program::Program, table::Table};
use page::Page;
pub(crate) use targets::Target;

/// The page that is made from a full run, and the folder of its plots.
const PAGE: &str = "docs/performance.md";
const PLOTS: &str = "docs";

/// The load for each core beyond which others had the machine as well: a run alone keeps two processes busy.
const BUSY: f64 = 1.5;
/// A floor with one thread, and always something to answer, keeps its core busier than this unless others have it as well.
const FLOOR_CORES_MIN: f64 = 0.9;

/// One run.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    schema: u32,
    /// What was measured, when, and with what.
    about: String,
    machine: String,
    quick: bool,
    threads: usize,
    repeats: usize,
    seconds: f64,
    targets: Vec<Target>,
    tables: Vec<Table>,
}

impl Report {
    pub(crate) fn new(plan: &Plan, about: String, tables: Vec<Table>, took: Duration) -> Self {
        Self {
            schema: 1,
            about,
            machine: machine(is_starved(plan, &tables)),
            quick: plan.quick,
            threads: plan.threads,
            repeats: plan.repeats,
            seconds: took.as_secs_f64().round(),
            targets: targets::judge(plan, &tables),
            tables,
        }
    }

    /// What was asked for, and what came of it.
    pub(crate) fn targets(&self) -> String {
        targets::markdown(&self.targets)
    }

    pub(crate) fn save(&self, path: &Path) -> Result<()> {
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)?;
        }
        Ok(fs::write(path, serde_json::to_string_pretty(self)?)?)
    }

    /// Draws what there are figures for.
    pub(crate) fn plot(&self, plan: &Plan, folder: &Path) -> Result<()> {
        fs::create_dir_all(folder)?;
        for (name, svg) in plots::draw(plan, &self.tables) {
            fs::write(folder.join(name), svg)?;
        }
        Ok(())
    }

    /// Puts the figures where `docs/performance.md` has places for them, and the plots beside it.
    pub(crate) fn write(&self, plan: &Plan) -> Result<()> {
        if self.quick {
            return Err("a quick run's figures mean too little to be written down".into());
        }
        let mut page = Page(fs::read_to_string(PAGE)?);
        page.fill("run", &format!("{}\n", self.provenance()))?;
        page.fill("targets", &self.targets())?;
        for table in &self.tables {
            page.fill(table.title(), &table.to_string())?;
        }
        fs::write(PAGE, page.0)?;
        self.plot(plan, Path::new(PLOTS))
    }

    fn provenance(&self) -> String {
        let threads = match self.threads {
            1 => "one thread each".to_owned(),
            threads => format!("{threads} threads each"),
        };
        let turns = match self.repeats {
            1 => "one turn of each".to_owned(),
            turns => format!("medians of up to {turns} turns"),
        };
        format!(
            "{}; {}; {threads} where nothing else is said; {turns}. The run took {:.0} minutes.",
            self.about,
            self.machine,
            self.seconds / 60.0
        )
    }
}

/// Whether the floor of the echo didn't get the core that it could have used.
fn is_starved(plan: &Plan, tables: &[Table]) -> bool {
    let [echoes, _] = echo::TITLES;
    let floor = echo::case(Program::Floor, echo::DEPTHS[0]);
    let table = tables.iter().find(|it| it.title() == echoes);
    let cores = table.and_then(|it| it.value(&floor, echo::CORES));
    plan.threads == 1 && cores.is_some_and(|it| it < FLOOR_CORES_MIN)
}

/// What it ran on, and how busy that was.
fn machine(is_starved: bool) -> String {
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let read = |path| fs::read_to_string(path).unwrap_or_default();
    let model = read("/proc/cpuinfo")
        .lines()
        .find_map(|it| it.strip_prefix("model name")?.split_once(": "))
        .map_or_else(
            || "an unknown processor".to_owned(),
            |(_, it)| it.to_owned(),
        );
    let load = read("/proc/loadavg");
    let load: f64 = load
        .split(' ')
        .nth(2)
        .map_or(0.0, |it| it.parse().unwrap_or(0.0));
    let busy = if is_starved || load > BUSY * cores as f64 {
        " (**much else ran beside it: rates mean little, and CPU is what to look at**)"
    } else {
        ""
    };
    format!("{cores} cores of {model}, load over 15 minutes {load}{busy}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_floor_that_lacks_its_core_shows_that_others_had_it() {
        let check = |threads, cores, expected| {
            let plan = Plan {
                quick: false,
                threads,
                repeats: 1,
            };
            let mut table = Table::new(echo::TITLES[0], &echo::COLUMNS);
            let floor = echo::case(Program::Floor, echo::DEPTHS[0]);
            table.row(floor, &[None, None, None, None, cores]);
            assert_eq!(is_starved(&plan, &[table]), expected);
        };
        check(1, Some(0.98), false);
        check(1, Some(0.27), true);
        // Two threads share both cores with the load client.
        check(2, Some(0.8), false);
        check(1, None, false);
        assert!(machine(true).contains("**much else ran beside it"));
    }
}
