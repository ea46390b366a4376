//! Connecting: where, with which params, version, token and subprotocol, and who is refused.

use serde_json::{Value, json};

use crate::{
    client::{Address, Client, Event, Frame, Refused, Transport},
    script::check,
    server::Server,
    websocket::WebSocket,
};

/// Connects over each transport; `expected` is the status that refuses, if one does.
async fn check_connect(address: &Address, expected: Result<(), u16>) {
    for transport in Transport::ALL {
        let server = Server::start().await;
        let connected = Client::connect(transport, server.addr, address).await;
        assert_eq!(
            connected.map(|_| ()).map_err(|Refused(status)| status),
            expected,
            "over {transport:?} at {address:?}"
        );
    }
}

/// What the socket is told when a client connects there, by a join of `info`.
async fn check_told(address: &Address, field: &str, expected: Value) {
    for transport in Transport::ALL {
        check_told_over(transport, address, field, expected.clone()).await;
    }
}

async fn check_told_over(transport: Transport, address: &Address, field: &str, expected: Value) {
    let server = Server::start().await;
    let mut client = Client::connect(transport, server.addr, address)
        .await
        .unwrap();
    let join = r#"["1","1","info","phx_join",{}]"#;
    client.send(Frame::Text(join.to_owned())).await;
    let Event::Frame(Frame::Text(text)) = client.receive().await else {
        panic!("no reply");
    };
    let reply: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(
        reply.pointer(&format!("/4/response/{field}")),
        Some(&expected),
        "over {transport:?}: {reply}"
    );
}

#[tokio::test]
async fn versions_are_negotiated() {
    for vsn in [
        "1.0.0",
        "1.0.9",
        "2.0.0",
        "2.0.5",
        "2.0.0%2Bbuild",
        "2.0.1-rc.1",
    ] {
        check_connect(&Address::new(&format!("/socket?vsn={vsn}")), Ok(())).await;
    }
    for query in [
        "vsn=2",
        "vsn=2.0",
        "vsn=",
        "vsn",
        "vsn=abc",
        "vsn=2.1.0",
        "vsn=3.0.0",
        "vsn=2.0.0-rc.1",
        "vsn[]=2.0.0",
        "vsn=2.0.0&vsn=9.0.0",
    ] {
        check_connect(&Address::new(&format!("/socket?{query}")), Err(403)).await;
    }
    check_connect(&Address::new("/socket?vsn=9.0.0&vsn=2.0.0"), Ok(())).await;
    check_connect(&Address::new("/socket"), Ok(())).await;
}

#[tokio::test]
async fn a_socket_may_refuse_a_client() {
    check_connect(&Address::new("/socket?vsn=2.0.0&refuse=no"), Err(403)).await;
    check_connect(&Address::new("/socket?vsn=2.0.0&refuse=error"), Err(403)).await;
}

/// As in Phoenix, over long-polling too.
#[tokio::test]
async fn a_socket_that_panics_is_a_server_error() {
    check_connect(&Address::new("/socket?vsn=2.0.0&refuse=panic"), Err(500)).await;
}

#[tokio::test]
async fn pages_of_other_origins_are_refused() {
    let from = |origin| Address::new("/pages?vsn=2.0.0").header("origin", origin);
    check_connect(&from("https://example.com"), Ok(())).await;
    check_connect(&from("https://other.com"), Err(403)).await;
    check_connect(&from("null"), Err(403)).await;
    check_connect(&Address::new("/pages?vsn=2.0.0"), Ok(())).await;
}

#[tokio::test]
async fn a_check_of_origins_that_panics_is_a_server_error() {
    let from = |origin| Address::new("/asked?vsn=2.0.0").header("origin", origin);
    check_connect(&from("https://example.com"), Ok(())).await;
    check_connect(&from("https://other.com"), Err(403)).await;
    check_connect(&from("null"), Err(500)).await;
}

#[tokio::test]
async fn a_query_that_isnt_utf8_is_a_bad_request() {
    check_connect(&Address::new("/socket?vsn=2.0.0&a=%ff"), Err(400)).await;
}

#[tokio::test]
async fn a_path_that_nothing_is_mounted_at_is_not_found() {
    check_connect(&Address::new("/nowhere?vsn=2.0.0"), Err(404)).await;
}

#[tokio::test]
async fn params_come_from_the_query_nested_and_with_the_version() {
    let address =
        Address::new("/socket?vsn=2.0.0&user=ana&a[b]=1&a[c][]=2&a[c][]=3&sp=a+b%20c&x=1&x=2");
    check_told(
        &address,
        "params",
        json!({"vsn": "2.0.0", "user": "ana", "a": {"b": "1", "c": ["2", "3"]}, "sp": "a b c", "x": "2"}),
    )
    .await;
}

