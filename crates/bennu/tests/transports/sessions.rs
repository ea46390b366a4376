//! Whole sessions, refs, heartbeats, and what is on no channel.

use crate::script::check;

/// protocol.md section 14, as seen on the wire of a running Phoenix.
#[tokio::test]
async fn the_golden_session_of_serializer_v2() {
    check(
        r#"
        > [null,"1","phoenix","heartbeat",{}]
        < [null,"1","phoenix","phx_reply",{"response":{},"status":"ok"}]
        > ["1","3","nope:1","phx_join",{}]
        < [null,"3","nope:1","phx_reply",{"response":{"reason":"unmatched topic"},"status":"error"}]
        > ["1","5","room:1","phx_leave",{}]
        < ["1","5","room:1","phx_reply",{"response":{},"status":"ok"}]
        > ["5","6","room:a","phx_join",{"z":1}]
        < ["5","6","room:a","phx_reply",{"response":{},"status":"ok"}]
        > ["5",8,"room:a","echo","strpayload"]
        < ["5",8,"room:a","phx_reply",{"response":"strpayload","status":"ok"}]
        > ["stale","12","room:a","echo",{}]
        > [null,"13","room:a","echo",{}]
        < ["5","13","room:a","phx_reply",{"response":{},"status":"ok"}]
        > ["5","15","room:a","bc",{"m":1}]
        < [null,null,"room:a","bced",{"m":1}]
        < ["5","15","room:a","phx_reply",{"response":{},"status":"ok"}]
        > ["6","2","room:a","phx_join",{}]
        < ["6","2","room:a","phx_reply",{"response":{},"status":"ok"}]
        < ["5","5","room:a","phx_close",{}]
        > ["6","3","room:a","boom",{}]
        < ["6","6","room:a","phx_error",{"reason":"channel_crash"}]
        > ["6","4","room:a","ok",{}]
        < [null,"4","room:a","phx_reply",{"response":{"reason":"unmatched topic"},"status":"error"}]
        "#,
    )
    .await;
}

#[tokio::test]
async fn a_session_of_serializer_v1() {
    check(
        r#"
        = /socket?vsn=1.0.0
        > {"topic":"phoenix","event":"heartbeat","payload":{},"ref":"1"}
        < {"event":"phx_reply","payload":{"response":{},"status":"ok"},"ref":"1","topic":"phoenix"}
        > {"topic":"room:a","event":"phx_join","payload":{"q":1},"ref":"2"}
        < {"event":"phx_reply","payload":{"response":{},"status":"ok"},"ref":"2","topic":"room:a"}
        > {"topic":"room:a","event":"echo","payload":"text","ref":"3"}
        < {"event":"phx_reply","payload":{"response":"text","status":"ok"},"ref":"3","topic":"room:a"}
        > {"topic":"room:a","event":"bc","payload":{"q":1},"ref":"4"}
        < {"event":"bced","payload":{"q":1},"ref":null,"topic":"room:a"}
        < {"event":"phx_reply","payload":{"response":{},"status":"ok"},"ref":"4","topic":"room:a"}
        > {"topic":"room:a","event":"push","payload":{"q":1},"ref":"5","more":"is ignored"}
        < {"event":"pushed","payload":{"q":1},"ref":null,"topic":"room:a"}
        < {"event":"phx_reply","payload":{"response":{},"status":"ok"},"ref":"5","topic":"room:a"}
        > {"topic":"room:a","event":"boom","payload":{},"ref":"6"}
        < {"event":"phx_error","payload":{"reason":"channel_crash"},"ref":null,"topic":"room:a"}
        > {"topic":"room:a","event":"phx_join","payload":{},"ref":"7"}
        < {"event":"phx_reply","payload":{"response":{},"status":"ok"},"ref":"7","topic":"room:a"}
        > {"topic":"room:a","event":"phx_leave","payload":{},"ref":"8"}
        < {"event":"phx_reply","payload":{"response":{},"status":"ok"},"ref":"8","topic":"room:a"}
        < {"event":"phx_close","payload":{},"ref":null,"topic":"room:a"}
        "#,
    )
    .await;
}

