//! Bars and lines as SVG, to be read on light and on dark pages alike.

use std::fmt::Write;

use crate::table::number;

/// Whose figures a shape stands for: the same colour everywhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Series {
    Bennu,
    Floor,
    Axum,
    Socketioxide,
}

impl Series {
    const ALL: [Self; 4] = [Self::Bennu, Self::Floor, Self::Axum, Self::Socketioxide];

    const fn class(self) -> &'static str {
        match self {
            Self::Bennu => "bennu",
            Self::Floor => "floor",
            Self::Axum => "axum",
            Self::Socketioxide => "socketioxide",
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Bennu => "Bennu",
            other => other.class(),
        }
    }
}

/// Bars of one unit, from zero.
pub(super) struct Bars {
    pub(super) title: String,
    pub(super) bars: Vec<Bar>,
}

pub(super) struct Bar {
    pub(super) label: &'static str,
    pub(super) series: Series,
    pub(super) value: f64,
}

/// Lines in panels that share their axes, both logarithmic.
pub(super) struct Panels<'a> {
    pub(super) title: &'a str,
    pub(super) panels: &'a [Panel],
}

pub(super) struct Panel {
    pub(super) title: String,
    pub(super) lines: Vec<Line>,
}

pub(super) struct Line {
    pub(super) series: Series,
    pub(super) points: Vec<(f64, f64)>,
}

