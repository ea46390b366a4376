//! Writes what [`message`](super::message) reads.

use super::message::{
    ASK, BYE, DELTA, FORMAT, GONE, HEARTBEAT, META, RANGE, STATE, Span, Told, Want,
};

/// A message being written.
#[derive(Debug)]
pub(super) struct Draft(Vec<u8>);

impl Draft {
    fn new(kind: u8, presence: &str, start: u64) -> Self {
        let mut draft = Self(vec![FORMAT, kind]);
        draft.text(presence);
        draft.0.extend(start.to_be_bytes());
        draft
    }

    pub(super) fn heartbeat(
        presence: &str,
        start: u64,
        versions: impl IntoIterator<Item = u64>,
    ) -> Self {
        let mut draft = Self::new(HEARTBEAT, presence, start);
        for version in versions {
            draft.number(version);
        }
        draft
    }

    pub(super) fn state(presence: &str, start: u64, answer: bool) -> Self {
        let mut draft = Self::new(STATE, presence, start);
        draft.0.push(u8::from(answer));
        draft
    }

    pub(super) fn ask(
        presence: &str,
        start: u64,
        whose: u64,
        wants: impl IntoIterator<Item = Want>,
    ) -> Self {
        let mut draft = Self::new(ASK, presence, start);
        draft.0.extend(whose.to_be_bytes());
        for want in wants {
            draft.number(want.shard);
            draft.number(want.have);
            draft.number(want.cursor.map_or(0, |it| it + 1));
        }
        draft
    }

    pub(super) fn bye(presence: &str, start: u64) -> Self {
        Self::new(BYE, presence, start)
    }

    /// Adds a section to a state.
    pub(super) fn section(&mut self, shard: u64, span: Span, changes: &ChangesDraft) {
        let mut head = Self(Vec::new());
        match span {
            Span::Delta { from, to } => head.numbers(&[DELTA, from, to]),
            Span::Range { after, upto, at } => head.numbers(&[RANGE, after, upto, at]),
        }
        self.number(shard);
        self.number((head.0.len() + changes.draft.0.len()) as u64);
        self.0.extend(head.0);
        self.0.extend(&changes.draft.0);
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn finish(self) -> Vec<u8> {
        self.0
    }

    fn numbers(&mut self, numbers: &[u64]) {
        for number in numbers {
            self.number(*number);
        }
    }

    fn number(&mut self, mut number: u64) {
        while number >= 0x80 {
            self.0.push(number as u8 | 0x80);
            number >>= 7;
        }
        self.0.push(number as u8);
    }

    fn text(&mut self, text: &str) {
        self.number(text.len() as u64);
        self.0.extend(text.as_bytes());
    }
}

/// The changes of a section being written, in the order of their versions.
#[derive(Debug)]
pub(super) struct ChangesDraft {
    draft: Draft,
    version: u64,
    topic: Option<Box<str>>,
}

impl ChangesDraft {
    /// Changes of versions above `after`.
    pub(super) fn new(after: u64) -> Self {
        Self {
            draft: Draft(Vec::new()),
            version: after,
            topic: None,
        }
    }

    pub(super) fn push(&mut self, told: Told<'_>) {
        let gone = told.gone.map_or(0, |_| GONE);
        let meta = told.meta.map_or(0, |_| META);
        self.draft.number(told.version - self.version);
        self.draft.0.push(gone | meta);
        self.version = told.version;
        if let Some(gone) = told.gone {
            self.draft.number(gone);
        }
        if let Some(meta) = told.meta {
            self.draft.number(meta.prev);
            if self.topic.as_deref() == Some(meta.topic) {
                self.draft.number(0);
            } else {
                self.topic = Some(meta.topic.into());
                self.draft.number(meta.topic.len() as u64 + 1);
                self.draft.0.extend(meta.topic.as_bytes());
            }
            self.draft.text(meta.key);
            self.draft.text(meta.members);
        }
    }

    pub(super) fn len(&self) -> usize {
        self.draft.len()
    }
}

#[cfg(test)]
mod tests {
    use super::{ChangesDraft, Draft};
    use crate::tracker::message::{Body, Message, MessageError, Span, Told, ToldMeta, Want};

    const ANA: ToldMeta<'_> = ToldMeta {
        prev: 0,
        topic: "room:1",
        key: "ana",
        members: r#""a":1"#,
    };

