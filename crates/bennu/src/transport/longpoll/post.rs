//! What a client posts.

use std::{sync::Arc, time::Duration};

use axum::body::Body;
use bennu_wire::longpoll::Batch;
use bytes::Bytes;
use http::{HeaderMap, header};
use tokio::time::timeout;

use super::{
    answer::Answer,
    bodies::{Bodies, NotTaken, Taken},
    session::{NotHandled, Session},
};
use crate::{LongPoll, transport::admit::Refusal};

/// How long a body may take to come. Phoenix's clients give up after 20 seconds.
pub(crate) const BODY_TIME_MAX: Duration = Duration::from_secs(60);

/// Reads a body and has the session handle its messages.
pub(crate) async fn post(
    session: &Arc<Session>,
    options: &LongPoll,
    bodies: &Bodies,
    headers: &HeaderMap,
    body: Body,
) -> Answer {
    session.heard();
    match read(options, bodies, body).await {
        Ok(body) => handle(session, content_type(headers), body.bytes()).await,
        Err(answer) => answer,
    }
}

/// Reads a body to its end.
pub(super) async fn read<'a>(
    options: &LongPoll,
    bodies: &'a Bodies,
    body: Body,
) -> Result<Taken<'a>, Answer> {
    match timeout(BODY_TIME_MAX, bodies.take(body, options.body_bytes_max)).await {
        Ok(Ok(body)) => Ok(body),
        Ok(Err(NotTaken::TooLong | NotTaken::Broken)) => Err(Answer::Refused(Refusal::BadRequest)),
        Ok(Err(NotTaken::NoRoom)) => Err(Answer::Refused(Refusal::Unavailable)),
        Err(_) => Err(Answer::Status(408)),
    }
}

pub(super) fn content_type(headers: &HeaderMap) -> Option<&str> {
    headers.get(header::CONTENT_TYPE)?.to_str().ok()
}

/// Has the session handle the messages of a body, one after the other. The first that isn't handled ends it.
pub(super) async fn handle(session: &Session, content_type: Option<&str>, body: Bytes) -> Answer {
    let batch = match Batch::new(content_type, body) {
        Ok(batch) => batch,
        Err(error) => return Answer::Malformed(error.status(), error.to_string().into()),
    };
    for entry in batch {
        let entry = match entry {
            Ok(entry) => entry,
            Err(error) => return Answer::Malformed(error.status(), error.to_string().into()),
        };
        match session.post(entry).await {
            Ok(()) => {}
            Err(NotHandled::Malformed(close)) => return Answer::Malformed(400, close.reason),
            Err(NotHandled::TimedOut) => return Answer::Status(408),
            Err(NotHandled::Gone) => return Answer::Gone(session.ended()),
        }
    }
    Answer::Status(200)
}
