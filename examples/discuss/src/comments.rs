//! `comments:<topic id>`: one topic, read and written by whoever is there.

use bennu::{
    Broadcast, Broadcaster, Channel, Context, Error, Joined, Reply, Result, Topic, refuse,
};
use serde::{Deserialize, Serialize};

use crate::{
    db::{self, Added, Db, NewComment, Page, User},
    form, now,
    socket::Person,
    topics, wire,
};

/// The key under which guests are present.
const GUESTS: &str = "guests";

/// One person in one topic.
pub(crate) struct Comments {
    topic_id: i64,
}

#[derive(Deserialize)]
pub(crate) struct Join {
    /// Up to which comment the client has them all.
    last_seen_id: Option<i64>,
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum In {
    /// The client makes the id, a UUID, so that a comment that it sends again is stored once.
    Add {
        id: String,
        content: String,
    },
    Older {
        before: i64,
    },
    Newer {
        after: i64,
    },
    Edit {
        title: String,
        members_only: bool,
    },
    Delete,
}

/// Why somebody may not, as the page shows it.
#[derive(Serialize)]
struct SignIn {
    reason: &'static str,
    sign_in: bool,
}

fn sign_in(reason: &'static str) -> Error {
    refuse(SignIn {
        reason,
        sign_in: true,
    })
}

impl Channel for Comments {
    type Socket = Person;
    type Params = Join;
    type In = In;
    type Info = ();
    /// Each channel has to decide whether it may stay.
    const INTERCEPT: &'static [&'static str] = &["topic_edited", "topic_deleted"];

    async fn join(topic: &Topic, join: Join, cx: &Context<Self>) -> Result<Joined<Self>> {
        // One name for each topic: "01" would be another on the bus.
        let named = |id: &i64| id.to_string() == topic.subtopic();
        let topic_id = topic.subtopic().parse().ok().filter(named);
        let topic_id = topic_id.ok_or_else(|| refuse("there is no such topic").for_good())?;
        // Before anything is read, so that no comment falls between what is read and what is heard.
        cx.listen().await;
        let topic = readable(topic_id, cx).await.map_err(Error::for_good)?;
        let page = match join.last_seen_id {
            Some(number) if (0..=topic.comments).contains(&number) => Page::After(number),
            _ => Page::Newest,
        };
        let comments = cx.app().db.comments(topic_id, page).await?;

        let user = cx.socket().user();
        let name = user.map(|it| it.name.as_str());
        let key = user.map(|it| format!("user:{}", it.id));
        cx.track(key.as_deref().unwrap_or(GUESTS), &wire::Reader { name })?;
        cx.push_presence_state();
        let welcome = wire::Welcome {
            topic: wire::Topic::from(&topic),
            own: user.is_some_and(|it| it.id == topic.owner_id),
            page: wire::Page::new(&comments, topic.comments),
        };
        Ok(Joined::with_reply(Self { topic_id }, welcome))
    }

    async fn handle_in(&mut self, event: In, cx: &Context<Self>) -> Result {
        // What was allowed at the join needn't be now: the topic may be for members only since, or gone.
        let topic = readable(self.topic_id, cx).await?;
        match event {
            In::Add { id, content } => self.add(&id, &content, cx).await,
            In::Older { before } => self.page(&topic, Page::Before(before), cx).await,
            In::Newer { after } => self.page(&topic, Page::After(after), cx).await,
            In::Edit {
                title,
                members_only,
            } => {
                let owner = owner(&topic, cx)?;
                let title = form::title(&title).map_err(refuse)?;
                let db = &cx.app().db;
                let edited = db.edit_topic(topic.id, owner.id, &title, members_only);
                if !edited.await? {
                    return Err(refuse("the topic is gone"));
                }
                // As it is stored by now: somebody may have commented meanwhile.
                let topic = readable(topic.id, cx).await?;
                let told = wire::Topic::from(&topic);
                cx.broadcast("topic_edited", &told);
                cx.broadcast_to(topics::TOPIC, "topic_edited", &told);
                Ok(Reply::with(told))
            }
            In::Delete => {
                let owner = owner(&topic, cx)?;
                if cx.app().db.delete_topic(topic.id, owner.id).await? {
                    let deleted = wire::Deleted {
                        id: topic.id,
                        by: &owner.name,
                    };
                    cx.broadcast("topic_deleted", &deleted);
                    cx.broadcast_to(topics::TOPIC, "topic_deleted", &deleted);
                }
                Ok(Reply::ok())
            }
        }
    }