/// V1 is spoken where no version is asked for, and may give join refs, but gets them as refs only.
#[tokio::test]
async fn serializer_v1_honours_a_join_ref_and_never_sends_one() {
    check(
        r#"
        = /socket
        > {"topic":"room:a","event":"phx_join","payload":{},"ref":"2","join_ref":"1"}
        < {"event":"phx_reply","payload":{"response":{},"status":"ok"},"ref":"2","topic":"room:a"}
        > {"topic":"room:a","event":"echo","payload":{},"ref":"3","join_ref":"stale"}
        > {"topic":"room:a","event":"stop","payload":{},"ref":"4","join_ref":"1"}
        < {"event":"phx_reply","payload":{"response":{},"status":"ok"},"ref":"4","topic":"room:a"}
        < {"event":"phx_close","payload":{},"ref":"1","topic":"room:a"}
        "#,
    )
    .await;
}

#[tokio::test]
async fn a_heartbeat_has_no_join_ref_and_phoenix_is_otherwise_a_topic_like_any_other() {
    check(
        r#"
        > ["9",17,"phoenix","heartbeat","anything"]
        < [null,17,"phoenix","phx_reply",{"response":{},"status":"ok"}]
        > [null,"2","phoenix","other",{}]
        < [null,"2","phoenix","phx_reply",{"response":{"reason":"unmatched topic"},"status":"error"}]
        > ["1","3","phoenix","phx_join",{}]
        < [null,"3","phoenix","phx_reply",{"response":{"reason":"unmatched topic"},"status":"error"}]
        "#,
    )
    .await;
}

#[tokio::test]
async fn refs_are_echoed_as_they_are_and_compared_by_type() {
    check(
        r#"
        > [5,{"any":["json"]},"room:a","phx_join",{}]
        < [5,{"any":["json"]},"room:a","phx_reply",{"response":{},"status":"ok"}]
        > ["5","1","room:a","echo",{}]
        > ["","2","room:a","echo",{}]
        > [5,null,"room:a","echo",1]
        < [5,null,"room:a","phx_reply",{"response":1,"status":"ok"}]
        > [null,3.5,"room:a","echo",2]
        < [5,3.5,"room:a","phx_reply",{"response":2,"status":"ok"}]
        "#,
    )
    .await;
}

#[tokio::test]
async fn a_join_without_join_ref_takes_its_ref_for_one_but_only_null_is_current() {
    check(
        r#"
        > [null,"1","room:a","phx_join",{}]
        < [null,"1","room:a","phx_reply",{"response":{},"status":"ok"}]
        > ["1","2","room:a","echo",{}]
        > [null,"3","room:a","push",{"n":1}]
        < ["1",null,"room:a","pushed",{"n":1}]
        < ["1","3","room:a","phx_reply",{"response":{},"status":"ok"}]
        > [null,"4","room:a","phx_leave",{}]
        < [null,"4","room:a","phx_reply",{"response":{},"status":"ok"}]
        < [null,null,"room:a","phx_close",{}]
        "#,
    )
    .await;
}

#[tokio::test]
async fn elements_behind_the_fifth_are_ignored_and_names_may_be_anything() {
    check(
        r#"
        > ["1","1","room:a","phx_join",{},"six",7]
        < ["1","1","room:a","phx_reply",{"response":{},"status":"ok"}]
        > ["1","2","room:a",{"not":"a name"},{}]
        < ["1","2","room:a","phx_reply",{"response":{"reason":"*"},"status":"error"}]
        > ["1","3",["not","a","name"],"echo",{}]
        < [null,"3",["not","a","name"],"phx_reply",{"response":{"reason":"unmatched topic"},"status":"error"}]
        > ["1","4","room:a","echo",{"naïve":"日本語 \u2028 \"quoted\" \\ \u0000 🏳️‍🌈"}]
        < ["1","4","room:a","phx_reply",{"response":{"naïve":"日本語 \u2028 \"quoted\" \\ \u0000 🏳️‍🌈"},"status":"ok"}]
        "#,
    )
    .await;
}
