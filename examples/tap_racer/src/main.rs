//! Serves the race: `cargo run -p tap_racer`, then open the link that it prints on a big screen, and the other one on
//! phones.

use std::{net::IpAddr, process::ExitCode, time::Duration};

use clap::Parser;
use tap_racer::{Rules, TapRacer};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const PREFIX: &str = "/tap-racer";

/// A tapping race on phones and a big screen, served by Bennu.
#[derive(Parser)]
struct Options {
    /// The port to listen on; 0 picks a free one.
    #[arg(long, default_value_t = 4000)]
    port: u16,
    /// The address to listen on; 0.0.0.0 lets phones in.
    #[arg(long, default_value = "127.0.0.1")]
    bind: IpAddr,
    /// What tokens are signed with, at least 20 bytes. Without one the console's link is another at each start, and
    /// players are new ones after a restart.
    #[arg(long, env = "TAP_RACER_SECRET", hide_env_values = true)]
    secret: Option<String>,
    /// Taps to the finish.
    #[arg(long, default_value_t = Rules::default().goal_taps, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    goal: u32,
    /// Seconds that a player whose connection is lost is waited for.
    #[arg(long, default_value_t = Rules::default().away_max.as_secs(), value_parser = clap::value_parser!(u64).range(1..=3600))]
    away: u64,
}

#[tokio::main]
#[expect(clippy::print_stderr, reason = "one line says why it doesn't start")]
async fn main() -> ExitCode {
    tracing_subscriber::fmt()
        .with_env_filter(tracing_subscriber::EnvFilter::from_default_env())
        .with_writer(std::io::stderr)
        .init();
    match serve(Options::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::from(2)
        }
    }
}

#[expect(clippy::print_stdout, reason = "says where it listens")]
async fn serve(options: Options) -> Result<(), String> {
    let secret = match options.secret {
        Some(secret) => secret.into_bytes(),
        None => random_secret()?,
    };
    let rules = Rules {
        goal_taps: options.goal,
        away_max: Duration::from_secs(options.away),
        ..Rules::default()
    };
    let race = TapRacer::new(PREFIX, secret, rules).map_err(|error| error.to_string())?;
    let console = race.console_path().map_err(|error| error.to_string())?;

    let (bind, port) = (options.bind, options.port);
    let listening = async {
        let listener = tokio::net::TcpListener::bind((bind, port)).await?;
        let address = listener.local_addr()?;
        let host = format!("http://localhost:{}", address.port());
        println!("the big screen is at {host}{console}");
        println!("players are at {host}{PREFIX}/");
        println!("listening on {address}");
        bennu::serve(listener, race.router())
            .drain(race.endpoint())
            .with_graceful_shutdown(interrupted())
            .await
    };
    listening
        .await
        .map_err(|error| format!("failed to serve on {bind}:{port}: {error}"))
}

fn random_secret() -> Result<Vec<u8>, String> {
    let mut secret = vec![0; 32];
    getrandom::fill(&mut secret)
        .map_err(|error| format!("the system gives no random numbers: {error}"))?;
    Ok(secret)
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
