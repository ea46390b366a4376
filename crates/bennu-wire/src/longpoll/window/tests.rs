//! Sessions as scripts, at milliseconds.

use std::collections::BTreeMap;

use super::*;

/// Runs a script of lines `WHEN CLIENT does what [= outcome]`, at milliseconds of a session whose window is 100 ms.
///
/// Polls are named by a letter; `send TEXT` puts a message into the buffer, and messages are shown as they are
/// answered. Each line's outcome is compared.
#[track_caller]
fn check(script: &str) {
    #[expect(
        clippy::disallowed_methods,
        reason = "any instant will do, and there is no other way to one"
    )]
    let start = Instant::now();
    let mut window = Window::new(Duration::from_millis(100), start);
    let mut buffer: Vec<String> = Vec::new();
    let mut polls: BTreeMap<String, Ticket> = BTreeMap::new();
    // Messages of the latest answer.
    let mut handed = 0;
    for line in script.lines().map(str::trim).filter(|it| !it.is_empty()) {
        let (done, expected) = line.split_once(" = ").unwrap_or((line, ""));
        let mut words = done.split(' ');
        let ms: u64 = words.next().unwrap().parse().unwrap();
        let now = start + Duration::from_millis(ms);
        let (subject, verb) = (words.next().unwrap(), words.next());
        let outcome = match (subject, verb) {
            ("send", Some(text)) => {
                buffer.push(text.to_owned());
                String::new()
            }
            ("post", None) => {
                window.heard(now);
                String::new()
            }
            ("abandoned?", None) => window.is_abandoned(now).to_string(),
            ("expired?", None) => window.expire(now).to_string(),
            ("deadline?", None) => (window.deadline() - start).as_millis().to_string(),
            (poll, Some("polls")) => {
                let _ = window.settle(now);
                polls.insert(poll.to_owned(), window.poll(now));
                String::new()
            }
            (poll, Some("gets")) => match window.verdict(polls[poll], !buffer.is_empty(), now) {
                Verdict::Wait => "wait".to_owned(),
                Verdict::Empty => "204".to_owned(),
                Verdict::Messages => {
                    handed = buffer.len();
                    buffer.join(",")
                }
            },
            (poll, Some("is-written")) => {
                if window.written(polls[poll]) {
                    buffer.drain(..handed);
                }
                String::new()
            }
            (poll, Some("leaves")) => {
                window.leave(polls[poll]);
                String::new()
            }
            ("gives-up?", None) => window.gives_up(now).to_string(),
            (poll, Some("hangs-up")) => {
                window.hung_up(polls[poll]);
                String::new()
            }
            _ => panic!("no such line: {line}"),
        };
        assert_eq!(outcome, expected, "{line}");
    }
}

#[test]
fn messages_that_wait_are_handed_over_at_once() {
    check(
        "0 send x
         0 send y
         1 a polls
         1 a gets = x,y
         2 a is-written
         3 b polls
         3 b gets = wait",
    );
}

#[test]
fn a_poll_waits_for_a_message_and_takes_all_there_is_by_then() {
    check(
        "0 a polls
         0 a gets = wait
         50 send x
         50 send y
         51 a gets = x,y
         51 a is-written
         60 send z
         61 b polls
         61 b gets = z",
    );
}

#[test]
fn a_poll_ends_empty_after_the_window() {
    check(
        "7 a polls
         106 a gets = wait
         107 a gets = 204
         107 a gets = 204",
    );
}

#[test]
fn a_poll_that_is_over_keeps_no_clock_running() {
    check(
        "0 a polls
         99 expired? = false
         100 deadline? = 100
         100 expired? = true
         100 deadline? = 150
         100 expired? = false
         101 send x
         101 a gets = 204
         102 b polls
         102 b gets = x",
    );
}

#[test]
fn a_second_poll_ends_the_first_and_gets_the_messages() {
    check(
        "0 a polls
         0 a gets = wait
         10 b polls
         10 a gets = 204
         10 b gets = wait
         20 send x
         20 a gets = 204
         20 b gets = x",
    );
}

