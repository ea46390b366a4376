use std::{future::poll_fn, net::IpAddr, task::Poll};

use axum::{
    extract::rejection::StringRejection,
    http::StatusCode,
    response::IntoResponse,
    routing::{get, post},
};
use tokio::{
    io::{AsyncReadExt, DuplexStream, duplex},
    sync::{Notify, oneshot},
};

use super::*;

impl Socket for DuplexStream {}

const PEER: &str = "10.0.0.1:5000";

/// A connection in memory, served as by [`serve`].
struct Connection {
    client: DuplexStream,
    crowd: Arc<Crowd>,
    stop: watch::Sender<bool>,
    go: Arc<Notify>,
}

impl Connection {
    fn new(limits: &Limits) -> Self {
        Self::with_room(limits, 1 << 20)
    }

    /// What isn't read yet may be so many bytes.
    fn with_room(limits: &Limits, bytes: usize) -> Self {
        let (client, server) = duplex(bytes);
        let (stop, stopped) = watch::channel(false);
        let crowd = Arc::<Crowd>::default();
        let go = Arc::new(Notify::new());
        let http = Http {
            builder: Arc::new(builder(limits)),
            router: router(go.clone()),
            crowd: crowd.clone(),
            progress_timeout: limits.progress_timeout,
            stopped,
        };
        let peer: SocketAddr = PEER.parse().unwrap();
        let place = crowd.admit(peer.ip(), usize::MAX, usize::MAX).ok().unwrap();
        tokio::spawn(http.speak(server, peer, place));
        Self {
            client,
            crowd,
            stop,
            go,
        }
    }

    async fn send(&mut self, text: &str) {
        self.client.write_all(text.as_bytes()).await.unwrap();
    }

    /// The next response, which has a body of two bytes or none, or the connection's end.
    async fn status(&mut self) -> String {
        let mut text = String::new();
        while !text.ends_with("\r\n\r\n") && !text.ends_with("\r\n\r\nok") {
            let mut bytes = [0; 512];
            match self.client.read(&mut bytes).await {
                Ok(read @ 1..) => text.push_str(std::str::from_utf8(&bytes[..read]).unwrap()),
                _ => return "end".to_owned(),
            }
        }
        text.split(' ').nth(1).unwrap().to_owned()
    }
}

/// `/` says who asks, `/slow` waits until it may go on, `/large` says much, `/post` reads a body and `/refuse` doesn't.
fn router(go: Arc<Notify>) -> Router {
    Router::new()
        .route(
            "/",
            get(|peer: ConnectInfo<SocketAddr>| async move {
                assert_eq!(peer.0.ip(), PEER.parse::<SocketAddr>().unwrap().ip());
                "ok"
            }),
        )
        .route(
            "/slow",
            get(move || async move {
                go.notified().await;
                "ok"
            }),
        )
        .route("/large", get(|| async { "x".repeat(LARGE_BYTES) }))
        .route(
            "/post",
            post(|body: Result<String, StringRejection>| async move {
                match body {
                    Ok(_) => "ok".into_response(),
                    Err(error) => error.status().into_response(),
                }
            }),
        )
        .route("/refuse", post(|| async { StatusCode::BAD_REQUEST }))
}

const LARGE_BYTES: usize = 200_000;
const REQUEST: &str = "GET / HTTP/1.1\r\nhost: a\r\n\r\n";

