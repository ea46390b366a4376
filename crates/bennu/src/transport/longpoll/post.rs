//! What a client posts.

use std::{sync::Arc, time::Duration};

use axum::body::{Body, HttpBody, to_bytes};
use bennu_wire::longpoll::Batch;
use http::{HeaderMap, header};
use tokio::time::timeout;

use super::{
    answer::Answer,
    session::{NotHandled, Session},
};
use crate::{LongPoll, transport::admit::Refusal};

/// How long a body may take to come. Phoenix's clients give up after 20 seconds.
pub(crate) const BODY_TIME_MAX: Duration = Duration::from_secs(60);

/// Reads a body and has the session handle its messages, one after the other. The first that isn't handled ends it.
pub(crate) async fn post(
    session: &Arc<Session>,
    options: &LongPoll,
    headers: &HeaderMap,
    body: Body,
) -> Answer {
    session.heard();
    let bytes_max = options.body_bytes_max;
    if body.size_hint().lower() > bytes_max as u64 {
        return Answer::Refused(Refusal::BadRequest);
    }
    let body = match timeout(BODY_TIME_MAX, to_bytes(body, bytes_max)).await {
        Ok(Ok(body)) => body,
        Ok(Err(_)) => return Answer::Refused(Refusal::BadRequest),
        Err(_) => return Answer::Status(408),
    };
    let content_type = headers
        .get(header::CONTENT_TYPE)
        .and_then(|it| it.to_str().ok());
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
            Err(NotHandled::Gone) => return Answer::Status(410),
        }
    }
    Answer::Status(200)
}
