//! Plots as SVG: lines over axes, drawn small so that a phone can show them.

use std::fmt::Write as _;

use super::escape;

const WIDTH: f64 = 460.0;
const HEIGHT: f64 = 250.0;
const LEFT: f64 = 62.0;
const RIGHT: f64 = 22.0;
const TOP: f64 = 14.0;
const BOTTOM: f64 = 30.0;
/// Lines that the y axis has, about.
const TICKS: f64 = 5.0;

/// Factors of ten that a logarithmic axis shows at most.
const DECADES_MAX: i32 = 9;

/// One plot.
pub(crate) struct Plot<'a> {
    pub(crate) title: &'a str,
    pub(crate) x: Scale,
    pub(crate) y: Scale,
    /// How a value reads.
    pub(crate) shows: fn(f64) -> String,
    pub(crate) lines: Vec<Line<'a>>,
    /// From where to where it was measured, if that isn't everything.
    pub(crate) measured: Option<(f64, f64)>,
}

/// A line.
pub(crate) struct Line<'a> {
    pub(crate) name: &'a str,
    /// Which of the page's colours.
    pub(crate) class: &'static str,
    pub(crate) points: Vec<(f64, f64)>,
    /// Whether what is below it is filled.
    pub(crate) filled: bool,
}

/// How values lie on an axis.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scale {
    Linear,
    Log,
    /// Shares, each nine as long as the one before.
    Nines,
    /// Seconds.
    Time,
}

struct Axis {
    scale: Scale,
    low: f64,
    high: f64,
}

impl Plot<'_> {
    /// A figure with a caption, or nothing if there is nothing to show.
    pub(crate) fn svg(&self) -> String {
        let points = || self.lines.iter().flat_map(|it| &it.points);
        if points().count() < 2 {
            return String::new();
        }
        let x = Axis::over(self.x, points().map(|it| it.0));
        let y = Axis::over(self.y, points().map(|it| it.1));
        let mut svg = format!(
            "<figure><figcaption>{}{}</figcaption><svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-label=\"{}\">",
            escape(self.title),
            self.legend(),
            escape(self.title)
        );
        self.grid(&mut svg, &x, &y);
        for line in &self.lines {
            line.draw(&mut svg, &x, &y, self.shows);
        }
        svg.push_str("</svg></figure>");
        svg
    }

    fn legend(&self) -> String {
        if self.lines.len() < 2 {
            return String::new();
        }
        let keys = self
            .lines
            .iter()
            .map(|it| format!("<i class=\"{}\">{}</i>", it.class, escape(it.name)));
        format!("<span>{}</span>", keys.collect::<String>())
    }

    fn grid(&self, svg: &mut String, x: &Axis, y: &Axis) {
        let (right, bottom) = (WIDTH - RIGHT, HEIGHT - BOTTOM);
        if let Some((from, to)) = self.measured {
            let (from, to) = (x.x(from), x.x(to));
            let wide = (to - from).max(0.0);
            let high = bottom - TOP;
            // A String takes whatever is written.
            let _ = write!(
                svg,
                "<rect class=\"measured\" x=\"{from:.1}\" y=\"{TOP}\" width=\"{wide:.1}\" height=\"{high}\"/>"
            );
        }
        for (value, is_main) in y.ticks() {
            let at = y.y(value);
            let class = if is_main { "grid" } else { "grid minor" };
            let _ = write!(
                svg,
                "<line class=\"{class}\" x1=\"{LEFT}\" x2=\"{right}\" y1=\"{at:.1}\" y2=\"{at:.1}\"/>"
            );
            if is_main {
                let text = escape(&round((self.shows)(value)));
                let (at, x) = (at + 4.0, LEFT - 7.0);
                let _ = write!(
                    svg,
                    "<text class=\"end\" x=\"{x}\" y=\"{at:.1}\">{text}</text>"
                );
            }
        }
        for (value, text) in x.labels() {
            let (at, below) = (x.x(value), HEIGHT - 10.0);
            let _ = write!(
                svg,
                "<line class=\"grid minor\" x1=\"{at:.1}\" x2=\"{at:.1}\" y1=\"{TOP}\" y2=\"{bottom}\"/>\
                 <text class=\"mid\" x=\"{at:.1}\" y=\"{below}\">{text}</text>"
            );
        }
    }
}

