//! Which of several independent servers a channel is on.

/// FNV-1a with 64 bits over the server's name, a zero and the channel's name, finished by an avalanche.
fn weight(server: &str, channel: &str) -> u64 {
    let bytes = server.bytes().chain([0]).chain(channel.bytes());
    let hash = bytes.fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    // FNV's high bits depend little on the last bytes, and those are what tells channels apart.
    let hash = (hash ^ (hash >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
    let hash = (hash ^ (hash >> 33)).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    hash ^ (hash >> 33)
}

/// The place of the server that weighs most for this channel. All nodes agree on it whatever the order of their
/// lists, and when a server is added or taken away only its own channels move.
pub(crate) fn choose(servers: &[String], channel: &str) -> usize {
    let weights = servers.iter().map(|it| (weight(it, channel), it));
    let best = weights.enumerate().max_by_key(|(_, weight)| *weight);
    best.map_or(0, |(at, _)| at)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn servers(names: &[&str]) -> Vec<String> {
        names.iter().map(|it| (*it).to_owned()).collect()
    }

    #[test]
    fn the_order_of_the_list_does_not_matter() {
        let (here, there) = (
            servers(&["a:1", "b:1", "c:1"]),
            servers(&["c:1", "a:1", "b:1"]),
        );
        for n in 0..256 {
            let channel = format!("bennu.p.{n}");
            let (a, b) = (choose(&here, &channel), choose(&there, &channel));
            assert_eq!(here[a], there[b]);
        }
    }

    #[test]
    fn channels_spread_and_only_those_of_a_lost_server_move() {
        let (three, two) = (servers(&["a:1", "b:1", "c:1"]), servers(&["a:1", "b:1"]));
        let mut counts = [0; 3];
        for n in 0..256 {
            let channel = format!("bennu.p.{n}");
            let at = choose(&three, &channel);
            counts[at] += 1;
            if at != 2 {
                assert_eq!(choose(&two, &channel), at);
            }
        }
        assert!(counts.iter().all(|it| *it > 50), "{counts:?}");
    }

    #[test]
    fn a_single_server_has_all() {
        assert_eq!(choose(&servers(&["a:1"]), "bennu.all"), 0);
    }
}
