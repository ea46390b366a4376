//! What was counted, as one list of samples.

mod node;

use std::{iter, sync::Arc};

use bennu_pubsub::PubSub;

use super::{
    Counters, Transport,
    counters::{Histogram, Tally},
};
use crate::{Presence, runtime::Mount, transport::longpoll::Relay};

/// What an endpoint holds and has met since its start, at one moment, on this node: see
/// [`Endpoint::metrics`](crate::Endpoint::metrics). Shown with `{}` it is the text that Prometheus reads.
///
/// docs/telemetry.md lists the names, labels and units.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// let endpoint = bennu::Endpoint::new(());
/// let metrics = endpoint.metrics().await;
/// assert_eq!(metrics.get("bennu_topics", &[]), Some(0.0));
/// assert!(metrics.to_string().contains("# TYPE bennu_topics gauge\nbennu_topics 0\n"));
/// # }
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Metrics {
    pub(super) families: Vec<Family>,
}

/// The samples of one name.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Family {
    pub(super) name: &'static str,
    pub(super) kind: Kind,
    pub(super) help: &'static str,
    pub(super) samples: Vec<Sample>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Counter,
    Gauge,
    Histogram,
}

/// Reads one count of a mount.
type Count = fn(&Counters) -> u64;
/// Reads one count of a mount's transport.
type CountOf = fn(&Counters, Transport) -> u64;

/// One number.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    name: &'static str,
    /// Of a histogram's parts.
    suffix: &'static str,
    labels: Vec<(&'static str, Arc<str>)>,
    value: f64,
}

impl Sample {
    /// As Prometheus names it: `bennu_joins_total`.
    #[must_use]
    pub fn name(&self) -> String {
        format!("{}{}", self.name, self.suffix)
    }

    /// What is counted, more closely: `mount` and `/socket`.
    #[must_use]
    pub fn labels(&self) -> impl ExactSizeIterator<Item = (&'static str, &str)> {
        self.labels.iter().map(|(name, value)| (*name, &**value))
    }

    /// How many, or how much.
    #[must_use]
    pub fn value(&self) -> f64 {
        self.value
    }
}

impl Metrics {
    /// The media type of the text, for an HTTP answer.
    pub const CONTENT_TYPE: &'static str = "text/plain; version=0.0.4; charset=utf-8";

    /// All numbers.
    pub fn samples(&self) -> impl Iterator<Item = &Sample> {
        self.families.iter().flat_map(|it| &it.samples)
    }

    /// The sum of all samples of that name that have these labels. `None` where there is none.
    #[must_use]
    pub fn get(&self, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
        let samples = self.samples().filter(|sample| {
            name.strip_prefix(sample.name) == Some(sample.suffix)
                && labels
                    .iter()
                    .all(|(name, value)| sample.labels().any(|it| it == (*name, *value)))
        });
        samples.map(Sample::value).reduce(|sum, it| sum + it)
    }

    /// Hands everything to the recorder of the crate `metrics`: counters by their totals, gauges as they are.
    /// Nothing happens where no recorder is installed. To be called as often as the numbers shall be fresh.
    ///
    /// ```no_run
    /// # async fn example(endpoint: bennu::Endpoint<()>) {
    /// let mut ticks = tokio::time::interval(std::time::Duration::from_secs(5));
    /// loop {
    ///     ticks.tick().await;
    ///     endpoint.metrics().await.record();
    /// }
    /// # }
    /// ```
    #[cfg(feature = "metrics")]
    pub fn record(&self) {
        for family in &self.families {
            for sample in &family.samples {
                let labels = sample
                    .labels()
                    .map(|(name, value)| ::metrics::Label::new(name, value.to_owned()));
                let labels: Vec<_> = labels.collect();
                let grows = match family.kind {
                    Kind::Counter => true,
                    Kind::Gauge => false,
                    // Its sum isn't a whole number.
                    Kind::Histogram => sample.suffix != "_sum",
                };
                if grows {
                    ::metrics::counter!(sample.name(), labels).absolute(sample.value as u64);
                } else {
                    ::metrics::gauge!(sample.name(), labels).set(sample.value);
                }
            }
        }
    }

