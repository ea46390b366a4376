//! The game, as a value: who is there, and the race they are in. It reads no clock and sends nothing: the time is an
//! argument, and what others must be told is taken from it by [`Game::events`]. `referee.rs` does the rest.
//!
//! Times are durations since the game began.

mod race;
mod rules;
#[cfg(test)]
mod tests;
mod view;

use std::{
    collections::{HashMap, HashSet, VecDeque},
    mem,
    time::Duration,
};

use crate::{name::Name, player::PlayerId};
use race::{Race, Stage};
pub use rules::Rules;
pub(crate) use view::{Progress, View};

/// Players that were sent away and are remembered, so that their tokens don't bring them back.
const KICKED_MAX: usize = 1_000;

/// One connection's claim to be a player; a later one takes over.
pub(crate) type Seat = u64;

pub(crate) struct Game {
    rules: Rules,
    players: HashMap<PlayerId, Player>,
    /// The keys of the names of all players.
    names: HashSet<String>,
    /// Who went away, and until when they may come back, the first to be given up first. An entry that isn't the
    /// player's latest says nothing.
    away: VecDeque<(Duration, PlayerId)>,
    kicked: VecDeque<PlayerId>,
    race: Option<Race>,
    /// How many races there were.
    races: u32,
    /// How often what `view` shows has changed.
    version: u64,
    /// How many players there ever were: lanes are in the order of their coming.
    entered: u64,
    events: Vec<Event>,
}

struct Player {
    name: Name,
    entered: u64,
    seat: Option<Seat>,
    /// Until when to wait for one who is away.
    away_until: Option<Duration>,
}

/// What others must be told.
#[derive(Debug, PartialEq)]
pub(crate) enum Event {
    /// The race is in another stage: everybody gets the [`View`].
    Changed,
    /// The console gets the taps of these lanes.
    Progress(Progress),
    /// Players get the order of the lanes, the first first.
    Order { race: u32, order: Vec<usize> },
    /// The player is there, away, or back.
    Present {
        id: PlayerId,
        name: String,
        away: bool,
    },
    /// The player is here no more.
    Gone(PlayerId),
    /// Another connection has this seat's player now.
    TakenOver(Seat),
    /// The player's connections are to be closed.
    Kicked(PlayerId),
}

/// Why somebody isn't let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NotIn {
    Taken,
    Full,
    Kicked,
}

/// What became of taps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
pub(crate) struct Tapped {
    /// All that count so far.
    pub(crate) taps: u32,
    /// How many of those that were sent don't count.
    pub(crate) ignored: u32,
}

impl Game {
    pub(crate) fn new(rules: Rules) -> Self {
        Self {
            rules,
            players: HashMap::new(),
            names: HashSet::new(),
            away: VecDeque::new(),
            kicked: VecDeque::new(),
            race: None,
            races: 0,
            version: 0,
            entered: 0,
            events: Vec::new(),
        }
    }

    /// A player comes, or comes back, which takes the place of the connection that was there. Returns the name: a player
    /// who is known keeps the old one.
    pub(crate) fn enter(
        &mut self,
        id: PlayerId,
        name: Name,
        seat: Seat,
        now: Duration,
    ) -> Result<Name, NotIn> {
        self.pass(now);
        if self.kicked.contains(&id) {
            return Err(NotIn::Kicked);
        }
        if let Some(player) = self.players.get_mut(&id) {
            player.away_until = None;
            match player.seat.replace(seat) {
                Some(old) => self.events.push(Event::TakenOver(old)),
                None => self.events.push(player.present(id)),
            }
            return Ok(player.name.clone());
        }
        if self.players.len() >= self.rules.players_max {
            return Err(NotIn::Full);
        }
        if !self.names.insert(name.key()) {
            return Err(NotIn::Taken);
        }
        self.entered += 1;
        let player = Player {
            name: name.clone(),
            entered: self.entered,
            seat: Some(seat),
            away_until: None,
        };
        self.events.push(player.present(id));
        self.players.insert(id, player);
        Ok(name)
    }

    /// A connection has ended. Its player is waited for, unless they left `for_good`.
    pub(crate) fn leave(&mut self, id: PlayerId, seat: Seat, for_good: bool, now: Duration) {
        self.pass(now);
        let Some(player) = self.players.get_mut(&id) else {
            return;
        };
        if player.seat != Some(seat) {
            return;
        }
        player.seat = None;
        if for_good {
            return self.remove(id, now);
        }
        let until = now + self.rules.away_max;
        player.away_until = Some(until);
        self.events.push(player.present(id));
        self.away.push_back((until, id));
    }

