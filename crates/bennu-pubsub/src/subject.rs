//! What is published to on a bus, and under which names brokers know it.

use std::{error, fmt, sync::Arc};

const NODE_NAME_BYTES_MAX: usize = 64;
const PREFIX_BYTES_MAX: usize = 64;

/// Where a message goes on the bus.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Subject {
    /// To the nodes that have subscribers in one of the partitions of all topics.
    Partition(u16),
    /// To one node, whichever start of it.
    Node(NodeName),
    /// To all nodes.
    Gossip,
}

/// The name of a node of a cluster: 1 to 64 bytes without control characters. No two nodes may have the same.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NodeName(Arc<str>);

/// One start of a node: its name, and a number that grows with each start.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NodeId {
    /// The node's name.
    pub name: NodeName,
    /// Tells this start of the node from others. Later ones have larger numbers, as far as the clock allows.
    pub start: u64,
}

/// How subjects are called in a broker: `bennu.p.17`, `bennu.n.web-1`, `bennu.all`.
///
/// Names of nodes are escaped, and topics are never part of a name, so that nothing in them means anything to a
/// broker.
///
/// ```
/// use bennu_pubsub::{NodeName, Subject, SubjectNames};
///
/// let names = SubjectNames::new("bennu")?;
/// assert_eq!(names.name(&Subject::Partition(17)), "bennu.p.17");
/// assert_eq!(names.name(&Subject::Node(NodeName::parse("web 1.*")?)), "bennu.n.web=201=2E=2A");
/// assert_eq!(names.subject("bennu.all"), Some(Subject::Gossip));
/// assert_eq!(names.subject("other.all"), None);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SubjectNames {
    prefix: Box<str>,
}

impl SubjectNames {
    /// Names that begin with `prefix`: clusters with different ones don't hear each other on the same broker.
    ///
    /// # Errors
    ///
    /// When the prefix is empty, longer than 64 bytes, or has other characters than `a-z`, `A-Z`, `0-9`, `-` and `_`.
    pub fn new(prefix: &str) -> Result<Self, NameError> {
        let plain = prefix.bytes().all(is_plain);
        match prefix.len() {
            1..=PREFIX_BYTES_MAX if plain => Ok(Self {
                prefix: prefix.into(),
            }),
            _ => Err(NameError("a prefix is 1 to 64 letters, digits, - and _")),
        }
    }

    /// The name of `subject`.
    #[must_use]
    pub fn name(&self, subject: &Subject) -> String {
        let prefix = &self.prefix;
        match subject {
            Subject::Partition(number) => format!("{prefix}.p.{number}"),
            Subject::Node(name) => format!("{prefix}.n.{}", escape(name.as_str())),
            Subject::Gossip => format!("{prefix}.all"),
        }
    }

    /// The subject that has this name, if there is one.
    #[must_use]
    pub fn subject(&self, name: &str) -> Option<Subject> {
        let rest = name.strip_prefix(&*self.prefix)?.strip_prefix('.')?;
        match rest.split_once('.') {
            None if rest == "all" => Some(Subject::Gossip),
            // Each number has one name only: no sign, no leading zero.
            Some(("p", number)) if number == "0" || !number.starts_with(['0', '+']) => {
                number.parse().ok().map(Subject::Partition)
            }
            Some(("n", name)) => {
                let name = NodeName::parse(&unescape(name)?).ok()?;
                Some(Subject::Node(name))
            }
            _ => None,
        }
    }
}

impl NodeName {
    /// Takes a name.
    ///
    /// # Errors
    ///
    /// When it's empty, longer than 64 bytes, or has control characters.
    pub fn parse(name: &str) -> Result<Self, NameError> {
        let plain = !name.chars().any(char::is_control);
        match name.len() {
            1..=NODE_NAME_BYTES_MAX if plain => Ok(Self(name.into())),
            _ => Err(NameError(
                "a node's name is 1 to 64 bytes without control characters",
            )),
        }
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A name that can't be one; its text says what it may be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NameError(&'static str);

impl fmt::Display for NameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl error::Error for NameError {}

impl fmt::Debug for NodeName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&*self.0, f)
    }
}

impl fmt::Display for NodeName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}#{:x}", self.name, self.start)
    }
}

fn is_plain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_'
}

/// What isn't plain becomes `=` and two hexadecimal digits.
fn escape(text: &str) -> String {
    text.bytes().fold(String::new(), |escaped, byte| {
        if is_plain(byte) {
            return escaped + char::from(byte).encode_utf8(&mut [0; 4]);
        }
        format!("{escaped}={byte:02X}")
    })
}

fn unescape(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, after @ ..] = rest {
        rest = after;
        match *first {
            b'=' => {
                let (digits, after) = rest.split_at_checked(2)?;
                let digits = str::from_utf8(digits).ok()?;
                let byte = u8::from_str_radix(digits, 16).ok()?;
                // Each name has one form.
                if format!("{byte:02X}") != digits || is_plain(byte) {
                    return None;
                }
                bytes.push(byte);
                rest = after;
            }
            byte if is_plain(byte) => bytes.push(byte),
            _ => return None,
        }
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_subject_has_one_name_and_comes_back_from_it() {
        let names = SubjectNames::new("b-1").unwrap();
        let check = |subject: Subject, name: &str| {
            assert_eq!(names.name(&subject), name);
            assert_eq!(names.subject(name), Some(subject), "{name}");
        };
        let node = |name| Subject::Node(NodeName::parse(name).unwrap());
        check(Subject::Partition(0), "b-1.p.0");
        check(Subject::Partition(65_535), "b-1.p.65535");
        check(Subject::Gossip, "b-1.all");
        check(node("web-1"), "b-1.n.web-1");
        check(node("app@10.0.0.1"), "b-1.n.app=4010=2E0=2E0=2E1");
        check(node("> *é="), "b-1.n.=3E=20=2A=C3=A9=3D");
    }

    #[test]
    fn other_names_are_no_subjects() {
        let names = SubjectNames::new("b").unwrap();
        for name in [
            "",
            "b",
            "b.",
            "b.p",
            "b.p.",
            "b.p.65536",
            "b.p.-1",
            "b.p.+1",
            "b.p.01",
            "b.p.1.2",
            "b.n.",
            "b.n.=",
            "b.n.=2",
            "b.n.=2e",
            "b.n.=41",
            "b.n.a b",
            "b.n.=0A",
            "b.n.=FF",
            "b.alle",
            "c.all",
            "bb.all",
            "b.x.1",
        ] {
            assert_eq!(names.subject(name), None, "{name}");
        }
    }

    #[test]
    fn prefixes_and_names_of_nodes_are_short_and_plain() {
        let check = |name: &str, prefix: bool, node: bool| {
            assert_eq!(SubjectNames::new(name).is_ok(), prefix, "{name}");
            assert_eq!(NodeName::parse(name).is_ok(), node, "{name}");
        };
        check("bennu_1-a", true, true);
        check(&"x".repeat(64), true, true);
        check(&"x".repeat(65), false, false);
        check("", false, false);
        check("a.b", false, true);
        check("a b>*", false, true);
        check("a\nb", false, false);
    }
}
