//! The race, as its pages use it.

use std::time::Duration;

use bennu::testing::{
    Client, ClientChannel, Connect, assert_payload, assert_push, assert_reply, connect, refute_push,
};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{App, Rules, TapRacer, racer::Pass};

const SECRET: &str = "a secret of at least 20 bytes";

/// What a player's join is answered.
#[derive(Debug, Deserialize)]
struct Welcome {
    id: String,
    name: String,
    token: String,
}

fn race() -> TapRacer {
    let rules = Rules {
        goal_taps: 10,
        players_max: 3,
        ..Rules::default()
    };
    TapRacer::new("/race", SECRET, rules).unwrap()
}

/// A client that waits longer than a countdown takes.
async fn client(race: &TapRacer, params: Value) -> Client {
    let client = connect(race.endpoint(), "/race/socket", params).await;
    let client = client.unwrap();
    client.set_timeout(Duration::from_secs(15));
    client
}

async fn player(race: &TapRacer, name: &str) -> ClientChannel {
    let client = client(race, json!({})).await;
    client.join("play", json!({"name": name})).await.unwrap()
}

/// The player again, by the token of a join.
async fn player_again(race: &TapRacer, before: &ClientChannel) -> ClientChannel {
    let token = welcome(before).token;
    let client = client(race, json!({"token": token})).await;
    client.join("play", json!({"name": "?"})).await.unwrap()
}

async fn console(race: &TapRacer) -> ClientChannel {
    let token = race.console_path().unwrap();
    let (_, token) = token.split_once('#').unwrap();
    let client = client(race, json!({"token": token})).await;
    client.join("console", ()).await.unwrap()
}

fn welcome(channel: &ClientChannel) -> Welcome {
    assert_payload!(channel.joined(), let welcome => welcome)
}

/// Waits until the screen is told of this phase.
async fn phase(screen: &ClientChannel, expected: &str) -> Value {
    assert_push!(screen, "view", let view if Value::get(&view, "phase") == Some(&json!(expected)) => view)
}

async fn racing(console: &ClientChannel) {
    assert_reply!(console.push("start", ()), "ok");
    phase(console, "countdown").await;
    phase(console, "racing").await;
}

#[tokio::test(start_paused = true)]
async fn a_whole_race_is_seen_by_all() {
    let race = race();
    let console = console(&race).await;
    assert_push!(console, "presence_state", {});
    phase(&console, "lobby").await;
    assert_reply!(console.push("start", ()), "error", {"reason": "nobody is here yet"});
    let ada = player(&race, "Ada").await;
    let ben = player(&race, " Ben ").await;
    assert_eq!(welcome(&ben).name, "Ben");
    assert_push!(console, "presence_diff", let diff if has_joined(&diff, "Ada"));
    assert_push!(console, "presence_diff", let diff if has_joined(&diff, "Ben"));

    assert_reply!(console.push("start", ()), "ok", {});
    for screen in [&console, &ada, &ben] {
        let view = phase(screen, "countdown").await;
        assert_eq!(view["left_ms"], 3000);
        assert_eq!(
            view["lanes"][1],
            json!({"id": welcome(&ben).id, "name": "Ben", "taps": 0, "finished_ms": null, "out": false})
        );
        phase(screen, "racing").await;
    }
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_reply!(ada.push("tap", json!({"taps": 4})), "ok", {"taps": 4, "ignored": 0});
    assert_push!(console, "progress", {"race": 1, "taps": [[0, 4]], "ended": []});
    assert_push!(ben, "order", {"race": 1, "order": [0, 1]});
    // What is broadcast to the console isn't for players.
    refute_push!(ben, "progress");
    assert_reply!(ben.push("tap", json!({"taps": 1000})), "ok", {"taps": 10, "ignored": 990});
    // Ada doesn't come in, and isn't waited for longer than ten seconds.
    let view = phase(&ada, "finished").await;
    assert_eq!(view["order"], json!([1, 0]));
    assert_eq!(view["lanes"][0]["taps"], 4);
    assert_reply!(console.push("start", ()), "ok");
    assert_eq!(phase(&console, "countdown").await["race"], 2);
    assert_reply!(console.push("clear", ()), "ok");
    phase(&ada, "lobby").await;
}

