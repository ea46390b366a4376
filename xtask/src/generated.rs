//! What `bennu new` and `bennu gen` make: built, tested and talked to, outside of this workspace.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::cluster::{Bus, BusAlone};
use crate::program::{Program, root, target};

/// How long the application may take for an answer.
const ANSWER_SECONDS_MAX: u64 = 10;

/// An application that is made.
struct Kind {
    /// Its name; the folder's and the program's too.
    name: &'static str,
    /// Whether clippy looks at it too: it checks all dependencies for that.
    lints: bool,
    options: &'static [&'static str],
    /// What it reaches other nodes by, and the variable that says where.
    bus: Option<(Bus, &'static str)>,
    /// What is added to it.
    added: &'static [&'static [&'static str]],
}

/// Long-polling, adding, a database and each bus are in one of them; what else there is to choose is formatted and parsed by
/// the tests of `bennu-cli`.
const KINDS: &[Kind] = &[
    Kind {
        name: "generated-plain",
        lints: true,
        options: &["--longpoll"],
        bus: None,
        added: &[
            &["channel", "TapRace"],
            &["socket", "Admin"],
            &["presence"],
            &[
                "channel",
                "Audit",
                "--socket",
                "AdminSocket",
                "--topic",
                "audit",
            ],
        ],
    },
    Kind {
        name: "generated-sqlite",
        lints: false,
        options: &["--longpoll", "--database", "sqlite"],
        bus: None,
        added: &[],
    },
    Kind {
        name: "generated-redis",
        lints: true,
        options: &["--longpoll", "--adapter", "redis"],
        bus: Some((Bus::Redis, "REDIS_URL")),
        added: &[],
    },
    Kind {
        name: "generated-nats",
        lints: true,
        options: &["--adapter", "nats"],
        bus: Some((Bus::Nats, "NATS_URL")),
        added: &[],
    },
];

const ON_POSTGRES: Kind = Kind {
    name: "generated-postgres",
    lints: true,
    options: &["--longpoll", "--database", "postgres"],
    bus: None,
    added: &[],
};

/// With a database that isn't there by itself: one is named in this variable, as a URL.
const POSTGRES: &str = "BENNU_POSTGRES_URL";

/// The first kind, or all of them: each has nearly all of its dependencies compiled for itself.
pub(crate) fn run(all: bool) -> Result<(), String> {
    crate::test::build()?;
    let (first, others) = (KINDS.iter().take(1), KINDS.iter().skip(1));
    for kind in first.chain(others.filter(|_| all)) {
        Made::new(kind, None)?.tried(kind)?;
    }
    if !all {
        return Ok(());
    }
    match std::env::var(POSTGRES) {
        Ok(url) => Made::new(&ON_POSTGRES, Some(url))?.tried(&ON_POSTGRES),
        Err(_) => {
            Made::new(&ON_POSTGRES, None)?;
            println!(
                "an application on PostgreSQL is compiled only; name a database in {POSTGRES} to have it tested"
            );
            Ok(())
        }
    }
}

/// An application that was made, and looked at by cargo.
struct Made {
    scratch: Scratch,
    folder: PathBuf,
    database: String,
}

impl Made {
    fn new(kind: &Kind, database: Option<String>) -> Result<Self, String> {
        let scratch = Scratch::new(kind.name)?;
        let (folder, repository) = (
            scratch.0.join(kind.name),
            root().to_string_lossy().into_owned(),
        );
        let bennu = bennu();
        let path = folder.to_string_lossy().into_owned();
        let new = [
            "new",
            kind.name,
            "--path",
            &path,
            "--bennu-path",
            &repository,
        ];
        Program::new(&bennu, &[&new[..], kind.options].concat()).run()?;
        for added in kind.added {
            Program::new(&bennu, &[&["gen", "--path", &path], *added].concat()).run()?;
        }
        // The versions that this workspace has, so that what it has compiled serves here too.
        let lock = "Cargo.lock";
        fs::copy(root().join(lock), folder.join(lock))
            .map_err(|error| format!("failed to copy {lock}: {error}"))?;

        let database = database.unwrap_or_else(|| format!("sqlite://{path}/test.sqlite3"));
        let it = Self {
            scratch,
            folder,
            database,
        };
        it.cargo(&["fmt", "--check"])?;
        if kind.lints {
            it.cargo(&["clippy", "--all-targets", "--", "-D", "warnings"])?;
        }
        Ok(it)
    }

    /// Tests it, starts it, and talks to it.
    fn tried(self, kind: &Kind) -> Result<(), String> {
        self.cargo(&["test", "--quiet"])?;
        self.cargo(&["build"])?;
        let mut variables = vec![("DATABASE_URL", self.database.clone())];
        let bus = kind.bus.map(|(bus, variable)| {
            Ok::<_, String>((BusAlone::start(bus, &self.scratch.0)?, variable))
        });
        let bus = bus.transpose()?;
        if let Some((bus, variable)) = &bus {
            variables.push((variable, bus.url.clone()));
        }
        let program = target().join("debug").join(kind.name);
        let application = Application::start(&program, &self.folder, &variables)?;
        talk(&application.address, kind.options.contains(&"--longpoll"))?;
        application.end()
    }

    fn cargo(&self, args: &[&str]) -> Result<(), String> {
        // As the workspace has it.
        let config = ["--config", "profile.dev.package.\"*\".debug=false"];
        Program::cargo(&[&config, args].concat())
            .within(&self.folder.to_string_lossy())
            .env("CARGO_TARGET_DIR", target())
            .env("CARGO_PROFILE_DEV_DEBUG", "line-tables-only")
            .env("DATABASE_URL", &self.database)
            .run()
    }
}

/// The command itself.
fn bennu() -> String {
    target().join("debug/bennu").to_string_lossy().into_owned()
}

/// Loads the page and what it imports, and joins with the page's token over each transport. With a bus, it is well when
/// that is.
fn talk(address: &str, longpoll: bool) -> Result<(), String> {
    let page = get(address, "/?name=ada")?;
    for (path, part) in [
        ("/socket.js", "new Socket(\"/socket\""),
        ("/room.js", "./socket.js"),
        ("/page.css", "body"),
        ("/bennu.mjs", "export"),
        ("/health", "\"status\":\"ok\""),
    ] {
        let deadline = Instant::now() + Duration::from_secs(ANSWER_SECONDS_MAX);
        loop {
            let text = get(address, path)?;
            if text.contains(part) {
                break;
            }
            // A node may still be looking for the others.
            if path != "/health" || Instant::now() > deadline {
                return Err(format!("{path} has no {part:?}: {text}"));
            }
            std::thread::sleep(Duration::from_millis(100));
        }
    }
    let token = page.split("window.userToken = \"").nth(1);
    let token = token.and_then(|it| it.split('"').next());
    let token = token.ok_or_else(|| format!("the page has no token: {page}"))?;
    let (url, body) = (format!("ws://{address}/socket"), "{\"body\": \"hi\"}");
    let push = [
        "push",
        &url,
        "room:lobby",
        "new_msg",
        body,
        "--token",
        token,
    ];
    let transports: &[&[&str]] = match longpoll {
        true => &[&[], &["--longpoll"]],
        false => &[&[]],
    };
    for transport in transports {
        let reply = Program::new(&bennu(), &[&push[..], transport].concat()).output()?;
        if reply != "ok {}\n" {
            return Err(format!("a message was answered by {reply:?}"));
        }
    }
    println!("{address}: the page is served, and messages are answered");
    Ok(())
}

/// The body of what is served at a path.
fn get(address: &str, path: &str) -> Result<String, String> {
    let failed = |error: std::io::Error| format!("failed to get {path} from {address}: {error}");
    let mut stream = TcpStream::connect(address).map_err(failed)?;
    let timeout = Duration::from_secs(ANSWER_SECONDS_MAX);
    stream.set_read_timeout(Some(timeout)).map_err(failed)?;
    let request = format!("GET {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).map_err(failed)?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).map_err(failed)?;
    match answer.split_once("\r\n\r\n") {
        Some((head, body)) if head.starts_with("HTTP/1.1 200 ") => Ok(body.to_owned()),
        _ => Err(format!("{path} was answered by {answer}")),
    }
}

/// A folder outside of the workspace, removed when this is dropped.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Result<Self, String> {
        let folder = std::env::temp_dir().join(format!("{name}-{}", std::process::id()));
        fs::create_dir(&folder)
            .map_err(|error| format!("failed to make {}: {error}", folder.display()))?;
        Ok(Self(folder))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // What stays of a temporary folder is the system's to clean.
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// The application, killed when this is dropped.
struct Application {
    child: Child,
    /// `ADDRESS:PORT`
    address: String,
}

impl Application {
    fn start(program: &Path, folder: &Path, variables: &[(&str, String)]) -> Result<Self, String> {
        let failed = |why: &str| format!("failed to start {}: {why}", program.display());
        let mut command = Command::new(program);
        command
            .current_dir(folder)
            .env("PORT", "0")
            .envs(variables.iter().map(|(name, value)| (name, value)));
        let command = command.stdin(Stdio::null()).stdout(Stdio::piped());
        let mut child = command
            .spawn()
            .map_err(|error| failed(&error.to_string()))?;
        let stdout = child.stdout.take();
        let mut application = Self {
            child,
            address: String::new(),
        };
        let lines = BufReader::new(stdout.ok_or_else(|| failed("it has no output"))?).lines();
        application.address = lines
            .map_while(Result::ok)
            .find_map(|line| line.strip_prefix("listening on http://").map(str::to_owned))
            .ok_or_else(|| failed("it doesn't say where it listens"))?;
        Ok(application)
    }

    /// Asks it to end, and waits until it has, by itself and without an error.
    fn end(mut self) -> Result<(), String> {
        let id = self.child.id().to_string();
        Program::new("kill", &["-TERM", &id]).run()?;
        let status = self.child.wait();
        let status =
            status.map_err(|error| format!("failed to wait for the application: {error}"))?;
        match status.success() {
            true => Ok(()),
            false => Err(format!(
                "the application ended with {status} when it was told to"
            )),
        }
    }
}

impl Drop for Application {
    fn drop(&mut self) {
        // If it has ended by itself, so much the better.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
