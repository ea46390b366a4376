//! One test a fault. The bounds are promises: docs/reliability.md has them, and what was measured.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use tokio::{
    join,
    task::JoinSet,
    time::{Instant, sleep_until},
};

use crate::{
    cluster::{Cluster, NODES},
    crowd::{Crowd, Loss, Member},
};

const fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}

/// A cluster, and a crowd that is spread over its nodes.
async fn start() -> (Cluster, Arc<Crowd>, JoinSet<()>) {
    let cluster = Cluster::start().await;
    let (crowd, clients) = Crowd::gather(&cluster.addresses).await;
    (cluster, crowd, clients)
}

/// Where a client was first.
fn home(id: usize) -> usize {
    id % NODES
}

fn closes(member: &Member) -> usize {
    member.closes.load(Ordering::Relaxed)
}

fn node(member: &Member) -> usize {
    member.node.load(Ordering::Relaxed)
}

fn are_neighbours(one: &Member, other: &Member) -> bool {
    node(one) == node(other)
}

/// Whether it was lost on its way between the first node and the others.
fn is_between_sides(loss: &Loss) -> bool {
    (home(loss.from) == 0) != (home(loss.to) == 0)
}

/// The clients of the first node see nobody of the other nodes, and those of the others nobody of the first.
fn is_apart(crowd: &Crowd, id: usize, member: &Member) -> bool {
    let of_one_node = crowd.group_len() / NODES;
    let expected = match home(id) {
        0 => of_one_node,
        _ => crowd.group_len() - of_one_node,
    };
    member.present.load(Ordering::Relaxed) == expected
}

