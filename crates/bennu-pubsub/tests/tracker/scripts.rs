//! What a tracker does, line by line. Names and cases follow Phoenix's tests of presences and trackers.

use crate::script::check;

#[test]
fn track_and_untrack_tell_of_joins_and_leaves() {
    check(
        r#"
        track 1 t ana {"a":1}       => t +ana:1
        track 2 t bob               => t +bob:2
        list t                      => ana:1 bob:2
        untrack 1 t ana             => t -ana:1
        list t                      => bob:2
        end 2                       => t -bob:2
        list t
        "#,
    );
}

#[test]
fn the_same_owner_topic_and_key_is_tracked_once() {
    check(
        "
        track 1 t ana               => t +ana:1
        track 1 t ana               => the key is tracked already
        track 1 t bob               => t +bob:2
        track 1 u ana               => u +ana:3
        track 2 t ana               => t +ana:4
        get t ana                   => 1,4
        ",
    );
}

#[test]
fn get_by_key_returns_all_metas_oldest_first_or_none() {
    check(
        "
        track 3 u 1                 => u +1:1
        track 2 u 1                 => u +1:2
        get u 1                     => 1,2
        get u 2                     => none
        get v 1                     => none
        ",
    );
}

#[test]
fn update_sends_join_and_leave_in_one_diff_and_names_what_it_replaces() {
    check(
        r#"
        track 1 t ana {"s":"on"}    => t +ana:1
        track 2 t ana               => t +ana:2
        update 1 t ana {"s":"off"}  => t +ana:3<1 -ana:1
        get t ana                   => 2,3<1
        update 1 t ana {"s":"on"}   => t +ana:4<3 -ana:3<1
        untrack 1 t ana             => t -ana:4<3
        "#,
    );
}

#[test]
fn update_with_no_tracked_presence_is_an_error() {
    check(
        "
        update 1 t ana              => the key isn't tracked
        track 1 t ana               => t +ana:1
        update 2 t ana              => the key isn't tracked
        update 1 u ana              => the key isn't tracked
        untrack 1 t ana             => t -ana:1
        update 1 t ana              => the key isn't tracked
        ",
    );
}

#[test]
fn untrack_with_no_tracked_presence_does_nothing() {
    check(
        "
        untrack 1 t ana             => nothing
        track 1 t ana               => t +ana:1
        untrack 2 t ana             => nothing
        untrack 1 t bob             => nothing
        end 3
        ",
    );
}

#[test]
fn what_ends_leaves_every_topic_with_one_diff_each() {
    check(
        "
        track 1 t a                 => t +a:1
        track 1 t b                 => t +b:2
        track 2 t a                 => t +a:3
        track 1 u a                 => u +a:4
        end 1                       => t -a:1 -b:2; u -a:4
        list t                      => a:3
        list u
        end 1
        ",
    );
}

#[test]
fn counts_are_of_metas_keys_and_metas_of_a_key() {
    check(
        "
        count t ana                 => 0 0 0
        track 1 t ana               => t +ana:1
        track 2 t ana               => t +ana:2
        track 2 t bob               => t +bob:3
        count t ana                 => 3 2 2
        update 1 t ana
        count t ana                 => 3 2 2
        end 2                       => t +ana:4<1 -ana:1,2 -bob:3
        count t ana                 => 1 1 1
        ",
    );
}

#[test]
fn a_large_topic_is_told_at_once_and_then_once_a_window() {
    check(
        "
        track 1 t a                 => t +a:1
        track 2 t b                 => t +b:2
        track 3 t c                 => t +c:3
        track 4 t d
        track 5 t e
        update 1 t a
        wait 99
        wait 1                      => t +a:6<1 +d:4 +e:5 -a:1
        track 6 t f
        wait 100                    => t +f:7
        wait 100
        track 7 t g                 => t +g:8
        track 1 u a                 => u +a:9
        ",
    );
}

#[test]
fn a_topic_that_became_small_is_told_at_once() {
    check(
        "
        track 1 t a                 => t +a:1
        track 2 t b                 => t +b:2
        track 3 t c                 => t +c:3
        track 4 t d
        end 2
        end 3                       => t +d:4 -b:2 -c:3
        end 1                       => t -a:1
        wait 200
        end 4                       => t -d:4
        ",
    );
}

#[test]
fn who_comes_and_goes_within_a_window_is_not_mentioned() {
    check(
        "
        track 1 t a                 => t +a:1
        track 2 t b                 => t +b:2
        track 3 t c                 => t +c:3
        track 4 t d
        end 4
        track 5 t e
        update 5 t e
        update 5 t e
        wait 100                    => t +e:7
        ",
    );
}

#[test]
fn a_chain_of_updates_within_a_window_is_one() {
    check(
        "
        track 1 t a                 => t +a:1
        track 2 t b                 => t +b:2
        track 3 t c                 => t +c:3
        update 1 t a
        update 1 t a
        get t a                     => 5<1
        update 1 t a
        end 2                       => t +a:6<5 -a:1,5<1 -b:2
        ",
    );
    check(
        "
        track 1 t a                 => t +a:1
        track 2 t b                 => t +b:2
        track 3 t c                 => t +c:3
        update 1 t a
        update 1 t a
        wait 100                    => t +a:5<1 -a:1
        update 1 t a
        end 1                       => t -a:5<1
        ",
    );
}

#[test]
fn who_was_listed_within_a_window_is_mentioned_when_they_go() {
    check(
        "
        track 1 t a                 => t +a:1
        track 2 t b                 => t +b:2
        track 3 t c                 => t +c:3
        track 4 t d
        list t                      => a:1 b:2 c:3 d:4
        track 5 t e
        end 4
        end 5
        wait 100                    => t -d:4
        ",
    );
}

#[test]
fn any_text_is_a_key_and_limits_are_named() {
    check(
        r#"
        track 1 t __proto__         => t +__proto__:1
        track 1 t "\                => t +"\:2
        track 1 t ключ              => t +ключ:3
        list t                      => "\:2 __proto__:1 ключ:3
        track 1 t 123456789012345678901      => key_bytes_max is 20, found 21
        track 1 t k {"a":"12345678901234567890123456789012345"} => meta_bytes_max is 40, found 43
        track 1 t k [1]             => the meta is no JSON object: expected an object
        update 1 t __proto__ "x"    => the meta is no JSON object: expected an object
        count t k                   => 3 3 0
        "#,
    );
}
