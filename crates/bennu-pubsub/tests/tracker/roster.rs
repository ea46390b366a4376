//! The roster: what is published when, and in which order.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use bennu_pubsub::tracker::{
    Member, Meta, PresenceDiff, PresenceError, PresenceOptions, Replica, Roster,
};
use serde_json::json;
use tokio::sync::mpsc;

fn roster(options: &PresenceOptions) -> (Roster, mpsc::UnboundedReceiver<PresenceDiff>) {
    let (sender, diffs) = mpsc::unbounded_channel();
    let replica = Replica {
        node: "a".into(),
        start: 1,
    };
    let roster = Roster::new(&replica, "test", options, move |diff| {
        drop(sender.send(diff))
    });
    (roster, diffs)
}

fn meta() -> Meta {
    Meta::new(&json!({})).unwrap()
}

#[test]
fn who_is_dropped_leaves_everywhere_also_outside_a_runtime() {
    let (roster, mut diffs) = roster(&PresenceOptions::new().window_members_min(0));
    let ana = roster.member();
    for n in 0..100 {
        ana.track(&format!("t:{n}").into(), "ana", &meta()).unwrap();
    }
    assert!((0..100).all(|n| roster.count(&format!("t:{n}").into()) == 1));
    drop(ana);
    assert!((0..100).all(|n| roster.count(&format!("t:{n}").into()) == 0));
    let told: Vec<_> = std::iter::from_fn(|| diffs.try_recv().ok()).collect();
    assert_eq!(told.iter().map(|it| it.joins.len()).sum::<usize>(), 100);
    assert_eq!(told.iter().map(|it| it.leaves.len()).sum::<usize>(), 100);
}

#[test]
fn a_member_tracks_so_many_keys_and_no_more() {
    let (roster, _diffs) = roster(&PresenceOptions::new().keys_max(2));
    let ana = roster.member();
    let track = |key| ana.track(&"t".into(), key, &meta()).map(drop);
    assert_eq!(track("1"), Ok(()));
    assert_eq!(track("1"), Err(PresenceError::AlreadyTracked));
    assert_eq!(track("2"), Ok(()));
    assert_eq!(track("3"), Err(PresenceError::Limit("keys_max", 2, 3)));
    ana.untrack(&"t".into(), "1");
    assert_eq!(track("3"), Ok(()));
    ana.untrack_all();
    assert_eq!((track("1"), track("2")), (Ok(()), Ok(())));
}

#[tokio::test(start_paused = true)]
async fn a_window_ends_by_itself() {
    let options = PresenceOptions::new()
        .window(Duration::from_millis(250))
        .window_members_min(1);
    let (roster, mut diffs) = roster(&options);
    let began = tokio::time::Instant::now();
    let members: Vec<_> = (0..3).map(|_| roster.member()).collect();
    for (member, key) in members.iter().zip(["a", "b", "c"]) {
        member.track(&"t".into(), key, &meta()).unwrap();
    }
    assert_eq!(
        diffs.recv().await.unwrap().joins.keys().collect::<Vec<_>>(),
        ["a"]
    );
    assert_eq!(began.elapsed(), Duration::ZERO);
    assert_eq!(
        diffs.recv().await.unwrap().joins.keys().collect::<Vec<_>>(),
        ["b", "c"]
    );
    assert_eq!(began.elapsed(), Duration::from_millis(250));
    // The window that follows is empty: a change after it is told at once again.
    tokio::time::advance(Duration::from_millis(251)).await;
    tokio::task::yield_now().await;
    members[0].update(&"t".into(), "a", &meta()).unwrap();
    assert_eq!(
        diffs.try_recv().unwrap().joins.keys().collect::<Vec<_>>(),
        ["a"]
    );
}