/// What clients saw come and go is what was apart, each once.
fn check_no_flapping(crowd: &Crowd, watches: impl Fn(usize) -> Option<usize>) {
    for (id, member) in crowd.members.iter().enumerate() {
        let Some(apart) = watches(id) else { continue };
        let left = member.leaves_seen.load(Ordering::Relaxed);
        let joined = member.joins_seen.load(Ordering::Relaxed);
        // It saw everybody come once at first.
        assert_eq!((left, joined - crowd.group_len()), (apart, apart), "{id}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_is_killed_is_forgotten_and_its_clients_come_back() {
    let (mut cluster, crowd, _clients) = start().await;
    let killed_at = Instant::now();
    cluster.nodes[0].kill();
    let back = crowd.until("all are back", seconds(15), |id, it| {
        it.joined.load(Ordering::Relaxed) && (home(id) != 0 || closes(it) > 0)
    });
    let ghosts = crowd.until("ghosts are gone", seconds(10), |id, it| {
        it.doubled.load(Ordering::Relaxed) == 0 && (home(id) != 0 || it.has_gone(&crowd))
    });
    let (back, ghosts) = join!(back, ghosts);
    let same = crowd.until("lists are the truth", seconds(5), |_, it| {
        crowd.is_whole(it)
    });
    let same = same.await;
    crowd.pause().await;
    println!(
        "killed: back after {back:.1?}, ghosts gone after {ghosts:.1?}, lists the truth {same:.1?} later"
    );
    assert!(crowd.shown_as_gone_after().is_some());
    for (id, member) in crowd.members.iter().enumerate() {
        assert_eq!(closes(member), usize::from(home(id) == 0), "{id}");
    }
    // What its clients had said, and what was on its way to them.
    let until = killed_at + back;
    crowd.check_losses(|loss, said_at, _| {
        home(loss.from) == 0 && said_at + seconds(2) > killed_at && said_at < until
    });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_is_terminated_drains_and_loses_nothing() {
    let (mut cluster, crowd, _clients) = start().await;
    cluster.nodes[0].signal("TERM");
    let took = cluster.ended(0, seconds(30)).await;
    let back = crowd
        .until("all are back", seconds(15), |id, it| {
            crowd.is_whole(it) && (home(id) != 0 || closes(it) > 0)
        })
        .await;
    crowd.pause().await;
    let gone = crowd.shown_as_gone_after().unwrap();
    println!(
        "terminated: ended after {took:.1?}, all back {back:.1?} later, leaves seen within {gone:.1?}"
    );
    assert!(gone < seconds(2), "{gone:?}");
    for (id, member) in crowd.members.iter().enumerate() {
        assert_eq!(closes(member), usize::from(home(id) == 0), "{id}");
    }
    crowd.check_nobody_was_gone_who_is_there();
    crowd.check_losses(|loss, _, acknowledged| home(loss.from) == 0 && !acknowledged);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_the_bus_nodes_go_on_alone_and_find_each_other_again() {
    let (mut cluster, crowd, _clients) = start().await;
    let outage = crowd.scale.seconds(30, 9);
    let gone_at = Instant::now();
    cluster.bus.kill();
    // All the while, neighbours hear each other.
    crowd
        .until("nodes are alone", outage, |_, it| {
            it.present.load(Ordering::Relaxed) == crowd.group_len() / NODES
        })
        .await;
    sleep_until(gone_at + outage).await;
    crowd
        .all_hear(gone_at + outage - seconds(1), seconds(2), are_neighbours)
        .await;
    cluster.bus.again().unwrap();
    let back_at = Instant::now();
    let (heard, seen) = join!(
        // That is noticed with the next thing that each speaker says.
        crowd.all_hear(back_at, seconds(2) + crowd.scale.speaks_every, |_, _| true),
        crowd.until("lists are the truth", seconds(5), |_, it| crowd
            .is_whole(it)),
    );
    crowd.pause().await;
    let mut lost = 0;
    for number in 0..NODES {
        lost += cluster.metric(number, "bennu_adapter_lost_total").await;
    }
    println!(
        "bus back: all heard after {heard:.1?}, lists the truth after {seen:.1?}, {lost} broadcasts counted as lost"
    );
    assert!(lost > 0);
    assert_eq!(crowd.closes(), 0);
    crowd.check_losses(|loss, said_at, _| {
        !loss.is_local && said_at + seconds(1) > gone_at && said_at < back_at + seconds(2)
    });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_stands_still_is_dropped_and_comes_back_once() {
    let (cluster, crowd, _clients) = start().await;
    let stopped_at = Instant::now();
    cluster.nodes[0].signal("STOP");
    let dropped = crowd
        .until("its clients are dropped", seconds(10), |id, it| {
            home(id) == 0 || is_apart(&crowd, id, it)
        })
        .await;
    sleep_until(stopped_at + crowd.scale.seconds(40, 10)).await;
    cluster.nodes[0].signal("CONT");
    let back_at = Instant::now();
    let back = crowd
        .until("its clients are shown again", seconds(5), |_, it| {
            crowd.is_whole(it)
        })
        .await;
    crowd.pause().await;
    println!("stopped: dropped after {dropped:.1?}, back {back:.1?} after it was resumed");
    assert_eq!(crowd.closes(), 0);
    let of_one_node = crowd.group_len() / NODES;
    check_no_flapping(&crowd, |id| (home(id) != 0).then_some(of_one_node));
    // Nobody speaks for it meanwhile, and what is said to it waits; the bus may drop it if that is too much.
    crowd.check_losses(|loss, said_at, _| {
        is_between_sides(loss)
            && said_at + seconds(1) > stopped_at
            && said_at < back_at + seconds(5)
    });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_is_cut_off_from_the_bus_goes_on_alone_and_comes_back_once() {
    cut_off(Cluster::start().await).await;
}

/// As the one before, with packets that are really lost.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_whose_cable_is_pulled_goes_on_alone_and_comes_back_once() {
    if let Some(cluster) = Cluster::start_with_a_namespace().await {
        cut_off(cluster).await;
    }
}

async fn cut_off(cluster: Cluster) {
    let (crowd, _clients) = Crowd::gather(&cluster.addresses).await;
    let cut_at = Instant::now();
    cluster.network.cut();
    let apart = crowd
        .until("both sides are alone", seconds(10), |id, it| {
            is_apart(&crowd, id, it)
        })
        .await;
    sleep_until(cut_at + crowd.scale.seconds(30, 11)).await;
    crowd
        .all_hear(Instant::now(), seconds(2), are_neighbours)
        .await;
    cluster.network.mend();
    let back_at = Instant::now();
    let back = crowd
        .until("lists are the truth", seconds(5), |_, it| {
            crowd.is_whole(it)
        })
        .await;
    crowd.all_hear(back_at, seconds(5), |_, _| true).await;
    println!("cut off: apart after {apart:.1?}, together {back:.1?} after the network was back");
    assert_eq!(crowd.closes(), 0);
    let of_one_node = crowd.group_len() / NODES;
    check_no_flapping(&crowd, |id| {
        Some(if home(id) == 0 {
            crowd.group_len() - of_one_node
        } else {
            of_one_node
        })
    });
    crowd.check_losses(|loss, said_at, _| {
        is_between_sides(loss) && said_at + seconds(1) > cut_at && said_at < back_at + seconds(5)
    });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_nodes_restart_one_by_one_and_nobody_is_gone_who_is_there() {
    let (mut cluster, crowd, _clients) = start().await;
    for number in 0..NODES {
        let before: Vec<_> = crowd.members.iter().map(closes).collect();
        let there: Vec<_> = crowd.members.iter().map(node).collect();
        cluster.nodes[number].signal("TERM");
        cluster.ended(number, seconds(30)).await;
        let mut process = cluster.nodes.remove(number);
        let process = tokio::task::spawn_blocking(move || {
            process.again().unwrap();
            process
        });
        cluster.nodes.insert(number, process.await.unwrap());
        let back = crowd
            .until("all are back", seconds(15), |id, it| {
                crowd.is_whole(it) && (there[id] != number || closes(it) > before[id])
            })
            .await;
        println!("restarted {number}: all back {back:.1?} after its end");
        for (id, member) in crowd.members.iter().enumerate() {
            let expected = before[id] + usize::from(there[id] == number);
            assert_eq!(closes(member), expected, "{id}");
        }
        // Who has moved may have overtaken what they said before. Whoever stays hears that, too, and the next node's
        // clients don't stay.
        crowd.pause().await;
    }
    crowd.check_nobody_was_gone_who_is_there();
    crowd.check_losses(|_, _, acknowledged| !acknowledged);
}
