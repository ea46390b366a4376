//! Which web pages may connect to which mount.
#![expect(clippy::unwrap_used, reason = "a test says so by panicking")]

use std::sync::Arc;

use bennu::{CheckOrigin, ConnectInfo, Endpoint, Result, Routes, Socket, SocketOptions};
use http::{Request, StatusCode};

struct User;

impl Socket for User {
    type App = ();
    type Params = ();

    fn channels(routes: Routes<Self>) -> Routes<Self> {
        routes
    }

    async fn connect(_: &Arc<()>, (): (), _: &ConnectInfo) -> Result<Self> {
        Ok(Self)
    }
}

fn list(origin: &str) -> SocketOptions {
    SocketOptions::new().check_origin(CheckOrigin::list([origin]).unwrap())
}

/// What a page gets that connects to a mount.
#[track_caller]
fn check(endpoint: &Endpoint<()>, path: &str, origin: &str, expected: Result<(), StatusCode>) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .unwrap();
    let (_client, server) = tokio::io::duplex(1024);
    let request = Request::get(format!("{path}/websocket?vsn=2.0.0"))
        .header("origin", origin)
        .body(())
        .unwrap();
    let connected = runtime.block_on(endpoint.serve_upgraded(request, server));
    assert_eq!(connected, expected, "{origin} at {path}");
}

#[test]
fn each_mount_has_its_own_rule_or_the_endpoints() {
    const REFUSED: Result<(), StatusCode> = Err(StatusCode::FORBIDDEN);
    let endpoint = Endpoint::new(())
        .host("host.com")
        .socket::<User>("/by_host")
        .options(list("//endpoint.com"))
        .socket::<User>("/by_endpoint")
        .socket_with::<User>("/also_by_endpoint", SocketOptions::new().channels_max(1))
        .socket_with::<User>("/by_list", list("//mount.com"))
        .socket_with::<User>(
            "/off",
            SocketOptions::new().check_origin(CheckOrigin::off()),
        );
    for (path, allowed) in [
        ("/by_host", "https://host.com"),
        ("/by_endpoint", "https://endpoint.com"),
        ("/also_by_endpoint", "https://endpoint.com"),
        ("/by_list", "https://mount.com"),
    ] {
        for origin in [
            "https://host.com",
            "https://endpoint.com",
            "https://mount.com",
            "null",
        ] {
            let expected = if origin == allowed { Ok(()) } else { REFUSED };
            check(&endpoint, path, origin, expected);
        }
    }
    check(&endpoint, "/off", "null", Ok(()));
}

#[test]
fn an_endpoint_without_a_host_takes_pages_of_every_host() {
    let endpoint = Endpoint::new(()).socket::<User>("/socket");
    check(&endpoint, "/socket", "https://anywhere.com", Ok(()));
    check(&endpoint, "/socket", "null", Err(StatusCode::FORBIDDEN));
}
