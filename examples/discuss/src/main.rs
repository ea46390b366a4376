//! Serves the topics and comments alone: `cargo run -p discuss`.

use std::{net::IpAddr, process::ExitCode};

use clap::Parser;
use discuss::{Discuss, Options};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const SECRET_BYTES: usize = 32;

/// Topics and comments in the browser, served by Bennu.
#[derive(Parser)]
struct Args {
    /// The port to listen on; 0 picks a free one.
    #[arg(long, default_value_t = 4000)]
    port: u16,
    /// The address to listen on.
    #[arg(long, default_value = "127.0.0.1")]
    bind: IpAddr,
    /// The database: sqlite://FILE, or postgres://USER:PASSWORD@HOST/DATABASE.
    #[arg(
        long,
        env = "DATABASE_URL",
        hide_env_values = true,
        default_value = "sqlite://discuss.db"
    )]
    database: String,
    /// What sessions are signed with, at least 20 bytes. By default at random, so that a restart signs everybody out.
    #[arg(long, env = "DISCUSS_SECRET", hide_env_values = true)]
    secret: Option<String>,
    /// The host that the pages come from, such as example.com; pages of others may not connect.
    #[arg(long)]
    host: Option<String>,
    /// The pages are served by HTTPS, by a proxy in front.
    #[arg(long)]
    https: bool,
}

#[tokio::main]
#[expect(clippy::print_stderr, reason = "one line says why it doesn't start")]
async fn main() -> ExitCode {
    tracing_subscriber::fmt()
        .with_env_filter(tracing_subscriber::EnvFilter::from_default_env())
        .with_writer(std::io::stderr)
        .init();
    match serve(Args::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: failed to {error}");
            ExitCode::from(2)
        }
    }
}

#[expect(clippy::print_stdout, reason = "says where it listens")]
async fn serve(args: Args) -> Result<(), String> {
    let secret = match args.secret {
        Some(secret) => secret,
        None => random()?,
    };
    let mut options = Options::new(args.database, secret);
    options.host = args.host;
    options.https = args.https;
    let discuss = Discuss::open(&options).await.map_err(|it| it.to_string())?;
    let home = format!("{}/", options.prefix);
    let go = axum::routing::get(move || async move { axum::response::Redirect::temporary(&home) });
    let router = discuss.router().route("/", go);

    let (bind, port) = (args.bind, args.port);
    let listening = async {
        let listener = tokio::net::TcpListener::bind((bind, port)).await?;
        let address = listener.local_addr()?;
        println!("listening on {address}");
        println!(
            "the topics are at http://localhost:{}{}/",
            address.port(),
            options.prefix
        );
        bennu::serve(listener, router)
            .drain(discuss.endpoint())
            .with_graceful_shutdown(interrupted())
            .await
    };
    let served = listening.await;
    discuss.close().await;
    served.map_err(|error| format!("serve on {bind}:{port}: {error}"))
}

fn random() -> Result<String, String> {
    let mut bytes = [0; SECRET_BYTES];
    getrandom::fill(&mut bytes).map_err(|error| format!("make a secret: {error}"))?;
    Ok(bytes.iter().map(|it| format!("{it:02x}")).collect())
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