impl Line<'_> {
    fn draw(&self, svg: &mut String, x: &Axis, y: &Axis, shows: fn(f64) -> String) {
        let places: Vec<(f64, f64)> = self
            .points
            .iter()
            .map(|it| (x.x(it.0), y.y(it.1)))
            .collect();
        let (Some(first), Some(last)) = (places.first(), places.last()) else {
            return;
        };
        let path: Vec<String> = places
            .iter()
            .map(|(x, y)| format!("{x:.1} {y:.1}"))
            .collect();
        let path = path.join("L");
        let class = self.class;
        if self.filled {
            let (from, to, bottom) = (first.0, last.0, HEIGHT - BOTTOM);
            let _ = write!(
                svg,
                "<path class=\"area {class}\" d=\"M{from:.1} {bottom}L{path}L{to:.1} {bottom}Z\"/>"
            );
        }
        let name = escape(self.name);
        let _ = write!(
            svg,
            "<path class=\"line {class}\" d=\"M{path}\"><title>{name}</title></path>"
        );
        if x.scale == Scale::Nines {
            for ((share, value), (x, y)) in self.points.iter().zip(&places) {
                let share = percent(*share);
                let value = escape(&shows(*value));
                let _ = write!(
                    svg,
                    "<circle class=\"{class}\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"2.4\">\
                     <title>{name}: {share} within {value}</title></circle>"
                );
            }
        }
    }
}

impl Axis {
    fn over(scale: Scale, values: impl Iterator<Item = f64>) -> Self {
        let values: Vec<f64> = values.filter(|it| it.is_finite()).collect();
        let high = values.iter().copied().fold(0.0, f64::max);
        let (low, high) = match scale {
            Scale::Linear => (0.0, nice_above(high)),
            Scale::Time => (0.0, high.max(0.1)),
            Scale::Nines => (0.0, nines(high).max(1.0)),
            Scale::Log => {
                let positive = values.iter().copied().filter(|it| *it > 0.0);
                let low = positive.fold(f64::INFINITY, f64::min).min(high);
                let low = if low.is_finite() && low > 0.0 {
                    low
                } else {
                    1.0
                };
                let low = 10_f64.powf(low.log10().floor());
                let high = 10_f64.powf(high.max(low).log10().ceil());
                let low = low.max(high / 10_f64.powi(DECADES_MAX));
                (low, if high > low { high } else { low * 10.0 })
            }
        };
        Self { scale, low, high }
    }

    /// From 0 to 1.
    fn share(&self, value: f64) -> f64 {
        let share = match self.scale {
            Scale::Linear | Scale::Time => (value - self.low) / (self.high - self.low),
            Scale::Nines => nines(value) / self.high,
            Scale::Log => {
                let value = value.max(self.low).log10();
                (value - self.low.log10()) / (self.high.log10() - self.low.log10())
            }
        };
        if share.is_finite() {
            share.clamp(0.0, 1.0)
        } else {
            0.0
        }
    }

    fn x(&self, value: f64) -> f64 {
        LEFT + self.share(value) * (WIDTH - LEFT - RIGHT)
    }

    fn y(&self, value: f64) -> f64 {
        HEIGHT - BOTTOM - self.share(value) * (HEIGHT - TOP - BOTTOM)
    }

    /// Where lines are, and whether they have a label.
    fn ticks(&self) -> Vec<(f64, bool)> {
        match self.scale {
            Scale::Log => {
                let decades = (self.high / self.low).log10().round() as i32;
                let mut ticks: Vec<(f64, bool)> = Vec::new();
                for decade in 0..decades {
                    let base = self.low * 10_f64.powi(decade);
                    ticks.push((base, true));
                    let between = [2.0, 5.0].map(|it| (base * it, decades == 1));
                    ticks.extend(between);
                }
                ticks.push((self.high, true));
                ticks
            }
            _ => {
                let step = step(self.high - self.low, TICKS);
                let count = ((self.high - self.low) / step + 1e-9) as u32;
                let ticks = (0..=count).map(|it| (self.low + f64::from(it) * step, true));
                ticks.collect()
            }
        }
    }

