//! What goes over the wire of a game.

use std::time::Duration;

use serde::Serialize;

use super::{
    Rules,
    race::{Race, Stage},
};
use crate::player::PlayerId;

/// All that a screen shows of the game. Of two views the one with the higher version is the newer, however they came.
#[derive(Debug, PartialEq, Serialize)]
pub(crate) struct View {
    pub(crate) version: u64,
    /// `lobby`, `countdown`, `racing` or `finished`.
    pub(crate) phase: &'static str,
    /// How many races there were.
    pub(crate) race: u32,
    /// Taps to the finish.
    pub(crate) goal: u32,
    /// Milliseconds that are left of the countdown, or at most of the race.
    pub(crate) left_ms: u128,
    /// In the order of the players' coming: a lane's place here is its number everywhere else.
    pub(crate) lanes: Vec<LaneView>,
    /// The lanes' numbers, the first first.
    pub(crate) order: Vec<usize>,
}

#[derive(Debug, PartialEq, Serialize)]
pub(crate) struct LaneView {
    id: PlayerId,
    name: String,
    taps: u32,
    /// Milliseconds from the go to the finish.
    finished_ms: Option<u128>,
    /// The player went before the finish.
    out: bool,
}

/// What has changed in the lanes since the last time.
#[derive(Debug, PartialEq, Serialize)]
pub(crate) struct Progress {
    pub(crate) race: u32,
    /// Lanes, and all their taps.
    pub(crate) taps: Vec<(usize, u32)>,
    /// Lanes that came to an end: milliseconds from the go to the finish, or nothing when the player is gone.
    pub(crate) ended: Vec<(usize, Option<u128>)>,
}

impl View {
    pub(super) fn new(version: u64, rules: &Rules, race: Option<&Race>, now: Duration) -> Self {
        let phase = match race.map(Race::stage) {
            None => "lobby",
            Some(Stage::Countdown) => "countdown",
            Some(Stage::Running) => "racing",
            Some(Stage::Over) => "finished",
        };
        let until = race.and_then(Race::until).unwrap_or(now);
        let lanes = race.map(Race::lanes).unwrap_or_default();
        Self {
            version,
            phase,
            race: race.map_or(0, Race::number),
            goal: rules.goal_taps,
            left_ms: until.saturating_sub(now).as_millis(),
            lanes: lanes
                .iter()
                .map(|lane| LaneView {
                    id: lane.id,
                    name: lane.name.clone(),
                    taps: lane.taps,
                    finished_ms: lane.finished.map(|it| it.as_millis()),
                    out: lane.out,
                })
                .collect(),
            order: race.map(Race::order).unwrap_or_default(),
        }
    }
}
