//! The channels, as the pages use them.

use std::time::Duration;

use bennu::testing::{
    Client, Ended, assert_payload, assert_push, assert_reply, refute_push, refute_reply,
};
use serde_json::{Value, json};

use super::people::{Stage, add, topic, uuid};

/// How long nothing has to happen.
const QUIET: Duration = Duration::from_millis(300);

pub(crate) async fn a_comment_reaches_everybody_with_the_chosen_fields_alone(stage: Stage) {
    let (ada, ben) = (stage.person("Ada").await, stage.person("Ben").await);
    let name = topic(&ada, "Herons", false).await;
    let at_ada = ada.join(&name, json!({})).await.unwrap();
    let at_ben = ben
        .join(&name, json!({"last_seen_id": null}))
        .await
        .unwrap();
    let id: i64 = name.trim_start_matches("comments:").parse().unwrap();
    assert_payload!(at_ada.joined(), {
        "topic": {"id": id, "title": "Herons", "by": "Ada", "members_only": false, "comments": 0, "active_at": _},
        "own": true, "comments": [], "older": false, "newer": false
    });
    assert_payload!(at_ben.joined(), {"own": false, ..});

    let comment = json!({"id": uuid(1), "content": " <b>Hello</b> & 🚀\n "});
    let reply = assert_reply!(at_ben.push("add", comment), "ok");
    let told = assert_push!(at_ada, "new_comment", {
        "id": 1, "client_id": uuid(1), "by": "Ben", "content": "<b>Hello</b> & 🚀", "at": _
    });
    assert_eq!(reply.as_json(), told.as_json());
    assert_push!(at_ben, "new_comment", {"id": 1, ..});
}

pub(crate) async fn what_is_wrong_with_a_comment_is_told_by_field(stage: Stage) {
    let ada = stage.person("Ada").await;
    let name = topic(&ada, "Herons", false).await;
    let room = ada.join(&name, json!({})).await.unwrap();
    let check = async |comment: Value, errors: Value| {
        assert_reply!(room.push("add", comment), "error", {"errors": errors});
    };
    check(
        json!({"id": uuid(1), "content": " "}),
        json!({"content": ["is required"]}),
    )
    .await;
    check(
        json!({"id": uuid(1), "content": "x".repeat(2_001)}),
        json!({"content": ["has at most 2000 characters"]}),
    )
    .await;
    check(
        json!({"id": "1", "content": "nul \0"}),
        json!({"content": ["has characters that can't be shown"], "id": ["is no UUID"]}),
    )
    .await;
    let missing = room.push("add", json!({"id": uuid(1)}));
    assert_reply!(missing, "error", {"reason": "missing field `content`"});
    let unknown = room.push("shout", json!({}));
    assert_reply!(unknown, "error", {"reason": _});
    let list = ada.join("topics", ()).await.unwrap();
    let untitled = list.push("create", json!({"title": "", "members_only": false}));
    assert_reply!(untitled, "error", {"errors": {"title": ["is required"]}});
    // Nothing of it was stored.
    add(&room, 1, &"é".repeat(2_000)).await;
    assert_push!(room, "new_comment", {"id": 1, ..});
}

pub(crate) async fn a_comment_whose_reply_was_lost_counts_once(stage: Stage) {
    let (ada, ben) = (stage.person("Ada").await, stage.person("Ben").await);
    let name = topic(&ada, "Herons", false).await;
    let at_ada = ada.join(&name, json!({})).await.unwrap();
    let at_ben = ben.join(&name, json!({})).await.unwrap();
    assert_push!(at_ada, "presence_diff", {"joins": {"user:2": _}, ..});
    // The comment, the list's news of it, and the reply.
    ada.drop_incoming(3);
    ada.set_timeout(QUIET);
    let comment = json!({"id": uuid(1), "content": "once"});
    refute_reply!(at_ada.push("add", &comment));
    ada.set_timeout(Duration::from_secs(10));
    assert_push!(at_ben, "new_comment", {"id": 1, ..});
    assert_reply!(at_ada.push("add", &comment), "ok", {"id": 1, "content": "once", ..});
    // The next one is the next that anybody hears.
    add(&at_ada, 2, "twice").await;
    assert_push!(at_ben, "new_comment", {"id": 2, ..});
    ben.set_timeout(QUIET);
    refute_push!(at_ben, "new_comment");
    // What isn't Ada's can't be taken for hers.
    let foreign = at_ben.push("add", &comment);
    assert_reply!(foreign, "error", {"reason": "another comment has this id"});
}

