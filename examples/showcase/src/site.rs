//! What is mounted where.

use std::collections::BTreeMap;

use axum::{Json, Router, http::StatusCode, routing::get};
use bennu::Health;
use chat::Chat;
use discuss::Discuss;
use tap_racer::{Rules, TapRacer};

use crate::{address::Addresses, bus::Bus, data::Data, index};

/// The applications.
pub(crate) struct Site {
    pub(crate) chat: Chat,
    pub(crate) discuss: Discuss,
    pub(crate) race: TapRacer,
}

impl Site {
    /// Starts them all. The chat and the forum are shared with other nodes of the bus. The race isn't: one task of one
    /// process owns its state, so its players have to come to one node. The error is a sentence.
    pub(crate) async fn open(data: &Data, bus: &Bus) -> Result<Self, String> {
        let (talk, forum) = (bus.line("chat")?, bus.line("discuss")?);
        let options = discuss::Options::new(data.database()?, data.secret());
        let discuss = Discuss::open_with(&options, |endpoint| forum.join(endpoint))
            .await
            .map_err(|error| format!("failed to {error}"))?;
        let race = TapRacer::new("/tap-racer", data.secret(), Rules::default())
            .map_err(|error| error.to_string())?;
        let chat = Chat::with("/chat", |endpoint| {
            talk.join(endpoint.secret(data.secret()))
        });
        Ok(Self {
            chat,
            discuss,
            race,
        })
    }

    /// Waits for the way to other nodes, if there are some, but not for long. False when there is none yet.
    pub(crate) async fn ready(&self) -> bool {
        let chat = self.chat.endpoint().pubsub().cluster();
        let forum = self.discuss.endpoint().pubsub().cluster();
        let mut ready = true;
        for cluster in [chat, forum].into_iter().flatten() {
            ready &= cluster.ready().await;
        }
        ready
    }

    /// Where the race's big screen is: a secret of whoever runs the program.
    pub(crate) fn console(&self) -> Result<String, String> {
        let path = self.race.console_path();
        path.map_err(|error| format!("failed to sign the console's link: {error}"))
    }

    /// All pages and sockets, and `/health` for load balancers: 503 while the program goes down.
    pub(crate) fn router(&self, addresses: Addresses) -> Router {
        let race = self.race.clone();
        let console = move || race.console_path().ok();
        let (chat, discuss) = (
            self.chat.endpoint().clone(),
            self.discuss.endpoint().clone(),
        );
        let race = self.race.endpoint().clone();
        let health = async move || {
            let all = [chat.health(), discuss.health(), race.health()];
            let status = match all.iter().all(Health::is_ready) {
                true => StatusCode::OK,
                false => StatusCode::SERVICE_UNAVAILABLE,
            };
            let [chat, discuss, race] = all;
            let all = [("chat", chat), ("discuss", discuss), ("race", race)];
            (status, Json(BTreeMap::from(all)))
        };
        index::routes(addresses, console)
            .route("/health", get(health))
            .merge(self.chat.router())
            .merge(self.discuss.router())
            .merge(self.race.router())
    }
}
