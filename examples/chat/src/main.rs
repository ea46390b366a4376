//! A chat in the browser: rooms, typing, and what happens when the connection is lost.
//!
//! `cargo run` serves it at http://localhost:4000. The channel is in `room.rs`, what it remembers in
//! `rooms.rs`, the page in `page/`.

mod page;
mod room;
mod rooms;
#[cfg(test)]
mod tests;

use std::{net::IpAddr, process::ExitCode, sync::Arc};

use bennu::{ConnectInfo, Endpoint, Routes, Socket, refuse};
use clap::Parser;
use room::Room;
use rooms::Rooms;
use serde::Deserialize;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const NAME_CHARS_MAX: usize = 20;

/// A chat in the browser, served by Bennu.
#[derive(Parser)]
struct Options {
    /// The port to listen on; 0 picks a free one.
    #[arg(long, default_value_t = 4000)]
    port: u16,
    /// The address to listen on.
    #[arg(long, default_value = "127.0.0.1")]
    bind: IpAddr,
}

/// One person's connection.
struct Person {
    name: String,
    rooms: Arc<Rooms>,
}

#[derive(Deserialize)]
struct Params {
    name: String,
}

impl Socket for Person {
    type App = Rooms;
    type Params = Params;

    fn channels(routes: Routes<Self>) -> Routes<Self> {
        routes.channel::<Room>("room:*")
    }

    async fn connect(rooms: &Arc<Rooms>, params: Params, _: &ConnectInfo) -> bennu::Result<Self> {
        let name = params.name.trim();
        if name.is_empty() || name.chars().count() > NAME_CHARS_MAX {
            return Err(refuse("a name has 1 to 20 characters"));
        }
        Ok(Self {
            name: name.to_owned(),
            rooms: rooms.clone(),
        })
    }
}

#[tokio::main]
#[expect(clippy::print_stderr, reason = "one line says why it doesn't start")]
async fn main() -> ExitCode {
    tracing_subscriber::fmt()
        .with_env_filter(tracing_subscriber::EnvFilter::from_default_env())
        .with_writer(std::io::stderr)
        .init();
    match serve(&Options::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::from(2)
        }
    }
}

#[expect(clippy::print_stdout, reason = "says where it listens")]
async fn serve(options: &Options) -> Result<(), String> {
    let endpoint = endpoint();
    let router = page::routes().merge(endpoint.router());

    let (bind, port) = (options.bind, options.port);
    let listening = async {
        let listener = tokio::net::TcpListener::bind((bind, port)).await?;
        let address = listener.local_addr()?;
        println!("listening on {address}");
        println!("the chat is at http://localhost:{}", address.port());
        bennu::serve(listener, router)
            .drain(&endpoint)
            .with_graceful_shutdown(interrupted())
            .await
    };
    listening
        .await
        .map_err(|error| format!("failed to serve on {bind}:{port}: {error}"))
}

fn endpoint() -> Endpoint<Rooms> {
    Endpoint::new(Rooms::default()).socket::<Person>("/socket")
}

/// Waits for SIGTERM, or for ctrl-c.
async fn interrupted() {
    use tokio::signal::unix::{SignalKind, signal};
    let Ok(mut terminate) = signal(SignalKind::terminate()) else {
        return std::future::pending().await;
    };
    tokio::select! {
        _ = terminate.recv() => {}
        _ = tokio::signal::ctrl_c() => {}
    }
}