pub(crate) async fn what_is_stored_is_told_to_all_though_its_author_is_gone(stage: Stage) {
    let (ada, ben) = (stage.person("Ada").await, stage.person("Ben").await);
    let name = topic(&ada, "Herons", false).await;
    let mut at_ada = ada.join(&name, json!({})).await.unwrap();
    let at_ben = ben.join(&name, json!({})).await.unwrap();
    for n in 1..=12 {
        at_ada.push("add", json!({"id": uuid(n), "content": "in passing"}));
        // A join in place of the old one ends its callbacks wherever they are.
        at_ada = ada.join(&name, json!({})).await.unwrap();
    }
    let last = json!({"id": uuid(99), "content": "the last"});
    let last = assert_reply!(at_ben.push("add", last), "ok");
    let last: Value = last.decode().unwrap();
    for id in 1..=last["id"].as_i64().unwrap() {
        assert_push!(at_ben, "new_comment", {"id": id, ..});
    }
}

pub(crate) async fn who_was_away_gets_what_was_missed(stage: Stage) {
    let (ada, ben) = (stage.person("Ada").await, stage.person("Ben").await);
    let name = topic(&ada, "Herons", false).await;
    let at_ada = ada.join(&name, json!({})).await.unwrap();
    add(&at_ada, 1, "before").await;
    let at_ben = ben.join(&name, json!({})).await.unwrap();
    assert_payload!(at_ben.joined(), {"comments": [{"id": 1, ..}], ..});
    ben.disconnect().await;
    // Two who write: a connection may send only so many events at once.
    let fay = stage.person("Fay").await;
    let at_fay = fay.join(&name, json!({})).await.unwrap();
    for n in 2..=58 {
        let author = if n % 2 == 0 { &at_ada } else { &at_fay };
        add(author, n, "while away").await;
    }
    let ben = stage.person("Ben").await;
    let missed = ben.join(&name, json!({"last_seen_id": 1})).await.unwrap();
    let joined: Value = missed.joined().decode().unwrap();
    assert_eq!(ids(&joined), (2..=51).collect::<Vec<_>>());
    assert_eq!(joined["newer"], true);
    let rest = assert_reply!(missed.push("newer", json!({"after": 51})), "ok");
    let rest: Value = rest.decode().unwrap();
    assert_eq!(ids(&rest), (52..=58).collect::<Vec<_>>());
    assert_eq!(rest["newer"], false);

    // Who missed nothing, and who claims to have seen what isn't there yet.
    let eve = stage.person("Eve").await;
    let nothing = eve.join(&name, json!({"last_seen_id": 58})).await.unwrap();
    assert_payload!(nothing.joined(), {"comments": [], "newer": false, ..});
    for claimed in [59, -1] {
        let all = stage.guest().await;
        let all = all
            .join(&name, json!({"last_seen_id": claimed}))
            .await
            .unwrap();
        assert_payload!(all.joined(), {"comments": [{"id": 9, ..}, ..], "older": true, ..});
    }
}

pub(crate) async fn nothing_falls_between_what_a_join_reads_and_what_it_hears(stage: Stage) {
    const COMMENTS: u32 = 40;
    let ada = stage.person("Ada").await;
    let name = topic(&ada, "Herons", false).await;
    let at_ada = ada.join(&name, json!({})).await.unwrap();
    let writing = tokio::spawn(async move {
        for n in 1..=COMMENTS {
            add(&at_ada, n, "one of many").await;
        }
    });
    // As many as come while it's written.
    let mut rooms = Vec::new();
    while !writing.is_finished() {
        let guest = stage.guest().await;
        rooms.push(guest.join(&name, json!({})).await.unwrap());
    }
    writing.await.unwrap();
    for room in rooms {
        let read: Value = room.joined().decode().unwrap();
        let last = ids(&read).last().copied().unwrap_or_default();
        assert!(ids(&read).into_iter().eq(1..=last));
        for id in last + 1..=i64::from(COMMENTS) {
            assert_push!(room, "new_comment", {"id": id, ..});
        }
    }
}

