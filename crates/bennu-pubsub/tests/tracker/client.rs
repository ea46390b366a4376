//! A client's view of one topic, kept by the rules of the official client's `Presence` class on JSON as it
//! comes over the wire.

use std::collections::BTreeMap;

use serde_json::Value;

/// Keys and their metas.
pub(crate) type State = BTreeMap<String, Vec<Value>>;

#[derive(Default)]
pub(crate) struct Client {
    pub(crate) state: State,
    /// Diffs that came before the state.
    waiting: Option<Vec<Value>>,
}

impl Client {
    /// A client that has joined and waits for its state.
    pub(crate) fn joined() -> Self {
        Self {
            state: State::new(),
            waiting: Some(Vec::new()),
        }
    }

    pub(crate) fn waits(&self) -> bool {
        self.waiting.is_some()
    }

    pub(crate) fn presence_state(&mut self, state: &Value) {
        self.sync_state(&metas_by_key(state));
        for diff in self.waiting.take().into_iter().flatten() {
            self.sync_diff(
                &metas_by_key(&diff["joins"]),
                &metas_by_key(&diff["leaves"]),
            );
        }
    }

    pub(crate) fn presence_diff(&mut self, diff: &Value) {
        match &mut self.waiting {
            Some(waiting) => waiting.push(diff.clone()),
            None => self.sync_diff(
                &metas_by_key(&diff["joins"]),
                &metas_by_key(&diff["leaves"]),
            ),
        }
    }

    fn sync_state(&mut self, new: &State) {
        let mut joins = State::new();
        let mut leaves = State::new();
        for (key, metas) in &self.state {
            if !new.contains_key(key) {
                leaves.insert(key.clone(), metas.clone());
            }
        }
        for (key, metas) in new {
            let Some(known) = self.state.get(key) else {
                joins.insert(key.clone(), metas.clone());
                continue;
            };
            let joined = without(metas, known);
            let left = without(known, metas);
            if !joined.is_empty() {
                joins.insert(key.clone(), joined);
            }
            if !left.is_empty() {
                leaves.insert(key.clone(), left);
            }
        }
        self.sync_diff(&joins, &leaves);
    }

    fn sync_diff(&mut self, joins: &State, leaves: &State) {
        for (key, metas) in joins {
            let known = self
                .state
                .get(key)
                .map_or_else(Vec::new, |it| without(it, metas));
            let all = [&known[..], &metas[..]].concat();
            self.state.insert(key.clone(), all);
        }
        for (key, metas) in leaves {
            let Some(known) = self.state.get_mut(key) else {
                continue;
            };
            *known = without(known, metas);
            if known.is_empty() {
                self.state.remove(key);
            }
        }
    }
}

fn metas_by_key(presences: &Value) -> State {
    let presences = presences.as_object().unwrap();
    let entries = presences.iter();
    entries
        .map(|(key, entry)| (key.clone(), entry["metas"].as_array().unwrap().clone()))
        .collect()
}

/// The metas whose refs aren't among those of `others`.
fn without(metas: &[Value], others: &[Value]) -> Vec<Value> {
    let metas = metas.iter();
    metas
        .filter(|it| others.iter().all(|other| other["phx_ref"] != it["phx_ref"]))
        .cloned()
        .collect()
}
