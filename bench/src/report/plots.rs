//! The pictures beside the tables: which figures stand in which.

mod svg;

use crate::{
    Plan, connect, echo,
    fan_out::{self, DEPTHS, PAYLOADS, SUBSCRIBERS},
    frame::PAYLOAD_BYTES,
    idle,
    load::Joins,
    program::Program,
    table::Table,
};
use svg::{Bar, Bars, Line, Panel, Panels, Series};

impl Series {
    const fn of(program: Program) -> Self {
        match program {
            Program::Bennu => Self::Bennu,
            Program::Axum => Self::Axum,
            Program::Socketioxide => Self::Socketioxide,
            Program::Floor | Program::FramingFloor | Program::Bare | Program::Hyper => Self::Floor,
        }
    }
}

/// The names of files and what is in them, for as much as was measured.
pub(super) fn draw(plan: &Plan, tables: &[Table]) -> Vec<(&'static str, String)> {
    let table = |title: &str| tables.iter().find(|it| it.title() == title);
    let mut plots = Vec::new();
    if let Some(table) = table(idle::TITLE) {
        plots.push(("bench-memory.svg", memory(table)));
    }
    if let Some(table) = table(fan_out::TITLE) {
        plots.push(("bench-fan-out.svg", deliveries(plan, table)));
    }
    let echoes = table(echo::TITLES[0]).into_iter().flat_map(rates);
    let connects = table(connect::TITLE).map(connects);
    let rates: Vec<_> = echoes.chain(connects).collect();
    if !rates.is_empty() {
        plots.push(("bench-rates.svg", svg::bars(&rates)));
    }
    plots
}

fn bar(table: &Table, program: Program, case: &str, column: usize) -> Option<Bar> {
    Some(Bar {
        label: program.name(),
        series: Series::of(program),
        value: table.value(case, column)?,
    })
}

fn memory(table: &Table) -> String {
    let programs = [Program::Bennu, Program::Axum, Program::Socketioxide];
    let sections = [1, 5, 20].map(|topics| {
        let bars = programs.map(|it| bar(table, it, &idle::case(it, topics), idle::BYTES));
        let topics = match topics {
            1 => "1 joined topic".to_owned(),
            topics => format!("{topics} joined topics"),
        };
        Bars {
            title: format!("Resident bytes of an idle connection with {topics}"),
            bars: bars.into_iter().flatten().collect(),
        }
    });
    svg::bars(&sections)
}

fn rates(table: &Table) -> Vec<Bars> {
    let programs = [
        Program::Floor,
        Program::Bare,
        Program::Bennu,
        Program::Axum,
        Program::Socketioxide,
    ];
    let section = |depth| {
        let bars = programs.map(|it| bar(table, it, &echo::case(it, depth), echo::RATE));
        Bars {
            title: format!("Echoes a second, {depth} in flight on each of 50 connections"),
            bars: bars.into_iter().flatten().collect(),
        }
    };
    echo::DEPTHS.map(section).into()
}

fn connects(table: &Table) -> Bars {
    let join = Joins::Shared(1);
    let cases = [
        (Program::Hyper, Joins::Upgrade),
        (Program::Bennu, join),
        (Program::Axum, join),
        (Program::Socketioxide, join),
    ];
    let bars = cases
        .map(|(program, joins)| bar(table, program, &connect::case(program, joins), echo::RATE));
    Bars {
        title: "Connections a second: upgraded, and except for the floor joined".to_owned(),
        bars: bars.into_iter().flatten().collect(),
    }
}

fn deliveries(plan: &Plan, table: &Table) -> String {
    let columns = [
        (Series::Bennu, fan_out::BENNU),
        (Series::Floor, fan_out::FLOOR),
        (Series::Axum, fan_out::AXUM),
        (Series::Socketioxide, fan_out::SOCKETIOXIDE),
    ];
    let line = |payload: usize, depth: usize, (series, column): (Series, usize)| {
        let points = SUBSCRIBERS.iter().filter_map(|&subscribers| {
            let case = fan_out::case(plan, payload, subscribers, depth);
            Some((subscribers as f64, table.value(&case, column)?))
        });
        let points = points.collect();
        Line { series, points }
    };
    let panels = PAYLOADS.iter().flat_map(|&payload| {
        DEPTHS.map(|depth| {
            let bytes = match payload {
                PAYLOAD_BYTES => "100 B",
                _ => "4 KiB",
            };
            Panel {
                title: format!("{bytes}, {depth} in flight"),
                lines: columns.map(|it| line(payload, depth, it)).into(),
            }
        })
    });
    let panels: Vec<_> = panels.collect();
    svg::panels(&Panels {
        title: "Server CPU for a delivery in us, by the number of subscribers (both logarithmic)",
        panels: &panels,
    })
}