fn has_joined(diff: &Value, name: &str) -> bool {
    let joins = diff["joins"].as_object();
    joins.is_some_and(|it| it.values().any(|it| it["metas"][0]["name"] == name))
}

#[tokio::test(start_paused = true)]
async fn who_may_not_come_in_is_told_why_and_need_not_try_again() {
    let race = race();
    let _ada = player(&race, "Ada").await;
    let newcomer = client(&race, json!({})).await;
    let refused = async |client: &Client, topic, params: Value, reason: &str| {
        let refused = client.join(topic, params).await.unwrap_err();
        assert_payload!(refused.response, {"reason": reason, "final": true, ..});
    };
    let name = |name: &str| json!({"name": name});
    let short = "a name has at least one character";
    refused(&newcomer, "play", name(""), short).await;
    refused(&newcomer, "play", name("\u{200b} "), short).await;
    let long = "a name has at most 20 characters";
    refused(&newcomer, "play", name(&"x".repeat(21)), long).await;
    refused(&newcomer, "play", name(" ADA"), "this name is taken").await;
    let link = "the console opens by the link that the server printed";
    refused(&newcomer, "console", json!({}), link).await;
    // Nothing of that has made the newcomer a player.
    let ben = newcomer.join("play", name("Ben")).await.unwrap();
    let _eve = player(&race, "Eve").await;
    let fourth = client(&race, json!({})).await;
    refused(&fourth, "play", name("Zoe"), "the race is full").await;
    let kicks = console(&race).await;
    let id = welcome(&ben).id;
    assert_reply!(kicks.push("kick", json!({"id": id})), "ok", {});
    assert_reply!(kicks.push("kick", json!({"id": id})), "error", {"reason": "nobody has this id"});
    assert_reply!(kicks.push("kick", json!({"id": "x"})), "error");
    assert_eq!(ben.client().closed().await.unwrap().code, Some(1001));
    let again = client(&race, json!({"token": welcome(&ben).token})).await;
    refused(&again, "play", name("Ben"), "the console sent you away").await;
    let screen = client(&race, json!({"token": console_token(&race)})).await;
    refused(&screen, "play", name("Zoe"), "the console doesn't race").await;
}

