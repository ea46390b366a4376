//! The assertions. What they call is in `assertion.rs`: here is only what a function can't do, to read patterns and to
//! fail where the test stands.

/// Reads what an assertion expects of a payload.
#[doc(hidden)]
#[macro_export]
macro_rules! __bennu_matcher {
    () => { $crate::testing::__private::any() };
    (let $pattern:pat $(if $guard:expr)? $(,)?) => {
        $crate::__bennu_matcher!(let $pattern $(if $guard)? => ())
    };
    (let $pattern:pat $(if $guard:expr)? => $value:expr $(,)?) => {
        $crate::testing::__private::Matcher::new(
            ::core::concat!("`", ::core::stringify!($pattern) $(, " if ", ::core::stringify!($guard))?, "`"),
            |payload: &$crate::Payload| {
                // Other patterns are for payloads that decode and don't match: some patterns always do.
                #[allow(unreachable_patterns, unused_variables, clippy::allow_attributes)]
                match payload.decode() {
                    ::core::result::Result::Ok($pattern) $(if $guard)? => ::core::result::Result::Ok($value),
                    ::core::result::Result::Ok(_) => {
                        ::core::result::Result::Err(::std::string::String::from("doesn't match"))
                    }
                    ::core::result::Result::Err(error) => {
                        ::core::result::Result::Err(::std::string::ToString::to_string(&error))
                    }
                }
            },
        )
    };
    ({ $($json:tt)* } $(,)?) => {
        $crate::testing::__private::shaped($crate::__bennu_pattern!({ $($json)* }))
    };
    ([ $($json:tt)* ] $(,)?) => {
        $crate::testing::__private::shaped($crate::__bennu_pattern!([ $($json)* ]))
    };
    (_ $(,)?) => { $crate::testing::__private::any() };
    (null $(,)?) => { $crate::testing::__private::shaped($crate::__bennu_pattern!(null)) };
    ($expected:expr $(,)?) => {
        $crate::testing::__private::shaped($crate::testing::__private::Pattern::value(&$expected))
    };
    ($($other:tt)*) => {
        ::core::compile_error!(
            "a payload is expected as a value, as JSON like `{\"n\": 1, \"at\": _, ..}`, or as `let PATTERN if GUARD => VALUE`"
        )
    };
}

/// Asserts that the server pushes an event to a channel's client: `assert_push!(channel, event)`, or with a
/// [payload](crate::testing#payloads) as third argument.
///
/// Takes the first such message among all that came and waits for it if need be (100 ms, see
/// [`set_timeout`](crate::testing::Client::set_timeout)). Evaluates to the [`Payload`](crate::Payload), or to what
/// stands behind `=>`. Broadcasts that reach the client count, too. Phoenix's `assert_push`.
///
/// ```
/// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/testing/doc.rs")); fn main() { run(async {
/// # use bennu::testing::{assert_push, connect}; use serde_json::json;
/// # #[derive(Deserialize)] struct Msg { body: String }
/// # let client = connect(&endpoint(), "/socket", json!({"name": "ada"})).await?;
/// # let room = client.join("room:1", json!({})).await?;
/// # for _ in 0..4 { room.push("shout", json!({"body": "hi", "at": 1})); }
/// assert_push!(room, "shout");
/// assert_push!(room, "shout", json!({"body": "hi", "at": 1}));
/// assert_push!(room, "shout", {"body": "hi", "at": _});
/// let body = assert_push!(room, "shout", let Msg { body } if body.len() < 10 => body);
/// assert_eq!(body, "hi");
/// # Ok(()) }) }
/// ```
///
/// ```compile_fail
/// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/testing/doc.rs")); fn main() { run(async {
/// # use bennu::testing::assert_push;
/// assert_push!("room:1", "shout");    // expected `&ClientChannel`, found `&str`
/// # Ok(()) }) }
/// ```
#[macro_export]
macro_rules! assert_push {
    ($channel:expr, $event:expr $(, $($payload:tt)*)?) => {
        match $crate::testing::__private::push(
            &$channel, $event, &mut $crate::__bennu_matcher!($($($payload)*)?)
        ).await {
            ::core::result::Result::Ok(found) => found,
            ::core::result::Result::Err(report) => $crate::testing::__private::fail(&report),
        }
    };
    ($($other:tt)*) => {
        ::core::compile_error!("expected `assert_push!(channel, event)` or `assert_push!(channel, event, payload)`")
    };
}

