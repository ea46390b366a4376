//! `bennu new`, short of building what it makes: `cargo xtask test --only generated` does that.

use std::fs;
use std::path::Path;

use crate::support::{application, assert_formatted, bennu, files, repository};

const DATABASES: [&str; 3] = ["none", "sqlite", "postgres"];
const ADAPTERS: [&str; 3] = ["none", "redis", "nats"];

#[test]
fn whatever_the_options_no_tag_is_left_and_rustfmt_is_content() {
    let folder = tempfile::tempdir().unwrap();
    for database in DATABASES {
        for adapter in ADAPTERS {
            for longpoll in [&[][..], &["--longpoll"]] {
                let path = folder
                    .path()
                    .join(format!("{database}-{adapter}-{}", longpoll.len()));
                let path = path.to_str().unwrap();
                let args = ["new", "tap-racer", "--path", path];
                let options = ["--database", database, "--adapter", adapter];
                let ran = bennu(folder.path(), &[&args[..], &options, longpoll].concat());
                assert_eq!((ran.code, &*ran.stderr), (0, ""), "{ran:?}");
                for (name, text) in files(Path::new(path)) {
                    for tag in ["{%", "%}", "{{ ", "{#"] {
                        assert!(!text.contains(tag), "{tag} in {name}, {path}: {text}");
                    }
                    let (blank, ended) = (text.contains("\n\n\n"), text.ends_with('\n'));
                    let (begun, last) = (text.starts_with('\n'), text.ends_with("\n\n"));
                    assert!(ended && !blank && !begun && !last, "{name}, {path}: {text}");
                }
                assert_formatted(Path::new(path));
            }
        }
    }
}

#[test]
fn a_long_name_is_formatted_too() {
    let folder = tempfile::tempdir().unwrap();
    let name = "z".repeat(32);
    for database in DATABASES {
        let path = folder.path().join(database);
        let args = [
            "new",
            &name,
            "--database",
            database,
            "--path",
            path.to_str().unwrap(),
        ];
        assert_eq!(bennu(folder.path(), &args).code, 0);
        assert_formatted(&path);
    }
}

#[test]
fn options_change_what_they_say_and_nothing_else() {
    let names = |options: &[&str]| {
        let (_folder, made) = application(options);
        files(&made)
            .into_iter()
            .map(|(name, _)| name)
            .collect::<Vec<_>>()
    };
    let has = |names: &[String], name: &str| names.iter().any(|it| it == name);
    let (none, sqlite) = (names(&[]), names(&["--database", "sqlite"]));
    let postgres = names(&["--database", "postgres"]);
    for name in [
        "src/messages.rs",
        "migrations/0001_messages.sql",
        "build.rs",
    ] {
        let there = [&none, &sqlite, &postgres].map(|it| has(it, name));
        assert_eq!(there, [false, true, true], "{name}");
    }
    assert!(has(&postgres, "compose.yaml") && !has(&sqlite, "compose.yaml"));
    assert_eq!(names(&["--longpoll"]), none);

    let text = |options: &[&str], name: &str| {
        let (_folder, made) = application(options);
        fs::read_to_string(made.join(name)).unwrap()
    };
    assert!(!text(&[], "src/endpoint.rs").contains("longpoll"));
    assert!(text(&["--longpoll"], "src/endpoint.rs").contains(".longpoll("));
    assert!(text(&["--longpoll"], "page/socket.js").contains("longPollFallbackMs"));
    // As the guides write it.
    let socket = r#"new Socket("/socket", { params: { token: window.userToken } })"#;
    assert!(text(&[], "page/socket.js").contains(socket));
}

#[test]
fn each_application_has_a_secret_of_its_own() {
    let secret = || {
        let (_folder, made) = application(&[]);
        let config = fs::read_to_string(made.join("src/config.rs")).unwrap();
        let line = config
            .lines()
            .find(|it| it.contains("DEVELOPMENT_SECRET: &str"));
        let secret = line.unwrap().split('"').nth(1).unwrap().to_owned();
        assert!(secret.len() == 64 && secret.bytes().all(|it| it.is_ascii_hexdigit()));
        secret
    };
    assert_ne!(secret(), secret());
}

