//! The report: one page with plots, light or dark as its reader likes, that loads nothing.

mod plot;

use std::fmt::Write as _;

use self::plot::{Line, Plot, Scale};
use super::format::{bytes, count, number, plural, time};
use super::outcome::{Outcome, Point, Row, Times};
use super::scenario::Scenario;
use super::table::notes;

const PAGE: &str = include_str!("../../templates/bench-report.html");

/// The whole page, with the figures of an earlier run beside.
pub(crate) fn page(outcome: &Outcome, before: Option<&Outcome>) -> String {
    let mut body = String::new();
    for row in &outcome.scenarios {
        let mut before = before.iter().flat_map(|it| &it.scenarios);
        let before = before.find(|it| it.scenario == row.scenario);
        section(&mut body, row, before);
    }
    let summary = outcome.scenarios.iter().map(summary_row);
    let parts = [
        ("{{url}}", escape(&outcome.url)),
        ("{{settings}}", settings(outcome, before)),
        ("{{summary}}", summary.collect()),
        ("{{scenarios}}", body),
    ];
    fill(PAGE, &parts)
}

/// Replaces each part once, and nothing within what was put in.
fn fill(page: &str, parts: &[(&str, String)]) -> String {
    let mut text = String::new();
    let mut rest = page;
    for (name, part) in parts {
        if let Some((before, after)) = rest.split_once(name) {
            text.push_str(before);
            text.push_str(part);
            rest = after;
        }
    }
    text.push_str(rest);
    text
}

fn settings(outcome: &Outcome, before: Option<&Outcome>) -> String {
    let it = &outcome.settings;
    let mut chips = vec![
        date(outcome.at),
        format!("bennu {}", outcome.bennu),
        plural(it.connections, "connection", "connections"),
        format!("serializer {}", it.vsn),
        format!("payload {}", bytes(it.payload_bytes as f64)),
        format!("measured for {} s", number(it.duration_s)),
        format!(
            "{} on {}",
            plural(it.processes, "process", "processes"),
            plural(it.cores as u64, "core", "cores")
        ),
    ];
    if outcome.interrupted {
        chips.push("interrupted".to_owned());
    }
    if let Some(before) = before {
        chips.push(format!("dashed: {} of {}", before.url, date(before.at)));
    }
    let chips = chips.iter().map(|it| format!("<li>{}</li>", escape(it)));
    chips.collect()
}

fn summary_row(row: &Row) -> String {
    let latency = |of: fn(&Times) -> f64| {
        let latency = row.times("latency");
        latency.map_or_else(dash, |it| time(of(it)))
    };
    let rate = |rate: f64| if rate > 0.0 { number(rate) } else { dash() };
    let server = row.server.as_ref();
    let cells = [
        count(row.joined),
        rate(row.sent_rate),
        rate(row.received_rate),
        latency(|it| it.p50_us),
        latency(|it| it.p99_us),
        latency(|it| it.max_us),
        count(row.lost() + row.errors + row.skipped),
        server.map_or_else(dash, |it| format!("{} %", number(it.cpu_percent))),
        server.map_or_else(dash, |it| bytes(it.rss_end_bytes as f64)),
    ];
    let name = row.scenario.name();
    let cells = cells.iter().map(|it| format!("<td>{}</td>", escape(it)));
    format!(
        "<tr><th scope=\"row\"><a href=\"#{name}\">{name}</a></th>{}</tr>",
        cells.collect::<String>()
    )
}

fn dash() -> String {
    "–".to_owned()
}

/// A heading, the figures that matter, plots, and notes.
fn section(body: &mut String, row: &Row, before: Option<&Row>) {
    let name = row.scenario.name();
    let about = about(row.scenario);
    // A String takes whatever is written.
    let _ = write!(
        body,
        "<section id=\"{name}\"><h2>{name}</h2><p class=\"about\">{about}</p><dl>"
    );
    for (label, value, was) in highlights(row, before) {
        let was = was.map_or_else(String::new, |it| {
            format!("<small>before {}</small>", escape(&it))
        });
        let value = escape(&value);
        let _ = write!(body, "<div><dt>{label}</dt><dd>{value}{was}</dd></div>");
    }
    body.push_str("</dl><div class=\"plots\">");
    for plot in plots(row, before) {
        body.push_str(&plot.svg());
    }
    body.push_str("</div><ul class=\"notes\">");
    for note in notes(row) {
        let note = note.strip_prefix(name).unwrap_or(&note);
        let note = escape(note.trim_start_matches([':', ' ']));
        let _ = write!(body, "<li>{note}</li>");
    }
    body.push_str("</ul></section>");
}

const fn about(scenario: Scenario) -> &'static str {
    match scenario {
        Scenario::Idle => "Connections that join and then only send heartbeats.",
        Scenario::Echo => "Pushes at an even pace, each replied to.",
        Scenario::FanOut => {
            "Broadcasts at an even pace, each delivered to all who joined the topic."
        }
        Scenario::Presence => "Clients leave and come back at an even pace; all others hear of it.",
        Scenario::ReconnectStorm => {
            "All connections are cut at once, and come back as phoenix.js does."
        }
    }
}