#[test]
fn a_first_poll_that_goes_away_doesnt_end_the_second() {
    check(
        "0 a polls
         10 b polls
         11 a hangs-up
         12 b gets = wait
         13 send x
         13 b gets = x",
    );
}

#[test]
fn what_a_client_that_hung_up_was_answered_is_kept_for_its_next_poll() {
    check(
        "0 send x
         0 a polls
         0 a gets = x
         1 a hangs-up
         2 send y
         3 b polls
         3 b gets = x,y
         4 b is-written
         5 c polls
         5 c gets = wait",
    );
}

#[test]
fn a_client_that_polls_before_its_answer_is_known_to_have_left_gets_it_once() {
    check(
        "0 send x
         0 a polls
         0 a gets = x
         1 a leaves
         2 b polls
         2 send y
         2 b gets = wait
         3 a is-written
         3 b gets = y
         4 a hangs-up
         5 b leaves
         5 b is-written
         6 c polls
         6 c gets = wait",
    );
}

#[test]
fn an_answer_that_was_about_to_leave_and_did_not_is_given_to_the_poll_that_waits() {
    check(
        "0 send x
         0 a polls
         0 a gets = x
         1 a leaves
         2 b polls
         2 b gets = wait
         3 a hangs-up
         3 b gets = x",
    );
    check(
        "0 send x
         0 a polls
         0 a gets = x
         1 a leaves
         2 b polls
         2 deadline? = 102
         3 c polls
         3 c gets = wait
         103 c gets = 204
         104 d polls
         104 d gets = wait
         501 gives-up? = false
         502 gives-up? = true",
    );
}

#[test]
fn who_hears_too_late_that_an_answer_was_lost_keeps_nothing_of_a_later_one() {
    check(
        "0 send x
         0 a polls
         0 a gets = x
         1 a is-written
         2 b polls
         3 a hangs-up
         3 a is-written
         4 send y
         4 b gets = y
         5 b is-written
         6 a hangs-up
         7 c polls
         7 c gets = wait",
    );
}

#[test]
fn a_client_that_hung_up_while_it_waited_loses_nothing() {
    check(
        "0 a polls
         0 a gets = wait
         1 a hangs-up
         2 send x
         3 b polls
         3 b gets = x",
    );
}

#[test]
fn a_poll_that_comes_before_the_last_answer_is_written_gets_the_same_again() {
    check(
        "0 send x
         0 a polls
         0 a gets = x
         1 b polls
         2 a is-written
         2 b gets = x
         3 a hangs-up
         3 b is-written
         4 c polls
         4 c gets = wait",
    );
}

#[test]
fn who_is_silent_is_given_up_at_the_check_that_is_due() {
    check(
        "0 a polls
         100 a gets = 204
         149 abandoned? = false
         150 deadline? = 150
         150 abandoned? = false
         150 deadline? = 300
         299 abandoned? = false
         300 abandoned? = true",
    );
}

#[test]
fn who_never_polls_is_given_up() {
    check(
        "150 abandoned? = false
         300 abandoned? = true",
    );
}

/// Where Phoenix counts polls only.
#[test]
fn who_posts_is_not_given_up() {
    check(
        "100 post
         150 abandoned? = false
         200 post
         300 abandoned? = false
         450 abandoned? = true",
    );
}

#[test]
fn who_waits_is_not_given_up_however_late_the_check() {
    check(
        "0 a polls
         1000 abandoned? = false
         1000 a gets = 204
         1150 abandoned? = false
         1300 abandoned? = true",
    );
}

#[test]
fn the_deadline_is_the_polls_or_the_checks() {
    check(
        "0 deadline? = 150
         10 a polls
         10 deadline? = 110
         80 b polls
         80 deadline? = 150
         150 abandoned? = false
         150 deadline? = 180
         180 b gets = 204
         180 deadline? = 300",
    );
}
