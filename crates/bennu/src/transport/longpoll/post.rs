//! What a client posts.

use std::{sync::Arc, time::Duration};

use axum::body::Body;
use bennu_wire::longpoll::Batch;
use http::{HeaderMap, header};
use tokio::time::timeout;

use super::{
    answer::Answer,
    bodies::{Bodies, NotTaken},
    session::{NotHandled, Session},
};
use crate::{LongPoll, transport::admit::Refusal};

/// How long a body may take to come. Phoenix's clients give up after 20 seconds.
pub(crate) const BODY_TIME_MAX: Duration = Duration::from_secs(60);

/// Reads a body and has the session handle its messages, one after the other. The first that isn't handled ends it.
pub(crate) async fn post(
    session: &Arc<Session>,
    options: &LongPoll,
    bodies: &Bodies,
    headers: &HeaderMap,
    body: Body,
) -> Answer {
    session.heard();
    let body = match timeout(BODY_TIME_MAX, bodies.take(body, options.body_bytes_max)).await {
        Ok(Ok(body)) => body,
        Ok(Err(NotTaken::TooLong | NotTaken::Broken)) => {
            return Answer::Refused(Refusal::BadRequest);
        }
        Ok(Err(NotTaken::NoRoom)) => return Answer::Refused(Refusal::Unavailable),
        Err(_) => return Answer::Status(408),
    };
    let content_type = headers
        .get(header::CONTENT_TYPE)
        .and_then(|it| it.to_str().ok());
    let batch = match Batch::new(content_type, body.bytes()) {
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
            Err(NotHandled::Gone) => return Answer::Status(410),
        }
    }
    Answer::Status(200)
}