/// Label, value, and what it was before.
fn highlights(row: &Row, before: Option<&Row>) -> Vec<(&'static str, String, Option<String>)> {
    type Of = fn(&Row) -> Option<String>;
    let all: [(&str, Of); 7] = [
        ("median", |row| {
            row.times("latency").map(|it| time(it.p50_us))
        }),
        ("99 % within", |row| {
            row.times("latency").map(|it| time(it.p99_us))
        }),
        ("99.9 % within", |row| {
            row.times("latency").map(|it| time(it.p999_us))
        }),
        ("received a second", |row| {
            let is_load = !matches!(row.scenario, Scenario::Idle | Scenario::ReconnectStorm);
            (is_load && row.received_rate > 0.0).then(|| number(row.received_rate))
        }),
        ("all connected in", |row| Some(time(row.connect_s * 1e6))),
        ("server CPU", |row| {
            let server = row.server.as_ref();
            server.map(|it| format!("{} %", number(it.cpu_percent)))
        }),
        ("memory a connection", |row| {
            let server = row.server.as_ref();
            server.and_then(|it| it.bytes_each).map(bytes)
        }),
    ];
    let shown = all.into_iter().filter_map(|(label, of)| {
        let value = of(row)?;
        Some((label, value, before.and_then(of)))
    });
    shown.collect()
}

fn plots<'a>(row: &'a Row, before: Option<&'a Row>) -> Vec<Plot<'a>> {
    let mut plots = vec![percentiles(row, before)];
    let measured = Some((row.measured_from_s, row.measured_from_s + row.measured_s));
    let measured = measured.filter(|_| row.measured_s > 0.0);
    let mut over_time = |title, shows, y, lines: Vec<Line<'a>>| {
        plots.push(Plot {
            title,
            x: Scale::Time,
            y,
            shows,
            lines,
            measured,
        });
    };
    let line = |name, class, filled, of: fn(&Point) -> f64| Line {
        name,
        class,
        filled,
        points: row.course.iter().map(|it| (it.t_s, of(it))).collect(),
    };
    let (sent, received) = row.scenario.units();
    if !matches!(row.scenario, Scenario::Idle | Scenario::ReconnectStorm) {
        let lines = vec![
            line(received, "c1", true, |it| it.received_rate),
            line(sent, "c2", false, |it| it.sent_rate),
        ];
        over_time("Messages a second", number, Scale::Linear, lines);
    }
    let heard = |name, class, of: fn(&Point) -> f64| Line {
        name,
        class,
        filled: false,
        points: row
            .course
            .iter()
            .filter(|it| it.max_us > 0.0)
            .map(|it| (it.t_s, of(it)))
            .collect(),
    };
    let lines = vec![
        heard("max", "c4", |it| it.max_us),
        heard("p99", "c2", |it| it.p99_us),
        heard("median", "c1", |it| it.p50_us),
    ];
    over_time("Latency over time", time, Scale::Log, lines);
    let lines = vec![
        line("open", "c1", true, |it| it.open as f64),
        line("opened a second", "c3", false, |it| it.opened_rate),
        line("failed a second", "c4", false, |it| it.failed_rate),
    ];
    over_time("Connections", number, Scale::Linear, lines);
    if let Some(server) = &row.server {
        let sampled = |name, class, of: fn(f64, f64) -> f64| Line {
            name,
            class,
            filled: true,
            points: server
                .samples
                .iter()
                .map(|it| (it.t_s, of(it.cpu_percent, it.rss_bytes as f64)))
                .collect(),
        };
        let cpu = vec![sampled("CPU", "c3", |cpu, _| cpu)];
        over_time("Server CPU, % of a core", number, Scale::Linear, cpu);
        let memory = vec![sampled("memory", "c5", |_, rss| rss)];
        over_time("Server memory", bytes, Scale::Linear, memory);
    }
    plots
}

fn percentiles<'a>(row: &'a Row, before: Option<&'a Row>) -> Plot<'a> {
    let line = |name, class, times: Option<&Times>| {
        times.map(|it| Line {
            name,
            class,
            filled: false,
            points: it.curve.clone(),
        })
    };
    // Where the generator's own lateness can be told, the time without it stands beside.
    let lines = [
        line("since it was due", "c1", row.times("latency")),
        line("since it was sent", "c3", row.times("service")),
        line(
            "before",
            "c1 dashed",
            before.and_then(|it| it.times("latency")),
        ),
    ];
    Plot {
        title: "Latency by percentile",
        x: Scale::Nines,
        y: Scale::Log,
        shows: time,
        lines: lines.into_iter().flatten().collect(),
        measured: None,
    }
}

/// A day and a minute, UTC, by the civil calendar.
fn date(at: u64) -> String {
    let (days, seconds) = ((at / 86_400).min(10_000_000), at % 86_400);
    // Years begin in March here, so that the odd day is their last.
    let days = days + 719_468;
    let (era, day) = (days / 146_097, days % 146_097);
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let (month, carry) = if month < 10 {
        (month + 3, 0)
    } else {
        (month - 9, 1)
    };
    let year = year + era * 400 + carry;
    let (hour, minute) = (seconds / 3600, seconds / 60 % 60);
    format!("{year}-{month:02}-{day:02} {hour:02}:{minute:02} UTC")
}

/// Text as it may stand in HTML, in an attribute too. What isn't a character to be shown is replaced.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            c if c.is_control() => escaped.push('\u{fffd}'),
            c => escaped.push(c),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_those_of_the_calendar() {
        let check = |at, expected: &str| assert_eq!(date(at), expected);
        check(0, "1970-01-01 00:00 UTC");
        check(951_782_400, "2000-02-29 00:00 UTC");
        check(951_868_800, "2000-03-01 00:00 UTC");
        check(1_795_396_440, "2026-11-23 01:14 UTC");
        assert!(date(u64::MAX).ends_with("UTC"));
    }

    #[test]
    fn what_a_file_brings_in_stays_text() {
        assert_eq!(
            escape("<script a=\"b\">'&\u{1b}"),
            "&lt;script a=&quot;b&quot;&gt;&#39;&amp;\u{fffd}"
        );
        let parts = [("{{a}}", "{{b}}".to_owned()), ("{{b}}", "2".to_owned())];
        assert_eq!(fill("<{{a}}|{{b}}>", &parts), "<{{b}}|2>");
    }
}
