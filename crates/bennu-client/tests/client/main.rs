//! The client against the conformance server, over both transports, and against servers that misbehave.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that fails shall say so at once"
)]

mod channels;
mod connections;
mod headers;
mod hostile;
mod kit;
mod presence;
#[cfg(feature = "rustls")]
mod tls;
