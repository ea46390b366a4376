//! Phoenix Sockets and Channels for Rust, on tokio and axum.
