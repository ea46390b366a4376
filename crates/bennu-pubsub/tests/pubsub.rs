//! Who hears what, in which order, and what is left behind.
#![expect(clippy::unwrap_used, reason = "a test says so by panicking")]

use std::sync::{Arc, Mutex};

use bennu_pubsub::{PubSub, Subscriber, Subscription};
use bennu_wire::{Broadcast, Payload};

/// Writes down the events it hears, with the key of the subscription.
#[derive(Default)]
struct Notebook(Mutex<Vec<(u64, String)>>);

impl Subscriber for Notebook {
    fn deliver(&self, key: u64, broadcast: &Arc<Broadcast>) {
        let event = broadcast.event().to_owned();
        self.0.lock().unwrap().push((key, event));
    }
}

impl Notebook {
    fn take(&self) -> Vec<(u64, String)> {
        std::mem::take(&mut *self.0.lock().unwrap())
    }

    fn events(&self) -> Vec<String> {
        self.take().into_iter().map(|(_, event)| event).collect()
    }
}

fn broadcast(topic: &str, event: &str) -> Arc<Broadcast> {
    Arc::new(Broadcast::new(topic, event.to_owned(), Payload::empty()))
}

fn subscribed(pubsub: &PubSub, topic: &str, key: u64) -> (Arc<Notebook>, Subscription) {
    let notebook = Arc::new(Notebook::default());
    let subscription = pubsub.subscribe(topic, notebook.clone(), key);
    (notebook, subscription)
}

#[test]
fn subscribers_hear_their_topic_and_no_other() {
    let pubsub = PubSub::new();
    let (ada, _ada) = subscribed(&pubsub, "a", 7);
    let (ben, _ben) = subscribed(&pubsub, "b", 8);
    pubsub.broadcast(&broadcast("a", "one"));
    pubsub.local_broadcast(&broadcast("b", "two"));
    pubsub.broadcast(&broadcast("c", "nobody"));
    assert_eq!(ada.take(), [(7, "one".to_owned())]);
    assert_eq!(ben.take(), [(8, "two".to_owned())]);
}

#[test]
fn a_second_subscription_hears_a_second_time_and_ends_by_itself() {
    let pubsub = PubSub::new();
    let (ada, first) = subscribed(&pubsub, "a", 1);
    let second = pubsub.subscribe("a", ada.clone(), 2);
    pubsub.broadcast(&broadcast("a", "x"));
    assert_eq!(ada.take(), [(1, "x".to_owned()), (2, "x".to_owned())]);
    drop(first);
    pubsub.broadcast(&broadcast("a", "y"));
    assert_eq!(ada.take(), [(2, "y".to_owned())]);
    drop(second);
    pubsub.broadcast(&broadcast("a", "z"));
    assert_eq!(ada.take(), []);
}

#[test]
fn broadcast_from_skips_only_the_subscription_it_comes_from() {
    let pubsub = PubSub::new();
    let (ada, from) = subscribed(&pubsub, "a", 1);
    let _second = pubsub.subscribe("a", ada.clone(), 2);
    let (ben, _ben) = subscribed(&pubsub, "a", 3);
    from.broadcast_from(&broadcast("a", "x"));
    assert_eq!(ada.take(), [(2, "x".to_owned())]);
    assert_eq!(ben.take(), [(3, "x".to_owned())]);
    from.broadcast(&broadcast("a", "y"));
    assert_eq!(ada.take().len(), 2);
}

#[test]
fn a_topic_exists_while_it_has_subscribers() {
    let pubsub = PubSub::new();
    let (_ada, first) = subscribed(&pubsub, "a", 1);
    let (_ben, second) = subscribed(&pubsub, "a", 1);
    assert_eq!((pubsub.topics(), pubsub.subscriptions(&"a".into())), (1, 2));
    drop(first);
    assert_eq!((pubsub.topics(), pubsub.subscriptions(&"a".into())), (1, 1));
    drop(second);
    assert_eq!((pubsub.topics(), pubsub.subscriptions(&"a".into())), (0, 0));
    let (carl, _carl) = subscribed(&pubsub, "a", 1);
    pubsub.broadcast(&broadcast("a", "again"));
    assert_eq!(carl.events(), ["again"]);
}

