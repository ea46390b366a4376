//! One race: its lanes, and who is where.

use std::{
    cmp::Reverse,
    collections::{BTreeSet, HashMap},
    time::Duration,
};

use super::{Rules, view::Progress};
use crate::player::PlayerId;

pub(super) struct Race {
    number: u32,
    lanes: Vec<Lane>,
    lane_of: HashMap<PlayerId, usize>,
    stage: Stage,
    /// When the first tap counts.
    go: Duration,
    /// When it ends at the latest. Until the go it isn't known.
    end: Duration,
    /// Lanes of which the console doesn't know yet.
    untold: BTreeSet<usize>,
    progress_told: Duration,
    order_told: Duration,
    /// Whether places may have changed since.
    order_untold: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    Countdown,
    Running,
    Over,
}

/// One player's part in a race. It stays when the player goes.
pub(super) struct Lane {
    pub(super) id: PlayerId,
    pub(super) name: String,
    pub(super) taps: u32,
    /// Since the go.
    pub(super) finished: Option<Duration>,
    /// The player went before the finish.
    pub(super) out: bool,
    /// Until when time is spent: each tap costs some, and nobody has saved more than `taps_at_once_max` of it.
    spent: Duration,
}

impl Race {
    pub(super) fn new(
        number: u32,
        racers: impl Iterator<Item = (PlayerId, String)>,
        go: Duration,
    ) -> Self {
        let lanes: Vec<Lane> = racers
            .map(|(id, name)| Lane {
                id,
                name,
                taps: 0,
                finished: None,
                out: false,
                spent: go,
            })
            .collect();
        let lane_of = lanes.iter().zip(0..).map(|(lane, at)| (lane.id, at));
        Self {
            number,
            lane_of: lane_of.collect(),
            lanes,
            stage: Stage::Countdown,
            go,
            end: go,
            untold: BTreeSet::new(),
            progress_told: go,
            order_told: go,
            order_untold: false,
        }
    }

    pub(super) fn number(&self) -> u32 {
        self.number
    }

    pub(super) fn stage(&self) -> Stage {
        self.stage
    }

    pub(super) fn is_over(&self) -> bool {
        self.stage == Stage::Over
    }

    pub(super) fn lanes(&self) -> &[Lane] {
        &self.lanes
    }

    /// When the present stage ends, at the latest.
    pub(super) fn until(&self) -> Option<Duration> {
        match self.stage {
            Stage::Countdown => Some(self.go),
            Stage::Running => Some(self.end),
            Stage::Over => None,
        }
    }

    /// The player's taps by now, and how many of these count; `None` for who isn't in the race.
    pub(super) fn tap(
        &mut self,
        id: PlayerId,
        taps: u32,
        rules: &Rules,
        now: Duration,
    ) -> Option<(u32, u32)> {
        let at = *self.lane_of.get(&id)?;
        let lane = self.lanes.get_mut(at)?;
        if self.stage != Stage::Running || lane.out || lane.finished.is_some() {
            return Some((lane.taps, 0));
        }
        let counted = lane.afford(taps, rules, now);
        if counted == 0 {
            return Some((lane.taps, 0));
        }
        lane.taps += counted;
        if lane.taps == rules.goal_taps {
            lane.finished = Some(now.saturating_sub(self.go));
            self.end = self.end.min(now + rules.after_first_max);
        }
        self.untold.insert(at);
        self.order_untold = true;
        Some((lane.taps, counted))
    }

    /// The player won't come back: the others needn't wait.
    pub(super) fn drop_out(&mut self, id: PlayerId) {
        let lane = self.lane_of.get(&id).copied();
        let Some((at, lane)) = lane.and_then(|at| Some((at, self.lanes.get_mut(at)?))) else {
            return;
        };
        if lane.finished.is_none() && self.stage != Stage::Over {
            lane.out = true;
            self.untold.insert(at);
        }
    }

    /// From stage to stage, as far as it has come.
    pub(super) fn pass(&mut self, rules: &Rules, now: Duration) {
        if self.stage == Stage::Countdown && self.go <= now {
            self.stage = Stage::Running;
            self.end = self.go + rules.race_max;
        }
        let all_in = || self.lanes.iter().all(|it| it.out || it.finished.is_some());
        if self.stage == Stage::Running && (self.end <= now || all_in()) {
            self.stage = Stage::Over;
        }
    }

    /// When something is to be told, or done.
    pub(super) fn next(&self, rules: &Rules) -> Option<Duration> {
        let running = self.stage == Stage::Running;
        let progress = (running && !self.untold.is_empty())
            .then_some(self.progress_told + rules.progress_every);
        let order = (running && self.order_untold).then_some(self.order_told + rules.order_every);
        let until = self.until();
        until.into_iter().chain(progress).chain(order).min()
    }

    /// The lanes that changed since the last time, when it's time to tell.
    pub(super) fn take_progress(&mut self, rules: &Rules, now: Duration) -> Option<Progress> {
        if self.untold.is_empty() || now < self.progress_told + rules.progress_every {
            return None;
        }
        self.progress_told = now;
        let mut progress = Progress {
            race: self.number,
            taps: Vec::with_capacity(self.untold.len()),
            ended: Vec::new(),
        };
        while let Some(at) = self.untold.pop_first() {
            if let Some(lane) = self.lanes.get(at) {
                progress.taps.push((at, lane.taps));
                if lane.out || lane.finished.is_some() {
                    let finished = lane.finished.map(|it| it.as_millis());
                    progress.ended.push((at, finished));
                }
            }
        }
        Some(progress)
    }

    /// The lanes in their order, when it may have changed and it's time to tell.
    pub(super) fn take_order(&mut self, rules: &Rules, now: Duration) -> Option<Vec<usize>> {
        if !self.order_untold || now < self.order_told + rules.order_every {
            return None;
        }
        self.order_told = now;
        self.order_untold = false;
        Some(self.order())
    }

    /// The lanes, the first first: who is in by their time, the others by their taps, and who is out at the end.
    pub(super) fn order(&self) -> Vec<usize> {
        let mut order: Vec<_> = self.lanes.iter().zip(0..).collect();
        order.sort_by_key(|(lane, _)| {
            let finished = lane.finished.unwrap_or(Duration::MAX);
            (finished, lane.out, Reverse(lane.taps))
        });
        order.into_iter().map(|(_, at)| at).collect()
    }
}

impl Lane {
    /// How many of these taps there is time for, which is then spent. A tap beyond the goal isn't needed.
    fn afford(&mut self, taps: u32, rules: &Rules, now: Duration) -> u32 {
        let saved_max = rules.tap() * rules.taps_at_once_max;
        self.spent = self.spent.max(now.saturating_sub(saved_max));
        let saved = now.saturating_sub(self.spent);
        let affordable = saved.as_nanos() / rules.tap().as_nanos().max(1);
        let needed = rules.goal_taps.saturating_sub(self.taps).min(taps);
        let counted = u32::try_from(affordable).map_or(needed, |it| it.min(needed));
        self.spent += rules.tap() * counted;
        counted
    }
}