    /// Counts what a player sent since the last time.
    pub(crate) fn tap(&mut self, id: PlayerId, seat: Seat, taps: u32, now: Duration) -> Tapped {
        self.pass(now);
        let mut tapped = Tapped {
            taps: 0,
            ignored: taps,
        };
        let has_seat = self
            .players
            .get(&id)
            .is_some_and(|it| it.seat == Some(seat));
        let Some(race) = self.race.as_mut().filter(|_| has_seat) else {
            return tapped;
        };
        if let Some((all, counted)) = race.tap(id, taps, &self.rules, now) {
            tapped = Tapped {
                taps: all,
                ignored: taps - counted,
            };
        }
        self.follow(now);
        tapped
    }

    /// Begins a race of all who are there.
    pub(crate) fn start(&mut self, now: Duration) -> Result<(), &'static str> {
        self.pass(now);
        if self.race.as_ref().is_some_and(|it| !it.is_over()) {
            return Err("a race is on");
        }
        if self.players.is_empty() {
            return Err("nobody is here yet");
        }
        let mut players: Vec<_> = self.players.iter().collect();
        players.sort_unstable_by_key(|(_, player)| player.entered);
        let racers = players
            .into_iter()
            .map(|(id, player)| (*id, player.name.as_str().to_owned()));
        self.races += 1;
        self.race = Some(Race::new(self.races, racers, now + self.rules.countdown));
        self.changed();
        Ok(())
    }

    /// Back to the lobby, from whatever race there is.
    pub(crate) fn clear(&mut self, now: Duration) {
        self.pass(now);
        if self.race.take().is_some() {
            self.changed();
        }
    }

    /// Sends a player away, not to come back under this id.
    pub(crate) fn kick(&mut self, id: PlayerId, now: Duration) -> Result<(), &'static str> {
        self.pass(now);
        if !self.players.contains_key(&id) {
            return Err("nobody has this id");
        }
        if self.kicked.len() == KICKED_MAX {
            self.kicked.pop_front();
        }
        self.kicked.push_back(id);
        self.events.push(Event::Kicked(id));
        self.remove(id, now);
        Ok(())
    }

    /// Does what is due. Everything else does this first, so that it makes no difference how late this is called.
    pub(crate) fn pass(&mut self, now: Duration) {
        while let Some(&(until, id)) = self.away.front()
            && until <= now
        {
            self.away.pop_front();
            let player = self.players.get(&id);
            if player.is_some_and(|it| it.away_until == Some(until)) {
                self.remove(id, now);
            }
        }
        self.follow(now);
    }

    /// When to call [`pass`](Self::pass) next.
    pub(crate) fn next(&self) -> Option<Duration> {
        let away = self.away.front().map(|(until, _)| *until);
        let race = self.race.as_ref().and_then(|it| it.next(&self.rules));
        away.into_iter().chain(race).min()
    }

    /// What others must be told since the last time this was asked.
    pub(crate) fn events(&mut self) -> Vec<Event> {
        mem::take(&mut self.events)
    }

    /// All that a screen shows.
    pub(crate) fn view(&self, now: Duration) -> View {
        View::new(self.version, &self.rules, self.race.as_ref(), now)
    }

    fn remove(&mut self, id: PlayerId, now: Duration) {
        if let Some(player) = self.players.remove(&id) {
            self.names.remove(&player.name.key());
            self.events.push(Event::Gone(id));
        }
        if let Some(race) = &mut self.race {
            race.drop_out(id);
        }
        self.follow(now);
    }

    /// Brings the race to where it is by now.
    fn follow(&mut self, now: Duration) {
        let Some(race) = &mut self.race else {
            return;
        };
        let stage = race.stage();
        race.pass(&self.rules, now);
        if race.stage() != stage {
            return self.changed();
        }
        if race.stage() == Stage::Running {
            let (progress, order) = (
                race.take_progress(&self.rules, now),
                race.take_order(&self.rules, now),
            );
            self.events.extend(progress.map(Event::Progress));
            let race = race.number();
            self.events
                .extend(order.map(|order| Event::Order { race, order }));
        }
    }

    fn changed(&mut self) {
        self.version += 1;
        self.events.push(Event::Changed);
    }
}

impl Player {
    fn present(&self, id: PlayerId) -> Event {
        Event::Present {
            id,
            name: self.name.as_str().to_owned(),
            away: self.seat.is_none(),
        }
    }
}
