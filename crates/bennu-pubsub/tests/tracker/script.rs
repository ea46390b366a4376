//! Runs a script against a tracker and writes beside each line what came of it.

use std::{collections::HashMap, fmt::Write, time::Duration, time::Instant};

use bennu_pubsub::tracker::{
    Meta, Owner, PresenceDiff, PresenceMeta, PresenceOptions, Presences, Replica, Tracker,
};
use serde_json::value::RawValue;

pub(crate) const WINDOW_MS: u64 = 100;

pub(crate) fn tracker(options: PresenceOptions) -> Tracker {
    let replica = Replica {
        node: "a".into(),
        start: 1,
    };
    Tracker::new(&replica, "", options)
}

/// A script has a line for each input, and behind `=>` what is expected of it:
///
/// ```text
/// track OWNER TOPIC KEY META    update OWNER TOPIC KEY META    untrack OWNER TOPIC KEY    end OWNER
/// wait MS                       list TOPIC                     get TOPIC KEY              count TOPIC KEY
/// ```
///
/// Refs are written `1`, `2`... in the order in which they were made, `2<1` is a ref with its `phx_ref_prev`, and
/// a diff is `TOPIC +KEY:REF -KEY:REF`. Topics are large from three members on, and windows take 100 ms.
pub(crate) fn check(script: &str) {
    let options = PresenceOptions::new()
        .window(Duration::from_millis(WINDOW_MS))
        .window_members_min(3)
        .key_bytes_max(20)
        .meta_bytes_max(40);
    let mut run = Run {
        tracker: tracker(options),
        now: Instant::now(),
        names: HashMap::new(),
    };
    let mut found = String::new();
    let mut expected = String::new();
    for line in script.lines().map(str::trim).filter(|it| !it.is_empty()) {
        let (input, output) = line.split_once("=>").unwrap_or((line, ""));
        let (input, output) = (input.trim(), output.trim());
        writeln!(expected, "{input} => {output}").unwrap();
        writeln!(found, "{input} => {}", run.line(input)).unwrap();
    }
    assert_eq!(found, expected);
}

struct Run {
    tracker: Tracker,
    now: Instant,
    names: HashMap<String, usize>,
}

impl Run {
    fn line(&mut self, input: &str) -> String {
        let words: Vec<_> = input.splitn(5, ' ').collect();
        let owner = || Owner(words[1].parse().unwrap());
        let topic = |at: usize| words[at].into();
        let meta = || {
            let json = words.get(4).copied().unwrap_or("{}");
            Meta::new(&RawValue::from_string(json.to_owned()).unwrap())
        };
        let said = match words[0] {
            "track" | "update" => {
                let done = meta().and_then(|meta| match words[0] {
                    "track" => self
                        .tracker
                        .track(owner(), &topic(2), words[3], &meta, self.now),
                    _ => self
                        .tracker
                        .update(owner(), &topic(2), words[3], &meta, self.now),
                });
                match done {
                    Ok(phx_ref) => {
                        let name = self.names.len() + 1;
                        let before = self.names.insert(phx_ref.to_string(), name);
                        assert_eq!(before, None, "a ref came twice");
                        String::new()
                    }
                    Err(error) => error.to_string(),
                }
            }
            "untrack" => {
                let was_there = self.tracker.untrack(owner(), &topic(2), words[3], self.now);
                if was_there {
                    String::new()
                } else {
                    "nothing".to_owned()
                }
            }
            "end" => {
                self.tracker.untrack_owner(owner(), self.now);
                String::new()
            }
            "wait" => {
                self.now += Duration::from_millis(words[1].parse().unwrap());
                while self.tracker.poll_timeout().is_some_and(|it| it <= self.now) {
                    self.tracker.handle_timeout(self.now);
                }
                String::new()
            }
            "list" => {
                let list = self.tracker.list(&topic(1));
                let listing = serde_json::to_value(self.tracker.listing(&topic(1))).unwrap();
                assert_eq!(serde_json::to_value(&list).unwrap(), listing);
                self.presences(&list, "")
            }
            "get" => match self.tracker.get_by_key(&topic(1), words[2]) {
                Some(entry) => self.metas(entry.metas()),
                None => "none".to_owned(),
            },
            "count" => format!(
                "{} {} {}",
                self.tracker.count(&topic(1)),
                self.tracker.count_keys(&topic(1)),
                self.tracker.count_key(&topic(1), words[2]),
            ),
            other => panic!("no such input: {other}"),
        };
        let mut said = vec![said];
        while let Some(diff) = self.tracker.poll_diff() {
            said.push(self.diff(&diff));
        }
        said.retain(|it| !it.is_empty());
        said.join("; ")
    }

    fn diff(&self, diff: &PresenceDiff) -> String {
        let joins = self.presences(&diff.joins, "+");
        let leaves = self.presences(&diff.leaves, "-");
        let said = format!("{} {joins} {leaves}", diff.topic);
        said.replace("  ", " ").trim_end().to_owned()
    }

    fn presences(&self, presences: &Presences, sign: &str) -> String {
        let entries = presences.iter();
        let said: Vec<_> = entries
            .map(|(key, entry)| format!("{sign}{key}:{}", self.metas(entry.metas())))
            .collect();
        said.join(" ")
    }

    fn metas(&self, metas: &[PresenceMeta]) -> String {
        let mut said = String::new();
        for meta in metas {
            let comma = if said.is_empty() { "" } else { "," };
            write!(said, "{comma}{}", self.names[meta.phx_ref().as_str()]).unwrap();
            if let Some(prev) = meta.phx_ref_prev() {
                write!(said, "<{}", self.names[&prev]).unwrap();
            }
        }
        said
    }
}