#[tokio::test(start_paused = true)]
async fn a_head_that_comes_byte_by_byte_ends_with_the_time_for_it() {
    let mut connection = Connection::new(&Limits::default());
    let began = Instant::now();
    // One byte a second would take half a minute.
    for byte in REQUEST.chars().take(9) {
        connection.send(&byte.to_string()).await;
        sleep(Duration::from_secs(1)).await;
    }
    assert_eq!(connection.status().await, "408");
    assert_eq!(connection.status().await, "end");
    assert_eq!(began.elapsed().as_secs(), 10);
    assert_eq!(ServeStats::new(connection.crowd).heads_timed_out(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_says_nothing_ends_with_the_time_for_a_head() {
    let limits = Limits {
        head_timeout: Duration::from_secs(3),
        ..Limits::default()
    };
    let mut connection = Connection::new(&limits);
    let began = Instant::now();
    assert_eq!(connection.status().await, "408");
    assert_eq!(connection.status().await, "end");
    assert_eq!(began.elapsed().as_secs(), 3);
    assert_eq!(connection.crowd.len(), 0);
}

#[tokio::test(start_paused = true)]
async fn between_requests_each_has_its_own_time_and_silence_ends_without_an_answer() {
    let mut connection = Connection::new(&Limits::default());
    let began = Instant::now();
    for _ in 0..3 {
        sleep(Duration::from_secs(9)).await;
        connection.send(REQUEST).await;
        assert_eq!(connection.status().await, "200");
    }
    // A 408 could be taken for the answer to a request that is on its way.
    assert_eq!(connection.status().await, "end");
    assert_eq!(began.elapsed().as_secs(), 37);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_does_not_read_the_408_is_not_waited_for() {
    let (client, server) = duplex(1);
    let mut connection = Connection::new(&Limits::default());
    connection.client = client;
    let crowd = connection.crowd.clone();
    let (_stop, stopped) = watch::channel(false);
    let http = Http {
        builder: Arc::new(builder(&Limits::default())),
        router: router(connection.go.clone()),
        crowd: crowd.clone(),
        progress_timeout: Limits::default().progress_timeout,
        stopped,
    };
    let peer: SocketAddr = PEER.parse().unwrap();
    let place = crowd.admit(peer.ip(), usize::MAX, usize::MAX).ok().unwrap();
    let began = Instant::now();
    http.speak(server, peer, place).await;
    assert_eq!(began.elapsed().as_secs(), 10);
}

#[tokio::test]
async fn heads_have_limits() {
    let many = "a: b\r\n".repeat(100);
    let few = "a: b\r\n".repeat(5);
    let long = "x".repeat(70_000);
    let check = async |limits: &Limits, target: &str, headers: &str, expected: &str| {
        let mut connection = Connection::new(limits);
        let request = format!("GET {target} HTTP/1.1\r\nhost: a\r\n{headers}\r\n");
        connection.send(&request).await;
        assert_eq!(connection.status().await, expected);
    };
    let limits = Limits::default();
    check(&limits, "/", &few, "200").await;
    check(&limits, "/", &many, "431").await;
    check(&limits, "/", &format!("a: {long}\r\n"), "431").await;
    let wide = Limits {
        head_bytes_max: 100_000,
        ..Limits::default()
    };
    check(&wide, "/", &format!("a: {long}\r\n"), "200").await;
    check(&wide, &format!("/?{long}"), "", "414").await;
    let narrow = Limits {
        headers_max: 3,
        ..Limits::default()
    };
    check(&narrow, "/", "", "200").await;
    check(&narrow, "/", &few, "431").await;
    // hyper takes no smaller buffer.
    let tiny = Limits {
        head_bytes_max: 0,
        ..Limits::default()
    };
    check(&tiny, "/", "", "200").await;
}

#[tokio::test(start_paused = true)]
async fn a_request_of_http_1_1_has_one_host() {
    let check = async |version: &str, hosts: &str, expected: [&str; 2]| {
        let mut connection = Connection::new(&Limits::default());
        connection
            .send(&format!("GET / HTTP/1.{version}\r\n{hosts}\r\n{REQUEST}"))
            .await;
        let statuses = [connection.status().await, connection.status().await];
        assert_eq!(statuses, expected, "{version} {hosts:?}");
    };
    // What comes behind a request that is refused isn't looked at.
    let (refused, alone) = (["400", "end"], ["200", "end"]);
    check("1", "host: a\r\nconnection: close\r\n", alone).await;
    check("1", "Host: a.example:4000\r\nconnection: close\r\n", alone).await;
    check("1", "host: [::1]:4000\r\nconnection: close\r\n", alone).await;
    check("1", "host: a_b\r\nconnection: close\r\n", alone).await;
    check("1", "host:\r\nconnection: close\r\n", alone).await;
    check("0", "", alone).await;
    check("0", "host: a\r\n", alone).await;
    check("1", "", refused).await;
    check("1", "host: a\r\nhost: b\r\n", refused).await;
    check("1", "host: a\r\nhost: a\r\n", refused).await;
    check("0", "host: a\r\nhost: b\r\n", refused).await;
    check("1", "host: a/b\r\n", refused).await;
    check("1", "host: a, b\r\n", refused).await;
    check("1", "host: u@a\r\n", refused).await;
    check("1", "host: \u{e4}\r\n", refused).await;
}

#[tokio::test]
async fn a_request_under_way_is_finished_and_then_the_connection_ends() {
    let mut connection = Connection::new(&Limits::default());
    connection
        .send("GET /slow HTTP/1.1\r\nhost: a\r\n\r\n")
        .await;
    tokio::task::yield_now().await;
    connection.stop.send_replace(true);
    connection.go.notify_one();
    assert_eq!(connection.status().await, "200");
    assert_eq!(connection.status().await, "end");
    connection.stop.closed().await;
}

#[test]
fn there_are_so_many_places_in_all_and_for_each_address() {
    let crowd = Arc::<Crowd>::default();
    let admit = |peer: &str| crowd.admit(peer.parse::<IpAddr>().unwrap(), 3, 2);
    let status = |refused: Result<Place, &'static [u8]>| {
        String::from_utf8_lossy(refused.err().unwrap())
            .split(' ')
            .nth(1)
            .unwrap()
            .to_owned()
    };
    let first = admit("10.0.0.1").ok().unwrap();
    let _second = admit("10.0.0.1").ok().unwrap();
    assert_eq!(status(admit("10.0.0.1")), "429");
    let _third = admit("10.0.0.2").ok().unwrap();
    assert_eq!(status(admit("10.0.0.3")), "503");
    drop(first);
    assert!(admit("10.0.0.1").is_ok());
    let stats = ServeStats::new(crowd.clone());
    assert_eq!((stats.connections(), stats.connections_refused()), (2, 2));
}

#[tokio::test]
async fn over_tcp_those_beyond_are_answered_and_closed_and_a_signal_ends_it() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, stopped) = oneshot::channel::<()>();
    let app = Router::new().route("/", get(|| async { "ok" }));
    let server = serve(listener, app)
        .connections_max(1)
        .backlog(16)
        .with_graceful_shutdown(async { stopped.await.unwrap() });
    let stats = server.stats();
    let server = tokio::spawn(server.into_future());

    let mut first = TcpStream::connect(address).await.unwrap();
    first.write_all(REQUEST.as_bytes()).await.unwrap();
    let mut status = [0; 12];
    first.read_exact(&mut status).await.unwrap();
    assert_eq!(&status, b"HTTP/1.1 200");
    let mut second = TcpStream::connect(address).await.unwrap();
    second.read_exact(&mut status).await.unwrap();
    assert_eq!(&status, b"HTTP/1.1 503");
    assert_eq!((stats.connections(), stats.connections_refused()), (1, 1));

    stop.send(()).unwrap();
    server.await.unwrap().unwrap();
    assert_eq!(stats.connections(), 0);
    assert!(TcpStream::connect(address).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn a_client_that_never_reads_its_answers_is_given_up() {
    for requests in [1, 50] {
        let mut connection = Connection::with_room(&Limits::default(), 10_000);
        let began = Instant::now();
        let request = REQUEST.replace("/ ", "/large ");
        for _ in 0..requests {
            connection.send(&request).await;
        }
        connection.stop.closed().await;
        assert_eq!(began.elapsed().as_secs(), 30);
        assert_eq!(connection.crowd.len(), 0);
        let stats = ServeStats::new(connection.crowd);
        assert_eq!(stats.answers_timed_out(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_may_read_slowly_but_not_too_slowly() {
    // So many bytes every so many seconds, and whether it gets to the end.
    for (bytes, seconds, is_served) in [(9_000, 29, true), (1_000, 5, false), (10, 1, false)] {
        let mut connection = Connection::with_room(&Limits::default(), 1_000);
        connection.send(&REQUEST.replace("/ ", "/large ")).await;
        let mut read = 0;
        let mut buffer = vec![0; bytes];
        let mut ticks = tokio::time::interval(Duration::from_secs(seconds));
        while read < LARGE_BYTES {
            ticks.tick().await;
            match timeout(
                Duration::from_secs(1),
                connection.client.read_exact(&mut buffer),
            )
            .await
            {
                Ok(Ok(_)) => read += bytes,
                Ok(Err(_)) => break,
                // The rest is shorter.
                Err(_) => read += bytes,
            }
        }
        assert_eq!(
            read >= LARGE_BYTES,
            is_served,
            "{bytes} bytes every {seconds} s"
        );
        let stats = ServeStats::new(connection.crowd);
        assert_eq!(stats.answers_timed_out(), u64::from(!is_served));
    }
}

#[tokio::test(start_paused = true)]
async fn a_body_may_come_slowly_but_not_too_slowly() {
    for (bytes, seconds, status) in [(9_000, 29, "200"), (1_000, 5, "400"), (1, 1, "400")] {
        let mut connection = Connection::new(&Limits::default());
        let length = 40 * bytes;
        let head = format!("POST /post HTTP/1.1\r\nhost: a\r\ncontent-length: {length}\r\n\r\n");
        connection.send(&head).await;
        let body = "x".repeat(bytes);
        let mut ticks = tokio::time::interval(Duration::from_secs(seconds));
        for _ in 0..40 {
            ticks.tick().await;
            // Whoever was refused may be gone.
            let _ = connection.client.write_all(body.as_bytes()).await;
        }
        assert_eq!(
            connection.status().await,
            status,
            "{bytes} bytes every {seconds} s"
        );
        let stats = ServeStats::new(connection.crowd);
        assert_eq!(stats.bodies_timed_out(), u64::from(status == "400"));
    }
}

#[tokio::test]
async fn who_sends_more_than_is_wanted_gets_to_read_why() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(serve(listener, router(Arc::default())).into_future());
    let mut client = TcpStream::connect(address).await.unwrap();
    let length = 20_000_000;
    let head = format!("POST /refuse HTTP/1.1\r\nhost: a\r\ncontent-length: {length}\r\n\r\n");
    client.write_all(head.as_bytes()).await.unwrap();
    client.write_all(&vec![b'x'; length]).await.unwrap();
    let mut status = [0; 12];
    client.read_exact(&mut status).await.unwrap();
    assert_eq!(&status, b"HTTP/1.1 400");
}

#[tokio::test]
async fn requests_that_take_longer_than_a_shutdown_may_are_left() {
    for (limit, seconds) in [(None, 10), (Some(3), 3)] {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel::<()>();
        let (begun, go) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        let (begins, goes) = (begun.clone(), go.clone());
        let slow = get(move || async move {
            begins.notify_one();
            goes.notified().await;
            "ok"
        });
        let mut server = serve(listener, Router::new().route("/", slow))
            .with_graceful_shutdown(async { stopped.await.unwrap() });
        if let Some(seconds) = limit {
            server = server.shutdown_timeout(Duration::from_secs(seconds));
        }
        let stats = server.stats();
        let server = tokio::spawn(server.into_future());
        let mut client = TcpStream::connect(address).await.unwrap();
        client.write_all(REQUEST.as_bytes()).await.unwrap();
        begun.notified().await;

        tokio::time::pause();
        let began = Instant::now();
        stop.send(()).unwrap();
        server.await.unwrap().unwrap();
        assert_eq!(began.elapsed().as_secs(), seconds);
        assert_eq!(stats.connections(), 1);
        tokio::time::resume();

        // It's left to itself, not ended: the process that goes on sees it through.
        go.notify_one();
        let mut status = [0; 12];
        client.read_exact(&mut status).await.unwrap();
        assert_eq!(&status, b"HTTP/1.1 200");
    }
}

#[tokio::test]
async fn a_shutdown_takes_no_longer_than_the_requests_under_way() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (stop, stopped) = oneshot::channel::<()>();
    let server =
        serve(listener, Router::new()).with_graceful_shutdown(async { stopped.await.unwrap() });
    let server = tokio::spawn(server.into_future());
    tokio::time::pause();
    let began = Instant::now();
    stop.send(()).unwrap();
    server.await.unwrap().unwrap();
    assert_eq!(began.elapsed(), Duration::ZERO);
}

/// How many of 32 clients are let in by a server that doesn't accept, and that one who comes when it does is served.
async fn let_in(backlog: u32) -> usize {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let app = Router::new().route("/", get(|| async { "ok" }));
    let server = serve(listener, app).backlog(backlog);
    let stats = server.stats();
    let mut server = server.into_future();
    // It listens from here on, and accepts nobody until it's polled again.
    let listens = poll_fn(|cx| Poll::Ready(server.as_mut().poll(cx).is_pending()));
    assert!(listens.await);
    tokio::time::pause();
    let mut clients = Vec::new();
    for _ in 0..32 {
        // Who gets in does at once: over loopback no packet travels.
        match timeout(Duration::from_millis(1), TcpStream::connect(address)).await {
            Ok(client) => clients.push(client.unwrap()),
            Err(_) => break,
        }
    }
    tokio::time::resume();
    let server = tokio::spawn(server);
    while stats.connections() < clients.len() {
        tokio::task::yield_now().await;
    }
    let mut late = TcpStream::connect(address).await.unwrap();
    late.write_all(REQUEST.as_bytes()).await.unwrap();
    let mut status = [0; 12];
    late.read_exact(&mut status).await.unwrap();
    assert_eq!(&status, b"HTTP/1.1 200");
    server.abort();
    clients.len()
}

#[tokio::test]
async fn no_more_connections_wait_to_be_accepted_than_the_backlog() {
    // Linux lets in one more than it's told.
    let few = let_in(4).await;
    assert!((4..=5).contains(&few), "{few}");
    assert_eq!(let_in(64).await, 32);
}

#[tokio::test(start_paused = true)]
async fn of_a_body_that_nobody_wants_so_much_is_read_for_so_long() {
    let begin = async || {
        let mut connection = Connection::new(&Limits::default());
        let head = "POST /refuse HTTP/1.1\r\nhost: a\r\ncontent-length: 200000000\r\n\r\n";
        connection.send(head).await;
        assert_eq!(connection.status().await, "400");
        connection
    };
    // One who sends as fast as it can.
    let mut connection = begin().await;
    let chunk = vec![b'x'; 100_000];
    let mut sent = 0;
    while connection.client.write_all(&chunk).await.is_ok() {
        sent += chunk.len();
    }
    // What the connection in memory has room for was sent, too.
    assert!((64_000_000..66_000_000).contains(&sent), "{sent}");
    // One who stops.
    let mut connection = begin().await;
    let began = Instant::now();
    connection.send("x").await;
    connection.stop.closed().await;
    assert_eq!(began.elapsed().as_secs(), 5);
}

#[test]
fn the_page_of_limits_names_the_defaults() {
    use crate::defaults::{bytes, check, number, off, time};

    let limits = Limits::default();
    check("`head_timeout`", &time(limits.head_timeout));
    let progress = time(limits.progress_timeout);
    check("`progress_timeout`, for 8 KiB of a body", &progress);
    check("`progress_timeout`, for 8 KiB of an answer", &progress);
    assert_eq!(bytes(pace::PACE_BYTES), "8 KiB");
    let linger = (LINGER_BYTES_MAX / 1_000_000, time(LINGER_TIME_MAX));
    let linger = format!("{} MB and {}", linger.0, linger.1);
    check("what is read of a body that nobody wants", &linger);
    check("`headers_max`", &number(limits.headers_max));
    check("`head_bytes_max`", &bytes(limits.head_bytes_max));
    for max in [limits.connections_max, limits.connections_per_peer_max] {
        let row = "`connections_max`, `connections_per_peer_max`, of those that speak HTTP";
        check(row, off(max));
    }
    check("`backlog`", &number(limits.backlog));
    check("`shutdown_timeout`", &time(limits.shutdown_timeout));
}
