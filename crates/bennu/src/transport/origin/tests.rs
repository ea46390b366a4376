//! The cases of Phoenix's own tests (`test/phoenix/socket/transport_test.exs`), and more.

use http::Request;

use super::*;

/// A request to `http://example.com`, from a page of that origin.
fn request(origin: Option<&str>) -> Parts {
    let mut request = Request::get("/socket/websocket").header(HOST, "example.com");
    if let Some(origin) = origin {
        request = request.header(ORIGIN, origin);
    }
    request.body(()).unwrap().into_parts().0
}

fn options(rule: &CheckOrigin) -> SocketOptions {
    let mut options = SocketOptions::new().check_origin(rule.clone());
    options.host = Some("example.com".into());
    options
}

#[track_caller]
fn check_all(rule: &CheckOrigin, origins: &[&str], expected: bool) {
    for origin in origins {
        let allowed = check(&request(Some(origin)), &options(rule));
        assert_eq!(allowed.is_ok(), expected, "{origin:?} by {rule:?}");
    }
    assert_eq!(check(&request(None), &options(rule)), Ok(()), "{rule:?}");
}

#[track_caller]
fn check_list(list: &[&str], allowed: &[&str], refused: &[&str]) {
    let rule = CheckOrigin::list(list).unwrap();
    check_all(&rule, allowed, true);
    check_all(&rule, refused, false);
}

const HOSTLESS: [&str; 8] = [
    "null",
    "",
    "file://",
    "file:///x",
    "//",
    "example.com",
    "http:example.com",
    "://example.com",
];

#[test]
fn nothing_is_checked_when_it_is_off() {
    check_all(&CheckOrigin::off(), &["https://evil.com", "http://["], true);
    check_all(&CheckOrigin::off(), &HOSTLESS, true);
}

#[test]
fn the_host_is_the_endpoints() {
    let same = [
        "https://example.com",
        "http://example.com",
        "http://example.com:8080",
        "capacitor://example.com",
        "//example.com",
    ];
    check_all(&CheckOrigin::host(), &same, true);
    let others = [
        "http://notallowed.com",
        "http://www.example.com",
        "http://example.com.evil.com",
        "http://EXAMPLE.com",
    ];
    check_all(&CheckOrigin::host(), &others, false);
    check_all(&CheckOrigin::host(), &HOSTLESS, false);
}

#[test]
fn without_options_the_host_is_checked() {
    let options = |host: Option<&str>| {
        let mut options = SocketOptions::new();
        options.host = host.map(str::to_owned);
        options
    };
    let stranger = request(Some("https://stranger.com"));
    assert!(check(&stranger, &options(Some("example.com"))).is_err());
    assert!(check(&stranger, &options(Some("stranger.com"))).is_ok());
    // Nobody knows the host, so it may be any. But there must be one.
    assert!(check(&stranger, &options(None)).is_ok());
    assert!(check(&request(Some("null")), &options(None)).is_err());
    assert!(check(&request(Some("file://")), &options(None)).is_err());
}

#[test]
fn a_wildcard_stands_for_subdomains_and_for_none() {
    check_list(
        &["//*.ex.com"],
        &[
            "http://org1.ex.com",
            "http://org2.ex.com:8080",
            "https://a.b.ex.com",
            "http://ex.com",
        ],
        &[
            "http://org1.prefix-ex.com",
            "http://prefix-ex.com",
            "http://ex.com.evil.com",
            "http://org1.EX.com",
            "http://com",
        ],
    );
    check_list(
        &["//*.foo.bar.com", "https://*.ex.com:8443"],
        &[
            "http://a.foo.bar.com",
            "http://foo.bar.com",
            "https://ex.com:8443",
        ],
        &[
            "http://bar.com",
            "http://a.bar.com",
            "https://ex.com",
            "http://ex.com:8443",
        ],
    );
}

#[test]
fn subdomains_need_a_wildcard() {
    check_list(
        &["//ex.com"],
        &["http://ex.com"],
        &["http://org1.ex.com", "http://x.com"],
    );
}

#[test]
fn what_an_entry_names_must_be_the_same() {
    check_list(
        &[
            "//example.com",
            "http://scheme.com",
            "//port.com:81",
            "https://both.com:8443",
            "app://own",
        ],
        &[
            "https://example.com",
            "http://example.com:9",
            "http://scheme.com",
            "http://scheme.com:80",
            "HTTP://scheme.com",
            "https://port.com:81",
            "http://port.com:81",
            "https://both.com:8443",
            "app://own",
            "app://own:7",
        ],
        &[
            "http://notallowed.com",
            "https://EXAMPLE.com",
            "https://scheme.com",
            "http://scheme.com:8080",
            "https://scheme.com:80",
            "//scheme.com",
            "http://port.com",
            "http://port.com:82",
            "https://both.com",
            "http://both.com:8443",
            "apps://own",
        ],
    );
    check_list(
        &["https://[::1]:4000/", "//other.com/path?query"],
        &["https://[::1]:4000", "http://other.com"],
        &["https://[::2]:4000", "https://[::1]", "https://::1:4000"],
    );
    check_list(&[], &[], &["http://example.com"]);
    check_list(&["//example.com"], &[], &HOSTLESS);
}

#[test]
fn what_no_browser_sends_is_refused() {
    let strange = [
        "https://user@example.com",
        "https://evil.com@example.com",
        "https://example.com@evil.com",
        "https://example.com:x",
        "https://example.com:+80",
        "https://example.com:-1",
        "https://example.com:65536",
        "https://[example.com",
        "https://[]",
        "https://:443",
        "https://[example.com]x",
        "ht tp://example.com",
        "1http://example.com",
        "evil.com/https://example.com",
        "https:/example.com",
    ];
    check_all(
        &CheckOrigin::list(["//example.com"]).unwrap(),
        &strange,
        false,
    );
    check_all(&CheckOrigin::host(), &strange, false);
    check_all(&CheckOrigin::connection(), &strange, false);
}

