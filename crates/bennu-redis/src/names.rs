//! What subjects are called in Redis, and where their channels are.

use std::{borrow::Cow, sync::Arc};

use bennu_pubsub::{PerPartition, Subject, SubjectNames};

use crate::{rendezvous::choose, slots::slot};

/// Names of channels. Those of partitions, which nearly all messages go to, are made once.
#[derive(Debug)]
pub(crate) struct Names {
    names: SubjectNames,
    /// Addresses of independent servers; none where they are a cluster.
    servers: Vec<String>,
    partitions: PerPartition<Name>,
}

#[derive(Debug, Clone)]
pub(crate) struct Name {
    pub(crate) text: Arc<str>,
    /// In a cluster.
    pub(crate) slot: u16,
    /// Which of the independent servers has it.
    pub(crate) server: usize,
}

impl Names {
    pub(crate) fn new(names: SubjectNames, servers: Vec<String>) -> Self {
        Self {
            names,
            servers,
            partitions: PerPartition::new(),
        }
    }

    pub(crate) fn name(&self, subject: &Subject) -> Cow<'_, Name> {
        match subject {
            Subject::Partition(number) => {
                let name = self.partitions.get_or_make(*number, || self.make(subject));
                Cow::Borrowed(name)
            }
            Subject::Node(_) | Subject::Gossip => Cow::Owned(self.make(subject)),
        }
    }

    /// The subject that a channel is for, if it's one of ours.
    pub(crate) fn subject(&self, channel: &[u8]) -> Option<Subject> {
        self.names.subject(str::from_utf8(channel).ok()?)
    }

    fn make(&self, subject: &Subject) -> Name {
        let text = self.names.name(subject);
        Name {
            slot: slot(&text),
            server: choose(&self.servers, &text),
            text: text.into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use bennu_pubsub::NodeName;

    use super::*;

    #[test]
    fn a_name_is_the_same_whether_it_was_kept_or_made() {
        let servers = ["a:1", "b:1", "c:1"].map(str::to_owned).to_vec();
        let names = Names::new(SubjectNames::new("bennu").unwrap(), servers.clone());
        let node = Subject::Node(NodeName::parse("web 1").unwrap());
        for subject in [
            Subject::Partition(0),
            Subject::Partition(65_535),
            Subject::Gossip,
            node,
        ] {
            for _ in 0..2 {
                let name = names.name(&subject);
                assert_eq!(names.subject(name.text.as_bytes()).as_ref(), Some(&subject));
                assert_eq!(name.slot, slot(&name.text));
                assert_eq!(name.server, choose(&servers, &name.text));
            }
        }
        assert_eq!(names.subject(b"other.all"), None);
        assert_eq!(names.subject(b"bennu.\xff"), None);
    }
}
