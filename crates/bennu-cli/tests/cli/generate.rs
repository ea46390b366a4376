//! `bennu gen`, in applications made by `bennu new`.

use std::fs;
use std::path::Path;

use crate::support::{application, assert_formatted, bennu, files};

/// `bennu gen` that does it, without a word of complaint.
fn generate(within: &Path, args: &[&str]) -> String {
    let ran = bennu(within, &[&["gen"], args].concat());
    assert_eq!((ran.code, &*ran.stderr), (0, ""), "{args:?}");
    ran.stdout
}

fn read(within: &Path, name: &str) -> String {
    fs::read_to_string(within.join(name)).unwrap()
}

#[test]
fn a_channel_is_made_with_its_test_and_routed() {
    let (_folder, made) = application(&[]);
    let said = generate(&made, &["channel", "TapRace"]);
    let expected = "made src/channels/tap_race.rs\nmade tests/tap_race.rs\n\
                    edited src/channels.rs\nedited src/user_socket.rs\n";
    assert_eq!(said, expected);
    assert!(read(&made, "src/channels.rs").ends_with("pub mod room;\npub mod tap_race;\n"));
    let socket = read(&made, "src/user_socket.rs");
    assert!(
        socket.contains(".channel::<TapRace>(\"tap_race:*\")"),
        "{socket}"
    );
    assert!(
        socket.contains("use crate::channels::tap_race::TapRace;"),
        "{socket}"
    );
    assert_formatted(&made);
}

#[test]
fn everything_together_is_formatted() {
    for options in [&[][..], &["--longpoll", "--database", "sqlite"]] {
        let (_folder, made) = application(options);
        generate(&made, &["channel", "A"]);
        generate(&made, &["socket", "zebra-zone"]);
        generate(&made, &["channel", "zz", "--socket", "ZebraZoneSocket"]);
        generate(&made, &["socket", "aa"]);
        generate(
            &made,
            &["channel", "Bb", "--socket", "AaSocket", "--topic", "bb"],
        );
        generate(&made, &["presence"]);
        assert_formatted(&made);
        let endpoint = read(&made, "src/endpoint.rs");
        for call in [
            ".presence_handler(Presence)",
            ".socket::<ZebraZoneSocket>(\"/zebra-zone/socket\")",
            ".socket::<AaSocket>(\"/aa/socket\")",
        ] {
            assert!(endpoint.contains(call), "{call}: {endpoint}");
        }
    }
}

#[test]
fn a_narrower_route_goes_before_the_wider() {
    let (_folder, made) = application(&[]);
    generate(&made, &["channel", "vip", "--topic", "room:vip:*"]);
    let socket = read(&made, "src/user_socket.rs");
    let routes = "routes\n            .channel::<Vip>(\"room:vip:*\")\n            \
                  .channel::<Room>(\"room:*\")\n";
    assert!(socket.contains(routes), "{socket}");
}

#[test]
fn a_dry_run_says_what_would_be_done_and_does_nothing() {
    let (_folder, made) = application(&[]);
    let before = files(&made);
    let said = generate(&made, &["channel", "TapRace", "--dry-run"]);
    for line in [
        "would make src/channels/tap_race.rs",
        "would edit src/channels.rs",
        "  + pub mod tap_race;",
        "  -         routes.channel::<Room>(\"room:*\")",
        "  +             .channel::<TapRace>(\"tap_race:*\")",
    ] {
        assert!(said.lines().any(|it| it == line), "{line}: {said}");
    }
    assert_eq!(files(&made), before);
}