#[test]
fn an_origin_that_is_no_text_is_refused_and_shown_in_part() {
    let mut parts = request(None);
    let bytes = [b"https://example.com\xff", &[b'x'; 5000][..]].concat();
    parts
        .headers
        .insert(ORIGIN, http::HeaderValue::from_bytes(&bytes).unwrap());
    let why = check(&parts, &options(&CheckOrigin::host())).unwrap_err();
    assert!(
        why.starts_with("its origin \"https://example.com\u{fffd}xx"),
        "{why}"
    );
    assert!(why.len() < 500, "{why}");
    let asked = CheckOrigin::callback(|origin| origin.host().is_none());
    assert!(check(&parts, &options(&asked)).is_ok());
}

#[test]
fn only_the_first_origin_counts() {
    let mut parts = request(Some("https://evil.com"));
    parts
        .headers
        .append(ORIGIN, "https://example.com".parse().unwrap());
    assert!(check(&parts, &options(&CheckOrigin::host())).is_err());
}

#[test]
fn the_connection_is_compared_as_a_whole() {
    #[track_caller]
    fn check_target(uri: &str, host: Option<&str>, allowed: &[&str], refused: &[&str]) {
        for (origins, expected) in [(allowed, true), (refused, false)] {
            for origin in origins {
                let mut request = Request::get(uri).header(ORIGIN, *origin);
                if let Some(host) = host {
                    request = request.header(HOST, host);
                }
                let parts = request.body(()).unwrap().into_parts().0;
                let is_ok = check(&parts, &options(&CheckOrigin::connection())).is_ok();
                assert_eq!(is_ok, expected, "{origin} at {uri}, {host:?}");
            }
        }
    }
    check_target(
        "/socket",
        Some("example.com"),
        &["http://example.com", "http://example.com:80"],
        &[
            "https://example.com",
            "http://example.com:8080",
            "http://www.example.com",
            "ws://example.com",
            "wss://example.com",
            "//example.com",
            "null",
        ],
    );
    check_target(
        "/socket",
        Some("example.com:4000"),
        &["http://example.com:4000"],
        &["http://example.com", "ws://example.com:4000"],
    );
    check_target(
        "https://example.com/socket",
        Some("inner:4000"),
        &["https://example.com", "https://example.com:443"],
        &[
            "http://example.com",
            "http://inner:4000",
            "wss://example.com",
        ],
    );
    check_target(
        "/socket",
        Some("[::1]:4000"),
        &["http://[::1]:4000"],
        &["http://[::1]"],
    );
    check_target("/socket", None, &[], &["http://example.com"]);
    check_target("/socket", Some(""), &[], &["http://example.com", "null"]);
}

#[test]
fn a_function_is_asked_for_every_origin() {
    let rule = CheckOrigin::callback(|origin| match origin.as_str() {
        "https://a.com:8443" => {
            (origin.scheme(), origin.host(), origin.port())
                == (Some("https"), Some("a.com"), Some(8443))
        }
        "https://a.com" => origin.port() == Some(443),
        "//[::1]" => (origin.scheme(), origin.host(), origin.port()) == (None, Some("::1"), None),
        "null" | "" | "file://" => (origin.host(), origin.port()) == (None, None),
        _ => false,
    });
    let known = [
        "https://a.com:8443",
        "https://a.com",
        "//[::1]",
        "null",
        "",
        "file://",
    ];
    check_all(&rule, &known, true);
    check_all(&rule, &["https://b.com"], false);
}

#[test]
fn a_list_names_the_entry_that_is_wrong() {
    for (entry, why) in [
        ("example.com", "it has no \"//\" with a host behind it"),
        ("", "it has no \"//\" with a host behind it"),
        ("//", "it isn't of the form \"scheme://host:port\""),
        ("https://", "it isn't of the form \"scheme://host:port\""),
        (
            "//a.com:99999",
            "it isn't of the form \"scheme://host:port\"",
        ),
        ("//me@a.com", "it isn't of the form \"scheme://host:port\""),
        (
            "//*",
            "a \"*\" stands at the host's beginning only, as in \"//*.example.com\"",
        ),
        (
            "//a.*.com",
            "a \"*\" stands at the host's beginning only, as in \"//*.example.com\"",
        ),
        (
            "//*a.com",
            "a \"*\" stands at the host's beginning only, as in \"//*.example.com\"",
        ),
        (
            "//*.*.com",
            "a \"*\" stands at the host's beginning only, as in \"//*.example.com\"",
        ),
        (
            "//*.",
            "a \"*\" stands at the host's beginning only, as in \"//*.example.com\"",
        ),
    ] {
        let error = CheckOrigin::list(["//fine.com", entry]).unwrap_err();
        let expected = format!("failed to read the origin {entry:?}: {why}");
        assert_eq!(error.to_string(), expected);
    }
}

#[test]
fn a_refusal_says_what_to_change() {
    let why =
        |rule: CheckOrigin| check(&request(Some("https://evil.com")), &options(&rule)).unwrap_err();
    for (rule, part) in [
        (CheckOrigin::host(), "Endpoint::host"),
        (CheckOrigin::list(["//a.com"]).unwrap(), "CheckOrigin::list"),
        (CheckOrigin::connection(), "CheckOrigin::connection"),
        (CheckOrigin::callback(|_| false), "CheckOrigin::callback"),
    ] {
        let why = why(rule);
        assert!(why.starts_with("its origin \"https://evil.com\" "), "{why}");
        assert!(why.contains(part), "{why}");
    }
}
