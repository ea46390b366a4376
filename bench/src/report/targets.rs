//! What is asked of Bennu, and whether it was met.

use serde::Serialize;

use crate::{
    Plan, connect,
    echo::{self, DEPTHS},
    fan_out::{self, SUBSCRIBERS},
    frame::PAYLOAD_BYTES,
    idle,
    load::Joins,
    program::Program,
    table::Table,
};

/// One figure that is asked for.
#[derive(Debug, Serialize)]
pub(crate) struct Target {
    what: String,
    bound: Bound,
    /// `None` where the run didn't measure it.
    measured: Option<f64>,
    unit: &'static str,
    met: Option<bool>,
}

#[derive(Clone, Copy, Debug, Serialize)]
enum Bound {
    AtMost(f64),
    AtLeast(f64),
}

/// Looks into the tables of a run.
struct Figures<'a> {
    plan: &'a Plan,
    tables: &'a [Table],
}

impl Figures<'_> {
    fn value(&self, title: &str, case: &str, column: usize) -> Option<f64> {
        let table = self.tables.iter().find(|it| it.title() == title)?;
        table.value(case, column)
    }

    fn fan_out(
        &self,
        bytes: usize,
        subscribers: usize,
        depth: usize,
        column: usize,
    ) -> Option<f64> {
        let case = fan_out::case(self.plan, bytes, subscribers, depth);
        self.value(fan_out::TITLE, &case, column)
    }

    /// The largest value among 100 and more subscribers.
    fn worst(&self, bytes: usize, depth: usize, column: usize) -> Option<f64> {
        let [_, many @ ..] = SUBSCRIBERS;
        let values = many.map(|it| self.fan_out(bytes, it, depth, column));
        values.into_iter().flatten().reduce(f64::max)
    }

    /// What a delivery to 15,000 costs, to what one to 100 does.
    fn growth(&self, column: usize) -> Option<f64> {
        let [_, few, .., many] = SUBSCRIBERS;
        let value = |subscribers| self.fan_out(PAYLOAD_BYTES, subscribers, 1, column);
        Some(value(many)? / value(few)?)
    }
}

impl Target {
    fn new(
        what: impl Into<String>,
        bound: Bound,
        measured: Option<f64>,
        unit: &'static str,
    ) -> Self {
        Self {
            what: what.into(),
            bound,
            measured,
            unit,
            met: measured.map(|it| bound.is_met(it)),
        }
    }
}

/// Compares a run with what is asked.
pub(super) fn judge(plan: &Plan, tables: &[Table]) -> Vec<Target> {
    let figures = Figures { plan, tables };
    let mut targets = Vec::from(memory(&figures));
    targets.extend(deliveries(&figures));
    targets.extend(rates(&figures));
    targets
}

fn memory(figures: &Figures<'_>) -> [Target; 2] {
    let idle = |case: &str, column| figures.value(idle::TITLE, case, column);
    [
        Target::new(
            "idle connection with one topic, resident",
            Bound::AtMost(1024.0),
            idle(idle::SHARED, idle::BYTES),
            "bytes",
        ),
        Target::new(
            "each further topic of 20, resident",
            Bound::AtMost(150.0),
            idle(&idle::case(Program::Bennu, 20), idle::FURTHER),
            "bytes",
        ),
    ]
}

fn deliveries(figures: &Figures<'_>) -> [Target; 4] {
    let ratio = |payload: &str, bytes| {
        Target::new(
            format!(
                "fan-out, {payload}, depth 1: CPU for a delivery to the floor's, the worst of 100 to 15,000"
            ),
            Bound::AtMost(1.15),
            figures.worst(bytes, 1, fan_out::RATIO),
            "",
        )
    };
    let floors = figures.growth(fan_out::FLOOR);
    let floors = floors.map_or_else(String::new, |it| format!(" (the floor's own: {it:.2})"));
    [
        ratio("100 B", PAYLOAD_BYTES),
        ratio("4 KiB", 4096),
        Target::new(
            "fan-out, 100 B, depth 32: CPU for a delivery, the worst of 100 to 15,000",
            Bound::AtMost(0.25),
            figures.worst(PAYLOAD_BYTES, 32, fan_out::BENNU),
            "us",
        ),
        Target::new(
            format!("fan-out, 100 B, depth 1: a delivery to one of 15,000 to one of 100{floors}"),
            Bound::AtMost(1.2),
            figures.growth(fan_out::BENNU),
            "",
        ),
    ]
}

