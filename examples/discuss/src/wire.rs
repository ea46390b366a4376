//! What clients see of what is kept: each field here was chosen, and no other leaves the server.

use serde::Serialize;

use crate::db;

/// A topic as the pages show it.
#[derive(Debug, Serialize)]
pub(crate) struct Topic<'a> {
    id: i64,
    title: &'a str,
    by: &'a str,
    members_only: bool,
    /// How many there are, which is the number of the newest.
    comments: i64,
    /// The time of the newest comment, in milliseconds since 1970.
    active_at: i64,
}

impl<'a> From<&'a db::Topic> for Topic<'a> {
    fn from(topic: &'a db::Topic) -> Self {
        Self {
            id: topic.id,
            title: &topic.title,
            by: &topic.owner,
            members_only: topic.members_only(),
            comments: topic.comments,
            active_at: topic.active_at,
        }
    }
}

/// A comment as the pages show it.
#[derive(Debug, Serialize)]
pub(crate) struct Comment<'a> {
    /// Its number in the topic: what `last_seen_id` counts in.
    id: i64,
    /// As its author's page made it.
    client_id: &'a str,
    by: &'a str,
    content: &'a str,
    /// Milliseconds since 1970.
    at: i64,
}

impl<'a> From<&'a db::Comment> for Comment<'a> {
    fn from(comment: &'a db::Comment) -> Self {
        Self {
            id: comment.number,
            client_id: &comment.client_id,
            by: &comment.author,
            content: &comment.content,
            at: comment.created_at,
        }
    }
}

/// Some comments in the order of their ids, and whether there are more on either side.
#[derive(Debug, Serialize)]
pub(crate) struct Page<'a> {
    comments: Vec<Comment<'a>>,
    older: bool,
    newer: bool,
}

impl<'a> Page<'a> {
    /// `newest` is the number of the topic's newest comment.
    pub(crate) fn new(comments: &'a [db::Comment], newest: i64) -> Self {
        let (first, last) = (comments.first(), comments.last());
        Self {
            older: first.is_some_and(|it| it.number > 1),
            newer: last.is_some_and(|it| it.number < newest),
            comments: comments.iter().map(Comment::from).collect(),
        }
    }
}

/// What a join of `comments:<id>` is answered.
#[derive(Debug, Serialize)]
pub(crate) struct Welcome<'a> {
    pub(crate) topic: Topic<'a>,
    /// Whether the topic is the client's own, to edit and delete.
    pub(crate) own: bool,
    #[serde(flatten)]
    pub(crate) page: Page<'a>,
}

/// What a join of `topics` is answered.
#[derive(Debug, Serialize)]
pub(crate) struct Topics<'a> {
    pub(crate) topics: Vec<Topic<'a>>,
}

/// A topic has one more comment.
#[derive(Debug, Serialize)]
pub(crate) struct Grown {
    pub(crate) id: i64,
    pub(crate) comments: i64,
    pub(crate) active_at: i64,
}

/// A topic is gone.
#[derive(Debug, Serialize)]
pub(crate) struct Deleted<'a> {
    pub(crate) id: i64,
    pub(crate) by: &'a str,
}

/// Who reads: what presence tells of each.
#[derive(Debug, Serialize)]
pub(crate) struct Reader<'a> {
    pub(crate) name: Option<&'a str>,
}