    fn labels(&self) -> Vec<(f64, String)> {
        match self.scale {
            Scale::Nines => {
                let shares = [0.0, 0.5, 0.9, 0.99, 0.999, 0.9999, 0.99999, 0.999_999];
                let shares = shares.into_iter().filter(|it| nines(*it) <= self.high);
                shares.map(|it| (it, percent(it))).collect()
            }
            _ => self
                .ticks()
                .into_iter()
                .map(|(value, _)| (value, format!("{} s", short(value))))
                .collect(),
        }
    }
}

/// How many nines a share has: 0.99 has two.
fn nines(share: f64) -> f64 {
    -(1.0 - share.clamp(0.0, 0.999_999_9)).log10()
}

fn percent(share: f64) -> String {
    format!("{} %", short((share * 100.0 * 1e4).round() / 1e4))
}

/// A value with its unit, but without zeros that say nothing: an axis is at round values.
fn round(text: String) -> String {
    let (number, unit) = match text.split_once(' ') {
        Some((number, unit)) => (number, format!(" {unit}")),
        None => (text.as_str(), String::new()),
    };
    match number.contains('.') {
        true => {
            let number = number.trim_end_matches('0').trim_end_matches('.');
            format!("{number}{unit}")
        }
        false => text,
    }
}

/// As few digits as say it.
fn short(value: f64) -> String {
    let text = format!("{value:.4}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// A step of 1, 2 or 5 that divides a span into about so many.
fn step(span: f64, count: f64) -> f64 {
    let rough = (span / count).max(f64::MIN_POSITIVE);
    let power = 10_f64.powf(rough.log10().floor());
    let factor = [1.0, 2.0, 5.0, 10.0];
    let factor = factor.into_iter().find(|it| it * power >= rough);
    factor.unwrap_or(10.0) * power
}

/// The next step at or above a value, and 1 for nothing.
fn nice_above(value: f64) -> f64 {
    if value <= 0.0 {
        return 1.0;
    }
    let step = step(value, TICKS);
    (value / step - 1e-9).ceil() * step
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn axes_end_at_round_values() {
        let check = |scale, values: &[f64], low: f64, high: f64| {
            let axis = Axis::over(scale, values.iter().copied());
            assert!((axis.low - low).abs() < 1e-9, "{values:?}: {}", axis.low);
            assert!(
                (axis.high / high - 1.0).abs() < 1e-9,
                "{values:?}: {}",
                axis.high
            );
        };
        check(Scale::Linear, &[3.0, 987.0], 0.0, 1000.0);
        check(Scale::Linear, &[1000.0], 0.0, 1000.0);
        check(Scale::Linear, &[0.0], 0.0, 1.0);
        check(Scale::Log, &[85.0, 1200.0], 10.0, 10_000.0);
        check(Scale::Log, &[0.0, 50.0], 10.0, 100.0);
        check(Scale::Log, &[0.0], 1.0, 10.0);
        check(Scale::Nines, &[0.0, 0.999], 0.0, 3.0);
    }

    #[test]
    fn every_point_lies_within_the_plot() {
        let odd = [0.0, -5.0, 1e-9, 3.0, 1e12, f64::NAN, f64::INFINITY];
        for scale in [Scale::Linear, Scale::Log, Scale::Nines, Scale::Time] {
            let axis = Axis::over(scale, odd.into_iter());
            for value in odd {
                assert!((LEFT..=WIDTH - RIGHT).contains(&axis.x(value)), "{value}");
                assert!((TOP..=HEIGHT - BOTTOM).contains(&axis.y(value)), "{value}");
            }
            assert!(axis.ticks().len() < 30, "{scale:?}");
        }
    }

    #[test]
    fn round_values_read_as_such() {
        for (text, expected) in [
            ("10.0 ms", "10 ms"),
            ("2.50 s", "2.5 s"),
            ("100 ms", "100 ms"),
            ("1,000", "1,000"),
            ("5.00", "5"),
        ] {
            assert_eq!(round(text.to_owned()), expected);
        }
    }

    #[test]
    fn shares_read_as_percent() {
        for (share, expected) in [(0.0, "0 %"), (0.5, "50 %"), (0.9999, "99.99 %")] {
            assert_eq!(percent(share), expected);
        }
    }
}
