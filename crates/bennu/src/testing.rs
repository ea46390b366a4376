//! Tests of channels without a server and without a network: Phoenix's `Phoenix.ChannelTest`.
//!
//! A [`Client`] is connected to the application's own [`Endpoint`] through memory. Its messages are
//! made and read for real, by serializer V2 (or V1) in WebSocket frames, so what can't be encoded shows in a test.
//! The Cargo feature `testing` brings this module; put it into `[dev-dependencies]`.
//!
//! ```
//! # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/testing/doc.rs")); fn main() { run(async {
//! use bennu::testing::{assert_broadcast, assert_push, assert_reply, connect, refute_push};
//! use serde_json::json;
//!
//! // In a #[tokio::test(start_paused = true)]:
//! let endpoint = endpoint();
//! let ada = connect(&endpoint, "/socket", json!({"name": "ada"})).await?;
//! let room = ada.subscribe_and_join("room:1", json!({})).await?;
//!
//! let ping = room.push("ping", json!({"n": 1}));
//! assert_reply!(ping, "ok", {"n": 1});
//!
//! room.push("shout", json!({"body": "hi", "at": 1700000000}));
//! assert_broadcast!(room, "shout", {"body": "hi", ..});
//! assert_push!(room, "shout", {"body": "hi", "at": _});
//! refute_push!(room, "shout");
//! # Ok(()) }) }
//! ```
//!
//! # Payloads
//!
//! The assertions' last argument says what the payload is to be. Without it any will do.
//!
//! | Written as | Matches |
//! |---|---|
//! | `{"a": 1, "b": _, "c": [x, ..], ..}` | this JSON. `_` is any value, `..` at the end allows further members or items; values may be any Rust expression |
//! | `json!({"a": 1})`, `7`, `"hi"`, `&Msg { .. }` | what this serializes to, and nothing else; `Bytes` are a binary payload |
//! | `let Msg { body, .. } if body.len() < 9 => body` | a payload that decodes to the type and matches the pattern. The guard and `=> value` may be left out. The value is what the assertion evaluates to |
//!
//! # Time
//!
//! Assertions wait 100 ms on tokio's clock. With the clock paused (`#[tokio::test(start_paused = true)]`, tokio's
//! feature `test-util`) time passes only when every task waits for it: what is bound to come is waited for as long
//! as it takes, and what doesn't come is known at once. So `refute_push!` costs nothing and leaves nothing to
//! chance, and a channel's own timers fire in no time. Where a test waits for another process, such as a database,
//! let the clock run.

mod assertion;
mod broadcasts;
mod channel;
mod client;
mod connect;
mod inbox;
mod link;
mod macros;
mod pattern;
mod wire;

use std::{future::Future, time::Duration};

use bennu_wire::Topic;
use serde::Serialize;

use crate::Endpoint;
use pattern::Pattern;

pub use broadcasts::{Broadcasts, Listens};
pub use channel::{ClientChannel, Ended, Pushed};
pub use client::{Client, Close, JoinError};
pub use connect::{Connect, ConnectError};

#[doc(inline)]
pub use crate::{
    assert_broadcast, assert_payload, assert_push, assert_reply, refute_broadcast, refute_push,
    refute_reply,
};

/// How long an assertion waits by default, as in Phoenix.
const TIMEOUT: Duration = Duration::from_millis(100);

/// Connects a client to the socket that is mounted at `path`, with an object for params. Phoenix's `connect/2`;
/// [`Connect`] says more.
///
/// ```
/// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/testing/doc.rs")); fn main() { run(async {
/// use bennu::testing::connect;
/// use serde_json::json;
///
/// let ada = connect(&endpoint(), "/socket", json!({"name": "ada"})).await;
/// let mallory = connect(&endpoint(), "/socket", json!({"name": "mallory"})).await;
/// assert!(ada.is_ok());
/// assert_eq!(mallory.unwrap_err().status, 403);
/// # Ok(()) }) }
/// ```
///
/// # Errors
///
/// The status with which the client was refused.
///
/// # Panics
///
/// When the params fail to serialize, or are no object.
#[track_caller]
pub fn connect<A: Send + Sync + 'static>(
    endpoint: &Endpoint<A>,
    path: &str,
    params: impl Serialize,
) -> impl Future<Output = Result<Client, ConnectError>> {
    Connect::new(endpoint, path).params(params).open()
}

/// Hears what is broadcast in a topic from now on, for [`assert_broadcast!`](crate::assert_broadcast). Phoenix's
/// `@endpoint.subscribe(topic)` in a test.
#[must_use = "dropping it ends the subscription"]
pub fn listen<A: Send + Sync + 'static>(
    endpoint: &Endpoint<A>,
    topic: impl Into<Topic>,
) -> Broadcasts {
    Broadcasts::new(endpoint.pubsub(), topic.into().as_str(), TIMEOUT)
}

/// A failed assertion, where the test made it.
#[track_caller]
#[expect(clippy::panic, reason = "that's how a test fails")]
fn fail(report: &str) -> ! {
    panic!("{report}")
}

/// What the macros expand to. Not for use.
#[doc(hidden)]
pub mod __private {
    pub use super::{
        assertion::{
            Matcher, any, broadcast, no_broadcast, no_push, no_reply, payload, push, reply, shaped,
        },
        pattern::Pattern,
    };

    /// A failed assertion.
    #[track_caller]
    pub fn fail(report: &str) -> ! {
        super::fail(report)
    }
}
