//! The task that owns the game, and what channels hold of it.
//!
//! Channels ask by a message and are answered by a oneshot; nobody else touches the game, so there is no lock. What the
//! game says in turn is broadcast from here.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use bennu::{Broadcaster, Error, Handle, PresenceError, PresenceMember, Result, refuse};
use serde::Serialize;
use tokio::{
    sync::{mpsc, oneshot},
    time::{Instant, sleep_until},
};

use crate::{
    game::{Event, Game, NotIn, Rules, Seat, Tapped, View},
    name::Name,
    play::{Note, Play},
    player::PlayerId,
};

/// The topics.
pub(crate) const CONSOLE: &str = "console";
pub(crate) const PLAY: &str = "play";

/// The way to the game's task. It ends when the last of these is dropped.
#[derive(Debug, Clone)]
pub(crate) struct Referee {
    /// It has no limit of its own. A channel asks one thing at a time and waits for the answer, so what waits here is as
    /// much as there are channels, and one farewell for each.
    orders: mpsc::UnboundedSender<Order>,
    seats: Arc<AtomicU64>,
}

/// The task's end, before there is an endpoint to broadcast by.
pub(crate) struct Orders(mpsc::UnboundedReceiver<Order>);

#[derive(Debug)]
enum Order {
    Enter {
        id: PlayerId,
        name: Name,
        seat: Seat,
        handle: Handle<Play>,
        answer: oneshot::Sender<Result<Name, NotIn>>,
    },
    Leave {
        id: PlayerId,
        seat: Seat,
        for_good: bool,
    },
    Tap {
        id: PlayerId,
        seat: Seat,
        taps: u32,
        answer: oneshot::Sender<Tapped>,
    },
    Start(oneshot::Sender<Result<(), &'static str>>),
    Clear,
    Kick(PlayerId, oneshot::Sender<Result<(), &'static str>>),
    View(oneshot::Sender<View>),
}

/// A player's place in the game. Dropping it is leaving: the game waits for the player to come back, unless
/// [`give_up`](Self::give_up) was called.
#[derive(Debug)]
pub(crate) struct Place {
    referee: Referee,
    id: PlayerId,
    seat: Seat,
    for_good: bool,
}

impl Referee {
    pub(crate) fn new() -> (Self, Orders) {
        let (sender, receiver) = mpsc::unbounded_channel();
        let referee = Self {
            orders: sender,
            seats: Arc::default(),
        };
        (referee, Orders(receiver))
    }

    /// Lets a player in, who hears by `handle` when another connection takes over. Returns the name that the player has.
    pub(crate) async fn enter(
        &self,
        id: PlayerId,
        name: Name,
        handle: Handle<Play>,
    ) -> Result<(Place, Name)> {
        // The place is there first: should the client be gone before the answer is there, dropping it says so.
        let place = Place {
            referee: self.clone(),
            id,
            seat: self.seats.fetch_add(1, Ordering::Relaxed),
            for_good: false,
        };
        let seat = place.seat;
        let order = |answer| Order::Enter {
            id,
            name,
            seat,
            handle,
            answer,
        };
        match self.ask(order).await? {
            Ok(name) => Ok((place, name)),
            Err(NotIn::Taken) => Err(keep_out("name", "this name is taken")),
            Err(NotIn::Full) => Err(keep_out("full", "the race is full")),
            Err(NotIn::Kicked) => Err(keep_out("kicked", "the console sent you away")),
        }
    }

    pub(crate) async fn start(&self) -> Result<()> {
        self.ask(Order::Start).await?.map_err(refuse)
    }

    pub(crate) fn clear(&self) {
        self.send(Order::Clear);
    }

    pub(crate) async fn kick(&self, id: PlayerId) -> Result<()> {
        self.ask(|answer| Order::Kick(id, answer))
            .await?
            .map_err(refuse)
    }

    pub(crate) async fn view(&self) -> Result<View> {
        self.ask(Order::View).await
    }

    async fn ask<T>(&self, order: impl FnOnce(oneshot::Sender<T>) -> Order) -> Result<T> {
        let (sender, receiver) = oneshot::channel();
        self.send(order(sender));
        // Without a task there is no answer, and the client sees "internal error".
        Ok(receiver.await?)
    }

    fn send(&self, order: Order) {
        let _: Result<(), _> = self.orders.send(order);
    }
}

/// A refusal, of which `about` tells the page what to do, and that it isn't to try again by itself.
pub(crate) fn keep_out(about: &'static str, reason: &'static str) -> Error {
    #[derive(Serialize)]
    struct Refusal {
        reason: &'static str,
        about: &'static str,
    }
    refuse(Refusal { reason, about }).for_good()
}

impl Place {
    pub(crate) async fn tap(&self, taps: u32) -> Result<Tapped> {
        let order = |answer| Order::Tap {
            id: self.id,
            seat: self.seat,
            taps,
            answer,
        };
        self.referee.ask(order).await
    }

    /// The player doesn't mean to come back.
    pub(crate) fn give_up(&mut self) {
        self.for_good = true;
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.referee.send(Order::Leave {
            id: self.id,
            seat: self.seat,
            for_good: self.for_good,
        });
    }
}

impl Orders {
    /// Runs the game until nobody can reach it any more.
    pub(crate) async fn obey(mut self, rules: Rules, club: Club) {
        let began = Instant::now();
        let mut game = Game::new(rules);
        let mut seats = HashMap::new();
        loop {
            let next = game.next();
            tokio::select! {
                order = self.0.recv() => match order {
                    Some(order) => obey(&mut game, order, &mut seats, began.elapsed()),
                    None => break,
                },
                () = wait(began, next) => game.pass(began.elapsed()),
            }
            for event in game.events() {
                match event {
                    Event::Changed => club.changed(&game.view(began.elapsed())),
                    Event::TakenOver(seat) => {
                        if let Some(handle) = seats.remove(&seat) {
                            // Whoever is gone, or drowning, needn't know.
                            let _: Result<(), _> = handle.send(Note::TakenOver);
                        }
                    }
                    event => club.tell(event),
                }
            }
        }
    }
}

async fn wait(began: Instant, next: Option<Duration>) {
    match next {
        Some(next) => sleep_until(began + next).await,
        None => std::future::pending().await,
    }
}

fn obey(game: &mut Game, order: Order, seats: &mut HashMap<Seat, Handle<Play>>, now: Duration) {
    // Whoever doesn't wait for an answer any more is gone.
    match order {
        Order::Enter {
            id,
            name,
            seat,
            handle,
            answer,
        } => {
            let entered = game.enter(id, name, seat, now);
            if entered.is_ok() {
                seats.insert(seat, handle);
            }
            let _: Result<(), _> = answer.send(entered);
        }
        Order::Leave { id, seat, for_good } => {
            seats.remove(&seat);
            game.leave(id, seat, for_good, now);
        }
        Order::Tap {
            id,
            seat,
            taps,
            answer,
        } => drop(answer.send(game.tap(id, seat, taps, now))),
        Order::Start(answer) => drop(answer.send(game.start(now))),
        Order::Clear => game.clear(now),
        Order::Kick(id, answer) => drop(answer.send(game.kick(id, now))),
        Order::View(answer) => drop(answer.send(game.view(now))),
    }
}

/// Whom the game tells, and how.
pub(crate) struct Club {
    pub(crate) broadcaster: Broadcaster,
    /// Is present for the players: unlike their channels it lasts while they are away.
    pub(crate) presence: PresenceMember,
}

impl Club {
    /// Everybody gets the view. Who joins at this moment may get an older one besides, which its version tells.
    fn changed(&self, view: &View) {
        self.broadcaster.broadcast(CONSOLE, "view", view);
        self.broadcaster.broadcast(PLAY, "view", view);
    }

    fn tell(&self, event: Event) {
        #[derive(Serialize)]
        struct Meta {
            name: String,
            away: bool,
        }
        #[derive(Serialize)]
        struct Places {
            race: u32,
            order: Vec<usize>,
        }
        match event {
            Event::Progress(progress) => self.broadcaster.broadcast(CONSOLE, "progress", &progress),
            Event::Order { race, order } => {
                self.broadcaster
                    .broadcast(PLAY, "order", &Places { race, order });
            }
            Event::Present { id, name, away } => self.present(id, &Meta { name, away }),
            Event::Gone(id) => self.presence.untrack(CONSOLE, id),
            // Its client comes back at once, and hears why it isn't let in.
            Event::Kicked(id) => self
                .broadcaster
                .broadcast(id.socket_id(), "disconnect", &()),
            Event::Changed | Event::TakenOver(_) => {}
        }
    }

    fn present(&self, id: PlayerId, meta: &impl Serialize) {
        let tracked = match self.presence.update(CONSOLE, id, meta) {
            Err(PresenceError::NotTracked) => self.presence.track(CONSOLE, id, meta),
            updated => updated,
        };
        if let Err(error) = tracked {
            tracing::error!(%id, %error, "failed to show a player");
        }
    }
}
