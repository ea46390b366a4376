//! Bennu's conformance server: a small program with a fixed contract that any Phoenix client can be pointed at.
//!
//! `cargo run -p conformance -- --port 4000`; `--help` lists the options.

use std::process::ExitCode;

use bennu::Endpoint;
use clap::Parser;
use conformance::{Options, endpoint, router};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[tokio::main]
#[expect(clippy::print_stderr, reason = "one line says why it doesn't start")]
async fn main() -> ExitCode {
    tracing_subscriber::fmt()
        .with_env_filter(tracing_subscriber::EnvFilter::from_default_env())
        .with_writer(std::io::stderr)
        .init();
    let options = match Options::try_parse() {
        Ok(options) => options,
        Err(help) if !help.use_stderr() => help.exit(),
        Err(error) => {
            let text = error.to_string();
            eprintln!("{}", text.lines().next().unwrap_or_default());
            return ExitCode::from(2);
        }
    };
    let endpoint = match endpoint(&options) {
        Ok(endpoint) => endpoint,
        Err(error) => {
            eprintln!("error: {error}");
            return ExitCode::from(2);
        }
    };
    match serve(&options, endpoint).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!(
                "error: failed to serve on {}:{}: {error}",
                options.bind, options.port
            );
            ExitCode::FAILURE
        }
    }
}

#[expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "says where it listens, and what it misses"
)]
async fn serve(options: &Options, endpoint: Endpoint<()>) -> std::io::Result<()> {
    let router = router(&endpoint);
    let listener = tokio::net::TcpListener::bind((options.bind, options.port)).await?;
    if let Some(cluster) = endpoint.pubsub().cluster()
        && !cluster.ready().await
    {
        eprintln!("the other nodes can't be reached yet");
    }
    println!("listening on {}", listener.local_addr()?);
    bennu::serve(listener, router)
        .drain(&endpoint)
        .with_graceful_shutdown(terminated())
        .await?;
    Ok(())
}

/// Waits for SIGTERM, or for ctrl-c.
async fn terminated() {
    use tokio::signal::unix::{SignalKind, signal};
    let Ok(mut terminate) = signal(SignalKind::terminate()) else {
        return std::future::pending().await;
    };
    tokio::select! {
        _ = terminate.recv() => {}
        _ = tokio::signal::ctrl_c() => {}
    }
}