#[test]
fn bennu_is_the_copy_that_the_command_was_built_in_or_what_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let manifest = |name: &str, options: &[&str]| {
        let ran = bennu(folder.path(), &[&["new", name], options].concat());
        assert_eq!(ran.code, 0, "{ran:?}");
        let says = "note: it uses Bennu from ";
        assert_eq!(
            ran.stdout.contains(says),
            options.is_empty(),
            "{}",
            ran.stdout
        );
        let text = fs::read_to_string(folder.path().join(name).join("Cargo.toml")).unwrap();
        text.parse::<toml::Table>().unwrap()
    };
    let release = manifest("a", &["--bennu-version", "0.1"]);
    assert_eq!(
        release["dependencies"]["bennu"]["version"].as_str(),
        Some("0.1")
    );
    for (name, options) in [("b", &["--bennu-path", repository()][..]), ("c", &[])] {
        let copy = manifest(name, options);
        let path = Path::new(copy["dependencies"]["bennu"]["path"].as_str().unwrap());
        assert!(path.is_absolute() && path.join("src/endpoint.rs").is_file());
    }
    // What lies outside of the folder isn't there where an image is built.
    let warns = |name: &str, file: &str| {
        let text = fs::read_to_string(folder.path().join(name).join(file)).unwrap();
        text.contains("not in the image's build")
    };
    for file in ["Dockerfile", "README.md"] {
        assert_eq!(
            ["a", "b", "c"].map(|it| warns(it, file)),
            [false, true, true]
        );
    }
}

#[test]
fn what_cannot_be_is_refused_in_one_line_and_nothing_is_made() {
    let folder = tempfile::tempdir().unwrap();
    let within = folder.path();
    fs::create_dir_all(within.join("taken")).unwrap();
    fs::write(within.join("taken/notes.txt"), "mine").unwrap();
    fs::write(within.join("file"), "mine").unwrap();
    let before = files(within);
    let check = |args: &[&str], code: i32, part: &str| {
        let ran = bennu(within, &[&["new"], args].concat());
        assert_eq!((ran.code, &*ran.stdout), (code, ""), "{args:?}: {ran:?}");
        assert!(
            ran.stderr.starts_with("error: ") && ran.stderr.contains(part),
            "{ran:?}"
        );
        assert_eq!(ran.stderr.lines().count(), 1, "{ran:?}");
        assert_eq!(files(within), before);
    };
    check(&["Tap"], 2, "start with a letter from a to z");
    check(&["../tap"], 2, "start with a letter");
    check(&["tap/../../x"], 2, "it may have a to z");
    check(&["fn"], 2, "a word of Rust's");
    check(&["tokio"], 2, "is taken by a crate");
    check(&["a\nb"], 2, "it may have");
    check(&["taken"], 1, "exists already and isn't empty");
    check(&["file"], 1, "exists already and is no folder");
    check(&["a", "--path", "taken"], 1, "exists already");
    check(&["a", "--path", "file/a"], 1, "failed to write");
    check(
        &["a", "--bennu-path", "taken"],
        2,
        "there is no crates/bennu in it",
    );
    check(&["a", "--bennu-version", "0\"1"], 2, "is no version");
}

#[test]
fn an_empty_folder_may_be_filled() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("tap")).unwrap();
    assert_eq!(bennu(folder.path(), &["new", "tap"]).code, 0);
    assert!(folder.path().join("tap/src/main.rs").is_file());
}

#[test]
fn within_a_workspace_it_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let manifest = folder.path().join("Cargo.toml");
    fs::write(&manifest, "[workspace]\nmembers = []\n").unwrap();
    let ran = bennu(folder.path(), &["new", "tap"]);
    assert!(ran.stdout.contains("its members"), "{ran:?}");
    fs::write(&manifest, "[package]\nname = \"x\"\n").unwrap();
    let ran = bennu(folder.path(), &["new", "tip"]);
    assert!(!ran.stdout.contains("its members"), "{ran:?}");
}
