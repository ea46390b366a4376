//! What an application is made of.

use super::{Adapter, Database};

/// A file of the application, and the template that it's made by.
pub(super) struct File {
    /// Below the application's folder.
    pub(super) path: &'static str,
    pub(super) template: &'static str,
    when: When,
}

/// Which applications have the file.
enum When {
    Always,
    /// Those with a database.
    Database,
    /// Those that need another server: PostgreSQL, Redis or NATS.
    Server,
}

impl File {
    /// Whether an application with this database and this adapter has the file.
    pub(super) fn wanted(&self, database: Database, adapter: Adapter) -> bool {
        match self.when {
            When::Always => true,
            When::Database => database != Database::None,
            When::Server => database == Database::Postgres || adapter != Adapter::None,
        }
    }
}

macro_rules! file {
    ($path:literal, $template:literal, $when:ident) => {
        File {
            path: $path,
            template: include_str!(concat!("../../templates/new/", $template, ".jinja")),
            when: When::$when,
        }
    };
    ($path:literal, $when:ident) => {
        file!($path, $path, $when)
    };
}

/// Names that begin with a dot go without it among the templates, where git and cargo would heed them.
pub(super) const FILES: &[File] = &[
    file!(".dockerignore", "dockerignore", Always),
    file!(".gitignore", "gitignore", Always),
    file!("Cargo.toml", Always),
    file!("Dockerfile", Always),
    file!("README.md", Always),
    file!("build.rs", Database),
    file!("compose.yaml", Server),
    file!("migrations/0001_messages.sql", Database),
    file!("page/index.html", Always),
    file!("page/page.css", Always),
    file!("page/room.js", Always),
    file!("page/socket.js", Always),
    file!("src/app.rs", Always),
    file!("src/channels.rs", Always),
    file!("src/channels/room.rs", Always),
    file!("src/config.rs", Always),
    file!("src/endpoint.rs", Always),
    file!("src/lib.rs", Always),
    file!("src/main.rs", Always),
    file!("src/messages.rs", Database),
    file!("src/page.rs", Always),
    file!("src/user_socket.rs", Always),
    file!("tests/page.rs", Always),
    file!("tests/room.rs", Always),
    file!("tests/support/mod.rs", Always),
];
