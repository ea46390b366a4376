//! Phoenix's tests of channels and of its channel test helpers, by their names, written with `bennu::testing`.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that fails shall say so at once"
)]

mod callbacks;
mod ends;
mod functions;
mod kit;
mod reports;
mod room;
