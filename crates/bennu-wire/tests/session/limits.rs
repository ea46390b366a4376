//! What happens when too much waits for a join.

use bennu_wire::{Action, Frame, Limits, Payload, Serializer, Session};

use super::{LIMITS, check, check_within};

#[test]
fn an_event_too_many_is_refused_and_there_is_room_again_after_the_verdict() {
    check(
        r#"
        < ["1","1","room:a","phx_join",{}]
        join 0 room:a "1" {}
        < ["1","2","room:a","one",{}]
        < ["1","3","room:a","two",{}]
        < ["1","4","room:a","three",{}]
        < ["1","5","room:a","four",{}]
        > ["1","5","room:a","phx_reply",{"status":"error","response":{"reason":"too many messages queued"}}]
        ok 0
        > ["1","1","room:a","phx_reply",{"status":"ok","response":{}}]
        joined 0
        in 0 one {}
        in 0 two {}
        in 0 three {}
        < ["6","6","room:a","phx_join",{}]
        abandon 0
        join 1 room:a "6" {}
        < ["6","7","room:a","one",{}]
        < ["6","8","room:a","two",{}]
        < ["6","9","room:a","three",{}]
        < [null,"10","room:a","four",{}]
        > [null,"10","room:a","phx_reply",{"status":"error","response":{"reason":"too many messages queued"}}]
        "#,
    );
}

#[test]
fn a_join_or_leave_too_many_closes_the_connection() {
    for event in ["phx_join", "phx_leave"] {
        check(&format!(
            r#"
            < ["1","1","room:a","phx_join",{{}}]
            join 0 room:a "1" {{}}
            < ["1","2","room:a","one",{{}}]
            < ["1","3","room:a","two",{{}}]
            < ["1","4","room:a","three",{{}}]
            < ["1","5","room:a","{event}",{{}}]
            close 1008 too many messages queued
            "#
        ));
    }
}

#[test]
fn the_limit_is_for_all_topics_together() {
    check(
        r#"
        < ["1","1","room:a","phx_join",{}]
        join 0 room:a "1" {}
        < ["2","2","room:b","phx_join",{}]
        join 1 room:b "2" {}
        < ["1","3","room:a","one",{}]
        < ["1","4","room:a","two",{}]
        < ["2","5","room:b","three",{}]
        < ["2","6","room:b","four",{}]
        > ["2","6","room:b","phx_reply",{"status":"error","response":{"reason":"too many messages queued"}}]
        no 0
        > ["1","1","room:a","phx_reply",{"status":"error","response":{}}]
        > [null,"3","room:a","phx_reply",{"status":"error","response":{"reason":"unmatched topic"}}]
        > [null,"4","room:a","phx_reply",{"status":"error","response":{"reason":"unmatched topic"}}]
        < ["2","7","room:b","four",{}]
        ok 1
        > ["2","2","room:b","phx_reply",{"status":"ok","response":{}}]
        joined 1
        in 1 three {}
        in 1 four {}
        "#,
    );
}

#[test]
fn what_a_queued_join_takes_along_is_counted_once() {
    check(
        r#"
        < ["1","1","room:a","phx_join",{}]
        join 0 room:a "1" {}
        < ["2","2","room:a","phx_join",{}]
        < ["2","3","room:a","one",{}]
        < ["2","4","room:a","two",{}]
        ok 0
        > ["1","1","room:a","phx_reply",{"status":"ok","response":{}}]
        joined 0
        abandon 0
        join 1 room:a "2" {}
        < ["2","5","room:a","three",{}]
        < ["2","6","room:a","four",{}]
        > ["2","6","room:a","phx_reply",{"status":"error","response":{"reason":"too many messages queued"}}]
        ok 1
        > ["2","2","room:a","phx_reply",{"status":"ok","response":{}}]
        > ["1","1","room:a","phx_close",{}]
        joined 1
        in 1 one {}
        in 1 two {}
        in 1 three {}
        "#,
    );
}

#[test]
fn bytes_are_counted_too() {
    let long = "x".repeat(9_900);
    check(&format!(
        r#"
        < ["1","1","room:a","phx_join",{{}}]
        join 0 room:a "1" {{}}
        < ["1","2","room:a","fits","{long}"]
        > ["1","2","room:a","phx_reply",{{"status":"error","response":{{"reason":"too many messages queued"}}}}]
        < ["1","3","room:a","short",{{}}]
        ok 0
        > ["1","1","room:a","phx_reply",{{"status":"ok","response":{{}}}}]
        joined 0
        in 0 short {{}}
        "#
    ));
}

#[test]
fn limits_beyond_all_measure_are_no_limits() {
    check_within(
        Limits {
            channels_max: usize::MAX,
            joining_channels_max: usize::MAX,
            joining_messages_max: usize::MAX,
            joining_bytes_max: usize::MAX,
        },
        r#"
        < ["1","1","room:a","phx_join",{}]
        join 0 room:a "1" {}
        < ["1","2","room:a","one",{}]
        ok 0
        > ["1","1","room:a","phx_reply",{"status":"ok","response":{}}]
        joined 0
        in 0 one {}
        "#,
    );
}

