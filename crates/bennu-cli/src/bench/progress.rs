//! What is under way, on a terminal's standard error. Elsewhere nothing is shown.

use std::io::IsTerminal;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::clock::now_ns;
use super::format::{count, number, time};
use super::outcome::Point;
use super::plan::{Course, Window};

const TEMPLATE: &str = "{prefix:15} {wide_bar:.cyan/dim} {msg}";
const STEADY: Duration = Duration::from_millis(200);

/// A bar, one phase after another.
#[derive(Debug)]
pub(crate) struct Progress {
    bar: ProgressBar,
}

impl Progress {
    pub(crate) fn new(quiet: bool) -> Self {
        let target = match !quiet && std::io::stderr().is_terminal() {
            true => ProgressDrawTarget::stderr_with_hz(10),
            false => ProgressDrawTarget::hidden(),
        };
        let bar = ProgressBar::with_draw_target(Some(0), target);
        if let Ok(style) = ProgressStyle::with_template(TEMPLATE) {
            bar.set_style(style.progress_chars("━╸─"));
        }
        Self { bar }
    }

    pub(crate) fn connecting(&self, course: &Course, connections: u64) {
        self.bar.set_prefix(course.scenario.name());
        self.bar.set_length(connections);
        self.bar.set_position(0);
        self.bar.set_message("connecting");
        self.bar.enable_steady_tick(STEADY);
    }

    pub(crate) fn connected(&self, open: u64) {
        self.bar.set_position(open);
        let all = self.bar.length().unwrap_or_default();
        self.bar
            .set_message(format!("{}/{} connections", count(open), count(all)));
    }

    /// From here on the bar is time, in milliseconds.
    pub(crate) fn running(&self, course: &Course, window: Window) {
        let ms = |ns: u64| ns / 1_000_000;
        self.bar.set_prefix(course.scenario.name());
        self.bar
            .set_length(ms(window.end_ns.saturating_sub(window.begin_ns)));
        self.bar.set_position(0);
        self.bar.set_message("");
    }

    pub(crate) fn ran(&self, begin_ns: u64, point: Option<Point>) {
        self.bar
            .set_position(now_ns().saturating_sub(begin_ns) / 1_000_000);
        if let Some(point) = point {
            self.bar.set_message(format!(
                "{} open  {}/s  p99 {}",
                count(point.open),
                number(point.received_rate),
                time(point.p99_us)
            ));
        }
    }

    pub(crate) fn closing(&self) {
        self.bar.set_message("closing");
    }

    pub(crate) fn end(&self) {
        self.bar.finish_and_clear();
    }
}