fn rates(figures: &Figures<'_>) -> [Target; 3] {
    let target = |what: &str, bound, title, case: &str| {
        // CPU says what the machine's other work doesn't change.
        let cpu = figures.value(title, case, echo::CPU_RATIO);
        let cpu = cpu.map_or_else(String::new, |it| format!(" (its CPU to Bennu's: {it:.2})"));
        let rate = figures.value(title, case, echo::RATIO);
        Target::new(format!("{what}{cpu}"), Bound::AtLeast(bound), rate, "")
    };
    let [shallow, deep] = DEPTHS.map(|it| echo::case(Program::Floor, it));
    let [echoes, _] = echo::TITLES;
    let hyper = connect::case(Program::Hyper, Joins::Upgrade);
    [
        target("echo, depth 1: rate to the floor's", 0.9, echoes, &shallow),
        target("echo, depth 16: rate to the floor's", 0.75, echoes, &deep),
        target(
            "connecting and joining: rate to that of a bare hyper upgrade",
            0.6,
            connect::TITLE,
            &hyper,
        ),
    ]
}

impl Bound {
    fn is_met(self, measured: f64) -> bool {
        match self {
            Self::AtMost(bound) => measured <= bound,
            Self::AtLeast(bound) => measured >= bound,
        }
    }

    const fn words(self) -> (&'static str, f64) {
        match self {
            Self::AtMost(bound) => ("at most", bound),
            Self::AtLeast(bound) => ("at least", bound),
        }
    }
}

/// A table of those that were measured, or nothing.
pub(super) fn markdown(targets: &[Target]) -> String {
    if targets.iter().all(|it| it.measured.is_none()) {
        return String::new();
    }
    let mut text = "| | asked | measured | |\n|:--|--:|--:|:--|\n".to_owned();
    for target in targets {
        let (Some(measured), Some(met)) = (target.measured, target.met) else {
            continue;
        };
        let (bounds, asked) = target.bound.words();
        let unit = target.unit;
        let number = |it: f64| match unit {
            "bytes" => format!("{it:.0} {unit}"),
            "" => format!("{it:.2}"),
            unit => format!("{it:.2} {unit}"),
        };
        let word = if met { "met" } else { "**not met**" };
        text += &format!(
            "| {} | {bounds} {} | {} | {word} |\n",
            target.what,
            number(asked),
            number(measured)
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan() -> Plan {
        Plan {
            quick: false,
            threads: 1,
            repeats: 1,
        }
    }

    #[test]
    fn a_target_is_met_or_not() {
        let check = |bytes: f64, expected: &str| {
            let mut table = Table::new(idle::TITLE, &["connections", "bytes each"]);
            table.row(idle::SHARED, &[None, Some(bytes)]);
            let targets = judge(&plan(), &[table]);
            let text = markdown(&targets);
            assert_eq!(text.lines().count(), 3, "{text}");
            assert!(text.ends_with(expected), "{text}");
        };
        check(1024.0, "at most 1024 bytes | 1024 bytes | met |\n");
        check(1024.5, "| **not met** |\n");
    }

    #[test]
    fn the_worst_of_many_subscribers_counts_and_one_alone_does_not() {
        let plan = plan();
        let mut table = Table::new(fan_out::TITLE, &["us", "floor us", "ratio"]);
        for (subscribers, ratio) in [(1, 3.0), (100, 1.1), (2_000, 1.2), (15_000, 1.0)] {
            let case = fan_out::case(&plan, PAYLOAD_BYTES, subscribers, 1);
            table.row(case, &[Some(2.0), Some(1.0), Some(ratio)]);
        }
        let tables = [table];
        let figures = Figures {
            plan: &plan,
            tables: &tables,
        };
        assert_eq!(figures.worst(PAYLOAD_BYTES, 1, fan_out::RATIO), Some(1.2));
        assert_eq!(figures.growth(fan_out::BENNU), Some(1.0));
        assert_eq!(figures.worst(4096, 1, fan_out::RATIO), None);
    }
}
