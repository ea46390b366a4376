//! What is counted for a node as a whole: its topics, and its way to other nodes.

use bennu_pubsub::{Cluster, PubSub};

use super::{Family, Kind, Metrics, Sample};
use crate::{Presence, transport::longpoll::RelayStats};

impl Metrics {
    pub(super) fn add_node(&mut self, pubsub: &PubSub, presence: &Presence) {
        let stats = pubsub.stats();
        self.add_value(
            "bennu_topics",
            Kind::Gauge,
            "Topics that have subscribers.",
            pubsub.topics() as u64,
        );
        self.add_value(
            "bennu_presences",
            Kind::Gauge,
            "Metas that the endpoint's presence tracks on this node.",
            presence.size() as u64,
        );
        self.add_value(
            "bennu_broadcasts_total",
            Kind::Counter,
            "Broadcasts to topics with subscribers on this node.",
            stats.broadcasts,
        );
        self.add_value(
            "bennu_broadcast_deliveries_total",
            Kind::Counter,
            "Deliveries of broadcasts, one for each subscriber.",
            stats.deliveries,
        );
        self.add_adapter(pubsub);
        if let Some(cluster) = pubsub.cluster() {
            self.add_cluster(cluster);
            self.add_nodes(presence);
        }
    }

    fn add_adapter(&mut self, pubsub: &PubSub) {
        let adapter = pubsub.adapter_health();
        self.add_value(
            "bennu_adapter_connected",
            Kind::Gauge,
            "Whether other nodes can be reached, 1 or 0.",
            u64::from(adapter.connected),
        );
        self.add_value(
            "bennu_adapter_lost_total",
            Kind::Counter,
            "Messages that were lost on their way from or to other nodes.",
            adapter.lost,
        );
        self.add_value(
            "bennu_adapter_published_total",
            Kind::Counter,
            "Messages handed to the bus.",
            adapter.published,
        );
        self.add_value(
            "bennu_adapter_received_total",
            Kind::Counter,
            "Messages that came over the bus.",
            adapter.received,
        );
        self.add_value(
            "bennu_adapter_reconnects_total",
            Kind::Counter,
            "How often the bus was lost and found again.",
            adapter.reconnects,
        );
        self.add_value(
            "bennu_adapter_queued_bytes",
            Kind::Gauge,
            "Bytes that wait to be sent to other nodes.",
            adapter.queued_bytes as u64,
        );
    }

    fn add_cluster(&mut self, cluster: &Cluster) {
        let stats = cluster.stats();
        self.add_value(
            "bennu_cluster_partitions",
            Kind::Gauge,
            "Partitions of topics that have subscribers on this node.",
            stats.partitions as u64,
        );
        self.add_value(
            "bennu_cluster_sent_total",
            Kind::Counter,
            "Messages for other nodes.",
            stats.sent,
        );
        self.add_value(
            "bennu_cluster_received_total",
            Kind::Counter,
            "Messages of other nodes.",
            stats.received,
        );
        self.add_labelled(
            "bennu_cluster_ignored_total",
            Kind::Counter,
            "Messages that went no further, by why.",
            "why",
            &[
                ("own", stats.echoes),
                ("oversized", stats.oversized),
                ("malformed", stats.malformed),
                ("unknown", stats.unknown),
                ("unserved", stats.unserved),
            ],
        );
        self.add_labelled(
            "bennu_cluster_registrations_unconfirmed_total",
            Kind::Counter,
            "Subscriptions to partitions that the bus didn't confirm in time, by why.",
            "why",
            &[
                ("late", stats.registrations_late),
                ("disconnected", stats.registrations_deferred),
            ],
        );
    }

    fn add_nodes(&mut self, presence: &Presence) {
        let stats = presence.roster().stats();
        self.add_value(
            "bennu_cluster_nodes",
            Kind::Gauge,
            "Nodes that are there as far as this one hears, itself included.",
            presence.nodes() as u64,
        );
        self.add_labelled(
            "bennu_presence_ignored_total",
            Kind::Counter,
            "Messages about presences of other nodes that went no further, by why.",
            "why",
            &[("unreadable", stats.unreadable), ("full", stats.overflowed)],
        );
        self.add_value(
            "bennu_presence_metas_refused_total",
            Kind::Counter,
            "Metas of other nodes that were left out, being beyond a limit of this one.",
            stats.refused,
        );
    }

    /// Long-poll requests that came to another node than their session's.
    pub(super) fn add_relay(&mut self, stats: &RelayStats) {
        self.add_value(
            "bennu_longpoll_relayed_total",
            Kind::Counter,
            "Long-poll requests of clients here for sessions of other nodes.",
            stats.relayed,
        );
        self.add_value(
            "bennu_longpoll_relayed_answered_total",
            Kind::Counter,
            "Those that the other node answered.",
            stats.answered,
        );
        self.add_labelled(
            "bennu_longpoll_relayed_failed_total",
            Kind::Counter,
            "Those that it didn't, by why.",
            "why",
            &stats.failed,
        );
        self.add_value(
            "bennu_longpoll_relaying",
            Kind::Gauge,
            "Those that are under way.",
            stats.relaying as u64,
        );
        self.add_value(
            "bennu_longpoll_served_total",
            Kind::Counter,
            "Long-poll requests of clients elsewhere for sessions here.",
            stats.served,
        );
        self.add_value(
            "bennu_longpoll_served_refused_total",
            Kind::Counter,
            "Those that were refused, since too many are served.",
            stats.refused,
        );
        self.add_value(
            "bennu_longpoll_serving",
            Kind::Gauge,
            "Those that are being served.",
            stats.serving as u64,
        );
        self.add_value(
            "bennu_longpoll_relay_bytes",
            Kind::Gauge,
            "Bytes of bodies and answers that came from other nodes and aren't used up, beyond 16 KiB of each.",
            stats.bytes as u64,
        );
    }

    fn add_value(&mut self, name: &'static str, kind: Kind, help: &'static str, value: u64) {
        self.families.push(Family {
            name,
            kind,
            help,
            samples: vec![sample(name, Vec::new(), value)],
        });
    }

    fn add_labelled(
        &mut self,
        name: &'static str,
        kind: Kind,
        help: &'static str,
        label: &'static str,
        values: &[(&str, u64)],
    ) {
        let samples = values.iter().map(|(labelled, value)| {
            let labels = vec![(label, (*labelled).into())];
            sample(name, labels, *value)
        });
        self.families.push(Family {
            name,
            kind,
            help,
            samples: samples.collect(),
        });
    }
}

fn sample(
    name: &'static str,
    labels: Vec<(&'static str, std::sync::Arc<str>)>,
    value: u64,
) -> Sample {
    Sample {
        name,
        suffix: "",
        labels,
        value: value as f64,
    }
}
