//! The conformance server as a library, for tests that want one in their own process.
//!
//! Its channels are in `room.rs`, `lobby.rs` and `filtered.rs`, what it's asked over HTTP in `http.rs`.

mod filtered;
mod http;
mod lobby;
mod options;
mod room;
mod socket;
#[cfg(test)]
mod tests;

use bennu::Endpoint;

pub use options::Options;
use socket::UserSocket;

/// The endpoint with its one socket, at `/socket`.
///
/// # Errors
///
/// When an option that names other nodes makes no sense; the text says which.
pub fn endpoint(options: &Options) -> Result<Endpoint<()>, String> {
    let endpoint = options.endpoint()?.options(options.socket());
    Ok(endpoint.socket::<UserSocket>("/socket"))
}

/// All that is served: the socket, and the HTTP side.
pub fn router(endpoint: &Endpoint<()>) -> axum::Router {
    http::routes(endpoint.clone()).merge(endpoint.router())
}