#[test]
fn a_window_whose_runtime_is_gone_ends_in_the_next_one() {
    let options = PresenceOptions::new()
        .window(Duration::from_millis(1))
        .window_members_min(1);
    let (roster, mut diffs) = roster(&options);
    let member = roster.member();
    let runtime = || {
        tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .unwrap()
    };
    runtime().block_on(async {
        for key in ["a", "b"] {
            member.track(&"t".into(), key, &meta()).unwrap();
        }
    });
    assert_eq!(diffs.try_recv().unwrap().joins.len(), 1);
    assert!(diffs.try_recv().is_err());
    runtime().block_on(async {
        member.track(&"t".into(), "c", &meta()).unwrap();
        let diff = diffs.recv().await.unwrap();
        assert_eq!(diff.joins.keys().collect::<Vec<_>>(), ["b", "c"]);
    });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn diffs_of_a_topic_are_published_in_the_order_of_its_changes() {
    let (roster, mut diffs) = roster(&PresenceOptions::new().window(Duration::ZERO));
    let tasks: Vec<_> = (0..4)
        .map(|n| {
            let roster = roster.clone();
            tokio::spawn(async move {
                for _ in 0..500 {
                    let member = roster.member();
                    member.track(&"t".into(), "k", &meta()).unwrap();
                    if n % 2 == 0 {
                        member.update(&"t".into(), "k", &meta()).unwrap();
                    }
                    tokio::task::yield_now().await;
                }
            })
        })
        .collect();
    let told = tokio::spawn(async move {
        let mut present = std::collections::HashSet::new();
        loop {
            let diff = diffs.recv().await.unwrap();
            for (_, entry) in diff.joins.iter() {
                for meta in entry.metas() {
                    assert!(present.insert(meta.phx_ref()));
                }
            }
            for (_, entry) in diff.leaves.iter() {
                for meta in entry.metas() {
                    assert!(present.remove(&meta.phx_ref()), "a leave before its join");
                }
            }
            if diff.joins.get("end").is_some() {
                return present.len();
            }
        }
    });
    for task in tasks {
        task.await.unwrap();
    }
    let end = roster.member();
    end.track(&"t".into(), "end", &meta()).unwrap();
    assert_eq!(told.await.unwrap(), 1, "the last one alone is there");
    assert_eq!(roster.count(&"t".into()), 1);
}

#[test]
fn who_changes_faster_than_is_published_fills_no_memory() {
    let (published, counted) = (Arc::new(Mutex::new(Vec::new())), Arc::new(Mutex::new(None)));
    let (log, flood) = (published.clone(), counted.clone());
    let replica = Replica {
        node: "a".into(),
        start: 1,
    };
    let roster = Roster::new(&replica, "test", &PresenceOptions::new(), move |diff| {
        log.lock().unwrap().push(diff);
        // While the first is being published, 1,000 changes come of one, and some of others.
        let flood: Option<(Arc<Member>, Vec<Member>)> = flood.lock().unwrap().take();
        if let Some((one, others)) = flood {
            for _ in 0..1_000 {
                one.update(&"t".into(), "a", &meta()).unwrap();
            }
            for other in others {
                // They come and go, and nobody need hear of it.
                other.track(&"t".into(), "b", &meta()).unwrap();
            }
            one.track(&"t".into(), "c", &meta()).unwrap();
        }
    });
    let one = Arc::new(roster.member());
    one.track(&"t".into(), "a", &meta()).unwrap();
    let others = (0..100).map(|_| roster.member()).collect();
    let starter = roster.member();
    *counted.lock().unwrap() = Some((one.clone(), others));
    starter.track(&"t".into(), "d", &meta()).unwrap();

    let mut shown = std::collections::BTreeMap::new();
    let published = std::mem::take(&mut *published.lock().unwrap());
    for diff in &published {
        for (key, entry) in diff.joins.iter() {
            for meta in entry.metas() {
                assert!(shown.insert(meta.phx_ref(), key.to_owned()).is_none());
            }
        }
        for (_, entry) in diff.leaves.iter() {
            for meta in entry.metas() {
                assert!(shown.remove(&meta.phx_ref()).is_some());
            }
        }
    }
    assert!(published.len() < 70, "{} diffs", published.len());
    let mut keys: Vec<_> = shown.into_values().collect();
    keys.sort();
    assert_eq!(keys, ["a", "c", "d"]);
    drop(one);
}

#[tokio::test(start_paused = true)]
async fn a_window_that_opens_when_a_late_diff_is_published_ends() {
    let (sender, mut diffs) = mpsc::unbounded_channel();
    let flood: Arc<Mutex<Option<Arc<Member>>>> = Arc::default();
    let first = flood.clone();
    let replica = Replica {
        node: "a".into(),
        start: 1,
    };
    let options = PresenceOptions::new().window_members_min(2);
    let roster = Roster::new(&replica, "test", &options, move |diff| {
        drop(sender.send(diff));
        if let Some(one) = first.lock().unwrap().take() {
            for _ in 0..100 {
                one.update(&"t".into(), "a", &meta()).unwrap();
            }
            // With these the topic is large, and there's no room for their diff.
            for key in ["b", "c"] {
                one.track(&"t".into(), key, &meta()).unwrap();
            }
        }
    });
    let one = Arc::new(roster.member());
    one.track(&"t".into(), "a", &meta()).unwrap();
    *flood.lock().unwrap() = Some(one.clone());
    one.update(&"t".into(), "a", &meta()).unwrap();
    while diffs.recv().await.unwrap().joins.get("c").is_none() {}
    one.track(&"t".into(), "d", &meta()).unwrap();
    assert!(diffs.try_recv().is_err(), "it waits for the window's end");
    let last = diffs.recv().await.unwrap();
    assert_eq!(last.joins.keys().collect::<Vec<_>>(), ["d"]);
}

#[test]
fn a_publisher_that_panics_hurts_nobody() {
    let told = Arc::new(Mutex::new(0));
    let counter = told.clone();
    let replica = Replica {
        node: "a".into(),
        start: 1,
    };
    let roster = Roster::new(&replica, "test", &PresenceOptions::new(), move |diff| {
        *counter
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner) += 1;
        assert!(diff.joins.get("bad").is_none(), "asked to panic");
    });
    let member = roster.member();
    member.track(&"t".into(), "bad", &meta()).unwrap();
    member.track(&"t".into(), "good", &meta()).unwrap();
    assert_eq!(
        *told
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner),
        2
    );
    assert_eq!(roster.count(&"t".into()), 2);
}
