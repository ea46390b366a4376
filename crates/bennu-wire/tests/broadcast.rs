//! A broadcast is encoded at most once per encoding, whoever asks.

use std::{
    collections::HashMap,
    sync::{
        Barrier,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

use bennu_wire::{Broadcast, Encoding, Framing, Outgoing, Payload, Serializer};
use bytes::Bytes;
use serde_json::json;

fn encodings() -> impl Iterator<Item = Encoding> + Clone {
    let framings = [
        Framing::WebSocket,
        Framing::WebSocketDeflate,
        Framing::LongPoll,
    ];
    [Serializer::V1, Serializer::V2]
        .into_iter()
        .flat_map(move |serializer| {
            framings.map(|framing| Encoding {
                serializer,
                framing,
            })
        })
}

#[test]
fn every_encoding_is_made_once_and_kept() {
    let broadcast = Broadcast::new("room:a", "e", Payload::empty());
    let mut made = HashMap::new();
    for round in 0..3 {
        for encoding in encodings() {
            let bytes = broadcast.encoded(encoding, |_| {
                *made.entry(encoding).or_insert(0) += 1;
                Ok(Bytes::from(format!("{encoding:?}")))
            });
            assert_eq!(bytes, Ok(&Bytes::from(format!("{encoding:?}"))), "{round}");
        }
    }
    assert_eq!((made.len(), made.values().max()), (6, Some(&1)));
}

#[test]
fn an_error_is_kept_as_well() {
    let broadcast = Broadcast::new("room:a", "e", Payload::from(Bytes::from_static(b"x")));
    let mut tries = 0;
    for _ in 0..3 {
        for encoding in encodings() {
            let found = broadcast.encoded(encoding, |broadcast| {
                tries += 1;
                let mut buffer = Vec::new();
                encoding
                    .serializer
                    .encode(&Outgoing::Broadcast(broadcast), &mut buffer)?;
                Ok(buffer.into())
            });
            match encoding.serializer {
                Serializer::V1 => assert!(found.unwrap_err().is_unsupported()),
                Serializer::V2 => assert_eq!(found.unwrap(), &b"\x02\x06\x01room:aex"[..]),
            }
        }
    }
    assert_eq!(tries, 6);
}

#[test]
fn threads_that_ask_at_the_same_time_get_the_same_bytes() {
    for _ in 0..50 {
        let broadcast = Broadcast::new("room:a", "e", Payload::empty());
        let (made, barrier) = (AtomicUsize::new(0), Barrier::new(4));
        thread::scope(|scope| {
            for start in 0..4 {
                let (broadcast, made, barrier) = (&broadcast, &made, &barrier);
                scope.spawn(move || {
                    barrier.wait();
                    for encoding in encodings().cycle().skip(start).take(6) {
                        let encode = |_: &Broadcast| {
                            made.fetch_add(1, Ordering::Relaxed);
                            Ok(Bytes::from(format!("{encoding:?}")))
                        };
                        assert_eq!(
                            broadcast.encoded(encoding, encode),
                            Ok(&Bytes::from(format!("{encoding:?}")))
                        );
                    }
                });
            }
        });
        assert_eq!(made.into_inner(), 6);
    }
}

#[test]
fn a_broadcast_can_be_read() {
    let broadcast = Broadcast::new(
        "room:a",
        format!("{}_msg", "new"),
        Payload::new(&json!({"n": 1})).unwrap(),
    );
    assert_eq!(
        (broadcast.topic().as_str(), broadcast.event()),
        ("room:a", "new_msg")
    );
    assert_eq!(broadcast.decode(), Ok(json!({"n": 1})));
    assert_eq!(broadcast.payload().as_json(), Some(r#"{"n":1}"#));
    assert!(broadcast.decode::<u8>().is_err());
    assert!(format!("{broadcast:?}").contains("new_msg"));
}
