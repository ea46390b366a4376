//! Replies that come later.

use std::{fmt, sync::Arc};

use bennu_wire::{EncodeError, Outgoing, Ref, Topic};

use crate::{Reply, reply::Answer, runtime::Conn};

/// Answers one event of a client later: see [`Context::reply_to`](crate::Context::reply_to).
#[derive(Clone)]
pub struct ReplyTo {
    conn: Arc<Conn>,
    join_ref: Ref,
    r#ref: Ref,
    topic: Topic,
}

impl ReplyTo {
    pub(super) fn new(conn: Arc<Conn>, join_ref: Ref, r#ref: Ref, topic: Topic) -> Self {
        Self {
            conn,
            join_ref,
            r#ref,
            topic,
        }
    }

    /// Sends a reply. Nothing happens when the connection is gone; a response that can't be encoded is logged.
    pub fn reply(&self, answer: Reply) {
        let Some(answer) = answer.0 else { return };
        if let Err(error) = reply(&self.conn, &self.join_ref, &self.r#ref, &self.topic, answer) {
            tracing::error!(topic = %self.topic, %error, "failed to encode a reply");
        }
    }
}

pub(super) fn reply(
    conn: &Conn,
    join_ref: &Ref,
    r#ref: &Ref,
    topic: &Topic,
    Answer { status, response }: Answer,
) -> Result<(), EncodeError> {
    let response = &response?;
    let topic = topic.as_str().into();
    conn.push(&Outgoing::Reply {
        join_ref,
        r#ref,
        topic,
        status: &status,
        response,
    })
}

impl fmt::Debug for ReplyTo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReplyTo")
            .field("topic", &self.topic)
            .field("ref", &self.r#ref)
            .finish_non_exhaustive()
    }
}
