//! `bennu new`: an application that builds and runs at once.

mod files;

use std::env;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use minijinja::context;

use crate::changes::Changes;
use crate::error::{Failure, Result};
use crate::name::PackageName;
use crate::output;
use crate::template::Templates;

/// Makes an application: an endpoint, a socket, a room with presence, tests, and a page.
#[derive(Debug, Args)]
pub(crate) struct New {
    /// What the application is called, as in tap-racer. Its package and its folder are called so.
    name: String,
    /// The folder to make; NAME in this folder unless it's given.
    #[arg(long, value_name = "DIR")]
    path: Option<PathBuf>,
    /// Where the room keeps what was said.
    #[arg(long, value_enum, default_value_t)]
    database: Database,
    /// How several nodes are one.
    #[arg(long, value_enum, default_value_t)]
    adapter: Adapter,
    /// Lets clients connect by long-polling too, where no WebSocket gets through.
    #[arg(long)]
    longpoll: bool,
    /// A copy of Bennu's repository to build with. Unless it's given, the one that this command was built in, if that is still
    /// there; otherwise the release.
    #[arg(long, value_name = "PATH")]
    bennu_path: Option<PathBuf>,
    /// A release of Bennu to build with, as in 0.1
    #[arg(long, value_name = "VERSION", conflicts_with = "bennu_path")]
    bennu_version: Option<String>,
}

/// Where an application has Bennu from.
#[derive(Debug)]
enum Source {
    Release(String),
    /// A copy of the repository that was named.
    Named(PathBuf),
    /// The one that this command was built in.
    Own(PathBuf),
}

/// Where the application keeps what has to last.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Database {
    /// Nothing is kept
    #[default]
    None,
    /// In a file, by sqlx
    Sqlite,
    /// In PostgreSQL, by sqlx
    Postgres,
}

/// What carries broadcasts from node to node.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Adapter {
    /// There is one node
    #[default]
    None,
    /// Redis or Valkey
    Redis,
    /// NATS
    Nats,
}

impl fmt::Display for Adapter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::None => "none",
            Self::Redis => "redis",
            Self::Nats => "nats",
        })
    }
}

impl Database {
    /// sqlx's type of its connections.
    fn pool(self) -> &'static str {
        match self {
            Self::None => "",
            Self::Sqlite => "SqlitePool",
            Self::Postgres => "PgPool",
        }
    }
}

impl fmt::Display for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::None => "none",
            Self::Sqlite => "sqlite",
            Self::Postgres => "postgres",
        })
    }
}

impl New {
    pub(crate) fn run(self) -> Result {
        let name = PackageName::parse(&self.name)?;
        let folder = self
            .path
            .clone()
            .unwrap_or_else(|| name.package.clone().into());
        free(&folder)?;
        let source = self.source()?;
        let changes = self.changes(name, &folder, &source)?;
        changes.write()?;
        output::line(self.next_steps(&folder, changes.made().count(), &source))?;
        Ok(())
    }

    fn source(&self) -> Result<Source> {
        if let Some(repository) = &self.bennu_path {
            return Ok(Source::Named(repository.clone()));
        }
        match (&self.bennu_version, own_repository()) {
            (Some(version), _) => release(version),
            (None, Some(repository)) => Ok(Source::Own(repository)),
            (None, None) => release(OWN_VERSION),
        }
    }

    fn changes(&self, name: PackageName, folder: &Path, source: &Source) -> Result<Changes> {
        let values = context! {
            name => name.package,
            crate => name.library,
            title => name.title,
            bennu => source.of("bennu")?,
            from_path => !matches!(source, Source::Release(_)),
            adapter => self.adapter.to_string(),
            bennu_adapter => match self.adapter {
                Adapter::None => String::new(),
                Adapter::Redis => source.of("bennu-redis")?,
                Adapter::Nats => source.of("bennu-nats")?,
            },
            database => self.database.to_string(),
            pool => self.database.pool(),
            longpoll => self.longpoll,
            secret => secret()?,
            // A paused clock and a database, which is outside of it, don't go together.
            test => match self.database {
                Database::None => "#[tokio::test(start_paused = true)]",
                Database::Sqlite | Database::Postgres => "#[tokio::test]",
            },
        };
        let templates = Templates::new()?;
        let mut changes = Changes::default();
        for file in files::FILES
            .iter()
            .filter(|it| it.wanted(self.database, self.adapter))
        {
            let text = templates.render(file.template, &values)?;
            changes.make(folder.join(file.path), text);
        }
        Ok(changes)
    }