#[test]
fn a_join_too_many_at_once_is_refused_and_changes_nothing() {
    check_within(
        Limits {
            channels_max: 3,
            joining_channels_max: 1,
            ..LIMITS
        },
        r#"
        < ["1","1","room:a","phx_join",{}]
        join 0 room:a "1" {}
        ok 0
        > ["1","1","room:a","phx_reply",{"status":"ok","response":{}}]
        joined 0
        < ["2","2","room:b","phx_join",{}]
        join 1 room:b "2" {}
        < ["3","3","room:c","phx_join",{}]
        > ["3","3","room:c","phx_reply",{"status":"error","response":{"reason":"too many joins at once"}}]
        < ["4","4","room:a","phx_join",{}]
        > ["4","4","room:a","phx_reply",{"status":"error","response":{"reason":"too many joins at once"}}]
        < ["1","5","room:a","hi",{}]
        in 0 hi {}
        < ["6","6","room:b","phx_join",{}]
        no 1
        > ["2","2","room:b","phx_reply",{"status":"error","response":{}}]
        join 2 room:b "6" {}
        no 2
        > ["6","6","room:b","phx_reply",{"status":"error","response":{}}]
        < ["7","7","room:a","phx_join",{}]
        abandon 0
        join 3 room:a "7" {}
        "#,
    );
}

#[test]
fn what_comes_too_often_is_refused_but_for_leaves_and_heartbeats() {
    check(
        r#"
        < ["1","1","room:a","phx_join",{}]
        join 0 room:a "1" {}
        ok 0
        > ["1","1","room:a","phx_reply",{"status":"ok","response":{}}]
        joined 0
        ! ["1","2","room:a","hi",{}]
        > ["1","2","room:a","phx_reply",{"status":"error","response":{"reason":"too many events"}}]
        ! ["3","3","room:b","phx_join",{}]
        > ["3","3","room:b","phx_reply",{"status":"error","response":{"reason":"too many events"}}]
        ! ["1","4","room:a","heartbeat",{}]
        > ["1","4","room:a","phx_reply",{"status":"error","response":{"reason":"too many events"}}]
        ! [null,"5","phoenix","heartbeat",{}]
        > [null,"5","phoenix","phx_reply",{"status":"ok","response":{}}]
        ! ["1","6","room:a","phx_leave",{}]
        leave 0
        "#,
    );
}

#[test]
fn the_hundred_and_first_join_is_refused_by_default_and_every_channel_is_found() {
    let mut session = Session::new(Limits::default());
    let message = |topic: usize, event: &str| {
        let text = format!(r#"["{topic}","1","room:{topic}","{event}",{{}}]"#);
        Serializer::V2.decode(Frame::Text(&text)).unwrap()
    };
    let mut ids = Vec::new();
    for topic in 0..100 {
        let action = session.receive(message(topic, "phx_join"), |_| true);
        let Some(Action::Join { id, .. }) = action else {
            panic!("no join of {topic}")
        };
        session.joined(id, Payload::empty());
        while session.poll_action().is_some() {}
        ids.push(id);
    }
    let action = session.receive(message(100, "phx_join"), |_| true);
    assert!(matches!(action, Some(Action::Send(_))));
    assert_eq!(
        (
            session.len(),
            session.channels().filter(|(_, _, joined)| *joined).count()
        ),
        (100, 100)
    );

    for (topic, id) in ids.iter().enumerate() {
        assert_eq!(
            session.topic(*id).unwrap().as_str(),
            format!("room:{topic}")
        );
        let action = session.receive(message(topic, "hi"), |_| true);
        assert!(
            matches!(action, Some(Action::Deliver { id: it, .. }) if it == *id),
            "{topic}"
        );
    }
    // Every other one ends; what is left is still found, and what ended is not.
    for (topic, id) in ids.iter().enumerate() {
        if topic % 2 == 0 {
            session.stopped(*id);
            assert!(
                matches!(session.poll_action(), Some(Action::Send(_))),
                "{topic}"
            );
            assert_eq!(session.poll_action(), Some(Action::Ended { id: *id }));
        }
    }
    for (topic, id) in ids.iter().enumerate() {
        let action = session.receive(message(topic, "hi"), |_| true);
        let found = matches!(action, Some(Action::Deliver { id: it, .. }) if it == *id);
        assert_eq!(found, topic % 2 == 1, "{topic}");
        assert_eq!(session.topic(*id).is_some(), found, "{topic}");
    }
    assert_eq!(session.len(), 50);
    assert!(!session.is_empty());
}

#[test]
fn topics_of_the_same_hash_are_told_apart() {
    // Both have the 32-bit FNV-1a hash 0x5e4daa9d: a pair found by many before us.
    check_within(
        LIMITS,
        r#"
        < ["1","1","costarring","phx_join",{}]
        join 0 costarring "1" {}
        ok 0
        > ["1","1","costarring","phx_reply",{"status":"ok","response":{}}]
        joined 0
        < ["2","2","liquid","hi",{}]
        > [null,"2","liquid","phx_reply",{"status":"error","response":{"reason":"unmatched topic"}}]
        < ["3","3","liquid","phx_join",{}]
        join 1 liquid "3" {}
        < ["1","4","costarring","hi",{}]
        in 0 hi {}
        stop 0
        > ["1","1","costarring","phx_close",{}]
        ended 0
        ok 1
        > ["3","3","liquid","phx_reply",{"status":"ok","response":{}}]
        joined 1
        < ["3","5","liquid","hi",{}]
        in 1 hi {}
        "#,
    );
}
