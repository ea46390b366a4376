//! Presence, over both transports and over reconnects.

use bennu_client::{PresenceChange, Transport};
use serde::Deserialize;
use serde_json::json;

use crate::kit::{BOTH, Server, client, within};

#[derive(Deserialize)]
struct Meta {
    typing: bool,
    online_at: u64,
}

#[tokio::test]
async fn a_client_sees_who_comes_changes_and_goes() {
    let server = Server::start().await;
    for transport in BOTH {
        let socket = server.socket(transport).await;
        let lobby = socket.channel("lobby:1");
        let mut presence = lobby.presence();
        let lobby = within(lobby.join()).await.unwrap();
        let mut change = async || within(presence.next()).await.unwrap();
        let PresenceChange::Joined {
            key, first: true, ..
        } = change().await
        else {
            panic!("ada was to come");
        };
        assert_eq!(key, "ada");

        let bob = client(&server.url(), transport).params(&json!({"user_id": "bob"}));
        let bob = within(bob.open()).await.unwrap();
        let theirs = within(bob.channel("lobby:1").join()).await.unwrap();
        let PresenceChange::Joined {
            key,
            metas,
            first: true,
        } = change().await
        else {
            panic!("bob was to come");
        };
        let meta: Meta = metas[0].decode().unwrap();
        assert!(key == "bob" && !meta.typing && meta.online_at > 0);

        // An update is a join of the new and a leave of the old.
        let () = within(theirs.push("typing", &json!({"typing": true})))
            .await
            .unwrap();
        let PresenceChange::Joined {
            metas: came,
            first: false,
            ..
        } = change().await
        else {
            panic!("a join was to come");
        };
        let PresenceChange::Left {
            metas: gone,
            last: false,
            ..
        } = change().await
        else {
            panic!("a leave was to come");
        };
        assert!(came[0].decode::<Meta>().unwrap().typing && gone == metas);
        within(bob.disconnect()).await;
        let PresenceChange::Left {
            key, last: true, ..
        } = change().await
        else {
            panic!("bob was to go");
        };
        assert_eq!(key, "bob");
        assert_eq!((presence.count(), presence.is_incomplete()), (1, false));
        assert!(presence.get("ada").is_some() && presence.get("bob").is_none());
        within(lobby.leave()).await;
        // Ada's own leave may still have come.
        while within(presence.next()).await.is_some() {}
        within(socket.disconnect()).await;
    }
}

#[tokio::test]
async fn who_went_while_one_was_away_has_left() {
    let server = Server::start().await;
    let address = server.address;
    let bob = client(&server.url(), Transport::WebSocket).params(&json!({"user_id": "bob"}));
    let bob = within(bob.open()).await.unwrap();
    let theirs = within(bob.channel("lobby:1").join()).await.unwrap();

    let socket = server.socket(Transport::WebSocket).await;
    let lobby = socket.channel("lobby:1");
    let mut presence = lobby.presence();
    let _lobby = within(lobby.join()).await.unwrap();
    while presence.count() < 2 {
        within(presence.next()).await.unwrap();
    }
    drop((theirs, bob));
    server.stop().await;
    let _server = Server::start_at(address, &[]).await;
    loop {
        match within(presence.next()).await.unwrap() {
            PresenceChange::Left {
                key, last: true, ..
            } if key == "bob" => break,
            _ => {}
        }
    }
    while presence.count() != 1 || presence.get("ada").is_none() {
        within(presence.next()).await.unwrap();
    }
}
