//! A tapping race: players tap on their phones, a big screen shows who is ahead.
//!
//! To be read in this order: `game.rs` (the rules, as a value without clock and network), `referee.rs` (the task that owns
//! it), `racer.rs` (who connects), `play.rs` and `console.rs` (the two channels), then the pages in `page/`.

mod console;
mod game;
mod name;
mod page;
mod play;
mod player;
mod racer;
mod referee;
#[cfg(test)]
mod tests;

use std::{fmt, time::Duration};

use bennu::{Endpoint, LongPoll, SecretError, SignError, SocketOptions, Token};

pub use game::Rules;
use racer::{Pass, Racer};
use referee::{CONSOLE, Club, Orders, Referee};

/// What tokens of this example are for.
const SALT: &str = "tap racer";
/// No message of a client is longer than a token and a name.
const MESSAGE_BYTES_MAX: usize = 16 * 1024;
/// Pages send a heartbeat every 5 seconds. A phone that is out of reach says nothing at all.
const IDLE_MAX: Duration = Duration::from_secs(30);
/// A page sends its taps 20 times a second, and a heartbeat now and then.
const EVENTS_PER_SECOND_MAX: u32 = 40;

/// The race, to be mounted in a router.
///
/// ```
/// use tap_racer::{Rules, TapRacer};
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// let race = TapRacer::new("/tap-racer", "a secret of at least 20 bytes", Rules::default()).unwrap();
/// let router = axum::Router::<()>::new().merge(race.router());
/// assert!(race.console_path().unwrap().starts_with("/tap-racer/console#"));
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct TapRacer {
    prefix: String,
    endpoint: Endpoint<App>,
}

/// What all connections share.
pub struct App {
    referee: Referee,
    tokens: Token,
}

impl TapRacer {
    /// A race whose pages and sockets are below `prefix`, such as `/tap-racer`, and whose tokens are signed with `secret`.
    ///
    /// # Errors
    ///
    /// When the secret has fewer than 20 bytes.
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime: the game is a task.
    pub fn new(prefix: &str, secret: impl AsRef<[u8]>, rules: Rules) -> Result<Self, SecretError> {
        let (referee, orders) = Referee::new();
        let tokens = Token::new(&secret)?;
        // Origins aren't checked: without a token, which other pages don't have, a client is nobody.
        let options = SocketOptions::new()
            .longpoll(LongPoll::default())
            .idle_timeout(IDLE_MAX)
            .frame_bytes_max(MESSAGE_BYTES_MAX)
            .message_bytes_max(MESSAGE_BYTES_MAX)
            .channels_max(2)
            .events_per_second_max(EVENTS_PER_SECOND_MAX)
            .events_at_once_max(2 * EVENTS_PER_SECOND_MAX);
        let prefix = prefix.trim_end_matches('/').to_owned();
        let endpoint = Endpoint::new(App { referee, tokens })
            .secret(&secret)
            .socket_with::<Racer>(&format!("{prefix}/socket"), options);
        tokio::spawn(run(orders, rules, &endpoint));
        Ok(Self { prefix, endpoint })
    }

    /// The pages and the sockets.
    pub fn router(&self) -> axum::Router {
        page::routes(&self.prefix).merge(self.endpoint.router())
    }

    /// The endpoint, to be drained when the server ends.
    #[must_use]
    pub fn endpoint(&self) -> &Endpoint<App> {
        &self.endpoint
    }

    /// Where the big screen is, with the token that opens it. It's good for a day. It stands behind a `#`, which browsers
    /// keep to themselves.
    ///
    /// # Errors
    ///
    /// When the token can't be made, which hasn't been seen.
    pub fn console_path(&self) -> Result<String, SignError> {
        let token = self.endpoint.app().seal(&Pass::Console)?;
        Ok(format!("{}/{CONSOLE}#{token}", self.prefix))
    }
}

/// The game's future, which mustn't hold the endpoint: it ends when that is dropped.
fn run(orders: Orders, rules: Rules, endpoint: &Endpoint<App>) -> impl Future<Output = ()> + use<> {
    let club = Club {
        broadcaster: endpoint.broadcaster(),
        presence: endpoint.presence().member(),
    };
    orders.obey(rules, club)
}

impl App {
    fn seal(&self, pass: &Pass) -> Result<String, SignError> {
        self.tokens.sign(SALT, pass)
    }

    fn open(&self, token: Option<&str>) -> Option<Pass> {
        self.tokens.verify(SALT, token).ok()
    }
}

impl fmt::Debug for App {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("App").finish_non_exhaustive()
    }
}
