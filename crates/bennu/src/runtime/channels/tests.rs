//! What an idle connection takes.

use super::{Channels, Conn, Slot};
use crate::{ConnectInfo, Result, Routes, Socket};

struct Nobody;

impl Socket for Nobody {
    type App = ();
    type Params = ();

    fn channels(routes: Routes<Self>) -> Routes<Self> {
        routes
    }

    async fn connect(_: &std::sync::Arc<()>, (): (), _: &ConnectInfo) -> Result<Self> {
        Ok(Self)
    }
}

#[test]
fn an_idle_connections_channels_are_small() {
    assert_eq!(
        (size_of::<Channels<Nobody>>(), size_of::<Slot<Nobody>>()),
        (112, 32)
    );
    // With the two counts of its `Arc`.
    assert!(size_of::<Conn>() + 16 <= 96, "{}", size_of::<Conn>());
}