const STYLE: &str = "\
<style>
text { font: 13px system-ui, sans-serif; fill: #24292f }
.title { font-weight: 600 }
.end { text-anchor: end }
.middle { text-anchor: middle }
.page { fill: #ffffff; stroke: #d0d7de }
.grid { stroke: #d8dee4; fill: none }
.bennu { --series: #c2410c }
.floor { --series: #6e7781 }
.axum { --series: #0969da }
.socketioxide { --series: #1a7f37 }
.bar, .dot { fill: var(--series) }
.line { stroke: var(--series); stroke-width: 2; fill: none }
.line.floor { stroke-dasharray: 5 4 }
@media (prefers-color-scheme: dark) {
  text { fill: #e6edf3 }
  .page { fill: #0d1117; stroke: #30363d }
  .grid { stroke: #30363d }
  .bennu { --series: #ff8c42 }
  .floor { --series: #9aa4ae }
  .axum { --series: #58a6ff }
  .socketioxide { --series: #4ac26b }
}
</style>
";

const WIDTH: f64 = 760.0;
const MARGIN: f64 = 16.0;
const ROW: f64 = 24.0;

fn document(height: f64, body: &str) -> String {
    let (width, inner, tall) = (WIDTH, WIDTH - 1.0, height - 1.0);
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" \
         height=\"{height}\" role=\"img\">\n{STYLE}<rect class=\"page\" x=\"0.5\" y=\"0.5\" width=\"{inner}\" \
         height=\"{tall}\" rx=\"8\"/>\n{body}</svg>\n"
    )
}

fn text(body: &mut String, class: &str, x: f64, y: f64, text: &str) {
    // Writing to a string doesn't fail.
    let _ = writeln!(
        body,
        "<text class=\"{class}\" x=\"{x:.1}\" y=\"{y:.1}\">{text}</text>"
    );
}

/// Each section with a scale of its own.
pub(super) fn bars(sections: &[Bars]) -> String {
    const LABELS: f64 = 230.0;
    const VALUES: f64 = 90.0;
    let mut body = String::new();
    let mut y = MARGIN;
    for Bars { title, bars } in sections {
        text(&mut body, "title", MARGIN, y + 16.0, title);
        y += ROW + 4.0;
        let most = bars.iter().map(|it| it.value).fold(0.0, f64::max);
        for Bar {
            label,
            series,
            value,
        } in bars
        {
            let room = WIDTH - 2.0 * MARGIN - LABELS - VALUES;
            let width = (value / most * room).max(1.0);
            let (x, class) = (MARGIN + LABELS, series.class());
            text(&mut body, "end", x - 8.0, y + 16.0, label);
            let _ = writeln!(
                body,
                "<rect class=\"bar {class}\" x=\"{x}\" y=\"{:.1}\" width=\"{width:.1}\" height=\"16\" rx=\"2\"/>",
                y + 3.0
            );
            text(
                &mut body,
                "",
                x + width + 6.0,
                y + 16.0,
                &number(Some(*value)),
            );
            y += ROW;
        }
        y += 10.0;
    }
    document(y + MARGIN - 10.0, &body)
}

/// A logarithmic axis.
struct Axis {
    least: f64,
    most: f64,
    /// Where it begins and ends in the picture.
    span: (f64, f64),
}

impl Axis {
    fn at(&self, value: f64) -> f64 {
        let share = (value / self.least).ln() / (self.most / self.least).ln();
        self.span.0 + share * (self.span.1 - self.span.0)
    }
}

/// Two panels beside each other.
pub(super) fn panels(Panels { title, panels }: &Panels<'_>) -> String {
    const HEIGHT: f64 = 210.0;
    let mut body = String::new();
    text(&mut body, "title", MARGIN, MARGIN + 16.0, title);
    let mut x = MARGIN;
    for series in Series::ALL {
        let class = series.class();
        let y = MARGIN + 38.0;
        let _ = writeln!(
            body,
            "<path class=\"line {class}\" d=\"M{x:.1} {:.1}h26\"/>",
            y - 4.0
        );
        text(&mut body, "", x + 32.0, y, series.name());
        x += 130.0;
    }
    let points = || {
        let lines = panels.iter().flat_map(|it| &it.lines);
        lines.flat_map(|it| &it.points)
    };
    let least = points().map(|it| it.1).fold(f64::INFINITY, f64::min);
    let most = points().map(|it| it.1).fold(0.0, f64::max);
    let top = MARGIN + 56.0;
    for (at, panel) in panels.iter().enumerate() {
        let width = (WIDTH - 2.0 * MARGIN) / 2.0;
        let left = MARGIN + width * (at % 2) as f64;
        let above = top + (HEIGHT + 60.0) * (at / 2) as f64;
        let x = Axis {
            least: 1.0,
            most: points().map(|it| it.0).fold(2.0, f64::max),
            span: (left + 46.0, left + width - 26.0),
        };
        let y = Axis {
            least: least * 0.8,
            most: most * 1.2,
            span: (above + 24.0 + HEIGHT, above + 24.0),
        };
        draw_panel(&mut body, panel, above + 14.0, &x, &y);
    }
    let rows = panels.len().div_ceil(2) as f64;
    document(top + (HEIGHT + 60.0) * rows, &body)
}

fn draw_panel(body: &mut String, panel: &Panel, title: f64, x: &Axis, y: &Axis) {
    text(
        body,
        "middle",
        f64::midpoint(x.span.0, x.span.1),
        title,
        &panel.title,
    );
    for tick in [0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0, 300.0] {
        if (y.least..y.most).contains(&tick) {
            let (left, right, at) = (x.span.0, x.span.1, y.at(tick));
            let _ = writeln!(
                body,
                "<path class=\"grid\" d=\"M{left:.1} {at:.1}H{right:.1}\"/>"
            );
            text(body, "end", left - 6.0, at + 4.0, &tick.to_string());
        }
    }
    let numbers = panel.lines.first().map(|it| it.points.as_slice());
    for (subscribers, _) in numbers.unwrap_or_default() {
        let at = x.at(*subscribers);
        let (below, above) = y.span;
        let _ = writeln!(
            body,
            "<path class=\"grid\" d=\"M{at:.1} {above:.1}V{below:.1}\"/>"
        );
        // One has its digits behind it.
        let label = match *subscribers {
            few @ ..10.0 => format!("{few}"),
            many => number(Some(many)),
        };
        text(body, "middle", at, below + 18.0, &label);
    }
    for Line { series, points } in &panel.lines {
        let class = series.class();
        let places: Vec<_> = points.iter().map(|it| (x.at(it.0), y.at(it.1))).collect();
        let path: Vec<_> = places
            .iter()
            .map(|(x, y)| format!("{x:.1} {y:.1}"))
            .collect();
        let _ = writeln!(
            body,
            "<path class=\"line {class}\" d=\"M{}\"/>",
            path.join("L")
        );
        for (x, y) in places {
            let _ = writeln!(
                body,
                "<circle class=\"dot {class}\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"3.5\"/>"
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_bar_fills_the_room_and_others_are_in_proportion() {
        let bar = |value| Bar {
            label: "a program",
            series: Series::Bennu,
            value,
        };
        let section = Bars {
            title: "Bytes".into(),
            bars: vec![bar(200.0), bar(50.0)],
        };
        let svg = bars(&[section]);
        assert!(svg.contains("width=\"408.0\""), "{svg}");
        assert!(svg.contains("width=\"102.0\""), "{svg}");
    }

    #[test]
    fn an_axis_has_equal_room_for_equal_factors() {
        let axis = Axis {
            least: 1.0,
            most: 10_000.0,
            span: (100.0, 500.0),
        };
        let check = |value: f64, expected: f64| assert!((axis.at(value) - expected).abs() < 1e-9);
        check(1.0, 100.0);
        check(10.0, 200.0);
        check(10_000.0, 500.0);
    }

    #[test]
    fn a_panel_has_a_line_through_all_of_its_points() {
        let line = Line {
            series: Series::Axum,
            points: vec![(1.0, 1.0), (100.0, 4.0)],
        };
        let panel = Panel {
            title: "100 B".into(),
            lines: vec![line],
        };
        let svg = panels(&Panels {
            title: "CPU",
            panels: &[panel],
        });
        assert_eq!(
            svg.matches("<circle class=\"dot axum\"").count(),
            2,
            "{svg}"
        );
        assert_eq!(svg.matches('L').count(), 1, "{svg}");
    }
}