    async fn handle_out(&mut self, out: &Broadcast, cx: &Context<Self>) -> Result<()> {
        #[derive(Deserialize)]
        struct Edited {
            members_only: bool,
        }
        if out.event() == "topic_deleted" {
            cx.push(out.event(), out.payload());
            cx.stop();
            return Ok(());
        }
        let Edited { members_only } = out.decode()?;
        if members_only && cx.socket().user().is_none() {
            let why = SignIn {
                reason: "this topic is for members now",
                sign_in: true,
            };
            cx.push("shown_out", &why);
            cx.stop();
            return Ok(());
        }
        cx.push(out.event(), out.payload());
        Ok(())
    }
}

impl Comments {
    async fn add(&self, id: &str, content: &str, cx: &Context<Self>) -> Result {
        let author = cx.socket().user();
        let author = author.ok_or_else(|| sign_in("sign in to comment"))?.clone();
        let (client_id, content) = form::comment(id, content).map_err(refuse)?;
        let new = NewComment {
            topic_id: self.topic_id,
            author,
            client_id,
            content,
        };
        // In a task of its own: what is stored is told to all, even if the author's connection ends meanwhile and
        // this callback with it.
        let (db, broadcaster) = (cx.app().db.clone(), cx.broadcaster());
        match tokio::spawn(store(db, broadcaster, cx.topic().clone(), new)).await?? {
            Added::Stored(comment) | Added::Known(comment) => {
                Ok(Reply::with(wire::Comment::from(&comment)))
            }
            Added::IdTaken => Err(refuse("another comment has this id")),
            Added::TopicGone => Err(refuse("the topic is gone")),
        }
    }

    async fn page(&self, topic: &db::Topic, page: Page, cx: &Context<Self>) -> Result {
        let comments = cx.app().db.comments(self.topic_id, page).await?;
        Ok(Reply::with(wire::Page::new(&comments, topic.comments)))
    }
}

/// Stores a comment and tells everybody, once.
async fn store(db: Db, broadcaster: Broadcaster, topic: Topic, new: NewComment) -> Result<Added> {
    let added = db.add_comment(&new, now()).await?;
    if let Added::Stored(comment) = &added {
        broadcaster.broadcast(topic, "new_comment", &wire::Comment::from(comment));
        let grown = wire::Grown {
            id: comment.topic_id,
            comments: comment.number,
            active_at: comment.created_at,
        };
        broadcaster.broadcast(topics::TOPIC, "topic_grown", &grown);
    }
    Ok(added)
}

/// The topic, if it is there and this person may read it.
async fn readable(id: i64, cx: &Context<Comments>) -> Result<db::Topic> {
    let topic = cx.app().db.topic(id).await?;
    let topic = topic.ok_or_else(|| refuse("there is no such topic"))?;
    if topic.members_only() && cx.socket().user().is_none() {
        return Err(sign_in("sign in to read this topic"));
    }
    Ok(topic)
}

/// The user, if the topic is theirs.
fn owner<'a>(topic: &db::Topic, cx: &'a Context<Comments>) -> Result<&'a User> {
    let user = cx.socket().user();
    let owner = user.filter(|it| it.id == topic.owner_id);
    owner.ok_or_else(|| refuse("only its owner may change a topic"))
}
