//! A bus within one process, with faults: for tests of many nodes.

use std::{
    collections::{HashMap, HashSet},
    fmt,
    future::Future,
    pin::Pin,
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use tokio::{runtime::Handle, sync::mpsc};

use crate::{Adapter, AdapterHealth, Link, NotConnected, Registration, Subject};

/// What may wait for one node; more is lost and counted.
const QUEUE_MESSAGES_MAX: usize = 65_536;

/// Joins the nodes of one process, as a broker would those of many. Clones are the same bus.
///
/// A message passes through a queue and a task of its receiver, as it would over a network. Faults can be had: see
/// [`on_delivery`](Self::on_delivery), [`stop`](Self::stop) and [`LocalAdapter::disconnect`].
#[derive(Clone, Default)]
pub struct LocalBus {
    shared: Arc<Mutex<Bus>>,
}

#[derive(Default)]
struct Bus {
    nodes: HashMap<u64, Arc<Port>>,
    subscribers: HashMap<Subject, HashSet<u64>>,
    next: u64,
    stopped: bool,
    fault: Option<Arc<Judge>>,
}

type Judge = dyn Fn(&Subject, &Bytes) -> Fault + Send + Sync;

/// What becomes of one delivery of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fault {
    /// It arrives.
    None,
    /// It's lost, and nobody counts it.
    Drop,
    /// It arrives later, and may be overtaken.
    Delay(Duration),
    /// It arrives twice.
    Twice,
}

/// One node's place on a [`LocalBus`]. It leaves the bus when it's dropped.
pub struct LocalAdapter {
    bus: LocalBus,
    id: u64,
    port: Arc<Port>,
}

#[derive(Default)]
struct Port {
    started: OnceLock<Started>,
    disconnected: AtomicBool,
    lost: AtomicU64,
    published: AtomicU64,
    received: AtomicU64,
    reconnects: AtomicU64,
}

struct Started {
    queue: mpsc::Sender<Event>,
    runtime: Handle,
}

enum Event {
    Message(Subject, Bytes),
    Connected,
    Disconnected,
}

impl LocalBus {
    /// A bus that nobody is on.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// A place on the bus, for one node.
    #[must_use]
    pub fn adapter(&self) -> LocalAdapter {
        let port = Arc::new(Port::default());
        let mut bus = self.lock();
        let id = bus.next;
        bus.next += 1;
        bus.nodes.insert(id, port.clone());
        LocalAdapter {
            bus: self.clone(),
            id,
            port,
        }
    }

    /// Asks `judge` about each delivery of each message from now on.
    pub fn on_delivery(&self, judge: impl Fn(&Subject, &Bytes) -> Fault + Send + Sync + 'static) {
        self.lock().fault = Some(Arc::new(judge));
    }

    /// Takes the bus away from all nodes.
    pub fn stop(&self) {
        self.turn(true);
    }

    /// Gives it back. Subscriptions hold again.
    pub fn start(&self) {
        self.turn(false);
    }

    /// Sends any bytes to any subject, as somebody who isn't a node could.
    pub fn publish(&self, subject: &Subject, message: &Bytes) {
        self.deliver(subject, message);
    }

    /// Whether a node is subscribed to `subject`.
    #[must_use]
    pub fn is_subscribed(&self, subject: &Subject) -> bool {
        self.lock().subscribers.contains_key(subject)
    }

    fn turn(&self, stopped: bool) {
        let ports: Vec<_> = {
            let mut bus = self.lock();
            if std::mem::replace(&mut bus.stopped, stopped) == stopped {
                return;
            }
            bus.nodes.values().cloned().collect()
        };
        for port in ports {
            if !port.disconnected.load(Ordering::SeqCst) {
                port.turned(stopped);
            }
        }
    }

    fn deliver(&self, subject: &Subject, message: &Bytes) -> bool {
        let (ports, fault): (Vec<_>, _) = {
            let bus = self.lock();
            if bus.stopped {
                return false;
            }
            let subscribers = bus.subscribers.get(subject).into_iter().flatten();
            let ports = subscribers.filter_map(|id| bus.nodes.get(id)).cloned();
            (ports.collect(), bus.fault.clone())
        };
        for port in ports {
            let fault = fault
                .as_ref()
                .map_or(Fault::None, |it| it(subject, message));
            match fault {
                Fault::Drop => {}
                Fault::None => port.take(subject, message),
                Fault::Twice => {
                    port.take(subject, message);
                    port.take(subject, message);
                }
                Fault::Delay(delay) => {
                    let (late, subject, message) = (port.clone(), subject.clone(), message.clone());
                    if let Some(Started { runtime, .. }) = port.started.get() {
                        runtime.spawn(async move {
                            tokio::time::sleep(delay).await;
                            late.take(&subject, &message);
                        });
                    }
                }
            }
        }
        true
    }