/// Asserts that the server doesn't push such an event within the timeout; the arguments are those of
/// [`assert_push!`](crate::assert_push). Phoenix's `refute_push`.
///
/// With tokio's clock paused it waits until nobody has anything left to do, which takes no time and leaves nothing
/// to chance. With a clock that runs it waits.
///
/// ```
/// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/testing/doc.rs")); fn main() { run(async {
/// # use bennu::testing::{connect, refute_push}; use serde_json::json;
/// # let client = connect(&endpoint(), "/socket", json!({"name": "ada"})).await?;
/// # let room = client.join("room:1", json!({})).await?;
/// room.push("shout", json!({"n": 1}));
/// refute_push!(room, "shout", {"n": 2});
/// refute_push!(room, "typing");
/// # Ok(()) }) }
/// ```
#[macro_export]
macro_rules! refute_push {
    ($channel:expr, $event:expr $(, $($payload:tt)*)?) => {
        if let ::core::result::Result::Err(report) = $crate::testing::__private::no_push(
            &$channel, $event, &mut $crate::__bennu_matcher!($($($payload)*)?)
        ).await {
            $crate::testing::__private::fail(&report)
        }
    };
    ($($other:tt)*) => {
        ::core::compile_error!("expected `refute_push!(channel, event)` or `refute_push!(channel, event, payload)`")
    };
}

/// Asserts that the server replies to an event: `assert_reply!(pushed, status)`, or with a
/// [payload](crate::testing#payloads) as third argument.
///
/// `pushed` is what [`ClientChannel::push`](crate::testing::ClientChannel::push) returned. Otherwise as
/// [`assert_push!`](crate::assert_push). Phoenix's `assert_reply`.
///
/// ```
/// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/testing/doc.rs")); fn main() { run(async {
/// # use bennu::testing::{assert_reply, connect}; use serde_json::json;
/// # let client = connect(&endpoint(), "/socket", json!({"name": "ada"})).await?;
/// # let room = client.join("room:1", json!({})).await?;
/// let pushed = room.push("ping", json!(7));
/// let n: u64 = assert_reply!(pushed, "ok", let n => n);
/// assert_reply!(room.push("fly", json!({})), "error", {"reason": _});
/// # assert_eq!(n, 7); Ok(()) }) }
/// ```
#[macro_export]
macro_rules! assert_reply {
    ($pushed:expr, $status:expr $(, $($payload:tt)*)?) => {
        match $crate::testing::__private::reply(
            &$pushed, $status, &mut $crate::__bennu_matcher!($($($payload)*)?)
        ).await {
            ::core::result::Result::Ok(found) => found,
            ::core::result::Result::Err(report) => $crate::testing::__private::fail(&report),
        }
    };
    ($($other:tt)*) => {
        ::core::compile_error!("expected `assert_reply!(pushed, status)` or `assert_reply!(pushed, status, payload)`")
    };
}

/// Asserts that the server doesn't reply to an event within the timeout: `refute_reply!(pushed)`, or not with that
/// status and [payload](crate::testing#payloads). It waits as [`refute_push!`](crate::refute_push). Phoenix's
/// `refute_reply`.
///
/// ```
/// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/testing/doc.rs")); fn main() { run(async {
/// # use bennu::testing::{connect, refute_reply}; use serde_json::json;
/// # let client = connect(&endpoint(), "/socket", json!({"name": "ada"})).await?;
/// # let room = client.join("room:1", json!({})).await?;
/// refute_reply!(room.push("shout", json!({})));
/// refute_reply!(room.push("ping", json!({})), "error");
/// # Ok(()) }) }
/// ```
#[macro_export]
macro_rules! refute_reply {
    ($pushed:expr $(,)?) => {
        $crate::refute_reply!(@ $pushed, ::core::option::Option::None,)
    };
    (@ $pushed:expr, $status:expr, $($payload:tt)*) => {
        if let ::core::result::Result::Err(report) = $crate::testing::__private::no_reply(
            &$pushed, $status, &mut $crate::__bennu_matcher!($($payload)*)
        ).await {
            $crate::testing::__private::fail(&report)
        }
    };
    ($pushed:expr, $status:expr $(, $($payload:tt)*)?) => {
        $crate::refute_reply!(@ $pushed, ::core::option::Option::Some($status), $($($payload)*)?)
    };
    ($($other:tt)*) => {
        ::core::compile_error!(
            "expected `refute_reply!(pushed)`, `refute_reply!(pushed, status)` or `refute_reply!(pushed, status, payload)`"
        )
    };
}

