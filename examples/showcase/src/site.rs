//! What is mounted where.

use axum::Router;
use chat::Chat;
use discuss::Discuss;
use tap_racer::{Rules, TapRacer};

use crate::{address::Addresses, data::Data, index};

/// The applications.
pub(crate) struct Site {
    pub(crate) chat: Chat,
    pub(crate) discuss: Discuss,
    pub(crate) race: TapRacer,
}

impl Site {
    /// Starts them all. The error is a sentence.
    pub(crate) async fn open(data: &Data) -> Result<Self, String> {
        let options = discuss::Options::new(data.database()?, data.secret());
        let discuss = Discuss::open(&options)
            .await
            .map_err(|error| format!("failed to {error}"))?;
        let race = TapRacer::new("/tap-racer", data.secret(), Rules::default())
            .map_err(|error| error.to_string())?;
        let chat = Chat::new("/chat");
        Ok(Self {
            chat,
            discuss,
            race,
        })
    }

    /// Where the race's big screen is: a secret of whoever runs the program.
    pub(crate) fn console(&self) -> Result<String, String> {
        let path = self.race.console_path();
        path.map_err(|error| format!("failed to sign the console's link: {error}"))
    }

    /// All pages and sockets.
    pub(crate) fn router(&self, addresses: Addresses) -> Router {
        let race = self.race.clone();
        let console = move || race.console_path().ok();
        index::routes(addresses, console)
            .merge(self.chat.router())
            .merge(self.discuss.router())
            .merge(self.race.router())
    }
}