    pub(crate) async fn gather(
        mounts: &[Arc<Mount>],
        pubsub: &PubSub,
        presence: &Presence,
        relay: Option<&Relay>,
    ) -> Self {
        let mut queued = Vec::new();
        for mount in mounts {
            queued.push(mount.queued().await);
        }
        let mounts: Vec<_> = mounts
            .iter()
            .zip(queued)
            .enumerate()
            .map(|(at, (mount, queued))| Watched {
                mount,
                label: label(mounts, at, &mount.path),
                queued,
            })
            .collect();
        let mut metrics = Self {
            families: Vec::new(),
        };
        metrics.add_connections(&mounts);
        metrics.add_messages(&mounts);
        metrics.add_channels(&mounts);
        metrics.add_losses(&mounts);
        metrics.add_node(pubsub, presence);
        if let Some(relay) = relay {
            metrics.add_relay(&relay.stats());
        }
        metrics
    }

    fn add_connections(&mut self, mounts: &[Watched<'_>]) {
        let by_transport = |value: CountOf| {
            move |it: &Watched<'_>, add: &mut Add<'_>| {
                for transport in Transport::ALL {
                    let value = value(&it.mount.counters, transport);
                    add.labelled("transport", transport.as_str(), value);
                }
            }
        };
        self.add(
            "bennu_connections",
            Kind::Gauge,
            "Connections that are open.",
            mounts,
            by_transport(|counters, transport| {
                let lives = counters.lives(transport);
                // Read in this order, so that the difference isn't negative.
                let closed: u64 = lives.closed.iter().map(|(_, count)| count).sum();
                lives.opened.get() - closed.min(lives.opened.get())
            }),
        );
        self.add(
            "bennu_connections_opened_total",
            Kind::Counter,
            "Connections that were let in.",
            mounts,
            by_transport(|counters, transport| counters.lives(transport).opened.get()),
        );
        self.add(
            "bennu_connections_closed_total",
            Kind::Counter,
            "Connections that ended, by reason.",
            mounts,
            |it, add| {
                for transport in Transport::ALL {
                    let closed = &it.mount.counters.lives(transport).closed;
                    for (why, count) in closed.iter() {
                        add.sample(
                            "",
                            [("transport", transport.as_str()), ("why", why)],
                            count as f64,
                        );
                    }
                }
            },
        );
        self.add(
            "bennu_connections_refused_total",
            Kind::Counter,
            "Clients that were not let in, by reason.",
            mounts,
            |it, add| add.tally("why", &it.mount.counters.refused),
        );
    }

    fn add_messages(&mut self, mounts: &[Watched<'_>]) {
        let flows: [(_, _, CountOf); 4] = [
            (
                "bennu_messages_received_total",
                "Messages from clients.",
                |it, transport| it.received(transport).messages,
            ),
            (
                "bennu_received_bytes_total",
                "Bytes from clients, with their frames.",
                |it, transport| it.received(transport).bytes,
            ),
            (
                "bennu_messages_sent_total",
                "Messages written to clients.",
                |it, transport| it.sent(transport).messages,
            ),
            (
                "bennu_sent_bytes_total",
                "Bytes written to clients, with their frames.",
                |it, transport| it.sent(transport).bytes,
            ),
        ];
        for (name, help, value) in flows {
            self.add(name, Kind::Counter, help, mounts, |it, add| {
                for transport in Transport::ALL {
                    let value = value(&it.mount.counters, transport);
                    add.labelled("transport", transport.as_str(), value);
                }
            });
        }
        self.add(
            "bennu_queued_messages",
            Kind::Gauge,
            "Messages that wait to be written, over all connections.",
            mounts,
            |it, add| add.value(it.queued.messages as u64),
        );
        self.add(
            "bennu_queued_bytes",
            Kind::Gauge,
            "Bytes that wait to be written, over all connections.",
            mounts,
            |it, add| add.value(it.queued.bytes as u64),
        );
        self.add(
            "bennu_queued_messages_max",
            Kind::Gauge,
            "Messages that wait to be written to the connection with most of them.",
            mounts,
            |it, add| add.value(it.queued.messages_max as u64),
        );
    }

    fn add_channels(&mut self, mounts: &[Watched<'_>]) {
        self.add(
            "bennu_joins_total",
            Kind::Counter,
            "Joins of channels, by what came of them.",
            mounts,
            |it, add| add.tally("result", &it.mount.counters.joins),
        );
        self.add(
            "bennu_refusals_total",
            Kind::Counter,
            "Joins and events that got an error reply before any handler saw them, or by a join.",
            mounts,
            |it, add| add.tally("why", &it.mount.counters.refusals),
        );
        self.add(
            "bennu_panics_total",
            Kind::Counter,
            "Panics of callbacks.",
            mounts,
            |it, add| add.value(it.mount.counters.panics.get()),
        );
        self.add(
            "bennu_join_duration_seconds",
            Kind::Histogram,
            "How long joins took.",
            mounts,
            |it, add| add.histogram(&it.mount.counters.join_durations),
        );
        self.add(
            "bennu_handle_in_duration_seconds",
            Kind::Histogram,
            "How long handlers of events took, of one event in sixteen.",
            mounts,
            |it, add| add.histogram(&it.mount.counters.handle_in_durations),
        );
    }

    fn add_losses(&mut self, mounts: &[Watched<'_>]) {
        let losses: [(_, _, Count); 7] = [
            (
                "bennu_frames_refused_total",
                "Connections closed because of a frame that broke WebSocket's rules or was too long.",
                |it| it.frames_refused.get(),
            ),
            (
                "bennu_messages_undecodable_total",
                "Connections closed because of a frame that was no message.",
                |it| it.messages_undecodable.get(),
            ),
            (
                "bennu_events_throttled_total",
                "Messages that came too often.",
                |it| it.events_throttled.get(),
            ),
            (
                "bennu_messages_dropped_total",
                "Messages dropped because their client read too slowly.",
                |it| it.overflow_dropped.get(),
            ),
            (
                "bennu_mail_dropped_total",
                "Messages to channels, and intercepted broadcasts, dropped because too many waited.",
                |it| it.mail_dropped.get(),
            ),
            (
                "bennu_broadcasts_skipped_total",
                "Broadcasts that a subscriber's serializer or transport couldn't carry.",
                |it| it.broadcasts_skipped.get(),
            ),
            (
                "bennu_events_undecodable_total",
                "Events without a ref that their channel didn't understand.",
                |it| it.events_undecodable.get(),
            ),
        ];
        for (name, help, value) in losses {
            self.add(name, Kind::Counter, help, mounts, |it, add| {
                add.value(value(&it.mount.counters));
            });
        }
    }

    fn add(
        &mut self,
        name: &'static str,
        kind: Kind,
        help: &'static str,
        mounts: &[Watched<'_>],
        samples: impl Fn(&Watched<'_>, &mut Add<'_>),
    ) {
        let mut family = Family {
            name,
            kind,
            help,
            samples: Vec::new(),
        };
        for mount in mounts {
            let mut add = Add {
                family: &mut family,
                mount: &mount.label,
            };
            samples(mount, &mut add);
        }
        self.families.push(family);
    }
}

/// A mount's path. Where several have the same, with transports at different places, the others get a number.
fn label(mounts: &[Arc<Mount>], at: usize, path: &str) -> Arc<str> {
    match mounts.iter().take(at).filter(|it| it.path == path).count() {
        0 => path.into(),
        before => format!("{path}#{}", before + 1).into(),
    }
}

/// A mount, and what was found in its connections' outboxes.
struct Watched<'a> {
    mount: &'a Mount,
    label: Arc<str>,
    queued: crate::runtime::Queued,
}

/// Adds the samples of one mount.
struct Add<'a> {
    family: &'a mut Family,
    mount: &'a Arc<str>,
}

impl Add<'_> {
    fn sample<const N: usize>(
        &mut self,
        suffix: &'static str,
        labels: [(&'static str, &str); N],
        value: f64,
    ) {
        let labels = labels.map(|(name, value)| (name, value.into()));
        self.family.samples.push(Sample {
            name: self.family.name,
            suffix,
            labels: iter::once(("mount", self.mount.clone()))
                .chain(labels)
                .collect(),
            value,
        });
    }

    fn value(&mut self, value: u64) {
        self.sample("", [], value as f64);
    }

    fn labelled(&mut self, name: &'static str, label: &str, value: u64) {
        self.sample("", [(name, label)], value as f64);
    }

    fn tally(&mut self, name: &'static str, tally: &Tally) {
        for (label, count) in tally.iter() {
            self.labelled(name, label, count);
        }
    }

    fn histogram(&mut self, histogram: &Histogram) {
        let mut most = 0;
        for (bound, count) in histogram.cumulated() {
            self.sample("_bucket", [("le", &*bound.to_string())], count as f64);
            most = count;
        }
        // Somebody may count meanwhile: the parts shall fit together all the same.
        let count = histogram.count().max(most) as f64;
        self.sample("_bucket", [("le", "+Inf")], count);
        self.sample("_sum", [], histogram.seconds());
        self.sample("_count", [], count);
    }
}
