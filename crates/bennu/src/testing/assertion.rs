//! What the assertions call.

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
