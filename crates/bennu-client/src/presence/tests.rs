//! The roster, told states and diffs.

use bennu_wire::Payload;
use serde_json::{Value, json};

use super::{Meta, PresenceChange, Present, roster::Roster};

/// Tells a roster one thing after the other, and compares its changes with those expected: `+ada:1,2` and `-ada:1`
/// are metas that came and went, with `!` when they are a key's first or last. Then who is there.
#[track_caller]
fn check(told: &[Value], changes: &[&str], list: &[&str]) {
    let mut roster = Roster::new(10_000);
    let mut found = Vec::new();
    for it in told {
        let payload = Payload::new(it).unwrap();
        let changes = match it {
            Value::String(_) => {
                roster.joined();
                continue;
            }
            it if it.get("joins").is_some() => roster.diff(&payload),
            _ => roster.state(&payload),
        };
        found.extend(changes.iter().map(shown));
    }
    assert_eq!(found, changes);
    let there: Vec<_> = roster.list().iter().map(entry).collect();
    assert_eq!(there, list);
    assert!(!roster.is_incomplete());
}

fn shown(change: &PresenceChange) -> String {
    let (sign, key, metas, mark) = match change {
        PresenceChange::Joined { key, metas, first } => ('+', key, metas, first),
        PresenceChange::Left { key, metas, last } => ('-', key, metas, last),
    };
    let mark = if *mark { "!" } else { "" };
    format!("{sign}{key}:{}{mark}", refs(metas))
}

fn entry((key, present): (&String, &Present)) -> String {
    format!("{key}:{}", refs(&present.metas))
}

fn refs(metas: &[Meta]) -> String {
    let refs: Vec<_> = metas.iter().map(|it| &*it.phx_ref).collect();
    refs.join(",")
}

/// Presences of keys, `ada:1,2`.
fn keys(list: &[&str]) -> Value {
    list.iter()
        .map(|it| {
            let (key, refs) = it.split_once(':').unwrap();
            let metas = refs.split(',').map(|it| json!({"phx_ref": it}));
            (key.to_owned(), json!({"metas": metas.collect::<Vec<_>>()}))
        })
        .collect::<serde_json::Map<_, _>>()
        .into()
}

fn diff(joins: &[&str], leaves: &[&str]) -> Value {
    json!({"joins": keys(joins), "leaves": keys(leaves)})
}

#[test]
fn a_state_and_its_diffs_are_followed() {
    check(
        &[
            keys(&["ada:1", "bob:2,3"]),
            diff(&["cy:4"], &[]),
            diff(&["ada:5"], &["ada:1"]),
            diff(&[], &["bob:2"]),
            diff(&[], &["bob:3"]),
        ],
        &[
            "+ada:1!",
            "+bob:2,3!",
            "+cy:4!",
            "+ada:5",
            "-ada:1",
            "-bob:2",
            "-bob:3!",
        ],
        &["ada:5", "cy:4"],
    );
}

#[test]
fn new_metas_come_behind_those_that_stay() {
    check(
        &[
            keys(&["ada:1,2"]),
            diff(&["ada:3"], &[]),
            diff(&["ada:2,4"], &[]),
        ],
        &["+ada:1,2!", "+ada:3", "+ada:4"],
        &["ada:1,3,2,4"],
    );
}

#[test]
fn diffs_before_the_state_of_a_join_are_kept() {
    check(
        &[
            diff(&["ada:1"], &[]),
            diff(&["bob:2"], &["cy:9"]),
            keys(&["ada:1", "cy:9"]),
        ],
        &["+ada:1!", "+cy:9!", "+bob:2!", "-cy:9!"],
        &["ada:1", "bob:2"],
    );
}

#[test]
fn who_is_not_in_a_new_state_has_left() {
    check(
        &[
            keys(&["ada:1", "bob:2,3", "cy:4"]),
            json!("joined again"),
            diff(&["dan:6"], &[]),
            keys(&["ada:1", "bob:3,5", "dan:6"]),
        ],
        &[
            "+ada:1!",
            "+bob:2,3!",
            "+cy:4!",
            "+bob:5",
            "+dan:6!",
            "-bob:2",
            "-cy:4!",
        ],
        &["ada:1", "bob:3,5", "dan:6"],
    );
}

#[test]
fn leaves_of_strangers_mean_nothing_and_any_text_is_a_key() {
    check(
        &[
            keys(&["__proto__:1", ":2"]),
            diff(&[], &["nobody:7", "__proto__:8"]),
            keys(&["__proto__:1", ":2"]),
        ],
        &["+:2!", "+__proto__:1!"],
        &[":2", "__proto__:1"],
    );
}

