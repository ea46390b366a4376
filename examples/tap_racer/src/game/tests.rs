//! Scripts: what is done to a game, and what it says.

use super::*;

const ADA: PlayerId = PlayerId(0xa);
const BEN: PlayerId = PlayerId(0xb);
const EVE: PlayerId = PlayerId(0xe);

/// What happens to a game. Whoever does something has the seat of that number.
enum Do {
    Enter(PlayerId, &'static str, Seat),
    /// The connection is lost.
    Lose(PlayerId, Seat),
    Leave(PlayerId, Seat),
    Tap(PlayerId, Seat, u32),
    Start,
    Clear,
    Kick(PlayerId),
    /// Nothing but time.
    Pass,
}

use Do::{Clear, Enter, Kick, Leave, Lose, Pass, Start, Tap};

fn rules() -> Rules {
    Rules {
        goal_taps: 10,
        players_max: 3,
        ..Rules::default()
    }
}

/// Each step at its millisecond, and in one line what the game answered and told.
fn check(steps: &[(u64, Do, &str)]) {
    let mut game = Game::new(rules());
    for (number, (at, step, expected)) in steps.iter().enumerate() {
        let now = Duration::from_millis(*at);
        let answer = match *step {
            Enter(id, name, seat) => match game.enter(id, Name::parse(name).unwrap(), seat, now) {
                Ok(name) => format!("in as {}", name.as_str()),
                Err(why) => format!("{why:?}"),
            },
            Lose(id, seat) => {
                game.leave(id, seat, false, now);
                String::new()
            }
            Leave(id, seat) => {
                game.leave(id, seat, true, now);
                String::new()
            }
            Tap(id, seat, taps) => {
                let tapped = game.tap(id, seat, taps, now);
                format!("{} -{}", tapped.taps, tapped.ignored)
            }
            Start => game.start(now).map_or_else(str::to_owned, |()| "ok".into()),
            Clear => {
                game.clear(now);
                String::new()
            }
            Kick(id) => game
                .kick(id, now)
                .map_or_else(str::to_owned, |()| "ok".into()),
            Pass => {
                game.pass(now);
                String::new()
            }
        };
        let told = game.events().into_iter().map(|event| told(event, &game));
        let said: Vec<String> = std::iter::once(answer).chain(told).collect();
        let said = said.join("; ");
        let said = said.trim_start_matches("; ");
        assert_eq!(said, *expected, "step {number}, at {at} ms");
    }
}

fn told(event: Event, game: &Game) -> String {
    match event {
        Event::Changed => game.view(Duration::ZERO).phase.to_owned(),
        Event::Progress(Progress { taps, ended, .. }) => format!("taps {taps:?} ended {ended:?}"),
        Event::Order { order, .. } => format!("order {order:?}"),
        Event::Present { name, away, .. } if away => format!("{name} away"),
        Event::Present { name, .. } => format!("{name} here"),
        Event::Gone(id) => format!("{:x} gone", id.0),
        Event::TakenOver(seat) => format!("{seat} taken over"),
        Event::Kicked(id) => format!("{:x} kicked", id.0),
    }
}

#[test]
fn a_race_has_a_countdown_taps_and_an_end() {
    check(&[
        (0, Start, "nobody is here yet"),
        (0, Enter(ADA, "Ada", 1), "in as Ada; Ada here"),
        (1, Enter(BEN, "Ben", 2), "in as Ben; Ben here"),
        (10, Tap(ADA, 1, 3), "0 -3"),
        (1000, Start, "ok; countdown"),
        (2000, Start, "a race is on"),
        (3999, Tap(ADA, 1, 1), "0 -1"),
        (4000, Pass, "racing"),
        (4200, Tap(BEN, 2, 3), "3 -0; taps [(1, 3)] ended []"),
        (4249, Tap(ADA, 1, 4), "4 -0"),
        (4250, Pass, "taps [(0, 4)] ended []; order [0, 1]"),
        (4260, Tap(BEN, 2, 2), "5 -0"),
        (4300, Pass, "taps [(1, 5)] ended []"),
        (4500, Pass, "order [1, 0]"),
        // Beyond the goal nothing counts; the winner's time is from the go.
        (
            4600,
            Tap(ADA, 1, 8),
            "10 -2; taps [(0, 10)] ended [(0, Some(600))]",
        ),
        (4700, Tap(ADA, 1, 1), "10 -1"),
        (4800, Start, "a race is on; order [0, 1]"),
        (5000, Tap(BEN, 2, 5), "10 -0; finished"),
        (5100, Tap(BEN, 2, 1), "10 -1"),
        (6000, Start, "ok; countdown"),
        (9000, Pass, "racing"),
        (9500, Clear, "lobby"),
        (9600, Clear, ""),
    ]);
}

#[test]
fn a_race_ends_some_time_after_the_first_and_at_the_latest_after_a_minute() {
    check(&[
        (0, Enter(ADA, "Ada", 1), "in as Ada; Ada here"),
        (0, Enter(BEN, "Ben", 2), "in as Ben; Ben here"),
        (0, Start, "ok; countdown"),
        (3000, Pass, "racing"),
        (
            4000,
            Tap(ADA, 1, 10),
            "10 -0; taps [(0, 10)] ended [(0, Some(1000))]; order [0, 1]",
        ),
        (13_999, Pass, ""),
        (14_000, Pass, "finished"),
        (20_000, Start, "ok; countdown"),
        (23_000, Pass, "racing"),
        (82_999, Pass, ""),
        (83_000, Pass, "finished"),
    ]);
}

#[test]
fn taps_have_a_limit_by_the_games_own_clock() {
    check(&[
        (0, Enter(ADA, "Ada", 1), "in as Ada; Ada here"),
        (0, Start, "ok; countdown"),
        (3000, Pass, "racing"),
        // One tap takes 50 ms, and nobody begins with any saved.
        (3000, Tap(ADA, 1, 1), "0 -1"),
        (3049, Tap(ADA, 1, 1), "0 -1"),
        (3100, Tap(ADA, 1, 1000), "2 -998; taps [(0, 2)] ended []"),
        (3100, Tap(ADA, 1, 1), "2 -1"),
        (
            3150,
            Tap(ADA, 1, u32::MAX),
            "3 -4294967294; taps [(0, 3)] ended []",
        ),
        (3500, Tap(ADA, 1, 0), "3 -0; order [0]"),
        // What was held up by the network counts later.
        (3500, Tap(ADA, 1, 6), "9 -0; taps [(0, 9)] ended []"),
    ]);
}

#[test]
fn no_more_than_a_second_of_taps_is_saved() {
    let mut game = Game::new(Rules {
        goal_taps: 1000,
        ..rules()
    });
    let at = Duration::from_secs;
    game.enter(ADA, Name::parse("Ada").unwrap(), 1, at(0))
        .unwrap();
    game.start(at(0)).unwrap();
    let tapped = game.tap(ADA, 1, 1000, at(30));
    assert_eq!((tapped.taps, tapped.ignored), (20, 980));
    // A whole race at the highest speed.
    let mut all = 20;
    for ms in (30_050..50_000).step_by(25) {
        all = game.tap(ADA, 1, 50, Duration::from_millis(ms)).taps;
    }
    assert_eq!(all, 20 + 399);
}

#[test]
fn names_are_taken_and_places_are_limited() {
    check(&[
        (0, Enter(ADA, "Ada", 1), "in as Ada; Ada here"),
        (0, Enter(BEN, "aDA", 2), "Taken"),
        (0, Enter(BEN, "Ben", 3), "in as Ben; Ben here"),
        (0, Enter(EVE, "Eve", 4), "in as Eve; Eve here"),
        (0, Enter(PlayerId(1), "Zoe", 5), "Full"),
        (0, Leave(ADA, 1), "a gone"),
        (0, Enter(PlayerId(1), "ADA", 6), "in as ADA; ADA here"),
    ]);
}

#[test]
fn who_comes_back_in_time_goes_on() {
    check(&[
        (0, Enter(ADA, "Ada", 1), "in as Ada; Ada here"),
        (0, Enter(BEN, "Ben", 2), "in as Ben; Ben here"),
        (0, Start, "ok; countdown"),
        (3000, Pass, "racing"),
        (
            3500,
            Tap(ADA, 1, 4),
            "4 -0; taps [(0, 4)] ended []; order [0, 1]",
        ),
        (4000, Lose(ADA, 1), "Ada away"),
        (4000, Lose(ADA, 1), ""),
        // Whatever they call themselves now, and nobody else gets the name meanwhile.
        (5000, Enter(EVE, "Ada", 3), "Taken"),
        (13_999, Enter(ADA, "Zoe", 4), "in as Ada; Ada here"),
        (14_000, Pass, ""),
        (
            14_000,
            Tap(ADA, 4, 2),
            "6 -0; taps [(0, 6)] ended []; order [0, 1]",
        ),
        // Too late: the race goes on without them, and they wait for the next.
        (15_000, Lose(ADA, 4), "Ada away"),
        (25_000, Pass, "a gone; taps [(0, 6)] ended [(0, None)]"),
        (26_000, Enter(ADA, "Ada", 5), "in as Ada; Ada here"),
        (26_000, Tap(ADA, 5, 1), "6 -1"),
        (27_000, Tap(BEN, 2, 10), "10 -0; finished"),
    ]);
}

#[test]
fn a_race_that_everybody_left_is_over() {
    check(&[
        (0, Enter(ADA, "Ada", 1), "in as Ada; Ada here"),
        (0, Start, "ok; countdown"),
        (1000, Leave(ADA, 1), "a gone"),
        (3000, Pass, "finished"),
        (3000, Start, "nobody is here yet"),
    ]);
}

#[test]
fn a_later_connection_takes_over() {
    check(&[
        (0, Enter(ADA, "Ada", 1), "in as Ada; Ada here"),
        (0, Start, "ok; countdown"),
        (
            3500,
            Tap(ADA, 1, 2),
            "2 -0; racing; taps [(0, 2)] ended []; order [0]",
        ),
        (3500, Enter(ADA, "Ada", 2), "in as Ada; 1 taken over"),
        (4000, Tap(ADA, 1, 1), "0 -1"),
        (
            4000,
            Tap(ADA, 2, 1),
            "3 -0; taps [(0, 3)] ended []; order [0]",
        ),
        // The end of the old one says nothing.
        (4000, Leave(ADA, 1), ""),
        (4100, Tap(ADA, 2, 1), "4 -0; taps [(0, 4)] ended []"),
    ]);
}

#[test]
fn who_comes_late_waits_for_the_next_race() {
    check(&[
        (0, Enter(ADA, "Ada", 1), "in as Ada; Ada here"),
        (0, Start, "ok; countdown"),
        (1000, Enter(BEN, "Ben", 2), "in as Ben; Ben here"),
        (3500, Tap(BEN, 2, 1), "0 -1; racing"),
        (4000, Tap(ADA, 1, 10), "10 -0; finished"),
        (5000, Start, "ok; countdown"),
        (
            8500,
            Tap(BEN, 2, 1),
            "1 -0; racing; taps [(1, 1)] ended []; order [1, 0]",
        ),
    ]);
}

#[test]
fn who_is_kicked_stays_out() {
    check(&[
        (0, Enter(ADA, "Ada", 1), "in as Ada; Ada here"),
        (0, Kick(BEN), "nobody has this id"),
        (0, Kick(ADA), "ok; a kicked; a gone"),
        (0, Leave(ADA, 1), ""),
        (9000, Enter(ADA, "Ada", 2), "Kicked"),
        (9000, Enter(BEN, "Ada", 3), "in as Ada; Ada here"),
    ]);
}

#[test]
fn progress_comes_at_most_twenty_times_a_second() {
    let mut game = Game::new(Rules {
        goal_taps: 1000,
        ..Rules::default()
    });
    let ids: Vec<PlayerId> = (0..200).map(PlayerId).collect();
    for id in &ids {
        let name = Name::parse(&format!("racer {}", id.0)).unwrap();
        game.enter(*id, name, id.0, Duration::ZERO).unwrap();
    }
    game.start(Duration::ZERO).unwrap();
    let (mut progress, mut orders, mut wakes) = (0, 0, 0);
    // Ten seconds of racing, a tap of each player every 100 ms, at moments that are spread.
    for ms in 3000..13_000_u64 {
        let now = Duration::from_millis(ms);
        while game.next().is_some_and(|next| next <= now) {
            game.pass(now);
            wakes += 1;
        }
        for id in ids.iter().skip((ms % 100) as usize).step_by(100) {
            game.tap(*id, id.0, 1, now);
        }
        for event in game.events() {
            match event {
                Event::Progress(_) => progress += 1,
                Event::Order { .. } => orders += 1,
                _ => {}
            }
        }
    }
    assert!((195..=200).contains(&progress), "{progress} updates");
    assert!((38..=40).contains(&orders), "{orders} orders");
    assert!(wakes <= 300, "{wakes} wakes");
    let view = serde_json::to_value(game.view(Duration::from_secs(13))).unwrap();
    let taps = view["lanes"].as_array().unwrap();
    assert!(taps.iter().all(|it| it["taps"].as_u64() >= Some(98)));
}