/// Only WebSocket has variables in the transport's path here: long-polling has tests of its own for them.
#[tokio::test]
async fn variables_of_the_path_are_params_and_win_over_the_query() {
    let server = Server::start().await;
    let address = Address::new("/of/t%C3%A9st/nested/s1/secret/path!?vsn=2.0.0&tenant=no&x=1");
    let mut client = WebSocket::connect(server.addr, &address).await.unwrap();
    let join = r#"["1","1","info","phx_join",{}]"#;
    client.send(Frame::Text(join.to_owned())).await;
    let Event::Frame(Frame::Text(text)) = client.receive().await else {
        panic!("no reply");
    };
    let reply: Value = serde_json::from_str(&text).unwrap();
    let params = json!({"vsn": "2.0.0", "tenant": "tést", "shard": "s1", "x": "1"});
    assert_eq!(reply.pointer("/4/response/params"), Some(&params));
}

#[tokio::test]
async fn a_socket_is_told_transport_and_version() {
    let address = Address::new("/socket?vsn=2.0.0");
    check_told(&address, "vsn", json!("2.0.0")).await;
    for transport in Transport::ALL {
        let name = match transport {
            Transport::WebSocket => "websocket",
            Transport::LongPoll | Transport::Relayed => "longpoll",
        };
        check_told_over(transport, &address, "transport", json!(name)).await;
    }
}

#[tokio::test]
async fn headers_and_the_peers_address_are_told() {
    let address = Address::new("/socket?vsn=2.0.0")
        .header("user-agent", "a test")
        .header("x-application", "bennu");
    check_told(&address, "user_agent", json!("a test")).await;
    check_told(&address, "x", json!("bennu")).await;
    check_told(&address, "from_loopback", json!(true)).await;
}

#[tokio::test]
async fn an_auth_token_is_told_where_it_is_on() {
    let at = |mount: &str| Address::new(&format!("{mount}?vsn=2.0.0"));
    check_told(
        &at("/auth").auth_token("a/b+c?"),
        "auth_token",
        json!("a/b+c?"),
    )
    .await;
    check_told(&at("/auth"), "auth_token", json!(null)).await;
}

#[tokio::test]
async fn mounts_stand_beside_each_other_and_may_be_nested() {
    check(
        r#"
        = /socket/admin?vsn=2.0.0
        > ["1","1","admin","phx_join",{}]
        < ["1","1","admin","phx_reply",{"response":"admin","status":"ok"}]
        > ["2","2","room:a","phx_join",{}]
        < [null,"2","room:a","phx_reply",{"response":{"reason":"unmatched topic"},"status":"error"}]
        b = /socket?vsn=2.0.0
        b > ["1","1","room:a","phx_join",{}]
        b < ["1","1","room:a","phx_reply",{"response":{},"status":"ok"}]
        b > ["2","2","admin","phx_join",{}]
        b < [null,"2","admin","phx_reply",{"response":{"reason":"unmatched topic"},"status":"error"}]
        # The application may put its endpoint under a path of its own.
        c = /app/socket?vsn=2.0.0
        c > ["1","1","room:a","phx_join",{"push":true}]
        c < ["1","1","room:a","phx_reply",{"response":{},"status":"ok"}]
        c < [null,null,"room:a","from_join",{"topic":"room:a"}]
        c < ["1",null,"room:a","pushed_in_join",{}]
        b < [null,null,"room:a","from_join",{"topic":"room:a"}]
        "#,
    )
    .await;
}

#[tokio::test]
async fn the_servers_first_subprotocol_that_is_offered_is_agreed_on() {
    let server = Server::start().await;
    for (mount, offered, expected) in [
        ("/sip", "xmpp, sip", Ok(Some("sip"))),
        ("/sip", "xmpp", Ok(Some("xmpp"))),
        ("/sip", "mqtt", Err(Refused(403))),
        ("/auth", "phoenix", Ok(Some("phoenix"))),
        ("/auth", "mqtt", Err(Refused(403))),
    ] {
        let address =
            Address::new(&format!("{mount}?vsn=2.0.0")).header("sec-websocket-protocol", offered);
        let connected = WebSocket::connect(server.addr, &address).await;
        assert_eq!(
            connected
                .as_ref()
                .map(|it| it.subprotocol.as_deref())
                .map_err(|it| Refused(it.0)),
            expected,
            "{mount} {offered}"
        );
    }
    let address = Address::new("/auth?vsn=2.0.0").auth_token("a token");
    let connected = WebSocket::connect(server.addr, &address).await.unwrap();
    assert_eq!(connected.subprotocol.as_deref(), Some("phoenix"));
}
