//! docs/telemetry.md names all metrics, and none that isn't there.

use std::collections::BTreeSet;

use bennu::{Endpoint, LocalBus, LongPoll, SocketOptions};

use crate::server::{App, User};

const GUIDE: &str = include_str!("../../../../docs/telemetry.md");

#[tokio::test]
async fn the_guide_has_every_metric() {
    let options = SocketOptions::new().longpoll(LongPoll::default());
    let endpoint = Endpoint::new(App::default())
        .adapter(LocalBus::new().adapter())
        .socket_with::<User>("/socket", options);
    let text = endpoint.metrics().await.to_string();
    let lines = text.lines();
    let types = lines.filter_map(|it| it.strip_prefix("# TYPE ")?.split_once(' '));
    let found: BTreeSet<_> = types.collect();
    let rows = GUIDE.lines().filter_map(|it| it.strip_prefix("| `bennu_"));
    let named = rows.flat_map(|row| {
        let row = format!("`bennu_{row}");
        let (names, rest) = row.split_once(" | ").unwrap();
        let kind = rest.split_once(' ').unwrap().0.to_owned();
        let names = names.split(", ").map(|it| it.trim_matches('`').to_owned());
        names.map(|it| (it, kind.clone())).collect::<Vec<_>>()
    });
    let named: BTreeSet<_> = named.collect();
    let named: BTreeSet<_> = named
        .iter()
        .map(|(name, kind)| (&**name, &**kind))
        .collect();
    assert_eq!(found, named);
}
