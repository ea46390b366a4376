//! What clients see of presences.

use std::time::Duration;

use bennu::{Endpoint, Presence, PresenceOptions};
use serde_json::{Value, json};

use crate::{
    guest::{Guest, User, endpoint, ok, one},
    support::Client,
};

#[tokio::test]
async fn who_joins_gets_the_reply_its_own_diff_the_state_and_then_the_rest_in_order() {
    let endpoint = endpoint();
    let ana = json!({"ana": one(&json!({"n": 1, "phx_ref": "1"}))});
    let (mut first, told) = Guest::join(&endpoint, "lobby:a", &["ana"]).await;
    let diff = json!(["presence_diff", {"joins": ana, "leaves": {}}]);
    assert_eq!(told, [ok(), diff, json!(["presence_state", ana])]);

    let (_second, told) = Guest::join(&endpoint, "lobby:a", &["bob"]).await;
    let both = json!({"bob": one(&json!({"n": 1, "phx_ref": "1"})), "ana": one(&json!({"n": 1, "phx_ref": "2"}))});
    assert_eq!(told[2], json!(["presence_state", both]));
    let bob = json!({"bob": one(&json!({"n": 1, "phx_ref": "2"}))});
    first.expect_diff(bob, json!({})).await;
}

#[tokio::test]
async fn what_a_join_does_to_its_presences_happens_in_order_after_its_reply() {
    let endpoint = endpoint();
    let (_guest, told) = Guest::join(&endpoint, "lobby:again", &["ana"]).await;
    let entry = |n: u32, r: u32| json!({"ana": one(&json!({"n": n, "phx_ref": r.to_string()}))});
    let last = json!({"ana": one(&json!({"n": 3, "phx_ref": "3", "phx_ref_prev": "2"}))});
    let diff =
        |joins: Value, leaves: Value| json!(["presence_diff", {"joins": joins, "leaves": leaves}]);
    assert_eq!(
        told,
        [
            ok(),
            diff(entry(1, 1), json!({})),
            diff(json!({}), entry(1, 1)),
            diff(entry(2, 2), json!({})),
            diff(last.clone(), entry(2, 2)),
            json!(["presence_state", last]),
        ]
    );
}

#[tokio::test]
async fn a_refused_join_was_never_present() {
    let endpoint = endpoint();
    let mut watcher = endpoint.subscribe("lobby:refused");
    let mut client = Client::connect(&endpoint, 1 << 20).await;
    client
        .send(json!(["1", "1", "lobby:refused", "phx_join", ["ana"]]))
        .await;
    assert_eq!(client.recv().await[4]["response"], json!({"reason": "no"}));
    assert!(watcher.try_recv().is_none());
    assert_eq!(endpoint.presence().count("lobby:refused"), 0);
}

#[tokio::test]
async fn track_update_and_untrack_tell_everybody_and_then_reply() {
    let endpoint = endpoint();
    let (mut guest, _) = Guest::join(&endpoint, "lobby:b", &[]).await;
    guest.send("track", json!(["42", {"s": "on"}])).await;
    let on = json!({"42": one(&json!({"s": "on", "phx_ref": "1"}))});
    guest.expect_diff(on.clone(), json!({})).await;
    guest.expect_reply("ok", json!({})).await;
    guest.send("track", json!(["42", {}])).await;
    guest
        .expect_reply("error", json!("the key is tracked already"))
        .await;
    guest.send("update", json!(["42", {"s": "off"}])).await;
    let off = json!({"42": one(&json!({"s": "off", "phx_ref": "2", "phx_ref_prev": "1"}))});
    guest.expect_diff(off.clone(), on).await;
    guest.expect_reply("ok", json!({})).await;
    guest.send("update", json!(["43", {}])).await;
    guest
        .expect_reply("error", json!("the key isn't tracked"))
        .await;
    guest.send("untrack", json!("43")).await;
    guest.expect_reply("ok", json!({})).await;
    guest.send("track", json!(["44", "no object"])).await;
    guest
        .expect_reply(
            "error",
            json!("the meta is no JSON object: expected an object"),
        )
        .await;
    guest.send("state", json!({})).await;
    guest.expect("presence_state", off.clone()).await;
    guest.expect_reply("ok", json!({})).await;
    guest.send("untrack", json!("42")).await;
    guest.expect_diff(json!({}), off).await;
    guest.expect_reply("ok", json!({})).await;
    guest.send("list", json!({})).await;
    guest.expect_reply("ok", json!({})).await;
}

#[tokio::test]
async fn any_text_is_a_key() {
    let endpoint = endpoint();
    let keys = [
        "__proto__",
        "constructor",
        "",
        "\"}],",
        "ключ\u{0}\u{2028}😀",
    ];
    let (_guest, told) = Guest::join(&endpoint, "lobby:keys", &keys).await;
    let state = told.last().unwrap()[1].as_object().unwrap();
    assert_eq!(state.len(), keys.len());
    assert!(keys.iter().all(|it| state[*it]["metas"][0]["n"] == 1));
    for key in keys {
        let entry = endpoint
            .presence()
            .get_by_key("lobby:keys", key)
            .await
            .unwrap();
        assert_eq!(entry.metas().len(), 1);
        assert_eq!(endpoint.presence().count_key("lobby:keys", key), 1);
    }
    assert!(
        endpoint
            .presence()
            .get_by_key("lobby:keys", "x")
            .await
            .is_none()
    );
}

