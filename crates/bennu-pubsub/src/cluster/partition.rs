//! Which partition a topic is in.

/// FNV-1a over the topic's bytes with 64 bits, its halves folded together, modulo the partitions. All nodes of all
/// releases must agree on it.
pub(crate) fn partition(topic: &str, partitions: u16) -> u16 {
    let hash = topic.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    let folded = hash ^ (hash >> 32);
    (folded as u32 % u32::from(partitions.max(1))) as u16
}

#[cfg(test)]
mod tests {
    use super::partition;

    #[test]
    fn a_topic_is_in_the_partition_it_was_always_in() {
        let check = |topic, partitions, expected| {
            assert_eq!(partition(topic, partitions), expected, "{topic}");
        };
        check("", 256, 193);
        check("room:lobby", 256, 205);
        check("room:lobby", 1, 0);
        check("user:7", 256, 183);
        check("café", 65_535, 5888);
    }

    #[test]
    fn topics_spread_over_all_partitions() {
        let mut counts = [0_u32; 256];
        for n in 0..25_600 {
            counts[usize::from(partition(&format!("room:{n}"), 256))] += 1;
        }
        let (least, most) = (counts.iter().min().unwrap(), counts.iter().max().unwrap());
        assert!(*least > 50 && *most < 160, "{least} to {most}");
    }
}