#[test]
fn fields_beside_the_metas_are_the_latest() {
    let mut roster = Roster::new(10_000);
    let told = |name: &str, r#ref: &str| {
        Payload::new(&json!({"7": {"name": name, "metas": [{"phx_ref": r#ref}]}})).unwrap()
    };
    roster.state(&told("ada", "1"));
    let name = |roster: &Roster| roster.list()["7"].fields["name"].decode::<String>();
    assert_eq!(name(&roster), Ok("ada".to_owned()));
    assert_eq!(roster.state(&told("Ada", "1")), []);
    assert_eq!(name(&roster), Ok("Ada".to_owned()));
    let joins = told("Ada L.", "2");
    let diff = format!(r#"{{"joins":{},"leaves":{{}}}}"#, joins.as_json().unwrap());
    let diff = serde_json::value::RawValue::from_string(diff).unwrap();
    assert_eq!(roster.diff(&diff.into()).len(), 1);
    assert_eq!(name(&roster), Ok("Ada L.".to_owned()));
}

#[test]
fn what_is_no_presence_changes_nothing() {
    for told in [
        json!("bob"),
        json!([]),
        json!({"ada": 7}),
        json!({"ada": {}}),
        json!({"ada": {"metas": {}}}),
        json!({"ada": {"metas": [{}]}}),
        json!({"ada": {"metas": [{"phx_ref": 7}]}}),
    ] {
        let mut roster = Roster::new(10_000);
        roster.state(&Payload::new(&keys(&["bob:1"])).unwrap());
        assert_eq!(roster.state(&Payload::new(&told).unwrap()), [], "{told}");
        let diff = json!({"joins": told, "leaves": {}});
        assert_eq!(roster.diff(&Payload::new(&diff).unwrap()), [], "{told}");
        assert!(roster.is_incomplete() && roster.list().len() == 1, "{told}");
        roster.joined();
        assert!(!roster.is_incomplete());
    }
    let binary = Payload::from(bytes::Bytes::from_static(b"{}"));
    let mut roster = Roster::new(10_000);
    roster.state(&Payload::empty());
    assert!(roster.diff(&binary).is_empty() && roster.is_incomplete());
}

#[test]
fn who_comes_beyond_the_limit_is_left_out() {
    let size = {
        let mut roster = Roster::new(10_000);
        roster.state(&Payload::new(&keys(&["k:1"])).unwrap());
        roster.bytes()
    };
    let mut roster = Roster::new(size * 2);
    roster.state(&Payload::new(&json!({})).unwrap());
    for round in 0..50 {
        let told = |joins: &[&str], leaves: &[&str]| Payload::new(&diff(joins, leaves)).unwrap();
        roster.diff(&told(&["a:1", "b:1", "c:1"], &[]));
        assert_eq!(roster.list().len(), 2, "{round}");
        assert!(roster.is_incomplete() && roster.bytes() <= size * 2);
        roster.diff(&told(&[], &["a:1", "b:1", "c:1"]));
        assert_eq!((roster.list().len(), roster.bytes()), (0, 0), "{round}");
    }
    // Diffs without a state are bounded as well.
    let mut roster = Roster::new(200);
    for _ in 0..100 {
        roster.diff(&Payload::new(&diff(&["a:1"], &[])).unwrap());
    }
    assert!(roster.is_incomplete());
    let changes = roster.state(&Payload::new(&json!({})).unwrap());
    assert_eq!(changes.len(), 1, "{changes:?}");
}

#[test]
fn bytes_are_counted_right_whatever_is_told() {
    for seed in 0..200 {
        let mut random = fastrand::Rng::with_seed(seed);
        let mut roster = Roster::new(2_000);
        for _ in 0..100 {
            let mut keys = || {
                (0..random.usize(0..4))
                    .map(|_| {
                        let metas: Vec<_> = (0..random.usize(0..3))
                            .map(|_| json!({"phx_ref": random.u8(0..6).to_string()}))
                            .collect();
                        let name = "n".repeat(random.usize(0..300));
                        let key = random.u8(0..5).to_string();
                        (key, json!({"metas": metas, "name": name}))
                    })
                    .collect::<serde_json::Map<_, _>>()
            };
            let (one, two) = (keys(), keys());
            match random.u8(0..8) {
                0 => roster.joined(),
                1 | 2 => drop(roster.state(&Payload::new(&one).unwrap())),
                _ => {
                    let diff = json!({"joins": one, "leaves": two});
                    drop(roster.diff(&Payload::new(&diff).unwrap()));
                }
            }
            assert!(roster.bytes() <= 2_000, "seed {seed}");
        }
    }
}
