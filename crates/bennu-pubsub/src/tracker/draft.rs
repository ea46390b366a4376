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