pub(crate) async fn older_comments_come_on_demand(stage: Stage) {
    let ada = stage.person("Ada").await;
    let name = topic(&ada, "Herons", false).await;
    let room = ada.join(&name, json!({})).await.unwrap();
    for n in 1..=55 {
        add(&room, n, "one of many").await;
    }
    let ben = stage.guest().await;
    let room = ben.join(&name, json!({})).await.unwrap();
    assert_payload!(room.joined(), {"comments": [{"id": 6, ..}, ..], "older": true, "newer": false, ..});
    let older = assert_reply!(room.push("older", json!({"before": 6})), "ok");
    let older: Value = older.decode().unwrap();
    assert_eq!(ids(&older), [1, 2, 3, 4, 5]);
    assert_eq!(older["older"], false);
    let none = room.push("older", json!({"before": 1}));
    assert_reply!(none, "ok", {"comments": [], "older": false, "newer": false});
}

pub(crate) async fn guests_read_and_do_not_write(stage: Stage) {
    let ada = stage.person("Ada").await;
    let open = topic(&ada, "For all", false).await;
    let closed = topic(&ada, "For members", true).await;
    let guest = stage.guest().await;
    let refused = guest.join(&closed, json!({})).await.unwrap_err();
    assert_eq!(refused.status, "error");
    assert_payload!(refused.response, {"reason": "sign in to read this topic", "sign_in": true, "final": true});
    let room = guest.join(&open, json!({})).await.unwrap();
    let comment = json!({"id": uuid(1), "content": "hi"});
    assert_reply!(room.push("add", comment), "error", {"reason": "sign in to comment", "sign_in": true});
    let edit = json!({"title": "Mine", "members_only": false});
    let only = json!({"reason": "only its owner may change a topic"});
    assert_reply!(room.push("edit", edit), "error", &only);
    assert_reply!(room.push("delete", ()), "error", &only);
    let list = guest.join("topics", ()).await.unwrap();
    let create = list.push("create", json!({"title": "Mine", "members_only": false}));
    assert_reply!(create, "error", {"reason": "sign in to open a topic"});
}

pub(crate) async fn a_topic_for_members_shows_its_guests_out(stage: Stage) {
    let (ada, ben, guest) = (
        stage.person("Ada").await,
        stage.person("Ben").await,
        stage.guest().await,
    );
    let name = topic(&ada, "Herons", false).await;
    let at_ada = ada.join(&name, json!({})).await.unwrap();
    let at_ben = ben.join(&name, json!({})).await.unwrap();
    let at_guest = guest.join(&name, json!({})).await.unwrap();
    let edit = json!({"title": "Rare herons", "members_only": true});
    assert_reply!(at_ada.push("edit", edit), "ok", {"title": "Rare herons", "members_only": true, ..});
    assert_push!(at_ben, "topic_edited", {"title": "Rare herons", ..});
    assert_push!(at_guest, "shown_out", {"sign_in": true, ..});
    assert_eq!(at_guest.ended().await, Some(Ended::Closed));
    add(&at_ben, 1, "among ourselves").await;
    guest.set_timeout(QUIET);
    refute_push!(at_guest, "new_comment");
}

pub(crate) async fn a_deleted_topic_closes_with_a_word(stage: Stage) {
    let (ada, ben) = (stage.person("Ada").await, stage.person("Ben").await);
    let name = topic(&ada, "Herons", false).await;
    let at_ada = ada.join(&name, json!({})).await.unwrap();
    let at_ben = ben.join(&name, json!({})).await.unwrap();
    add(&at_ben, 1, "hello").await;
    // Another spelling of a number is no other name of the topic.
    for other in [name.replace(':', ":0"), name.replace(':', ":+")] {
        let refused = ada.join(&other, json!({})).await.unwrap_err();
        assert_payload!(refused.response, {"reason": "there is no such topic", "final": true});
    }
    assert_reply!(at_ada.push("delete", ()), "ok");
    for room in [at_ada, at_ben] {
        assert_push!(room, "topic_deleted", {"id": _, "by": "Ada"});
        assert_eq!(room.ended().await, Some(Ended::Closed));
    }
    let refused = ben.join(&name, json!({})).await.unwrap_err();
    assert_payload!(refused.response, {"reason": "there is no such topic", "final": true});
}