/// Enough for several ranges, so that broadcasts go through the backlog.
const MANY: usize = 10_000;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_subscribers_of_a_large_topic_hear_the_same_order() {
    let pubsub = PubSub::new();
    let crowd: Vec<_> = (0..MANY)
        .map(|n| subscribed(&pubsub, "a", n as u64))
        .collect();
    let publishers: Vec<_> = (0..4)
        .map(|publisher| {
            let pubsub = pubsub.clone();
            tokio::spawn(async move {
                for n in 0..25 {
                    pubsub.broadcast(&broadcast("a", &format!("{publisher}-{n}")));
                    tokio::task::yield_now().await;
                }
            })
        })
        .collect();
    for publisher in publishers {
        publisher.await.unwrap();
    }
    // No range waits for another, so any may be the last one.
    for (member, _) in &crowd {
        while member.0.lock().unwrap().len() < 100 {
            tokio::task::yield_now().await;
        }
    }
    let order = crowd[0].0.events();
    assert_eq!(order.len(), 100);
    for publisher in 0..4 {
        let own: Vec<_> = order
            .iter()
            .filter(|it| it.starts_with(&format!("{publisher}-")))
            .collect();
        assert!(
            own.iter()
                .map(|it| it[2..].parse::<u32>().unwrap())
                .eq(0..25),
            "{own:?}"
        );
    }
    for (notebook, _) in &crowd[1..] {
        assert_eq!(notebook.events(), order);
    }
}

#[tokio::test]
async fn in_a_large_topic_a_broadcaster_hears_itself_before_the_call_returns() {
    let pubsub = PubSub::new();
    let crowd: Vec<_> = (0..MANY)
        .map(|n| subscribed(&pubsub, "a", n as u64))
        .collect();
    for at in [0, MANY / 2, MANY - 1] {
        let (notebook, subscription) = &crowd[at];
        subscription.broadcast(&broadcast("a", "heard"));
        assert_eq!(notebook.events().last().unwrap(), "heard");
        subscription.broadcast_from(&broadcast("a", "not heard"));
        assert_eq!(notebook.events(), [""; 0]);
    }
    // Somebody who comes and goes amid all this hears nothing that was broadcast before.
    let (late, _late) = subscribed(&pubsub, "a", 0);
    pubsub.broadcast(&broadcast("a", "last"));
    let (first, _) = &crowd[1];
    while first
        .0
        .lock()
        .unwrap()
        .last()
        .is_none_or(|(_, event)| event != "last")
    {
        tokio::task::yield_now().await;
    }
    while late.0.lock().unwrap().is_empty() {
        tokio::task::yield_now().await;
    }
    assert_eq!(late.events(), ["last"]);
    assert_eq!(
        first.events(),
        [
            "heard",
            "not heard",
            "heard",
            "not heard",
            "heard",
            "not heard",
            "last"
        ]
    );
}

#[tokio::test]
async fn when_sixteen_broadcasts_are_under_way_the_next_one_delivers_the_oldest() {
    let pubsub = PubSub::new();
    let crowd: Vec<_> = (0..MANY)
        .map(|n| subscribed(&pubsub, "a", n as u64))
        .collect();
    // The task that delivers them has its turn when this one waits, which it doesn't.
    for _ in 0..16 {
        pubsub.broadcast(&broadcast("a", "x"));
    }
    let heard = |(notebook, _): &(Arc<Notebook>, _)| notebook.0.lock().unwrap().len();
    assert!(crowd.iter().all(|it| heard(it) == 0));
    pubsub.broadcast(&broadcast("a", "y"));
    // What follows the oldest may come along.
    assert!(crowd.iter().all(|it| heard(it) >= 1));
}

#[test]
fn what_is_left_of_a_broadcast_is_delivered_though_its_runtime_ends() {
    let pubsub = PubSub::new();
    let crowd: Vec<_> = (0..MANY)
        .map(|n| subscribed(&pubsub, "a", n as u64))
        .collect();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    runtime.block_on(async { pubsub.broadcast(&broadcast("a", "x")) });
    drop(runtime);
    pubsub.broadcast(&broadcast("a", "y"));
    assert!(
        crowd
            .iter()
            .all(|(notebook, _)| notebook.events() == ["x", "y"])
    );
}

#[test]
fn a_topic_that_was_large_is_small_again() {
    let pubsub = PubSub::new();
    let mut crowd: Vec<_> = (0..MANY)
        .map(|n| subscribed(&pubsub, "a", n as u64))
        .collect();
    // One stays in the middle, others come and go, and places are used again.
    let (stays, place) = crowd.swap_remove(MANY / 2);
    crowd.clear();
    pubsub.broadcast(&broadcast("a", "x"));
    let again: Vec<_> = (0..MANY)
        .map(|n| subscribed(&pubsub, "a", n as u64))
        .collect();
    place.broadcast(&broadcast("a", "y"));
    assert_eq!(stays.events(), ["x", "y"]);
    assert!(again.iter().all(|(notebook, _)| notebook.events() == ["y"]));
    drop((place, again));
    assert_eq!(pubsub.topics(), 0);
}