#[test]
fn what_is_not_plain_is_left_to_people() {
    let (_folder, made) = application(&[]);
    let edit = |name: &str, from: &str, to: &str| {
        let text = read(&made, name);
        assert!(text.contains(from), "{text}");
        fs::write(made.join(name), text.replace(from, to)).unwrap();
    };
    edit(
        "src/user_socket.rs",
        "routes.channel::<Room>(\"room:*\")",
        "let routes = routes.channel::<Room>(\"room:*\");\n        routes",
    );
    let before = read(&made, "src/user_socket.rs");
    let said = generate(&made, &["channel", "TapRace"]);
    let line = ".channel::<crate::channels::tap_race::TapRace>(\"tap_race:*\")";
    assert!(
        said.contains("left to you:\n") && said.contains(line),
        "{said}"
    );
    assert_eq!(read(&made, "src/user_socket.rs"), before);

    edit(
        "src/endpoint.rs",
        "endpoint.socket::<UserSocket>(\"/socket\")",
        "todo!()",
    );
    let said = generate(&made, &["socket", "Admin"]);
    let line =
        "mount it at the endpoint: .socket::<crate::admin_socket::AdminSocket>(\"/admin/socket\")";
    assert!(said.contains(line), "{said}");
}

#[test]
fn what_cannot_be_is_refused_in_one_line_and_nothing_is_changed() {
    let (folder, made) = application(&[]);
    generate(&made, &["presence"]);
    generate(&made, &["socket", "admin"]);
    fs::write(made.join("tests/mine.rs"), "// mine\n").unwrap();
    let before = files(folder.path());
    let check = |args: &[&str], code: i32, part: &str| {
        let ran = bennu(&made, &[&["gen"], args].concat());
        assert_eq!((ran.code, &*ran.stdout), (code, ""), "{args:?}: {ran:?}");
        assert!(
            ran.stderr.starts_with("error: ") && ran.stderr.contains(part),
            "{ran:?}"
        );
        assert_eq!(ran.stderr.lines().count(), 1, "{ran:?}");
        assert_eq!(files(folder.path()), before, "{args:?}");
    };
    let user = ["--socket", "UserSocket"];
    check(&["channel", "x"], 2, "--socket: AdminSocket or UserSocket");
    check(
        &["channel", "x", "--socket", "Other"],
        2,
        "--socket: AdminSocket or UserSocket",
    );
    check(
        &[&["channel", "room"], &user[..]].concat(),
        1,
        "has a module room already",
    );
    check(
        &[&["channel", "mine"], &user[..]].concat(),
        1,
        "tests/mine.rs exists already",
    );
    check(
        &[&["channel", "a", "--topic", "room:*"], &user[..]].concat(),
        1,
        "has a route",
    );
    check(
        &[&["channel", "a", "--topic", "a\"b"], &user[..]].concat(),
        2,
        "no pattern",
    );
    check(
        &[&["channel", "../a"], &user[..]].concat(),
        2,
        "can't name a type",
    );
    check(
        &[&["channel", "struct"], &user[..]].concat(),
        2,
        "a word of Rust's",
    );
    check(&["socket", "admin"], 1, "has a module admin_socket already");
    check(
        &["presence", "Other"],
        1,
        "names a presence handler already",
    );
    check(
        &["channel", "a", "--path", ".."],
        1,
        "failed to read ../Cargo.toml",
    );
}

#[test]
fn a_folder_that_is_no_such_application_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let within = folder.path();
    let check = |manifest: &str, part: &str| {
        fs::write(within.join("Cargo.toml"), manifest).unwrap();
        let ran = bennu(within, &["gen", "channel", "a"]);
        assert_eq!((ran.code, &*ran.stdout), (1, ""), "{ran:?}");
        assert!(ran.stderr.contains(part), "{ran:?}");
        assert_eq!(ran.stderr.lines().count(), 1, "{ran:?}");
    };
    let package = "[package]\nname = \"a\"\n";
    check("[package", "Cargo.toml is broken");
    check("", "has no package");
    check("[workspace]\n", "has no package");
    check(package, "doesn't depend on bennu");
    check(
        &format!("{package}[dependencies]\nbennu = \"0.1\"\n"),
        "has no src/lib.rs",
    );
    fs::create_dir(within.join("src")).unwrap();
    fs::write(within.join("src/lib.rs"), "pub mod (").unwrap();
    let ran = bennu(within, &["gen", "presence"]);
    assert!(
        ran.stderr.contains("src/lib.rs can't be read as Rust"),
        "{ran:?}"
    );
    let ran = bennu(within, &["gen", "channel", "a"]);
    assert!(ran.stderr.contains("there is no socket"), "{ran:?}");
}