    fn lock(&self) -> MutexGuard<'_, Bus> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Port {
    fn take(&self, subject: &Subject, message: &Bytes) {
        if self.disconnected.load(Ordering::SeqCst) {
            return;
        }
        self.queue(Event::Message(subject.clone(), message.clone()));
    }

    fn turned(&self, away: bool) {
        if away {
            return self.queue(Event::Disconnected);
        }
        self.reconnects.fetch_add(1, Ordering::Relaxed);
        self.queue(Event::Connected);
    }

    fn queue(&self, event: Event) {
        if let Some(Started { queue, .. }) = self.started.get()
            && queue.try_send(event).is_err()
        {
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl LocalAdapter {
    /// Takes the bus away from this node only.
    pub fn disconnect(&self) {
        if !self.port.disconnected.swap(true, Ordering::SeqCst) && !self.bus.lock().stopped {
            self.port.turned(true);
        }
    }

    /// Gives it back.
    pub fn reconnect(&self) {
        if self.port.disconnected.swap(false, Ordering::SeqCst) && !self.bus.lock().stopped {
            self.port.turned(false);
        }
    }

    fn is_connected(&self) -> bool {
        !self.port.disconnected.load(Ordering::SeqCst) && !self.bus.lock().stopped
    }
}

impl Adapter for LocalAdapter {
    fn start(&self, link: Arc<dyn Link>) {
        let (queue, mut events) = mpsc::channel(QUEUE_MESSAGES_MAX);
        let runtime = Handle::current();
        let port = Arc::downgrade(&self.port);
        runtime.spawn(async move {
            while let Some(event) = events.recv().await {
                match event {
                    Event::Message(subject, message) => {
                        if let Some(port) = port.upgrade() {
                            port.received.fetch_add(1, Ordering::Relaxed);
                        }
                        link.receive(&subject, message);
                    }
                    Event::Connected => link.connected(),
                    Event::Disconnected => link.disconnected(),
                }
            }
        });
        let started = Started { queue, runtime };
        if self.port.started.set(started).is_ok() && self.is_connected() {
            self.port.queue(Event::Connected);
        }
    }

    fn publish(&self, subject: &Subject, message: Bytes) {
        let away = self.port.disconnected.load(Ordering::SeqCst);
        let counter = match !away && self.bus.deliver(subject, &message) {
            true => &self.port.published,
            false => &self.port.lost,
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    fn subscribe(&self, subject: &Subject) -> Registration {
        let mut bus = self.bus.lock();
        let subscribers = bus.subscribers.entry(subject.clone()).or_default();
        subscribers.insert(self.id);
        drop(bus);
        let connected = self.is_connected();
        Box::pin(async move { if connected { Ok(()) } else { Err(NotConnected) } })
    }

    fn unsubscribe(&self, subject: &Subject) {
        let mut bus = self.bus.lock();
        if let Some(subscribers) = bus.subscribers.get_mut(subject) {
            subscribers.remove(&self.id);
            if subscribers.is_empty() {
                bus.subscribers.remove(subject);
            }
        }
    }

    fn health(&self) -> AdapterHealth {
        let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        AdapterHealth {
            connected: self.is_connected(),
            error: None,
            lost: get(&self.port.lost),
            published: get(&self.port.published),
            received: get(&self.port.received),
            reconnects: get(&self.port.reconnects),
            queued_bytes: 0,
        }
    }

    fn shutdown(&self) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        self.port.disconnected.store(true, Ordering::SeqCst);
        self.leave();
        Box::pin(async {})
    }
}

impl LocalAdapter {
    fn leave(&self) {
        let mut bus = self.bus.lock();
        bus.subscribers.retain(|_, subscribers| {
            subscribers.remove(&self.id);
            !subscribers.is_empty()
        });
        let port = bus.nodes.remove(&self.id);
        drop(bus);
        drop(port);
    }
}

impl Drop for LocalAdapter {
    fn drop(&mut self) {
        self.leave();
    }
}

impl fmt::Debug for LocalBus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bus = self.lock();
        f.debug_struct("LocalBus")
            .field("nodes", &bus.nodes.len())
            .field("stopped", &bus.stopped)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for LocalAdapter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LocalAdapter")
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}
