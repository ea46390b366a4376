//! Log lines in Phoenix's words (`Phoenix.Logger`).
//!
//! Nothing is made up for a line that nobody reads: ask [`enabled`] first. What a client sent stands in a line
//! without control characters, so that it can't pretend to be a line of its own.

use std::{
    fmt::{self, Display, Write},
    time::Duration,
};

use tracing::Level;

use super::{Transport, trace::Trace};

/// Topics of the framework's own, which are never logged.
const PHOENIX: &str = "phoenix";

/// An event at a level that is known only at run time.
macro_rules! event {
    ($level:expr, $($fields:tt)+) => {
        match $level {
            Level::ERROR => tracing::event!(target: "bennu", Level::ERROR, $($fields)+),
            Level::WARN => tracing::event!(target: "bennu", Level::WARN, $($fields)+),
            Level::INFO => tracing::event!(target: "bennu", Level::INFO, $($fields)+),
            Level::DEBUG => tracing::event!(target: "bennu", Level::DEBUG, $($fields)+),
            Level::TRACE => tracing::event!(target: "bennu", Level::TRACE, $($fields)+),
        }
    };
}

/// The level, if somebody reads lines of it.
pub(crate) fn enabled(level: Option<Level>) -> Option<Level> {
    let level = level?;
    let enabled = match level {
        Level::ERROR => tracing::event_enabled!(target: "bennu", Level::ERROR),
        Level::WARN => tracing::event_enabled!(target: "bennu", Level::WARN),
        Level::INFO => tracing::event_enabled!(target: "bennu", Level::INFO),
        Level::DEBUG => tracing::event_enabled!(target: "bennu", Level::DEBUG),
        Level::TRACE => tracing::event_enabled!(target: "bennu", Level::TRACE),
    };
    enabled.then_some(level)
}

/// As [`enabled`], for what concerns a topic.
pub(crate) fn enabled_in(level: Option<Level>, topic: &str) -> Option<Level> {
    enabled(level).filter(|_| !topic.starts_with(PHOENIX))
}

/// A connect that was decided.
pub(crate) struct Connected<'a> {
    pub(crate) socket: &'static str,
    pub(crate) mount: &'a str,
    pub(crate) transport: Transport,
    pub(crate) serializer: &'static str,
    pub(crate) params: &'a str,
    pub(crate) trace: Option<&'a Trace>,
    pub(crate) took: Duration,
}

impl Connected<'_> {
    pub(crate) fn ok(&self, level: Level) {
        event!(
            level,
            mount = self.mount,
            transport = self.transport.as_str(),
            serializer = self.serializer,
            params = %Plain(self.params),
            traceparent = self.trace.map(Trace::parent),
            tracestate = self.trace.and_then(Trace::state),
            "CONNECTED TO {} in {}",
            self.socket,
            Took(self.took)
        );
    }

    pub(crate) fn refused(&self, level: Level, why: &dyn Display) {
        event!(
            level,
            mount = self.mount,
            transport = self.transport.as_str(),
            serializer = self.serializer,
            params = %Plain(self.params),
            traceparent = self.trace.map(Trace::parent),
            tracestate = self.trace.and_then(Trace::state),
            %why,
            "REFUSED CONNECTION TO {} in {}",
            self.socket,
            Took(self.took)
        );
    }
}

/// A join was decided.
pub(crate) fn joined(
    level: Level,
    ok: bool,
    topic: &str,
    channel: &'static str,
    params: &str,
    took: Duration,
) {
    let result = if ok { "JOINED" } else { "REFUSED JOIN" };
    let (topic, params, took) = (Plain(topic), Plain(params), Took(took));
    event!(level, channel, %params, "{result} {topic} in {took}");
}

/// An event was handled.
pub(crate) fn handled(
    level: Level,
    event: &str,
    topic: &str,
    channel: &'static str,
    params: &str,
    took: Duration,
) {
    let (event, topic, params, took) = (Plain(event), Plain(topic), Plain(params), Took(took));
    event!(
        level,
        %params,
        "HANDLED {event} INCOMING ON {topic} ({channel}) in {took}"
    );
}

/// So many connections are being closed, of all of a mount.
pub(crate) struct Draining<'a> {
    pub(crate) mount: &'a str,
    pub(crate) count: usize,
    pub(crate) total: usize,
    pub(crate) interval: Duration,
    pub(crate) round: usize,
    pub(crate) rounds: usize,
}

impl Draining<'_> {
    pub(crate) fn log(&self, level: Level) {
        let Self {
            mount,
            count,
            total,
            interval,
            round,
            rounds,
        } = self;
        let interval = interval.as_millis();
        event!(
            level,
            "DRAINING {count} of {total} total connection(s) for socket {mount} every {interval}ms - round {round} of {rounds}"
        );
    }
}

/// A duration as Phoenix shows it: whole milliseconds, or microseconds where it's less than one.
struct Took(Duration);

impl Display for Took {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.as_millis() {
            0 => write!(f, "{}µs", self.0.as_micros()),
            millis => write!(f, "{millis}ms"),
        }
    }
}

/// A text of a client's, with its control characters escaped.
pub(crate) struct Plain<'a>(pub(crate) &'a str);

impl Display for Plain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for char in self.0.chars() {
            // Also the characters that turn the writing direction, and those that end lines for some readers.
            if char.is_control()
                || matches!(char, '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
            {
                write!(f, "{}", char.escape_default())?;
            } else {
                f.write_char(char)?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_shown_as_phoenix_does() {
        assert_eq!(Took(Duration::from_nanos(999)).to_string(), "0µs");
        assert_eq!(Took(Duration::from_micros(999)).to_string(), "999µs");
        assert_eq!(Took(Duration::from_micros(1_999)).to_string(), "1ms");
        assert_eq!(Took(Duration::from_secs(2)).to_string(), "2000ms");
    }

    #[test]
    fn a_clients_text_stays_in_its_line() {
        let shown = Plain("a\nINFO b\r\x1b[2J\u{2028}\u{202e}é").to_string();
        assert_eq!(shown, r"a\nINFO b\r\u{1b}[2J\u{2028}\u{202e}é");
    }
}