    fn next_steps(&self, folder: &Path, files: usize, source: &Source) -> String {
        let shown = folder.display();
        let mut lines = vec![
            format!("made {shown} with {files} files; next:"),
            String::new(),
            format!("  cd {shown}"),
        ];
        if self.database == Database::Postgres {
            lines.push(
                "  docker compose up -d  # a database; or say where yours is in DATABASE_URL"
                    .to_owned(),
            );
        }
        lines.push("  cargo run             # http://localhost:4000".to_owned());
        lines.push("  cargo test".to_owned());
        if let Source::Own(repository) = source {
            lines.push(String::new());
            lines.push(format!(
                "note: it uses Bennu from {}; --bennu-path or --bennu-version for another",
                repository.display()
            ));
        }
        if let Some(workspace) = workspace_above(folder) {
            lines.push(String::new());
            lines.push(format!(
                "note: it lies in the workspace of {}, which has to name it among its members",
                workspace.display()
            ));
        }
        lines.join("\n")
    }
}

impl Source {
    /// Where cargo finds a crate of Bennu's, as it stands in a Cargo.toml between braces.
    fn of(&self, name: &str) -> Result<String> {
        let repository = match self {
            Self::Release(version) => return Ok(format!("version = \"{version}\"")),
            Self::Named(repository) | Self::Own(repository) => repository,
        };
        let refused = |why: fmt::Arguments<'_>| {
            Failure::usage(format_args!(
                "--bennu-path {}: {why}; give the folder of Bennu's repository",
                repository.display()
            ))
        };
        let found = repository.join("crates").join(name).canonicalize();
        let found = found.map_err(|_| refused(format_args!("there is no crates/{name} in it")))?;
        let path = found.to_str();
        let path = path.ok_or_else(|| {
            refused(format_args!(
                "the path isn't UTF-8, as Cargo.toml has to be"
            ))
        })?;
        Ok(format!("path = {}", toml::Value::from(path)))
    }
}

/// The release that this command is of.
const OWN_VERSION: &str = concat!(
    env!("CARGO_PKG_VERSION_MAJOR"),
    ".",
    env!("CARGO_PKG_VERSION_MINOR")
);

fn release(version: &str) -> Result<Source> {
    let is_version = version.starts_with(|it: char| it.is_ascii_digit())
        && version
            .chars()
            .all(|it| it.is_ascii_alphanumeric() || ".-+".contains(it));
    match is_version {
        true => Ok(Source::Release(version.to_owned())),
        false => Err(Failure::usage(format_args!(
            "--bennu-version {version:?} is no version; give one as in {OWN_VERSION}"
        ))),
    }
}

/// The copy of Bennu's repository that this command was built in, if it's still there. A command that cargo got from a registry
/// was built in a folder that has this crate alone.
fn own_repository() -> Option<PathBuf> {
    let built_in = Path::new(env!("CARGO_MANIFEST_DIR"));
    let repository = built_in.ancestors().nth(2)?;
    let is_there = |name: &str| {
        repository
            .join("crates")
            .join(name)
            .join("Cargo.toml")
            .is_file()
    };
    let all = ["bennu", "bennu-redis", "bennu-nats"]
        .into_iter()
        .all(is_there);
    all.then(|| repository.to_owned())
}

/// Whether an application may be made there: nothing is there, or an empty folder.
fn free(folder: &Path) -> Result {
    let taken = |what: &str| {
        Err(Failure::new(format_args!(
            "{} {what}, and nothing is overwritten; choose another name or --path",
            folder.display()
        )))
    };
    let Ok(found) = folder.symlink_metadata() else {
        return Ok(());
    };
    if !found.is_dir() {
        return taken("exists already and is no folder");
    }
    match fs::read_dir(folder).map(|mut entries| entries.next().is_none()) {
        Ok(true) => Ok(()),
        Ok(false) => taken("exists already and isn't empty"),
        Err(error) => taken(&format!("exists already and can't be read ({error})")),
    }
}

/// The Cargo.toml of the workspace that a folder lies in.
fn workspace_above(folder: &Path) -> Option<PathBuf> {
    let folder = folder.canonicalize().ok()?;
    let manifests = folder.ancestors().skip(1).map(|it| it.join("Cargo.toml"));
    manifests.into_iter().find(|manifest| {
        let text = fs::read_to_string(manifest).unwrap_or_default();
        let parsed = text.parse::<toml::Table>().unwrap_or_default();
        parsed.contains_key("workspace")
    })
}

/// What tokens are signed with in development: 64 characters that no other application has.
fn secret() -> Result<String> {
    let mut bytes = [0_u8; 32];
    getrandom::fill(&mut bytes)
        .map_err(|error| Failure::new(format_args!("the system has no randomness: {error}")))?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}
