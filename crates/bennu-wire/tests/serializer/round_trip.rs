//! Whatever is sent can be read again, and whatever is read is bounded: with a seeded generator.

use bennu_wire::{Broadcast, Frame, Kind, NameRef, Outgoing, Payload, Ref, Serializer};
use bytes::Bytes;
use serde_json::{Value, json, value::RawValue};

use super::{encode, reply};

/// Marsaglia's xorshift: enough to choose by, the same on every run.
struct Dice(u64);

impl Dice {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 33).unwrap() % end
    }

    fn one_of<T: Clone>(&mut self, these: &[T]) -> T {
        these[self.below(these.len())].clone()
    }

    fn text(&mut self) -> String {
        let pieces = [
            "", "a", "room:", "\"", "\\", "/", "\n", "\0", "é", "π", "🚀", "\u{2028}", "\u{7f}",
            "\\u0041", "]", "{", "null",
        ];
        (0..self.below(8)).map(|_| self.one_of(&pieces)).collect()
    }

    fn value(&mut self, depth: usize) -> Value {
        match self.below(if depth == 0 { 6 } else { 8 }) {
            0 => Value::Null,
            1 => json!(self.below(2) == 0),
            2 => json!(self.below(1_000)),
            3 => json!(-0.5),
            4 | 5 => json!(self.text()),
            6 => (0..self.below(4)).map(|_| self.value(depth - 1)).collect(),
            _ => Value::Object(
                (0..self.below(4))
                    .map(|_| (self.text(), self.value(depth - 1)))
                    .collect(),
            ),
        }
    }

    fn reference(&mut self) -> Ref {
        match self.below(4) {
            0 => Ref::NULL,
            1 => Ref::parse(&self.value(1).to_string()).unwrap(),
            _ => Ref::text(&self.text()),
        }
    }

    fn payload(&mut self) -> Payload {
        if self.below(3) == 0 {
            Payload::Binary(
                (0..self.below(20))
                    .map(|_| u8::try_from(self.below(256)).unwrap())
                    .collect::<Bytes>(),
            )
        } else {
            Payload::new(&self.value(4)).unwrap()
        }
    }
}

