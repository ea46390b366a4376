//! Which server of a cluster a channel is on, as the cluster tells it.

use redis::Value;

/// Redis's own number.
const SLOTS: u16 = 16_384;

/// Which slots are on which server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Slots {
    /// In order.
    ranges: Vec<Range>,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Range {
    first: u16,
    last: u16,
    server: (String, u16),
}

impl Slots {
    /// Reads the answer to `CLUSTER SLOTS`. A server without a host is the one that was asked. `None` when it makes no
    /// sense, or has no slots.
    pub(crate) fn parse(answer: &Value, asked: &str) -> Option<Self> {
        let Value::Array(ranges) = answer else {
            return None;
        };
        let range = |range: &Value| {
            let Value::Array(parts) = range else {
                return None;
            };
            let [first, last, Value::Array(master), ..] = &**parts else {
                return None;
            };
            let [host, port, ..] = &**master else {
                return None;
            };
            let host = match host {
                Value::BulkString(host) if !host.is_empty() && host != b"?" => {
                    String::from_utf8(host.clone()).ok()?
                }
                Value::BulkString(_) | Value::Nil => asked.to_owned(),
                _ => return None,
            };
            let (first, last) = (slot_number(first)?, slot_number(last)?);
            let server = (host, number(port)?);
            (first <= last).then_some(Range {
                first,
                last,
                server,
            })
        };
        let mut ranges: Vec<Range> = ranges.iter().map(range).collect::<Option<_>>()?;
        ranges.sort_unstable();
        (!ranges.is_empty()).then_some(Self { ranges })
    }

    /// The place of a slot's range, unless it's in none.
    pub(crate) fn range(&self, slot: u16) -> Option<usize> {
        let after = self.ranges.partition_point(|it| it.first <= slot);
        let place = after.checked_sub(1)?;
        let range = self.ranges.get(place)?;
        (slot <= range.last).then_some(place)
    }

    /// The servers of all ranges, by their places.
    pub(crate) fn holders(&self) -> impl Iterator<Item = &(String, u16)> {
        self.ranges.iter().map(|it| &it.server)
    }

    /// All servers that have slots, each once.
    pub(crate) fn servers(&self) -> Vec<(String, u16)> {
        let mut servers: Vec<_> = self.holders().cloned().collect();
        servers.sort_unstable();
        servers.dedup();
        servers
    }
}

fn number(value: &Value) -> Option<u16> {
    match value {
        Value::Int(number) => u16::try_from(*number).ok(),
        _ => None,
    }
}

fn slot_number(value: &Value) -> Option<u16> {
    number(value).filter(|it| *it < SLOTS)
}

/// CRC-16 (XMODEM) of a channel's name, modulo the slots. Names of ours have no braces, which would mean something.
pub(crate) fn slot(channel: &str) -> u16 {
    let crc = channel.bytes().fold(0_u16, |crc, byte| {
        (0..8).fold(crc ^ (u16::from(byte) << 8), |crc, _| {
            let shifted = crc << 1;
            if crc & 0x8000 == 0 {
                shifted
            } else {
                shifted ^ 0x1021
            }
        })
    });
    crc % SLOTS
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str) -> Value {
        Value::BulkString(text.into())
    }

    fn range(first: i64, last: i64, host: Value, port: i64) -> Value {
        let master = Value::Array(vec![host, Value::Int(port), text("id")]);
        Value::Array(vec![Value::Int(first), Value::Int(last), master])
    }

    #[test]
    fn channels_are_in_the_slots_that_redis_says() {
        // As `CLUSTER KEYSLOT` answers; the first is the check value of the algorithm.
        for (channel, expected) in [
            ("123456789", 0x31c3),
            ("", 0),
            ("foo", 12_182),
            ("bar", 5_061),
        ] {
            assert_eq!(slot(channel), expected, "{channel}");
        }
    }

    #[test]
    fn a_channel_is_on_the_server_of_its_slot() {
        let answer = Value::Array(vec![
            range(8_192, 16_383, text("10.0.0.2"), 7_000),
            range(0, 8_190, Value::Nil, 6_379),
        ]);
        let slots = Slots::parse(&answer, "asked").unwrap();
        let (here, there) = (("asked".to_owned(), 6_379), ("10.0.0.2".to_owned(), 7_000));
        let server = |channel| slots.holders().nth(slots.range(slot(channel)).unwrap());
        assert_eq!(server("bar"), Some(&here));
        assert_eq!(server("foo"), Some(&there));
        assert_eq!(slots.servers(), [there, here]);
    }

    #[test]
    fn a_slot_on_no_server_has_none() {
        let answer = Value::Array(vec![
            range(10, 5_000, text("a"), 1),
            range(5_002, 5_002, text("b"), 1),
        ]);
        let slots = Slots::parse(&answer, "asked").unwrap();
        let check = |slot, expected| assert_eq!(slots.range(slot), expected, "{slot}");
        check(0, None);
        check(9, None);
        check(10, Some(0));
        check(5_000, Some(0));
        check(5_001, None);
        check(5_002, Some(1));
        check(5_003, None);
        check(u16::MAX, None);
    }

    #[test]
    fn an_answer_without_sense_is_none() {
        let check = |answer: Value| assert_eq!(Slots::parse(&answer, "asked"), None);
        check(Value::Nil);
        check(Value::Array(Vec::new()));
        check(Value::Array(vec![Value::Int(1)]));
        check(Value::Array(vec![range(2, 1, text("a"), 1)]));
        check(Value::Array(vec![range(0, 16_384, text("a"), 1)]));
        check(Value::Array(vec![range(-1, 1, text("a"), 1)]));
        check(Value::Array(vec![range(0, 1, text("a"), 70_000)]));
        check(Value::Array(vec![range(0, 1, Value::Int(1), 1)]));
        check(Value::Array(vec![range(
            0,
            1,
            Value::BulkString(vec![0xff]),
            1,
        )]));
        check(Value::Array(vec![Value::Array(vec![
            Value::Int(0),
            Value::Int(1),
        ])]));
    }
}
