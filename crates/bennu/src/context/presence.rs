//! A channel among those who are present in its topic.

use std::{any::type_name, fmt, sync::Arc};

use bennu_pubsub::tracker::{Member, PresenceError, Presences};
use bennu_wire::{Outgoing, Payload, Ref};
use serde::Serialize;

use super::{Context, Effect, lock};
use crate::{
    Channel, Presence,
    presence::{Change, STATE},
};

/// A channel tracks itself in its own topic. What it tracks ends with it, however it ends. Another presence than
/// the endpoint's has the same methods: [`Presence::track`] and so on.
impl<C: Channel> Context<C> {
    /// Makes this channel present in its topic under `key`, with `meta`, an object that says more. All in the
    /// topic are told by `presence_diff`. In `join` it happens right after the join's reply.
    ///
    /// Phoenix's `Presence.track/3`. A `key` is any text: several channels, of one user's devices, may share it.
    ///
    /// ```
    /// # use bennu::{Channel, Context, PresenceError}; use serde_json::json;
    /// # fn example<C: Channel>(cx: &Context<C>, user_id: u64) -> Result<(), PresenceError> {
    /// cx.track(user_id, &json!({"typing": false}))?;
    /// cx.push_presence_state();                       // and see who else is there
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    ///
    /// When this channel tracks the key already, the meta isn't an object, or a limit of
    /// [`PresenceOptions`](crate::PresenceOptions) is met. In `join` a limit is met later, and logged.
    pub fn track(
        &self,
        key: impl fmt::Display,
        meta: &(impl Serialize + ?Sized),
    ) -> Result<(), PresenceError> {
        self.presence().track(self, key, meta)
    }

    /// Replaces the meta under `key`: one diff has the new meta among its joins, and the old one among its
    /// leaves. Phoenix's `Presence.update/3`.
    ///
    /// # Errors
    ///
    /// When this channel doesn't track the key; else as [`track`](Self::track).
    pub fn update(
        &self,
        key: impl fmt::Display,
        meta: &(impl Serialize + ?Sized),
    ) -> Result<(), PresenceError> {
        self.presence().update(self, key, meta)
    }

    /// Ends this channel's presence under `key`, if there is one. Phoenix's `Presence.untrack/2`.
    pub fn untrack(&self, key: impl fmt::Display) {
        self.presence().untrack(self, key);
    }

    /// Ends all of this channel's presences. Phoenix's `Presence.untrack/1`.
    pub fn untrack_all(&self) {
        self.presence().untrack_all(self);
    }

    /// Who is present in this topic. Phoenix's `Presence.list/1`.
    pub async fn presences(&self) -> Presences {
        self.presence().list(self.topic().clone()).await
    }

    /// Sends this client `presence_state`: who is present in this topic, as its `Presence` expects it once
    /// after a join. In `join` it is sent after the reply, with what `join` tracked.
    ///
    /// With a [`PresenceHandler`](crate::PresenceHandler) that is asked first it is sent a little later, so push it once after a
    /// join: a client applies a further one at once, and newer diffs may have overtaken it.
    pub fn push_presence_state(&self) {
        self.presence().push_state(self);
    }

    fn presence(&self) -> &Presence {
        &self.conn.mount().presence
    }

    /// Changes this channel's presences, or notes in `join` what is to be changed.
    pub(crate) fn change(&self, presence: &Presence, change: Change) -> Result<(), PresenceError> {
        if let Some(rest) = self.rest.get()
            && let Some(held) = &mut *lock(&rest.held)
        {
            let tracked = |key: &str| {
                let of_key = held
                    .iter()
                    .rev()
                    .find_map(|it| it.on_presence(presence, key));
                of_key.unwrap_or(false)
            };
            match &change {
                Change::Track(key, _) if tracked(key) => return Err(PresenceError::AlreadyTracked),
                Change::Update(key, _) if !tracked(key) => return Err(PresenceError::NotTracked),
                _ => {}
            }
            held.push(Effect::Presence(presence.clone(), change));
            return Ok(());
        }
        let topic = self.topic();
        match change {
            Change::Track(key, meta) => drop(self.member(presence).track(topic, &key, &meta)?),
            Change::Update(key, meta) => drop(self.member(presence).update(topic, &key, &meta)?),
            Change::Untrack(key) => self.member(presence).untrack(topic, &key),
            Change::UntrackAll => self.member(presence).untrack_all(),
            Change::PushState => self.push_state(presence),
        }
        Ok(())
    }

    /// Makes a change that `join` asked for.
    pub(super) fn changed(&self, presence: &Presence, change: Change) {
        if let Err(error) = self.change(presence, change) {
            tracing::error!(channel = type_name::<C>(), topic = %self.topic(), %error, "failed to track a presence");
        }
    }

    fn push_state(&self, presence: &Presence) {
        if !presence.fetches() {
            // Nobody comes or goes between the list and the outbox.
            presence
                .roster()
                .show(self.topic(), |listing| self.push(STATE, &listing));
            return;
        }
        let (presence, topic, conn) = (presence.clone(), self.topic().clone(), self.conn.clone());
        let join_ref = self.join_ref.clone();
        tokio::spawn(async move {
            let presences = presence.list(topic.clone()).await;
            let pushed = Payload::new(&presences).and_then(|payload| {
                conn.push(&Outgoing::Push {
                    join_ref: &join_ref,
                    r#ref: &Ref::NULL,
                    topic: topic.as_str().into(),
                    event: STATE,
                    payload: &payload,
                })
            });
            if let Err(error) = pushed {
                tracing::error!(%topic, %error, "failed to encode presences");
            }
        });
    }

    fn member(&self, presence: &Presence) -> Arc<Member> {
        let mut members = lock(&self.rest.get_or_init(Box::default).members);
        let known = members.iter().find(|it| it.is_of(presence.roster()));
        known.cloned().unwrap_or_else(|| {
            let member = Arc::new(presence.roster().member());
            members.push(member.clone());
            member
        })
    }
}

impl Effect {
    /// Whether it leaves `key` tracked, if it's about that.
    fn on_presence(&self, presence: &Presence, key: &str) -> Option<bool> {
        match self {
            Self::Presence(it, change) if it.roster().is(presence.roster()) => match change {
                Change::Track(tracked, _) if tracked == key => Some(true),
                Change::Untrack(untracked) if untracked == key => Some(false),
                Change::UntrackAll => Some(false),
                _ => None,
            },
            _ => None,
        }
    }
}
