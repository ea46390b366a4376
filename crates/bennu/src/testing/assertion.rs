//! What the assertions call, and the assertions.

use bennu_wire::Payload;

use super::{
    Broadcasts, ClientChannel, Listens, Pattern, Pushed,
    wire::{Kind, Received, Shown},
};

/// What a payload is expected to be, and what is taken out of it.
#[derive(Debug)]
pub struct Matcher<F> {
    /// As a report shows it; empty where any payload will do.
    expected: String,
    /// The error says why it doesn't match.
    look: F,
}

impl<F> Matcher<F> {
    /// With a Rust pattern, written as `expected`.
    pub fn new<T>(expected: &str, look: F) -> Self
    where
        F: FnMut(&Payload) -> Result<T, String>,
    {
        Self {
            expected: expected.to_owned(),
            look,
        }
    }

    fn that(&self) -> String {
        if self.expected.is_empty() {
            String::new()
        } else {
            format!(" that is {}", self.expected)
        }
    }
}

/// Any payload.
#[must_use]
pub fn any() -> Matcher<impl FnMut(&Payload) -> Result<Payload, String>> {
    Matcher::new("", |payload: &Payload| Ok(payload.clone()))
}

/// A payload of that shape.
#[must_use]
pub fn shaped(pattern: Pattern) -> Matcher<impl FnMut(&Payload) -> Result<Payload, String>> {
    Matcher::new(&pattern.to_string(), move |payload: &Payload| {
        pattern.check(payload).map(|()| payload.clone())
    })
}

/// The error is the report.
#[doc(hidden)]
pub async fn push<T, F>(
    channel: &ClientChannel,
    event: &str,
    matcher: &mut Matcher<F>,
) -> Result<T, String>
where
    F: FnMut(&Payload) -> Result<T, String>,
{
    let inbox = channel.inbox();
    let asked = |it: &Received| {
        matches!(&it.kind, Kind::Push { event: it } if it == event) && channel.is_ours(it)
    };
    let look = &mut matcher.look;
    let found = inbox.take(|it| asked(it).then(|| look(&it.payload).ok()).flatten());
    if let Some(found) = found.await {
        return Ok(found);
    }
    let note = |it: &Received| {
        asked(it)
            .then(|| (matcher.look)(&it.payload).err())
            .flatten()
    };
    let waits = inbox.report(note);
    Err(format!(
        "no push {event:?}{} came on {:?} within {:?}\n{waits}",
        matcher.that(),
        channel.topic(),
        inbox.timeout()
    ))
}

/// The error is the report.
#[doc(hidden)]
pub async fn no_push<T, F>(
    channel: &ClientChannel,
    event: &str,
    matcher: &mut Matcher<F>,
) -> Result<(), String>
where
    F: FnMut(&Payload) -> Result<T, String>,
{
    let look = &mut matcher.look;
    let found = channel.inbox().take(|it| match &it.kind {
        Kind::Push { event: it_event } if it_event == event && channel.is_ours(it) => {
            look(&it.payload).ok().map(|_| it.to_string())
        }
        _ => None,
    });
    match found.await {
        None => Ok(()),
        Some(found) => Err(format!(
            "a push {event:?}{} came on {:?}, which nobody wanted:\n  {found}",
            matcher.that(),
            channel.topic()
        )),
    }
}

/// The error is the report.
#[doc(hidden)]
pub async fn reply<T, F>(
    pushed: &Pushed,
    status: &str,
    matcher: &mut Matcher<F>,
) -> Result<T, String>
where
    F: FnMut(&Payload) -> Result<T, String>,
{
    let inbox = &pushed.link.inbox;
    let asked = |it: &Received| matches!(&it.kind, Kind::Reply { r#ref, status: it } if *r#ref == pushed.r#ref && it == status);
    let look = &mut matcher.look;
    let found = inbox.take(|it| asked(it).then(|| look(&it.payload).ok()).flatten());
    if let Some(found) = found.await {
        return Ok(found);
    }
    let note = |it: &Received| match &it.kind {
        Kind::Reply { r#ref, .. } if *r#ref == pushed.r#ref => Some(match asked(it) {
            false => format!("this is the reply, but its status isn't {status:?}"),
            true => (matcher.look)(&it.payload).err()?,
        }),
        _ => None,
    };
    let waits = inbox.report(note);
    Err(format!(
        "no reply {status:?}{} came to {} (ref {}) within {:?}\n{waits}",
        matcher.that(),
        pushed.what,
        pushed.r#ref,
        inbox.timeout()
    ))
}

/// The error is the report. Without a status any will do.
#[doc(hidden)]
pub async fn no_reply<T, F>(
    pushed: &Pushed,
    status: Option<&str>,
    matcher: &mut Matcher<F>,
) -> Result<(), String>
where
    F: FnMut(&Payload) -> Result<T, String>,
{
    let look = &mut matcher.look;
    let found = pushed.link.inbox.take(|it| match &it.kind {
        Kind::Reply {
            r#ref,
            status: found,
        } if *r#ref == pushed.r#ref && status.is_none_or(|it| it == found) => {
            look(&it.payload).ok().map(|_| it.to_string())
        }
        _ => None,
    });
    match found.await {
        None => Ok(()),
        Some(found) => Err(format!(
            "a reply{} came to {}, which nobody wanted:\n  {found}",
            matcher.that(),
            pushed.what
        )),
    }
}

/// The error is the report.
#[doc(hidden)]
pub async fn broadcast<T, F>(
    listener: &impl Listens,
    event: &str,
    matcher: &mut Matcher<F>,
) -> Result<T, String>
where
    F: FnMut(&Payload) -> Result<T, String>,
{
    let broadcasts: &Broadcasts = listener.broadcasts();
    let look = &mut matcher.look;
    if let Some(found) = broadcasts.take(event, |it| look(it).ok()).await {
        return Ok(found);
    }
    let waits = broadcasts.report(|it| {
        let asked = it.event() == event;
        asked.then(|| (matcher.look)(it.payload()).err()).flatten()
    });
    let waits = waits.await;
    Err(format!(
        "no {event:?}{} was broadcast on {:?} within {:?}\n{waits}",
        matcher.that(),
        broadcasts.topic(),
        broadcasts.timeout()
    ))
}

/// The error is the report.
#[doc(hidden)]
pub async fn no_broadcast<T, F>(
    listener: &impl Listens,
    event: &str,
    matcher: &mut Matcher<F>,
) -> Result<(), String>
where
    F: FnMut(&Payload) -> Result<T, String>,
{
    let broadcasts: &Broadcasts = listener.broadcasts();
    let look = &mut matcher.look;
    let found = broadcasts.take(event, |it| look(it).ok().map(|_| Shown(it).to_string()));
    match found.await {
        None => Ok(()),
        Some(found) => Err(format!(
            "{event:?}{} was broadcast on {:?}, which nobody wanted:\n  {found}",
            matcher.that(),
            broadcasts.topic()
        )),
    }
}

/// The error is the report.
#[doc(hidden)]
pub fn payload<T, F>(payload: &Payload, matcher: &mut Matcher<F>) -> Result<T, String>
where
    F: FnMut(&Payload) -> Result<T, String>,
{
    (matcher.look)(payload).map_err(|why| {
        format!(
            "expected a payload{}\n{why}\nfound {}",
            matcher.that(),
            Shown(payload)
        )
    })
}

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