#[test]
fn outside_a_runtime_a_large_topic_is_served_before_the_call_returns() {
    let pubsub = PubSub::new();
    let crowd: Vec<_> = (0..MANY)
        .map(|n| subscribed(&pubsub, "a", n as u64))
        .collect();
    pubsub.broadcast(&broadcast("a", "x"));
    assert!(crowd.iter().all(|(notebook, _)| notebook.events() == ["x"]));
}

#[tokio::test]
async fn all_of_a_topic_of_some_hundreds_hear_it_before_the_call_returns_but_its_sender() {
    let pubsub = PubSub::new();
    let crowd: Vec<_> = (0..2_000)
        .map(|key| subscribed(&pubsub, "a", key))
        .collect();
    for sender in [0, 255, 256, 1_999] {
        crowd[sender].1.broadcast_from(&broadcast("a", "x"));
        for (at, (notebook, _)) in crowd.iter().enumerate() {
            let expected = usize::from(at != sender);
            assert_eq!(notebook.take().len(), expected, "{at} of {sender}");
        }
    }
    assert_eq!(pubsub.stats().deliveries, 4 * 1_999);
}

#[tokio::test]
async fn every_delivery_is_counted_once_in_small_topics_and_in_large_ones() {
    let pubsub = PubSub::new();
    let counts = |pubsub: &PubSub| (pubsub.stats().broadcasts, pubsub.stats().deliveries);
    let mut subscribers: Vec<_> = (0..3).map(|key| subscribed(&pubsub, "a", key)).collect();
    pubsub.broadcast(&broadcast("a", "x"));
    pubsub.broadcast(&broadcast("nobody", "x"));
    assert_eq!(counts(&pubsub), (1, 3));
    subscribers.extend((3..5_000).map(|key| subscribed(&pubsub, "a", key)));
    // These wait for one another, and somebody comes in between and hears only what comes after.
    pubsub.broadcast(&broadcast("a", "y"));
    subscribers[0].1.broadcast_from(&broadcast("a", "z"));
    subscribers.push(subscribed(&pubsub, "a", 5_000));
    pubsub.broadcast(&broadcast("a", "last"));
    while counts(&pubsub).1 == 3 {
        tokio::task::yield_now().await;
    }
    assert_eq!(counts(&pubsub), (4, 3 + 5_000 + 4_999 + 5_001));
    let heard: usize = subscribers.iter().map(|(it, _)| it.take().len()).sum();
    assert_eq!(heard as u64, pubsub.stats().deliveries);
}

#[test]
fn subscribing_and_leaving_at_once_from_many_threads_leaves_nothing_behind() {
    let pubsub = PubSub::new();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for n in 0..20_000 {
                    let topic = format!("t{}", n % 7);
                    let (notebook, subscription) = subscribed(&pubsub, &topic, 0);
                    subscription.broadcast(&broadcast(&topic, "x"));
                    assert!(!notebook.take().is_empty());
                }
            });
        }
    });
    assert_eq!(pubsub.topics(), 0);
}

#[test]
fn a_million_topics_and_a_million_subscribers_of_one_topic() {
    const MILLION: u64 = 1_000_000;
    let pubsub = PubSub::new();
    let notebook = Arc::new(Notebook::default());
    let topics: Vec<_> = (0..MILLION)
        .map(|n| pubsub.subscribe(format!("t{n}"), notebook.clone(), n))
        .collect();
    assert_eq!(pubsub.topics(), 1_000_000);
    pubsub.broadcast(&broadcast("t999999", "x"));
    assert_eq!(notebook.take(), [(999_999, "x".to_owned())]);
    drop(topics);
    assert_eq!(pubsub.topics(), 0);

    let mut members: Vec<_> = (0..MILLION)
        .map(|n| pubsub.subscribe("one", notebook.clone(), n))
        .collect();
    // Leaving from the middle makes room for who comes next.
    members.drain(1000..2000);
    members.extend((0..1000).map(|n| pubsub.subscribe("one", notebook.clone(), MILLION + n)));
    pubsub.broadcast(&broadcast("one", "x"));
    let heard = notebook.take();
    assert_eq!(heard.len(), 1_000_000);
    drop(members);
    assert_eq!(pubsub.topics(), 0);
}

#[tokio::test]
async fn a_receiver_waits_for_broadcasts_and_counts_what_it_missed() {
    let pubsub = PubSub::new();
    let mut receiver = pubsub.receiver("a");
    assert!(receiver.try_recv().is_none());
    pubsub.broadcast(&broadcast("a", "x"));
    assert_eq!(receiver.recv().await.event(), "x");
    for _ in 0..1030 {
        pubsub.broadcast(&broadcast("a", "y"));
    }
    assert_eq!(receiver.missed(), 6);
    assert_eq!(receiver.recv().await.event(), "y");
    drop(receiver);
    assert_eq!(pubsub.topics(), 0);
}