    fn told<'a>(version: u64, gone: Option<u64>, meta: Option<ToldMeta<'a>>) -> Told<'a> {
        Told {
            version,
            gone,
            meta,
        }
    }

    /// Writes each kind of message as these bytes, and reads them again.
    #[track_caller]
    fn check(draft: Draft, expected: &[u8], read: &str) {
        let bytes = draft.finish();
        assert_eq!(
            bytes.escape_ascii().to_string(),
            expected.escape_ascii().to_string()
        );
        let message = Message::decode(&bytes).unwrap();
        assert_eq!(
            (message.presence, message.start),
            ("p", 0x0102_0304_0506_0708)
        );
        let found = match message.body {
            Body::Heartbeat(versions) => format!("{:?}", versions.flatten().collect::<Vec<_>>()),
            Body::Ask { start, wants } => {
                format!("{start} {:?}", wants.flatten().collect::<Vec<_>>())
            }
            Body::State { answer, sections } => {
                let sections = sections.flatten().map(|it| {
                    let changes = it.changes.flatten().map(|it| {
                        let meta = it.meta.map(|it| {
                            format!("{} {}/{} {}", it.prev, it.topic, it.key, it.members)
                        });
                        format!(
                            "{} -{:?} +{}",
                            it.version,
                            it.gone,
                            meta.unwrap_or_default()
                        )
                    });
                    format!(
                        "{} {:?} {:?}",
                        it.shard,
                        it.span,
                        changes.collect::<Vec<_>>()
                    )
                });
                format!("{answer} {:?}", sections.collect::<Vec<_>>())
            }
            Body::Bye => "bye".to_owned(),
        };
        assert_eq!(found.replace(['"', '\\'], ""), read);
        // Cut anywhere it's refused, or is a shorter one of its kind.
        for end in 0..bytes.len() {
            let _ = Message::decode(&bytes[..end]).map(|it| it.presence());
        }
    }

    #[test]
    fn messages_have_this_form() {
        const START: u64 = 0x0102_0304_0506_0708;
        check(
            Draft::heartbeat("p", START, [0, 1, 128, (1 << 48) - 1]),
            b"\x01H\x01p\x01\x02\x03\x04\x05\x06\x07\x08\x00\x01\x80\x01\xff\xff\xff\xff\xff\xff\x3f",
            "[0, 1, 128, 281474976710655]",
        );
        check(
            Draft::bye("p", START),
            b"\x01B\x01p\x01\x02\x03\x04\x05\x06\x07\x08",
            "bye",
        );
        let wants = [(0, 5, None), (31, 200, Some(0))].map(|(shard, have, cursor)| Want {
            shard,
            have,
            cursor,
        });
        check(
            Draft::ask("p", START, 9, wants),
            b"\x01A\x01p\x01\x02\x03\x04\x05\x06\x07\x08\0\0\0\0\0\0\0\x09\x00\x05\x00\x1f\xc8\x01\x01",
            "9 [Want { shard: 0, have: 5, cursor: None }, Want { shard: 31, have: 200, cursor: Some(0) }]",
        );
        let mut draft = Draft::state("p", START, true);
        let mut delta = ChangesDraft::new(4);
        delta.push(told(5, None, Some(ANA)));
        delta.push(told(
            7,
            Some(5),
            Some(ToldMeta {
                prev: 5,
                members: "",
                ..ANA
            }),
        ));
        delta.push(told(8, Some(2), None));
        draft.section(3, Span::Delta { from: 4, to: 9 }, &delta);
        let none = ChangesDraft::new(6);
        draft.section(
            4,
            Span::Range {
                after: 6,
                upto: 7,
                at: 7,
            },
            &none,
        );
        check(
            draft,
            b"\x01S\x01p\x01\x02\x03\x04\x05\x06\x07\x08\x01\
              \x03\x24\x00\x04\x09\
              \x01\x02\x00\x07room:1\x03ana\x05\"a\":1\
              \x02\x03\x05\x05\x00\x03ana\x00\
              \x01\x01\x02\
              \x04\x04\x01\x06\x07\x07",
            "true [3 Delta { from: 4, to: 9 } [5 -None +0 room:1/ana a:1, \
             7 -Some(5) +5 room:1/ana , 8 -Some(2) +], \
             4 Range { after: 6, upto: 7, at: 7 } []]",
        );
    }

    #[test]
    fn whatever_is_written_is_read_the_same() {
        // A small generator is random enough here, and the same on each run.
        let mut state = 1_u64;
        let mut below = |end: u64| {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            (state >> 33) % end
        };
        const TEXTS: [&str; 4] = ["", "room:1", "ключ", r#""a":{"b":[1]}"#];
        for _ in 0..2_000 {
            let mut draft = Draft::state("p", below(1 << 30), false);
            let mut written = Vec::new();
            for _ in 0..below(4) {
                let after = below(1 << 20) << below(20);
                let (mut version, mut changes) = (after, ChangesDraft::new(after));
                let mut told = Vec::new();
                for _ in 0..below(6) {
                    version += 1 + (below(1 << 10) >> below(10));
                    let gone = (below(2) == 0).then(|| below(1 << 30));
                    let meta = (below(3) > 0).then(|| ToldMeta {
                        prev: below(1 << 20),
                        topic: TEXTS[below(4) as usize],
                        key: TEXTS[below(4) as usize],
                        members: TEXTS[below(4) as usize],
                    });
                    let change = Told {
                        version,
                        gone,
                        meta,
                    };
                    changes.push(change);
                    told.push(change);
                }
                let (shard, upto) = (below(300), version + below(2));
                let span = if below(2) == 0 {
                    let (from, to) = (after, upto);
                    Span::Delta { from, to }
                } else {
                    let at = upto + below(100);
                    Span::Range { after, upto, at }
                };
                draft.section(shard, span, &changes);
                written.push((shard, span, told));
            }
            let bytes = draft.finish();
            let Body::State { sections, .. } = Message::decode(&bytes).unwrap().body else {
                panic!("{}", bytes.escape_ascii());
            };
            let read: Vec<_> = sections
                .flatten()
                .map(|it| (it.shard, it.span, it.changes.flatten().collect::<Vec<_>>()))
                .collect();
            assert_eq!(read, written, "{}", bytes.escape_ascii());
        }
    }

    #[track_caller]
    fn check_refused(body: &[u8], expected: MessageError) {
        let bytes = [b"\x01S\x00\0\0\0\0\0\0\0\x01\x00", body].concat();
        assert_eq!(Message::decode(&bytes).err(), Some(expected));
    }

    #[test]
    fn what_is_no_message_is_refused() {
        use MessageError::{Format, Short, Unexpected};
        assert_eq!(Message::decode(b"").err(), Some(Short));
        assert_eq!(Message::decode(b"{}").err(), Some(Format(b'{')));
        assert_eq!(
            Message::decode(b"\x01?\x00\0\0\0\0\0\0\0\x01").err(),
            Some(Unexpected("kind"))
        );
        assert_eq!(
            Message::decode(b"\x01B\x00\0\0\0\0\0\0\0\x01?").err(),
            Some(Unexpected("kind"))
        );
        assert_eq!(
            Message::decode(b"\x01B\xff\xff\xff\xff\x0fx").err(),
            Some(Short)
        );
        // A shard, a size and what has it.
        check_refused(b"\x00", Short);
        check_refused(b"\x00\x05\x00", Short);
        check_refused(b"\x00\x01\x09", Unexpected("section"));
        check_refused(
            b"\x00\x0b\x00\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02",
            Unexpected("number"),
        );
        check_refused(
            b"\x00\x08\x00\xff\xff\xff\xff\xff\xff\x7f",
            Unexpected("version"),
        );
        check_refused(b"\x00\x04\x01\x00\x03\x02", Unexpected("at"));
        // Changes of a delta from 1 to 3.
        check_refused(b"\x00\x05\x00\x01\x03\x00\x00", Unexpected("version"));
        check_refused(b"\x00\x05\x00\x01\x03\x03\x00", Unexpected("version"));
        check_refused(b"\x00\x05\x00\x01\x03\x01\x04", Unexpected("flags"));
        check_refused(b"\x00\x05\x00\x01\x03\x01\x01", Short);
        check_refused(
            b"\x00\x09\x00\x01\x03\x01\x02\x00\x00\x00\x00",
            Unexpected("topic"),
        );
        check_refused(
            b"\x00\x0a\x00\x01\x03\x01\x02\x00\x02\xff\x00\x00",
            Unexpected("text"),
        );
        check_refused(b"\x00\x09\x00\x01\x03\x01\x02\x00\x01\x7f\x00", Short);
    }
}
