//! A PostgreSQL server of the test's own, in a temporary folder, reached by a Unix socket there.

use std::{
    env, fs,
    io::{BufRead, BufReader},
    os::unix::{fs::chown, process::CommandExt},
    path::{Path, PathBuf},
    process::{Child, ChildStderr, Command, Output, Stdio},
    time::Duration,
};

use sqlx::{AnyConnection, Connection, Executor};
use tempfile::TempDir;
use tokio::sync::oneshot;

const START_TIME_MAX: Duration = Duration::from_secs(60);
const READY: &str = "ready to accept connections";
const MISSING: &str =
    "PostgreSQL's server isn't installed: `cargo xtask test --only tools` installs it or says how";

/// Ended, and its folder removed, when it's dropped.
pub(crate) struct Server {
    child: Child,
    folder: TempDir,
}

impl Server {
    pub(crate) async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let account = Account::find();
        if let Some(Account { uid, gid }) = account {
            chown(folder.path(), Some(uid), Some(gid)).unwrap();
        }
        let data = folder.path().join("data");
        let command = |program: &str| {
            let mut command = Command::new(find(program));
            if let Some(Account { uid, gid }) = account {
                command.uid(uid).gid(gid);
            }
            command.current_dir(folder.path()).stdin(Stdio::null());
            command
        };
        let made = command("initdb")
            .args([
                "--username=discuss",
                "--auth=trust",
                "--encoding=UTF8",
                "--no-locale",
            ])
            .args(["--no-sync", "--pgdata"])
            .arg(&data)
            .output();
        succeeded("initdb", &made.unwrap());
        let child = command("postgres")
            .arg("-D")
            .arg(&data)
            .arg("-k")
            .arg(folder.path())
            // Nothing but the socket, and nothing that outlives the test.
            .args(["-c", "listen_addresses=", "-c", "fsync=off"])
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn();
        let mut child = child.unwrap();
        let log = child.stderr.take().unwrap();
        let server = Self { child, folder };
        let up = tokio::time::timeout(START_TIME_MAX, up(log)).await;
        assert_eq!(up.unwrap().unwrap(), Ok(()), "PostgreSQL doesn't start");
        sqlx::any::install_default_drivers();
        server
    }

    /// A new database, and its address.
    pub(crate) async fn database(&self, name: &str) -> String {
        // PostgreSQL cuts off what is longer.
        let name = name.get(..60).unwrap_or(name);
        let mut connection = AnyConnection::connect(&self.url("postgres")).await.unwrap();
        let create = format!("CREATE DATABASE {name}");
        connection.execute(create.as_str()).await.unwrap();
        connection.close().await.unwrap();
        self.url(name)
    }

    fn url(&self, database: &str) -> String {
        let folder = self.folder.path().display();
        format!("postgres://discuss@localhost/{database}?host={folder}")
    }
}

/// Reads the server's log to its end, and tells when it takes connections; or what it said when it doesn't.
fn up(log: ChildStderr) -> oneshot::Receiver<Result<(), String>> {
    let (told, up) = oneshot::channel();
    std::thread::spawn(move || {
        let mut told = Some(told);
        let mut said = String::new();
        for line in BufReader::new(log).lines().map_while(Result::ok) {
            if line.contains(READY)
                && let Some(told) = told.take()
            {
                let _ = told.send(Ok(()));
            } else if told.is_some() {
                said = said + &line + "\n";
            }
        }
        if let Some(told) = told {
            let _ = told.send(Err(said));
        }
    });
    up
}

impl Drop for Server {
    fn drop(&mut self) {
        // A fast shutdown, which removes its shared memory too.
        let pid = self.child.id().to_string();
        let _ = Command::new("kill").args(["-INT", &pid]).status();
        let _ = self.child.wait();
    }
}

/// Whom the server runs as where we are root, whom it refuses.
#[derive(Clone, Copy)]
struct Account {
    uid: u32,
    gid: u32,
}

impl Account {
    fn find() -> Option<Self> {
        let id = |args: &[&str]| {
            let output = Command::new("id").args(args).output().unwrap();
            succeeded("id", &output);
            let id = String::from_utf8(output.stdout).unwrap();
            id.trim().parse::<u32>().unwrap()
        };
        (id(&["-u"]) == 0).then(|| Self {
            uid: id(&["-u", "postgres"]),
            gid: id(&["-g", "postgres"]),
        })
    }
}

/// Debian keeps the server's programs in folders by version, apart from `PATH`.
fn find(program: &str) -> PathBuf {
    let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten();
    let mut debians: Vec<_> = versions.flatten().map(|it| it.path().join("bin")).collect();
    debians.sort();
    let path = env::var_os("PATH").unwrap_or_default();
    let folders = env::split_paths(&path).chain(debians.into_iter().rev());
    let mut files = folders.map(|it| it.join(program));
    files.find(|it| Path::is_file(it)).expect(MISSING)
}

fn succeeded(program: &str, output: &Output) {
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program}: {said}");
}
