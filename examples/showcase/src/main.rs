//! All of Bennu's applications at one address: what `cargo run` starts.
//!
//! To be read in this order: `site.rs` (what is mounted where), `index.rs` (the first page), `data.rs` (what is kept),
//! `address.rs` (where it is reached) and `bus.rs` (the way to other nodes).

mod address;
mod bus;
mod data;
mod index;
mod site;

use std::{
    io::ErrorKind,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::PathBuf,
    process::ExitCode,
};

use bennu::{NameError, NodeName};
use clap::Parser;
use tokio::net::TcpListener;

use crate::{address::Addresses, bus::Bus, data::Data, site::Site};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// A chat, a forum and a game in the browser, served by Bennu.
#[derive(Parser)]
struct Options {
    /// The port to listen on; 0 picks a free one.
    #[arg(long, default_value_t = 4000)]
    port: u16,
    /// The address to listen on. By default phones in the same network get in; 127.0.0.1 keeps them out.
    #[arg(long, default_value_t = Ipv4Addr::UNSPECIFIED.into())]
    bind: IpAddr,
    /// The folder for what is kept, which is made if it isn't there.
    #[arg(long, default_value = "data")]
    data: PathBuf,
    /// This node's name among others. At random by default.
    #[arg(long, value_parser = node)]
    node: Option<NodeName>,
    /// A Redis to share the chat and the forum with other nodes, which need the same folder.
    #[arg(long, conflicts_with = "nats")]
    redis: Option<String>,
    /// A NATS server for the same.
    #[arg(long)]
    nats: Option<String>,
}

fn node(name: &str) -> Result<NodeName, NameError> {
    NodeName::parse(name)
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

async fn serve(options: &Options) -> Result<(), String> {
    // First of all, so that a second one doesn't touch the data of the first.
    let listener = listen(SocketAddr::new(options.bind, options.port)).await?;
    let bound = listener
        .local_addr()
        .map_err(|error| format!("failed to listen: {error}"))?;
    let addresses = Addresses::of(bound);
    let data = Data::open(&options.data)?;
    let bus = Bus {
        redis: options.redis.clone(),
        nats: options.nats.clone(),
        node: options.node.clone(),
    };
    let site = Site::open(&data, &bus).await?;
    let router = site.router(addresses.clone());
    let ready = site.ready().await;
    tell(&addresses, &site.console()?, &data, ready);

    let served = bennu::serve(listener, router)
        .drain(site.chat.endpoint())
        .drain(site.discuss.endpoint())
        .drain(site.race.endpoint())
        .with_graceful_shutdown(interrupted())
        .await;
    site.discuss.close().await;
    served.map_err(|error| format!("failed to serve on {bound}: {error}"))
}

async fn listen(address: SocketAddr) -> Result<TcpListener, String> {
    TcpListener::bind(address)
        .await
        .map_err(|error| match error.kind() {
            ErrorKind::AddrInUse => {
                let port = address.port();
                format!("port {port} is taken by another program; choose one with --port, 0 picks a free one")
            }
            _ => format!("failed to listen on {address}: {error}"),
        })
}

#[expect(clippy::print_stdout, reason = "says where it listens")]
fn tell(addresses: &Addresses, console: &str, data: &Data, ready: bool) {
    let Addresses { here, phones, .. } = addresses;
    println!("listening on {}", addresses.bound);
    println!();
    println!("  here      {here}/");
    match phones {
        Some(phones) => println!("  phones    {phones}/"),
        None if addresses.bound.ip().is_loopback() => {
            println!("  phones    can't reach it; --bind 0.0.0.0 lets them in");
        }
        None => println!("  phones    can't reach it: this computer is in no network"),
    }
    println!("  the race's big screen");
    println!("            {here}{console}");
    println!("  kept in   {}", data.folder().display());
    if !ready {
        println!("  the other nodes can't be reached yet");
    }
    println!();
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
