//! Threads that subscribe, broadcast and unsubscribe at once, in a hundred thousand orders each (`SCHEDULES`): in those
//! that `shuttle` draws, half of them at random and half with few changes of who runs (PCT), which finds what only rare
//! orders show. Memory is sequentially consistent in all of them: how atomics are ordered isn't what is tried here.
//!
//! `cargo xtask test --only schedules`. A range holds two subscribers in such a build, so that three take the way of large
//! topics.
#![cfg(shuttle)]
#![expect(clippy::unwrap_used, reason = "a test says so by panicking")]

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicBool, Ordering},
};

use bennu_pubsub::{PubSub, Subscriber, Subscription};
use bennu_wire::{Broadcast, Payload};
use shuttle::thread;

const TOPIC: &str = "room:a";

/// Writes down what it hears. Its own lock is the standard library's: nobody is scheduled while it's held.
#[derive(Default)]
struct Notebook {
    heard: Mutex<Vec<String>>,
    /// Its subscription has been dropped.
    gone: AtomicBool,
}

impl Subscriber for Notebook {
    fn deliver(&self, _: u64, broadcast: &Arc<Broadcast>) {
        assert!(
            !self.gone.load(Ordering::SeqCst),
            "delivered to one who has left"
        );
        self.heard
            .lock()
            .unwrap()
            .push(broadcast.event().to_owned());
    }
}

struct Member {
    notebook: Arc<Notebook>,
    subscription: Subscription,
}

impl Member {
    fn join(pubsub: &PubSub) -> Self {
        let notebook = Arc::new(Notebook::default());
        let subscription = pubsub.subscribe(TOPIC, notebook.clone(), 0);
        Self {
            notebook,
            subscription,
        }
    }

    /// What it has heard.
    fn leave(self) -> Vec<String> {
        drop(self.subscription);
        self.notebook.gone.store(true, Ordering::SeqCst);
        std::mem::take(&mut *self.notebook.heard.lock().unwrap())
    }
}

fn broadcast(event: impl Into<String>) -> Arc<Broadcast> {
    Arc::new(Broadcast::new(TOPIC, event.into(), Payload::empty()))
}

fn check(script: fn(&PubSub)) {
    let schedules = std::env::var("SCHEDULES")
        .ok()
        .and_then(|it| it.parse().ok())
        .unwrap_or(100_000);
    let script = move || {
        let pubsub = PubSub::new();
        script(&pubsub);
        assert_eq!(pubsub.topics(), 0, "a topic without subscribers is left");
    };
    shuttle::check_random(script, schedules / 2);
    shuttle::check_pct(script, schedules / 2, 3);
}

fn spawn<T: Send + 'static>(
    pubsub: &PubSub,
    run: impl FnOnce(&PubSub) -> T + Send + 'static,
) -> thread::JoinHandle<T> {
    let pubsub = pubsub.clone();
    thread::spawn(move || run(&pubsub))
}

/// Whether `part` is what somebody heard who was there for some of `whole`.
fn is_run_of(part: &[String], whole: &[String]) -> bool {
    part.is_empty() || whole.windows(part.len()).any(|it| it == part)
}

#[test]
fn who_stays_hears_all_and_who_comes_and_goes_hears_a_run_of_it() {
    check(|pubsub| {
        let stays = Member::join(pubsub);
        let speaker = spawn(pubsub, |pubsub| {
            for event in ["1", "2"] {
                pubsub.broadcast(&broadcast(event));
            }
        });
        let guests = ["a", "b"].map(|name| {
            spawn(pubsub, move |pubsub| {
                let guest = Member::join(pubsub);
                guest.subscription.broadcast(&broadcast(name));
                let heard = guest.leave();
                assert!(
                    heard.iter().any(|it| it == name),
                    "its own broadcast is lost"
                );
                heard
            })
        });
        speaker.join().unwrap();
        let guests = guests.map(|it| it.join().unwrap());
        let whole = stays.leave();
        let mut sorted = whole.clone();
        sorted.sort();
        assert_eq!(sorted, ["1", "2", "a", "b"], "something is lost or doubled");
        for heard in guests {
            assert!(is_run_of(&heard, &whole), "{heard:?} of {whole:?}");
        }
    });
}

#[test]
fn who_has_subscribed_is_found_though_another_leaves_the_topic_empty_meanwhile() {
    check(|pubsub| {
        let leaver = spawn(pubsub, |pubsub| {
            for _ in 0..2 {
                Member::join(pubsub).leave();
            }
        });
        // Never more than two at a time: in a large topic the broadcast might come after the member has left.
        let member = Member::join(pubsub);
        pubsub.broadcast(&broadcast("a"));
        assert_eq!(member.leave(), ["a"]);
        leaver.join().unwrap();
    });
}

#[test]
fn all_of_a_large_topic_hear_one_order() {
    check(|pubsub| {
        // Three ranges of two.
        let members = [(); 5].map(|()| Member::join(pubsub));
        let speakers = ["a", "b"].map(|name| {
            spawn(pubsub, move |pubsub| {
                let speaker = Member::join(pubsub);
                speaker
                    .subscription
                    .broadcast(&broadcast(format!("{name}1")));
                speaker
                    .subscription
                    .broadcast_from(&broadcast(format!("{name}2")));
                let heard = speaker.leave();
                assert!(!heard.contains(&format!("{name}2")));
            })
        });
        for speaker in speakers {
            speaker.join().unwrap();
        }
        let heard = members.map(Member::leave);
        assert_eq!(heard[0].len(), 4);
        for other in &heard {
            assert_eq!(other, &heard[0]);
        }
        for name in ["a", "b"] {
            let at = |number| {
                heard[0]
                    .iter()
                    .position(|it| *it == format!("{name}{number}"))
            };
            assert!(at(1) < at(2));
        }
    });
}
