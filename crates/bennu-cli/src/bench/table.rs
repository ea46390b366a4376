//! The figures for a terminal.

use comfy_table::{Cell, CellAlignment, LineStyle, Table, TableStyle};

use super::format::{bytes, count, number, plural, time};
use super::outcome::{Outcome, Row, Times};
use super::scenario::Scenario;

/// A generator later than this share of the latency is part of what was measured.
const LAG_SHARE_MAX: f64 = 0.5;

/// A rule below the header, and nothing else.
const RULED: TableStyle = TableStyle::new().header_separator(LineStyle::new('─', '─', '─', '─'));

/// Tables and notes, those of `before` beside.
pub(crate) fn print(outcome: &Outcome, before: Option<&Outcome>) -> String {
    let settings = &outcome.settings;
    let mut text = format!(
        "{}  serializer {}, {}, {} from {}{}\n",
        shown(&outcome.url),
        settings.vsn,
        plural(settings.connections, "connection", "connections"),
        plural(settings.processes, "process", "processes"),
        plural(settings.cores as u64, "core", "cores"),
        if outcome.interrupted {
            ", interrupted"
        } else {
            ""
        },
    );
    let rows = || {
        outcome.scenarios.iter().map(|row| {
            let mut before = before.iter().flat_map(|it| &it.scenarios);
            (row, before.find(|it| it.scenario == row.scenario))
        })
    };
    let mut connections = table(&CONNECTIONS);
    let mut load = table(&LOAD);
    for (row, before) in rows() {
        for (row, old) in [(Some(row), false), (before, true)] {
            let Some(row) = row else { continue };
            add(&mut connections, row, old, connection_cells(row));
            add(&mut load, row, old, load_cells(row));
        }
    }
    text.push_str(&format!("\n{connections}\n\n{load}\n"));
    let notes: Vec<String> = rows().flat_map(|it| notes(it.0)).collect();
    if !notes.is_empty() {
        text.push('\n');
    }
    for note in notes {
        text.push_str(&shown(&note));
        text.push('\n');
    }
    text
}

const CONNECTIONS: [&str; 9] = [
    "connections",
    "joined",
    "failed",
    "dropped",
    "seconds",
    "handshake p50",
    "p99",
    "join p50",
    "p99",
];

const LOAD: [&str; 11] = [
    "load",
    "sent/s",
    "received/s",
    "p50",
    "p90",
    "p99",
    "p99.9",
    "max",
    "lost",
    "CPU",
    "memory",
];

fn connection_cells(row: &Row) -> Vec<String> {
    let times = |name: &str, of: &dyn Fn(&Times) -> f64| {
        row.times(name).map_or_else(none, |it| time(of(it)))
    };
    vec![
        count(row.joined),
        count(row.failed),
        count(row.dropped),
        number(row.connect_s),
        times("connect", &|it| it.p50_us),
        times("connect", &|it| it.p99_us),
        times("join", &|it| it.p50_us),
        times("join", &|it| it.p99_us),
    ]
}

fn load_cells(row: &Row) -> Vec<String> {
    let latency =
        |of: &dyn Fn(&Times) -> f64| row.times("latency").map_or_else(none, |it| time(of(it)));
    let server = row.server.as_ref();
    let rate = |rate: f64| if rate > 0.0 { number(rate) } else { none() };
    vec![
        rate(row.sent_rate),
        rate(row.received_rate),
        latency(&|it| it.p50_us),
        latency(&|it| it.p90_us),
        latency(&|it| it.p99_us),
        latency(&|it| it.p999_us),
        latency(&|it| it.max_us),
        count(row.lost()),
        server.map_or_else(none, |it| format!("{} %", number(it.cpu_percent))),
        server.map_or_else(none, |it| bytes(it.rss_end_bytes as f64)),
    ]
}

fn none() -> String {
    "-".to_owned()
}

fn table(header: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_style(RULED);
    table.set_header(header);
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
        if column.index > 0 {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table
}

fn add(table: &mut Table, row: &Row, old: bool, cells: Vec<String>) {
    let name = match old {
        true => "  before",
        false => row.scenario.name(),
    };
    let name = std::iter::once(Cell::new(name));
    table.add_row(name.chain(cells.into_iter().map(Cell::new)));
}

/// What the tables leave out, where there is something to say.
pub(crate) fn notes(row: &Row) -> Vec<String> {
    let name = row.scenario.name();
    let mut notes = Vec::new();
    let (sent, received) = row.scenario.units();
    if row.times("latency").is_some() {
        let latency = row.scenario.latency();
        let topics = plural(row.topics, "topic", "topics");
        notes.push(format!(
            "{name}: latency is from {latency}; {} {sent}, {} {received}, {topics}",
            count(row.sent),
            count(row.received)
        ));
    }
    if let Some(server) = &row.server {
        let each = server
            .bytes_each
            .map(|it| format!("memory grew by {} for each connection", bytes(it)));
        let is_load = !matches!(row.scenario, Scenario::Idle | Scenario::ReconnectStorm);
        let cpu = server
            .cpu_us_each
            .filter(|_| is_load)
            .map(|it| format!("{} of CPU for each of the {received}", time(it)));
        let parts: Vec<String> = each.into_iter().chain(cpu).collect();
        if !parts.is_empty() {
            notes.push(format!("{name}: the server's {}", parts.join(", ")));
        }
    }
    if let (Some(lag), Some(latency)) = (row.times("lag"), row.times("latency"))
        && lag.p99_us > latency.p99_us * LAG_SHARE_MAX
    {
        notes.push(format!(
            "{name}: this generator was late itself by {} at p99 ({} at p50), which is part of the latency: it shares \
             its cores or has too few",
            time(lag.p99_us),
            time(lag.p50_us)
        ));
    }
    if row.errors > 0 {
        let errors = plural(row.errors, "reply was an error", "replies were errors");
        notes.push(format!("{name}: {errors}"));
    }
    if row.skipped > 0 {
        let skipped = plural(row.skipped, "push was", "pushes were");
        notes.push(format!(
            "{name}: {skipped} due and never sent: the connection was gone, or too far behind"
        ));
    }
    for (cause, times) in &row.causes {
        notes.push(format!(
            "{name}: {} because {cause}",
            plural(*times, "connection failed", "connections failed")
        ));
    }
    notes
}

/// What a server or a file may have brought in, without what moves a cursor.
fn shown(text: &str) -> String {
    text.chars()
        .map(|it| if it.is_control() { '\u{fffd}' } else { it })
        .collect()
}
