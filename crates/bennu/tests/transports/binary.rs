//! Bytes as payloads, on transports that carry binary frames.

use crate::script::{HOME, check};

/// protocol.md section 4, as seen on the wire of a running Phoenix.
#[tokio::test]
async fn the_golden_bytes() {
    check(
        r#"
        > ["5","1","room:a","phx_join",{}]
        < ["5","1","room:a","phx_reply",{"response":{},"status":"ok"}]
        >x 00 01 02 06 08 "5" "21" "room:a" "bin_echo" 01 02
        <x 01 01 02 06 02 "5" "21" "room:a" "ok" 01 02
        > ["5","22","room:a","bin_push",{}]
        <x 00 01 06 02 "5" "room:a" "pb" 09 08
        < ["5","22","room:a","phx_reply",{"response":{},"status":"ok"}]
        > ["5","23","room:a","bin_bc",{}]
        <x 02 06 02 "room:a" "bb" 01 02 03
        < ["5","23","room:a","phx_reply",{"response":{},"status":"ok"}]
        > ["jbinreply","30","room:binreply","phx_join",{"reply_bytes":true}]
        <x 01 09 02 0d 02 "jbinreply" "30" "room:binreply" "ok" "BIN"
        "#,
    )
    .await;
}

#[tokio::test]
async fn empty_bytes_and_bytes_that_are_no_text_pass() {
    check(
        r#"
        > ["5","1","room:a","phx_join",{}]
        < ["5","1","room:a","phx_reply",{"response":{},"status":"ok"}]
        >x 00 01 01 06 08 "5" "2" "room:a" "bin_echo"
        <x 01 01 01 06 02 "5" "2" "room:a" "ok"
        >x 00 01 01 06 08 "5" "3" "room:a" "bin_echo" ff fe 00 80 c0
        <x 01 01 01 06 02 "5" "3" "room:a" "ok" ff fe 00 80 c0
        >x 00 01 01 06 04 "5" "4" "room:a" "echo" ff
        <x 01 01 01 06 02 "5" "4" "room:a" "ok" ff
        "#,
    )
    .await;
}

#[tokio::test]
async fn refs_in_binary_frames_are_texts_and_an_empty_join_ref_is_stale() {
    check(
        r#"
        > [5,1,"room:a","phx_join",{}]
        < [5,1,"room:a","phx_reply",{"response":{},"status":"ok"}]
        >x 00 01 01 06 08 "5" "2" "room:a" "bin_echo" 01
        >x 00 00 01 06 08 "3" "room:a" "bin_echo" 01
        > [5,4,"room:a","bin_push",{}]
        <x 00 01 06 02 "5" "room:a" "pb" 09 08
        < [5,4,"room:a","phx_reply",{"response":{},"status":"ok"}]
        "#,
    )
    .await;
}

#[tokio::test]
async fn topics_are_joined_and_left_by_binary_frames_as_well() {
    check(
        r#"
        >x 00 01 01 06 08 "5" "1" "room:a" "phx_join" 01 02
        < ["5","1","room:a","phx_reply",{"response":{},"status":"ok"}]
        >x 00 01 01 06 09 "5" "2" "room:a" "phx_leave"
        < ["5","2","room:a","phx_reply",{"response":{},"status":"ok"}]
        < ["5","5","room:a","phx_close",{}]
        "#,
    )
    .await;
}

#[tokio::test]
async fn a_payload_of_the_wrong_kind_is_answered_with_a_reason() {
    check(
        r#"
        > ["5","1","room:a","phx_join",{}]
        < ["5","1","room:a","phx_reply",{"response":{},"status":"ok"}]
        >x 00 01 01 06 03 "5" "2" "room:a" "sum" 01
        < ["5","2","room:a","phx_reply",{"response":{"reason":"*"},"status":"error"}]
        > ["5","3","room:a","bin_echo",{"not":"bytes"}]
        < ["5","3","room:a","phx_reply",{"response":{"reason":"*"},"status":"error"}]
        "#,
    )
    .await;
}

#[tokio::test]
async fn who_speaks_v1_is_left_out_of_broadcasts_of_bytes() {
    check(&format!(
        r#"
        a = /socket?vsn=1.0.0
        a > {{"topic":"room:a","event":"phx_join","payload":{{}},"ref":"1"}}
        a < {{"topic":"room:a","event":"phx_reply","payload":{{"response":{{}},"status":"ok"}},"ref":"1"}}
        b = {HOME}
        b > ["2","2","room:a","phx_join",{{}}]
        b < ["2","2","room:a","phx_reply",{{"response":{{}},"status":"ok"}}]
        b > ["2","3","room:a","bin_bc",{{}}]
        b <x 02 06 02 "room:a" "bb" 01 02 03
        b < ["2","3","room:a","phx_reply",{{"response":{{}},"status":"ok"}}]
        "#
    ))
    .await;
}

#[tokio::test]
async fn a_channel_that_pushes_bytes_to_v1_crashes() {
    check(
        r#"
        = /socket?vsn=1.0.0
        > {"topic":"room:a","event":"phx_join","payload":{},"ref":"1"}
        < {"topic":"room:a","event":"phx_reply","payload":{"response":{},"status":"ok"},"ref":"1"}
        > {"topic":"room:a","event":"bin_push","payload":{},"ref":null}
        < {"topic":"room:a","event":"phx_reply","payload":{"response":{},"status":"ok"},"ref":null}
        < {"topic":"room:a","event":"phx_error","payload":{"reason":"channel_crash"},"ref":null}
        "#,
    )
    .await;
}

#[tokio::test]
async fn names_of_255_bytes_fit_into_binary_frames() {
    let topic = format!("room:{}", "é".repeat(125));
    check(&format!(
        r#"
        > ["5","1","{topic}","phx_join",{{}}]
        < ["5","1","{topic}","phx_reply",{{"response":{{}},"status":"ok"}}]
        > ["5","2","{topic}","bin_push",{{}}]
        <x 00 01 ff 02 "5" "{topic}" "pb" 09 08
        < ["5","2","{topic}","phx_reply",{{"response":{{}},"status":"ok"}}]
        "#
    ))
    .await;
}