fn console_token(race: &TapRacer) -> String {
    race.endpoint().app().seal(&Pass::Console).unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_lost_connection_is_waited_for_and_then_given_up() {
    let race = race();
    let console = console(&race).await;
    let ada = player(&race, "Ada").await;
    let _ben = player(&race, "Ben").await;
    racing(&console).await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_reply!(ada.push("tap", json!({"taps": 3})), "ok", {"taps": 3, ..});
    ada.client().disconnect().await;
    let away = assert_push!(console, "presence_diff", let diff if has_joined_away(&diff) => diff);
    assert_eq!(away["leaves"].as_object().unwrap().len(), 1);

    tokio::time::sleep(Duration::from_secs(9)).await;
    let again = player_again(&race, &ada).await;
    assert_eq!(welcome(&again).name, "Ada");
    assert_eq!(phase(&again, "racing").await["lanes"][0]["taps"], 3);
    assert_reply!(again.push("tap", json!({"taps": 1})), "ok", {"taps": 4, "ignored": 0});

    again.client().disconnect().await;
    tokio::time::sleep(Duration::from_secs(10)).await;
    assert_push!(console, "progress", {"ended": [[0, null]], ..});
    let late = player_again(&race, &ada).await;
    assert_reply!(late.push("tap", json!({"taps": 1})), "ok", {"taps": 4, "ignored": 1});
}

fn has_joined_away(diff: &Value) -> bool {
    let joins = diff["joins"].as_object();
    joins.is_some_and(|it| it.values().any(|it| it["metas"][0]["away"] == true))
}

#[tokio::test(start_paused = true)]
async fn another_tab_takes_over() {
    let race = race();
    let console = console(&race).await;
    let ada = player(&race, "Ada").await;
    racing(&console).await;
    let tab = player_again(&race, &ada).await;
    assert_push!(ada, "taken_over");
    assert!(ada.ended().await.is_some());
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_reply!(tab.push("tap", json!({"taps": 2})), "ok", {"taps": 2, "ignored": 0});
    // The first tab's end isn't the player's.
    ada.client().close().await;
    assert_reply!(tab.push("tap", json!({"taps": 1})), "ok", {"taps": 3, "ignored": 0});
    refute_push!(console, "presence_diff", let diff if has_joined_away(&diff));
}

#[tokio::test(start_paused = true)]
async fn who_leaves_is_gone_at_once() {
    let race = race();
    let console = console(&race).await;
    let ada = player(&race, "Ada").await;
    assert_reply!(ada.leave(), "ok");
    assert_push!(console, "presence_diff", {"leaves": {..}, "joins": {}});
    let _other = player(&race, "Ada").await;
}

#[tokio::test(start_paused = true)]
async fn a_token_is_good_for_its_player_alone() {
    let race = race();
    let check = async |token: Value, expected: Option<&str>| {
        let params = json!({"token": token});
        let connect = Connect::<App>::new(race.endpoint(), "/race/socket").params(params);
        let socket = connect.socket::<crate::racer::Racer>().await.unwrap();
        let id = bennu::Socket::id(&socket);
        match expected {
            Some(expected) => assert_eq!(id.as_deref(), Some(expected)),
            // A new player, whoever the token speaks of.
            None => assert!(id.is_some_and(|it| it != "racer:000000000000000a")),
        }
    };
    let app = race.endpoint().app();
    let good = app.seal(&Pass::Player("a".parse().unwrap())).unwrap();
    check(json!(good), Some("racer:000000000000000a")).await;
    let others = TapRacer::new("/race", "another secret, longer than 20", Rules::default());
    let others = others.unwrap().endpoint().app().clone();
    let forged = others.seal(&Pass::Player("a".parse().unwrap())).unwrap();
    check(json!(forged), None).await;
    check(json!(format!("{good}x")), None).await;
    check(json!(""), None).await;
    check(Value::Null, None).await;
    check(json!("x".repeat(5000)), None).await;
}

#[tokio::test(start_paused = true)]
async fn what_makes_no_sense_is_refused_and_hurts_nobody() {
    let race = race();
    let ada = player(&race, "Ada").await;
    for payload in [
        json!({}),
        json!({"taps": -1}),
        json!({"taps": 1e99}),
        json!([]),
        json!("x"),
    ] {
        assert_reply!(ada.push("tap", payload), "error", {"reason": _});
    }
    assert_reply!(ada.push("start", ()), "error", {"reason": _});
    assert_reply!(ada.push("tap", json!({"taps": u32::MAX})), "ok", {"taps": 0, "ignored": u32::MAX});
    // More events than a page ever sends.
    let flood: Vec<_> = (0..200)
        .map(|_| ada.push("tap", json!({"taps": 1})))
        .collect();
    let last = flood.into_iter().next_back().unwrap();
    assert_reply!(last, "error", {"reason": "too many events"});
}

#[tokio::test(start_paused = true)]
async fn the_game_ends_with_its_endpoint() {
    let race = race();
    let ada = player(&race, "Ada").await;
    let referee = std::sync::Arc::downgrade(race.endpoint().app());
    ada.client().close().await;
    drop((ada, race));
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!(referee.upgrade().is_none(), "nothing holds the application");
}
