//! What docs/limits.md says of defaults, held against the defaults.

use std::time::Duration;

use bennu_pubsub::ClusterOptions;

use crate::{Drainer, LongPoll, PresenceOptions, SocketOptions};

const PAGE: &str = include_str!("../../../docs/limits.md");

/// The second cell of the row whose first cell begins with this.
#[track_caller]
fn default_of(first: &str) -> &'static str {
    let rows = PAGE.lines().filter_map(|it| it.strip_prefix("| "));
    let mut rows = rows.filter(|it| it.starts_with(first));
    let row = rows.next().unwrap_or_else(|| panic!("no row {first:?}"));
    assert_eq!(rows.next(), None, "{first:?} begins two rows");
    row.split(" | ").nth(1).unwrap()
}

/// Digits in threes, as the page has them.
pub(crate) fn number(number: impl TryInto<u64>) -> String {
    let digits = number.try_into().ok().unwrap().to_string();
    let mut text = String::new();
    for (digit, left) in digits.chars().zip((1..=digits.len()).rev()) {
        text.push(digit);
        if left > 1 && left % 3 == 1 {
            text.push(',');
        }
    }
    text
}

/// Bytes, in the unit that they are a whole number of.
pub(crate) fn bytes(bytes: usize) -> String {
    match (bytes % (1 << 20), bytes % (1 << 10)) {
        (0, _) => format!("{} MiB", bytes >> 20),
        (_, 0) => format!("{} KiB", bytes >> 10),
        _ => number(bytes),
    }
}

pub(crate) fn time(time: Duration) -> String {
    match time.as_secs() / (7 * 24 * 60 * 60) {
        0 => format!("{} s", time.as_secs_f64()),
        weeks => format!("{weeks} weeks"),
    }
}

pub(crate) fn off(max: usize) -> &'static str {
    if max == usize::MAX { "off" } else { "on" }
}

/// Whether the row that begins with this says what is. A word or two about it may follow.
#[track_caller]
pub(crate) fn check(row: &str, is: &str) {
    let says = default_of(row);
    let rest = says.strip_prefix(is);
    let whole = rest.is_some_and(|it| it.is_empty() || it.starts_with([',', ';', ' ']));
    assert!(whole, "{row} is {is:?}, and the page says {says:?}");
}

#[test]
fn the_page_of_limits_names_the_defaults_that_are() {
    let options = SocketOptions::new();
    let limits = &options.limits;
    check("`channels_max`", &number(options.channels_max));
    check("`frame_bytes_max`", &number(options.frame_bytes_max));
    check("`message_bytes_max`", &number(options.message_bytes_max));
    let decode = &limits.decode;
    for names in [
        decode.topic_bytes_max,
        decode.event_bytes_max,
        decode.ref_bytes_max,
    ] {
        check("`topic_bytes_max`", &format!("{} each", number(names)));
    }
    check("`json_depth_max`", &number(decode.depth_max));
    check("`query_bytes_max`", &number(limits.query_bytes_max));
    for max in [limits.connections_max, limits.connections_per_peer_max] {
        let row = "`connections_max`, `connections_per_peer_max`, for each mount";
        check(row, off(max));
    }
    let unhandled = number(limits.unhandled_bytes_max);
    check("`unhandled_bytes_max`", &unhandled);
    check("`connect_timeout`", &time(limits.connect_timeout));
    assert_eq!(limits.joins_at_once_max, None);
    check("`joins_at_once_max`", "as many as channels");
    assert_eq!(limits.events_per_second_max, None);
    check("`events_per_second_max`", "off");
    let queue = (
        number(options.event_queue_messages_max),
        bytes(options.event_queue_bytes_max),
    );
    check(
        "`event_queue_messages_max`",
        &format!("{}, {}", queue.0, queue.1),
    );
    let queue = (
        number(options.queue_messages_max),
        bytes(options.queue_bytes_max),
    );
    check(
        "`queue_messages_max`, `queue_bytes_max`, for each connection",
        &format!("{}, {} and one message", queue.0, queue.1),
    );
    check("`idle_timeout`", &time(options.idle_timeout));
    check("`drainer.shutdown`", &time(Drainer::default().shutdown));
}

#[test]
fn the_page_names_the_defaults_of_long_polling() {
    let longpoll = LongPoll::default();
    check("`LongPoll::sessions_max`", &number(longpoll.sessions_max));
    check(
        "`LongPoll::body_bytes_max`",
        &number(longpoll.body_bytes_max),
    );
    check(
        "`LongPoll::bodies_bytes_max`",
        &number(longpoll.bodies_bytes_max),
    );
    check(
        "a poll |",
        &format!("`LongPoll::window`, {}", time(longpoll.window)),
    );
    check(
        "a session's token",
        &format!(
            "`LongPoll::token_age_max`, {}",
            time(longpoll.token_age_max)
        ),
    );
    check(
        "entries of a POST",
        &number(bennu_wire::longpoll::BATCH_ENTRIES_MAX),
    );
}

#[test]
fn the_page_names_the_defaults_of_the_codec() {
    let websocket = bennu_websocket::Config::default();
    // What a mount passes on is no other than what the codec has by itself.
    check("`frame_bytes_max`", &number(websocket.frame_bytes_max));
    check("`message_bytes_max`", &number(websocket.message_bytes_max));
    assert_eq!(websocket.inflated_bytes_max, websocket.frame_bytes_max);
    let ratio = format!(
        "`frame_bytes_max`, {} past {}",
        websocket.inflation_ratio_max,
        bytes(bennu_websocket::deflate::INFLATION_FREE_BYTES)
    );
    check("inflated size and ratio", &ratio);
    check("empty fragments", &number(websocket.empty_fragments_max));
}

/// The fields of these are other crates' own, but they show them.
#[test]
fn the_page_names_the_defaults_of_clusters_and_presences() {
    let field = |shown: &str, field: &str| {
        let (_, rest) = shown.split_once(&format!(" {field}: ")).unwrap();
        rest.split([',', ' ']).next().unwrap().to_owned()
    };
    let size = |shown: &str, name: &str| bytes(field(shown, name).parse().unwrap());
    let cluster = format!("{:?}", ClusterOptions::new());
    let row = default_of("`ClusterOptions::message_bytes_max`");
    assert_eq!(row, size(&cluster, "message_bytes_max"));
    let row = default_of("`ClusterOptions::registration_time_max`");
    assert_eq!(
        row.replace(' ', ""),
        field(&cluster, "registration_time_max")
    );
    let presence = format!("{:?}", PresenceOptions::new());
    let row = default_of("`PresenceOptions::remote_bytes_max`");
    let is = size(&presence, "remote_bytes_max");
    assert!(row.starts_with(&format!("{is} for each")), "{is}");
}
