//! The trace that a client's handshake belongs to, and spans around callbacks that say so.
//!
//! <https://www.w3.org/TR/trace-context/>. A connection keeps no span: it would cost memory while it idles. Each
//! callback gets one of its own, if somebody wants spans.

use std::{future::Future, pin::Pin};

use http::HeaderMap;
use tracing::{Instrument, Span};

/// `tracestate` may be longer, but nobody has to pass on more.
const STATE_BYTES_MAX: usize = 512;

/// What the headers `traceparent` and `tracestate` of a handshake said.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Trace {
    parent: Box<str>,
    state: Option<Box<str>>,
}

impl Trace {
    /// What isn't well-formed doesn't count.
    pub(crate) fn of(headers: &HeaderMap) -> Option<Self> {
        let mut parents = headers.get_all("traceparent").iter();
        let parent = parents.next()?.to_str().ok()?;
        if parents.next().is_some() || !is_parent(parent) {
            return None;
        }
        let state = headers.get("tracestate").and_then(|it| it.to_str().ok());
        Some(Self {
            parent: parent.into(),
            state: state
                .filter(|it| it.len() <= STATE_BYTES_MAX)
                .map(Into::into),
        })
    }

    pub(crate) fn parent(&self) -> &str {
        &self.parent
    }

    pub(crate) fn state(&self) -> Option<&str> {
        self.state.as_deref()
    }
}

/// `00-<32 hex>-<16 hex>-<2 hex>`, in lower case and with ids that aren't zero. What later versions may append isn't
/// taken.
fn is_parent(text: &str) -> bool {
    let hex = |part: &str, len: usize| {
        part.len() == len
            && part
                .bytes()
                .all(|it| it.is_ascii_digit() || matches!(it, b'a'..=b'f'))
    };
    let id = |part: &str, len| hex(part, len) && part.bytes().any(|it| it != b'0');
    let parts: Vec<_> = text.splitn(5, '-').collect();
    match parts.as_slice() {
        [version, trace, parent, flags] => {
            hex(version, 2) && *version != "ff" && id(trace, 32) && id(parent, 16) && hex(flags, 2)
        }
        _ => false,
    }
}

/// Whether spans of connections, joins and other callbacks are wanted.
pub(crate) fn enabled() -> bool {
    tracing::enabled!(target: "bennu", tracing::Level::INFO)
}

/// A span around a callback, at level info or debug. Its `traceparent` and `tracestate` are the handshake's.
macro_rules! span {
    ($level:ident, $name:literal, $conn:expr, $($fields:tt)+) => {{
        let span = tracing::$level!(
            target: "bennu", $name, $($fields)+,
            traceparent = tracing::field::Empty, tracestate = tracing::field::Empty,
        );
        if !span.is_disabled() && let Some(trace) = $conn.trace() {
            span.record("traceparent", trace.parent());
            if let Some(state) = trace.state() {
                span.record("tracestate", state);
            }
        }
        span
    }};
}
pub(crate) use span;

/// A callback in its span. One that nobody wants costs the callback nothing.
pub(crate) fn within<T>(
    span: Span,
    run: impl Future<Output = T> + Send + 'static,
) -> Pin<Box<dyn Future<Output = T> + Send>> {
    if span.is_disabled() {
        Box::pin(run)
    } else {
        Box::pin(run.instrument(span))
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    fn headers(headers: &[(&'static str, &str)]) -> HeaderMap {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(*name, HeaderValue::from_str(value).unwrap());
        }
        map
    }

    #[test]
    fn a_trace_is_what_both_headers_say() {
        let trace = Trace::of(&headers(&[("traceparent", PARENT), ("tracestate", "a=1")])).unwrap();
        assert_eq!((trace.parent(), trace.state()), (PARENT, Some("a=1")));
        let long = "x".repeat(STATE_BYTES_MAX + 1);
        let trace = Trace::of(&headers(&[("traceparent", PARENT), ("tracestate", &long)])).unwrap();
        assert_eq!((trace.parent(), trace.state()), (PARENT, None));
    }

    #[test]
    fn what_is_malformed_is_no_trace() {
        for parent in [
            "",
            "00",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-0g",
        ] {
            assert_eq!(
                Trace::of(&headers(&[("traceparent", parent)])),
                None,
                "{parent}"
            );
        }
        let twice = headers(&[("traceparent", PARENT), ("traceparent", PARENT)]);
        assert_eq!(Trace::of(&twice), None);
        assert_eq!(Trace::of(&headers(&[("tracestate", "a=1")])), None);
    }
}
