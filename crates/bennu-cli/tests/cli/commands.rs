//! What holds for all commands.

use std::path::Path;

use crate::support::bennu;

#[test]
fn help_and_version_are_told() {
    let here = Path::new(".");
    let ran = bennu(here, &["--version"]);
    assert_eq!(
        (ran.code, ran.stdout),
        (0, format!("bennu {}\n", env!("CARGO_PKG_VERSION")))
    );
    let ran = bennu(here, &["help"]);
    for command in ["new", "gen", "completions"] {
        let told = ran
            .stdout
            .lines()
            .any(|it| it.trim_start().starts_with(command));
        assert!(ran.code == 0 && told, "{command}: {ran:?}");
    }
}

#[test]
fn who_asks_wrongly_hears_two() {
    for args in [
        &[][..],
        &["nwe"],
        &["new"],
        &["new", "a", "--database", "oracle"],
        &["gen"],
    ] {
        let ran = bennu(Path::new("."), args);
        assert_eq!((ran.code, &*ran.stdout), (2, ""), "{args:?}: {ran:?}");
        assert!(!ran.stderr.is_empty(), "{args:?}");
    }
}

#[test]
fn every_shell_has_its_completions() {
    for (shell, part) in [
        ("bash", "complete -F _bennu"),
        ("elvish", "edit:completion"),
        ("fish", "complete -c bennu"),
        ("powershell", "Register-ArgumentCompleter"),
        ("zsh", "#compdef bennu"),
    ] {
        let ran = bennu(Path::new("."), &["completions", shell]);
        assert!(
            ran.code == 0 && ran.stdout.contains(part),
            "{shell}: {ran:?}"
        );
        assert!(ran.stdout.contains("longpoll"), "{shell}");
    }
}