#[test]
fn what_is_pushed_is_what_is_read() {
    let mut dice = Dice(0x0bad_5eed_0bad_5eed);
    for round in 0..5_000 {
        let (join_ref, r#ref) = (dice.reference(), dice.reference());
        let (topic, event, payload) = (dice.text(), dice.text(), dice.payload());
        let raw = RawValue::from_string(dice.value(2).to_string()).unwrap();
        let topic =
            if dice.below(5) == 0 && !raw.get().starts_with('"') && payload.as_json().is_some() {
                NameRef::Json(&raw)
            } else {
                NameRef::Text(&topic)
            };
        let push = Outgoing::Push {
            join_ref: &join_ref,
            r#ref: &r#ref,
            topic,
            event: &event,
            payload: &payload,
        };
        for serializer in [Serializer::V1, Serializer::V2] {
            let (kind, frame) = match encode(serializer, &push) {
                Ok(it) => it,
                Err(error) => {
                    assert!(
                        error.is_unsupported() && serializer == Serializer::V1,
                        "{round}: {error}"
                    );
                    continue;
                }
            };
            let message = match kind {
                Kind::Text => serializer
                    .decode(Frame::Text(str::from_utf8(&frame).unwrap()))
                    .unwrap(),
                // What the server sends has no ref; with an empty one it is what the client sends.
                Kind::Binary => serializer
                    .decode(Frame::Binary(&[&frame[..2], &[0], &frame[2..]].concat()))
                    .unwrap(),
            };
            assert_eq!(
                NameRef::from(&message.topic).text(),
                topic.text(),
                "{round}"
            );
            assert_eq!(
                (message.event.as_str(), &message.payload),
                (Some(&*event), &payload),
                "{round}"
            );
            match (kind, serializer) {
                (Kind::Binary, _) => {
                    assert_eq!(message.join_ref.to_text(), join_ref.to_text(), "{round}")
                }
                (Kind::Text, Serializer::V1) => {
                    assert_eq!((&message.join_ref, &message.r#ref), (&Ref::NULL, &r#ref))
                }
                (Kind::Text, Serializer::V2) => {
                    assert_eq!((&message.join_ref, &message.r#ref), (&join_ref, &r#ref))
                }
            }
        }
    }
}

trait Text {
    fn text(&self) -> (bool, &str);
}

impl Text for NameRef<'_> {
    fn text(&self) -> (bool, &str) {
        match self {
            NameRef::Text(text) => (true, text),
            NameRef::Json(raw) => (false, raw.get()),
        }
    }
}

#[test]
fn replies_and_broadcasts_are_json_whatever_is_in_them() {
    let mut dice = Dice(7);
    for round in 0..5_000 {
        let (join_ref, r#ref, topic, status) =
            (dice.reference(), dice.reference(), dice.text(), dice.text());
        let response = Payload::new(&dice.value(4)).unwrap();
        let response_json: Value = response.decode().unwrap();
        let reply = reply([&join_ref, &r#ref], &topic, &status, &response);
        let payload = json!({"status": status, "response": response_json});
        let [join, of]: [Value; 2] =
            [&join_ref, &r#ref].map(|it| serde_json::from_str(it.as_json()).unwrap());
        let read = |serializer, outgoing| -> Value {
            serde_json::from_slice(&encode(serializer, outgoing).unwrap().1).unwrap()
        };
        assert_eq!(
            read(Serializer::V2, &reply),
            json!([join, of, topic, "phx_reply", payload]),
            "{round}"
        );
        let v1 = json!({"topic": topic, "event": "phx_reply", "payload": payload, "ref": of});
        assert_eq!(read(Serializer::V1, &reply), v1, "{round}");

        let broadcast = Broadcast::new(&*topic, status.clone(), response.clone());
        let outgoing = Outgoing::Broadcast(&broadcast);
        assert_eq!(
            read(Serializer::V2, &outgoing),
            json!([null, null, topic, status, response_json]),
            "{round}"
        );
        let v1 = json!({"topic": topic, "event": status, "payload": response_json, "ref": null});
        assert_eq!(read(Serializer::V1, &outgoing), v1, "{round}");
    }
}

/// Takes a good frame, breaks it here and there, and expects no more than that nothing breaks.
#[test]
fn frames_with_random_damage_are_read_or_refused() {
    let mut dice = Dice(0xdead_beef);
    let texts = [
        r#"["5","6","room:a","new_msg",{"body":"hi \"you\" \ud83d\ude80","n":[1,2.5e3,null]}]"#,
        r#"{"topic":"t","event":"e","payload":{"a":[{}]},"ref":"1","join_ref":null}"#,
        "\0\x01\x02\x06\x05521room:aevent\x01\x02",
    ];
    let (mut read, mut refused) = (0, 0);
    for _ in 0..20_000 {
        let mut bytes = dice.one_of(&texts).as_bytes().to_vec();
        for _ in 0..=dice.below(3) {
            let at = dice.below(bytes.len());
            match dice.below(4) {
                0 => bytes[at] = u8::try_from(dice.below(256)).unwrap(),
                1 => bytes[at] = dice.one_of(b"\"\\[]{},:u0d\x00\xff"),
                2 => bytes.truncate(at.max(1)),
                _ => bytes.insert(at, dice.one_of(b"\"\\[]{},:u0d\x00\xff")),
            }
        }
        for serializer in [Serializer::V1, Serializer::V2] {
            let mut frames = vec![Frame::Binary(&bytes)];
            frames.extend(str::from_utf8(&bytes).map(Frame::Text));
            for frame in frames {
                match serializer.decode(frame) {
                    Err(error) => {
                        refused += 1;
                        assert!(error.to_string().len() <= 300);
                    }
                    Ok(message) => {
                        read += 1;
                        // What was read can be parsed by whoever asks, and goes out again.
                        assert!(
                            message
                                .payload
                                .as_json()
                                .is_none_or(|json| serde_json::from_str::<Value>(json).is_ok())
                        );
                        let topic = NameRef::from(&message.topic);
                        let (join_ref, r#ref, payload) =
                            (&message.join_ref, &message.r#ref, &message.payload);
                        let push = Outgoing::Push {
                            join_ref,
                            r#ref,
                            topic,
                            event: "e",
                            payload,
                        };
                        assert!(encode(Serializer::V2, &push).is_ok());
                    }
                }
            }
        }
    }
    assert!(read > 1_000 && refused > 10_000, "{read} {refused}");
}
