//! What every transport promises, asked over real HTTP: one set of scripts, each run over WebSocket and over
//! long-polling.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that fails shall say so at once"
)]

mod binary;
mod broadcasts;
mod channels;
mod client;
mod connects;
mod deliveries;
mod ends;
mod joins;
mod longpoll;
mod longpolling;
mod malformed;
mod messages;
mod nodes;
mod polls;
mod posts;
mod raw;
mod script;
mod server;
mod sessions;
mod websocket;
