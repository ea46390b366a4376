//! A raw socket that sends back what it gets.
//!
//! `cargo run -p echo` listens on port 9001; the socket is at `/echo/websocket`. Its limits are wide, so that
//! a WebSocket test suite can send it messages of 16 MB.

use std::{net::IpAddr, sync::Arc};

use bennu::{ConnectInfo, Endpoint, RawContext, RawMessage, RawSocket, Result, SocketOptions};
use clap::Parser;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// A raw socket that sends back what it gets.
#[derive(Parser)]
struct Options {
    /// The port to listen on; 0 picks a free one.
    #[arg(long, default_value_t = 9001)]
    port: u16,
    /// The address to listen on.
    #[arg(long, default_value = "127.0.0.1")]
    bind: IpAddr,
}

struct Echo;

impl RawSocket for Echo {
    type App = ();
    type Params = ();
    type Info = ();

    async fn connect(_: &Arc<()>, (): (), _: &ConnectInfo) -> Result<Self> {
        Ok(Self)
    }

    async fn handle_in(&mut self, message: RawMessage, cx: &RawContext<Self>) -> Result<()> {
        cx.send(message);
        Ok(())
    }
}

const BYTES_MAX: usize = 32 * 1024 * 1024;

#[tokio::main]
#[expect(clippy::print_stdout, reason = "says where it listens")]
async fn main() -> std::io::Result<()> {
    tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .init();
    let options = Options::parse();
    let limits = SocketOptions::new()
        .compress(true)
        .frame_bytes_max(BYTES_MAX)
        .message_bytes_max(BYTES_MAX)
        .queue_bytes_max(BYTES_MAX);
    let endpoint = Endpoint::new(()).raw_socket_with::<Echo>("/echo", limits);

    let listener = tokio::net::TcpListener::bind((options.bind, options.port)).await?;
    println!("listening on {}", listener.local_addr()?);
    bennu::serve(listener, endpoint.router())
        .with_graceful_shutdown(async {
            // Without a signal to wait for it is served until it's killed.
            if tokio::signal::ctrl_c().await.is_err() {
                std::future::pending::<()>().await;
            }
        })
        .await
}
