//! Threads that fill an outbox while its task empties it and goes to sleep, in a hundred thousand orders each
//! (`SCHEDULES`): in those that `shuttle` draws, half at random and half with few changes of who runs (PCT). A wake-up that
//! is lost leaves a task that sleeps for ever, which `shuttle` reports as a deadlock.
//!
//! `cargo xtask test --only schedules`. Memory is sequentially consistent in all of them: how the signs' and `parked`'s
//! loads and stores are ordered isn't what is tried here.

use std::{
    future::poll_fn,
    sync::Arc,
    task::{Context, Poll, Waker},
};

use bennu_pubsub::PubSub;
use bennu_wire::{ChannelId, Encoding, Framing, Serializer};
use bytes::Bytes;
use shuttle::{
    future::block_on,
    sync::{Condvar, Mutex},
    thread,
};

use super::{Close, Conn, Mail, Mount, queue::Chunk};
use crate::{Presence, PresenceOptions, SocketOptions};

/// What two threads send.
const FRAMES: [&[u8]; 2] = [b"a1a2a3", b"b1b2"];

fn conn(framing: Framing) -> Arc<Conn> {
    let pubsub = PubSub::new();
    let presence = Presence::new("test", &pubsub, PresenceOptions::new());
    let mount = Mount::new(String::new(), SocketOptions::new(), pubsub, presence);
    let encoding = Encoding {
        serializer: Serializer::V2,
        framing,
    };
    Arc::new(Conn::new(Arc::new(mount), encoding, false))
}

fn check(script: fn()) {
    let schedules = std::env::var("SCHEDULES");
    let schedules = schedules.ok().and_then(|it| it.parse().ok());
    let schedules = schedules.unwrap_or(100_000);
    shuttle::check_random(script, schedules / 2);
    shuttle::check_pct(script, schedules / 2, 3);
}

/// A network that takes three bytes at a time. The first time it then takes no more until a thread has seen to that.
#[derive(Default)]
struct Network {
    wire: Mutex<Wire>,
    waited_for: Condvar,
}

#[derive(Default)]
struct Wire {
    taken: Vec<u8>,
    full: bool,
    waker: Option<Waker>,
    done: bool,
}

impl Network {
    fn poll_write(&self, bytes: &[u8], cx: &mut Context<'_>) -> Poll<usize> {
        let mut wire = self.wire.lock().unwrap();
        if wire.full {
            wire.waker = Some(cx.waker().clone());
            self.waited_for.notify_one();
            return Poll::Pending;
        }
        let bytes = &bytes[..bytes.len().min(3)];
        wire.taken.extend_from_slice(bytes);
        wire.full = wire.taken.len() == 3;
        Poll::Ready(bytes.len())
    }

    /// Takes more, once somebody waits for that.
    fn run(&self) {
        let wire = self.wire.lock().unwrap();
        let waiting = |it: &mut Wire| it.waker.is_none() && !it.done;
        let mut wire = self.waited_for.wait_while(wire, waiting).unwrap();
        wire.full = false;
        let waker = wire.waker.take();
        drop(wire);
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// Nobody will write any more. What was written.
    fn end(&self) -> String {
        let mut wire = self.wire.lock().unwrap();
        wire.done = true;
        self.waited_for.notify_one();
        String::from_utf8(wire.taken.clone()).unwrap()
    }
}

/// One turn of a connection's task, as `Connection` does it. Ready when it's asked to close and all is written.
fn turn(conn: &Conn, network: &Network, mail: &mut usize, cx: &mut Context<'_>) -> Poll<()> {
    conn.unpark();
    loop {
        *mail += conn.take_mail().count();
        let mut scratch = Vec::new();
        let mut written = 0;
        let blocked = loop {
            let chunk = match conn.next_chunk(written, &mut scratch) {
                Chunk::Nothing => break false,
                Chunk::Gathered => &scratch[..],
                Chunk::Frame(_) => panic!("these frames are gathered"),
            };
            match network.poll_write(chunk, cx) {
                Poll::Ready(taken) => written = taken,
                Poll::Pending => {
                    conn.blocked();
                    break true;
                }
            }
        };
        if !blocked && conn.is_closing() && conn.backlog().0 == 0 {
            // It may have come just before the close. The real one drops it.
            *mail += conn.take_mail().count();
            return Poll::Ready(());
        }
        // Where it's to close, the real one waits for the network alone.
        if conn.is_closing() && blocked || conn.park(cx.waker()) {
            return Poll::Pending;
        }
    }
}

/// Both threads' frames, sent at once.
fn send(conn: &Arc<Conn>) -> Vec<thread::JoinHandle<()>> {
    let senders = FRAMES.iter().map(|frames| {
        let conn = conn.clone();
        thread::spawn(move || {
            for frame in frames.chunks(2) {
                conn.send(Bytes::from_static(frame));
            }
        })
    });
    senders.collect()
}

/// Whether everything is there, and what each thread sent in its order.
fn check_frames(taken: &str) {
    assert_eq!(taken.len(), FRAMES.concat().len(), "{taken}");
    for frames in FRAMES {
        let own = taken.as_bytes().chunks(2).filter(|it| it[0] == frames[0]);
        let own: Vec<u8> = own.flatten().copied().collect();
        assert_eq!(own, *frames, "in {taken}");
    }
}

#[test]
fn no_frame_no_mail_and_no_close_is_slept_through() {
    check(|| {
        let (conn, network) = (conn(Framing::WebSocket), Arc::new(Network::default()));
        let mut others = send(&conn);
        let poster = conn.clone();
        others.push(thread::spawn(move || {
            let mail = Mail::Info(ChannelId::new(0), Box::new(()));
            assert!(poster.mail(mail).is_ok());
        }));
        let closer = conn.clone();
        let closer = thread::spawn(move || {
            for other in others {
                other.join().unwrap();
            }
            closer.close(Close::new(1001, "disconnected"));
        });
        let kernel = network.clone();
        let kernel = thread::spawn(move || kernel.run());
        let mut mail = 0;
        block_on(poll_fn(|cx| turn(&conn, &network, &mut mail, cx)));
        assert_eq!(mail, 1);
        check_frames(&network.end());
        closer.join().unwrap();
        kernel.join().unwrap();
    });
}

#[test]
fn no_frame_of_a_polled_session_is_slept_through() {
    check(|| {
        let conn = conn(Framing::LongPoll);
        let senders = send(&conn);
        let mut taken = String::new();
        block_on(poll_fn(|cx| {
            conn.unpark();
            loop {
                conn.notice();
                let (frames, _) = conn.hand_over();
                for frame in (0..frames).filter_map(|it| conn.handed_frame(it)) {
                    taken.push_str(std::str::from_utf8(&frame).unwrap());
                }
                conn.handed_over();
                if taken.len() == FRAMES.concat().len() {
                    return Poll::Ready(());
                }
                if conn.park(cx.waker()) {
                    return Poll::Pending;
                }
            }
        }));
        check_frames(&taken);
        for sender in senders {
            sender.join().unwrap();
        }
    });
}