/// Asserts that an event is broadcast: `assert_broadcast!(listener, event)`, or with a
/// [payload](crate::testing#payloads) as third argument.
///
/// `listener` is what [`listen`](crate::testing::listen) returned, or a channel joined by
/// [`subscribe_and_join`](crate::testing::Client::subscribe_and_join). Otherwise as
/// [`assert_push!`](crate::assert_push). Phoenix's `assert_broadcast`.
///
/// ```
/// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/testing/doc.rs")); fn main() { run(async {
/// # use bennu::testing::{assert_broadcast, connect, listen}; use serde_json::json;
/// let endpoint = endpoint();
/// let lobby = listen(&endpoint, "lobby");
/// endpoint.broadcast("lobby", "open", &true);
/// assert_broadcast!(lobby, "open", true);
///
/// let client = connect(&endpoint, "/socket", json!({"name": "ada"})).await?;
/// let room = client.subscribe_and_join("room:1", json!({})).await?;
/// room.push("shout", json!({"n": 1}));
/// assert_broadcast!(room, "shout", {"n": 1});
/// # Ok(()) }) }
/// ```
#[macro_export]
macro_rules! assert_broadcast {
    ($listener:expr, $event:expr $(, $($payload:tt)*)?) => {
        match $crate::testing::__private::broadcast(
            &$listener, $event, &mut $crate::__bennu_matcher!($($($payload)*)?)
        ).await {
            ::core::result::Result::Ok(found) => found,
            ::core::result::Result::Err(report) => $crate::testing::__private::fail(&report),
        }
    };
    ($($other:tt)*) => {
        ::core::compile_error!(
            "expected `assert_broadcast!(listener, event)` or `assert_broadcast!(listener, event, payload)`"
        )
    };
}

/// Asserts that no such event is broadcast within the timeout; the arguments are those of
/// [`assert_broadcast!`](crate::assert_broadcast). It waits as [`refute_push!`](crate::refute_push). Phoenix's
/// `refute_broadcast`.
///
/// ```
/// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/testing/doc.rs")); fn main() { run(async {
/// # use bennu::testing::{connect, refute_broadcast}; use serde_json::json;
/// # let client = connect(&endpoint(), "/socket", json!({"name": "ada"})).await?;
/// # let room = client.subscribe_and_join("room:1", json!({})).await?;
/// room.push("ping", json!({}));
/// refute_broadcast!(room, "shout");
/// # Ok(()) }) }
/// ```
#[macro_export]
macro_rules! refute_broadcast {
    ($listener:expr, $event:expr $(, $($payload:tt)*)?) => {
        if let ::core::result::Result::Err(report) = $crate::testing::__private::no_broadcast(
            &$listener, $event, &mut $crate::__bennu_matcher!($($($payload)*)?)
        ).await {
            $crate::testing::__private::fail(&report)
        }
    };
    ($($other:tt)*) => {
        ::core::compile_error!(
            "expected `refute_broadcast!(listener, event)` or `refute_broadcast!(listener, event, payload)`"
        )
    };
}

/// Asserts what a [`Payload`](crate::Payload) at hand is, as the other assertions do: the reply to a join, or what
/// one of them evaluated to.
///
/// ```
/// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/testing/doc.rs")); fn main() { run(async {
/// # use bennu::testing::{assert_payload, connect}; use serde_json::json;
/// # let client = connect(&endpoint(), "/socket", json!({"name": "ada"})).await?;
/// # let room = client.join("room:1", json!({})).await?;
/// assert_payload!(room.joined(), {"name": "ada"});
/// let refused = client.join("attic", json!({})).await.unwrap_err();
/// assert_payload!(refused.response, {"reason": "unmatched topic"});
/// # Ok(()) }) }
/// ```
#[macro_export]
macro_rules! assert_payload {
    ($payload:expr, $($expected:tt)+) => {
        match $crate::testing::__private::payload(
            &$payload, &mut $crate::__bennu_matcher!($($expected)+)
        ) {
            ::core::result::Result::Ok(found) => found,
            ::core::result::Result::Err(report) => $crate::testing::__private::fail(&report),
        }
    };
    ($($other:tt)*) => {
        ::core::compile_error!("expected `assert_payload!(payload, expected)`")
    };
}
