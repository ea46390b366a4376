//! The bus within a process keeps what adapters promise.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test says so by panicking"
)]

mod suite;

use std::sync::Arc;

use bennu_pubsub::{Adapter, LocalBus, Subject};
use bytes::Bytes;

impl suite::Bus for LocalBus {
    fn adapter(&self) -> Arc<dyn Adapter> {
        Arc::new(Self::adapter(self))
    }

    async fn stop(&mut self) {
        Self::stop(self);
    }

    async fn start(&mut self) {
        Self::start(self);
    }

    async fn publish(&self, subject: &Subject, message: &'static [u8]) {
        Self::publish(self, subject, &Bytes::from_static(message));
    }
}

suite!(LocalBus::new());
