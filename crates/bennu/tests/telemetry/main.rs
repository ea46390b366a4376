//! What a server tells of itself: its log, its metrics, its health and its connections.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test says so by panicking"
)]

mod guide;
mod log;
mod metrics;
mod server;
mod watch;
