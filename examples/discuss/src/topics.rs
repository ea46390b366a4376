//! `topics`: the list of what is being discussed, as it changes.

use bennu::{Channel, Context, Joined, Reply, Result, Topic, refuse};
use serde::Deserialize;

use crate::{form, now, socket::Person, wire};

pub(crate) const TOPIC: &str = "topics";

/// One person who looks at the list.
pub(crate) struct Topics;

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum In {
    Create { title: String, members_only: bool },
}

impl Channel for Topics {
    type Socket = Person;
    type Params = ();
    type In = In;
    type Info = ();

    async fn join(_: &Topic, (): (), cx: &Context<Self>) -> Result<Joined<Self>> {
        cx.listen().await;
        let topics = cx.app().db.topics().await?;
        let topics = topics.iter().map(wire::Topic::from).collect();
        Ok(Joined::with_reply(Self, wire::Topics { topics }))
    }

    async fn handle_in(&mut self, event: In, cx: &Context<Self>) -> Result {
        let In::Create {
            title,
            members_only,
        } = event;
        let owner = cx.socket().user();
        let owner = owner.ok_or_else(|| refuse("sign in to open a topic"))?;
        let title = form::title(&title).map_err(refuse)?;
        let created = cx.app().db.create_topic(owner, &title, members_only, now());
        let created = created.await?;
        let told = wire::Topic::from(&created);
        cx.broadcast("topic_created", &told);
        Ok(Reply::with(told))
    }
}
