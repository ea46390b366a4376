//! Serves the chat alone: `cargo run -p chat`, then http://localhost:4000.

use std::{net::IpAddr, process::ExitCode};

use chat::Chat;
use clap::Parser;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

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
    let chat = Chat::new("");

    let (bind, port) = (options.bind, options.port);
    let listening = async {
        let listener = tokio::net::TcpListener::bind((bind, port)).await?;
        let address = listener.local_addr()?;
        println!("listening on {address}");
        println!("the chat is at http://localhost:{}", address.port());
        bennu::serve(listener, chat.router())
            .drain(chat.endpoint())
            .with_graceful_shutdown(interrupted())
            .await
    };
    listening
        .await
        .map_err(|error| format!("failed to serve on {bind}:{port}: {error}"))
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