#[tokio::test]
async fn a_channel_leaves_whatever_ends_it_and_does_not_hear_of_it() {
    for end in [
        "phx_leave",
        "stop",
        "fail",
        "crash",
        "phx_join",
        "disconnect",
    ] {
        let endpoint = endpoint();
        let (mut stays, _) = Guest::join(&endpoint, "lobby:c", &["stays"]).await;
        let (mut goes, _) = Guest::join(&endpoint, "lobby:c", &["goes", "goes too"]).await;
        for key in ["goes", "goes too"] {
            let joined = stays.event().await.1;
            assert!(joined["joins"].get(key).is_some(), "{end}: {joined}");
        }
        assert_eq!(endpoint.presence().count("lobby:c"), 3);
        match end {
            "disconnect" => drop(goes),
            "phx_join" => {
                let told = goes.rejoin(&[]).await;
                let state = told.last().unwrap()[1].as_object().unwrap();
                assert_eq!(
                    state.keys().collect::<Vec<_>>(),
                    ["stays"],
                    "the old self is gone"
                );
            }
            event => {
                goes.send(event, json!({})).await;
                loop {
                    let (event, payload) = goes.event().await;
                    assert_ne!(event, "presence_diff", "{end}: {payload}");
                    if event == "phx_close" || event == "phx_error" {
                        break;
                    }
                }
            }
        }
        let left = stays.event().await.1;
        let left: Vec<_> = left["leaves"].as_object().unwrap().keys().collect();
        assert_eq!(left, ["goes", "goes too"], "{end}");
        assert_eq!(endpoint.presence().count("lobby:c"), 1, "{end}");
    }
}

#[tokio::test]
async fn members_track_in_any_topic_and_presences_are_apart() {
    let endpoint = endpoint();
    let other = Presence::new("other", endpoint.pubsub(), PresenceOptions::new());
    let (mut guest, _) = Guest::join(&endpoint, "lobby:d", &[]).await;
    let robot = other.member();
    robot.track("lobby:d", 7, &json!({})).unwrap();
    guest
        .expect_diff(json!({"7": one(&json!({"phx_ref": "1"}))}), json!({}))
        .await;
    assert_eq!(
        (other.count("lobby:d"), other.count_keys("lobby:d")),
        (1, 1)
    );
    assert_eq!(endpoint.presence().count("lobby:d"), 0);
    robot.update("lobby:d", 7, &json!({"a": 1})).unwrap();
    guest.event().await;
    drop(robot);
    let left = json!({"7": one(&json!({"a": 1, "phx_ref": "2", "phx_ref_prev": "1"}))});
    guest.expect_diff(json!({}), left).await;
}

#[tokio::test(start_paused = true)]
async fn a_large_topic_is_told_once_a_window() {
    let options = PresenceOptions::new()
        .window(Duration::from_millis(250))
        .window_members_min(2);
    let endpoint = Endpoint::new(())
        .presence_options(options)
        .socket::<User>("/socket");
    let (mut guest, _) = Guest::join(&endpoint, "lobby:e", &["a"]).await;
    let robots: Vec<_> = (0..10).map(|_| endpoint.presence().member()).collect();
    for (n, robot) in robots.iter().enumerate() {
        robot.track("lobby:e", n, &json!({})).unwrap();
    }
    let (_, first) = guest.event().await;
    assert_eq!(first["joins"].as_object().unwrap().len(), 1);
    let (_, rest) = guest.event().await;
    assert_eq!(rest["joins"].as_object().unwrap().len(), 9);
}

#[tokio::test(start_paused = true)]
async fn one_more_joins_ten_thousand() {
    let endpoint = endpoint();
    let robots: Vec<_> = (0..10_000).map(|_| endpoint.presence().member()).collect();
    for (n, robot) in robots.iter().enumerate() {
        robot.track("lobby:f", n, &json!({})).unwrap();
    }
    let (mut first, told) = Guest::join(&endpoint, "lobby:f", &["first"]).await;
    let state = told.last().unwrap()[1].as_object().unwrap();
    assert_eq!(state.len(), 10_001);
    assert_eq!(endpoint.presence().count_keys("lobby:f"), 10_001);

    let (_second, told) = Guest::join(&endpoint, "lobby:f", &["second"]).await;
    let state = told.last().unwrap()[1].as_object().unwrap();
    assert_eq!(state.len(), 10_002);
    // What was tracked since the first diff is told in one; the hundred before were told one by one.
    let mut joins = Vec::new();
    while joins.iter().sum::<usize>() < 10_002 - 100 {
        let (event, diff) = first.event().await;
        assert_eq!(event, "presence_diff");
        joins.push(diff["joins"].as_object().unwrap().len());
    }
    assert!(joins.len() <= 2, "{joins:?}");
}