pub(crate) async fn only_the_owner_changes_a_topic(stage: Stage) {
    let (ada, ben) = (stage.person("Ada").await, stage.person("Ben").await);
    let name = topic(&ada, "Herons", false).await;
    let at_ben = ben.join(&name, json!({})).await.unwrap();
    let only = json!({"reason": "only its owner may change a topic"});
    let edit = json!({"title": "Ben's", "members_only": true});
    assert_reply!(at_ben.push("edit", edit), "error", &only);
    assert_reply!(at_ben.push("delete", ()), "error", &only);
    let at_ada = ada.join(&name, json!({})).await.unwrap();
    assert_payload!(at_ada.joined(), {"topic": {"title": "Herons", ..}, "own": true, ..});
    let blank = json!({"title": " ", "members_only": false});
    assert_reply!(at_ada.push("edit", blank), "error", {"errors": {"title": ["is required"]}});
}

pub(crate) async fn presence_tells_who_reads(stage: Stage) {
    let ada = stage.person("Ada").await;
    let name = topic(&ada, "Herons", false).await;
    let at_ada = ada.join(&name, json!({})).await.unwrap();
    assert_push!(at_ada, "presence_state", {"user:1": {"metas": [{"name": "Ada", "phx_ref": _}]}});
    let guest = stage.guest().await;
    let at_guest = guest.join(&name, json!({})).await.unwrap();
    assert_push!(at_ada, "presence_diff", {"joins": {"guests": _}, ..});
    assert_push!(at_guest, "presence_state", {"user:1": _, "guests": {"metas": [{"name": null, ..}]}});
    guest.disconnect().await;
    assert_push!(at_ada, "presence_diff", {"joins": {}, "leaves": {"guests": _}});
}

pub(crate) async fn the_list_is_live(stage: Stage) {
    let (ada, guest) = (stage.person("Ada").await, stage.guest().await);
    let list = guest.join("topics", ()).await.unwrap();
    assert_payload!(list.joined(), {"topics": []});
    let first = topic(&ada, "First", false).await;
    assert_push!(list, "topic_created", {"title": "First", "comments": 0, ..});
    let second = topic_of(&stage.person("Ben").await, "Second").await;
    assert_push!(list, "topic_created", {"title": "Second", "by": "Ben", ..});
    let room = ada.join(&first, json!({})).await.unwrap();
    // A later moment, as the list counts them.
    let opened = crate::now();
    while crate::now() == opened {
        tokio::task::yield_now().await;
    }
    add(&room, 1, "hello").await;
    assert_push!(list, "topic_grown", {"id": _, "comments": 1, "active_at": _});
    let again = stage.guest().await.join("topics", ()).await.unwrap();
    assert_payload!(again.joined(), {"topics": [{"title": "First", "comments": 1, ..}, {"title": "Second", ..}]});
    assert_reply!(
        room.push("edit", json!({"title": "1st", "members_only": false})),
        "ok"
    );
    assert_push!(list, "topic_edited", {"title": "1st", "comments": 1, ..});
    assert_reply!(room.push("delete", ()), "ok");
    assert_push!(list, "topic_deleted", {"by": "Ada", ..});
    assert_ne!(first, second);
}

async fn topic_of(owner: &Client, title: &str) -> String {
    topic(owner, title, false).await
}

pub(crate) async fn what_is_no_topic_is_refused_for_good(stage: Stage) {
    let ada = stage.person("Ada").await;
    let beyond = format!("comments:{}0", i64::MAX);
    for name in [
        "comments:1",
        "comments:",
        "comments:x",
        "comments:-1",
        &beyond,
    ] {
        let refused = ada.join(name, json!({})).await.unwrap_err();
        assert_payload!(refused.response, {"reason": "there is no such topic", "final": true});
    }
    let unread = ada.join("comments:1", json!({"last_seen_id": "x"})).await;
    assert_eq!(unread.unwrap_err().status, "error");
}

fn ids(page: &Value) -> Vec<i64> {
    let comments = page["comments"].as_array().unwrap();
    comments
        .iter()
        .map(|it| it["id"].as_i64().unwrap())
        .collect()
}
