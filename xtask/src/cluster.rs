//! `cargo xtask cluster`: three nodes of each application behind a load balancer, to try what is in docs/cluster.md by hand.

mod balancer;

use std::{
    fs,
    io::{BufRead, BufReader},
    net::TcpListener,
    path::Path,
    process::{Child, Command, Stdio},
    thread,
    time::Duration,
};

use crate::{
    program::{Program, root, target},
    tools,
};

const NODES: usize = 3;
const PORT: u16 = 4000;
/// Tokens of one node have to be good on the others.
const SECRET: &str = "a secret that is none";
/// How often it's seen whether all still run.
const LOOKS_EVERY: Duration = Duration::from_millis(200);

/// `args` is what follows `cargo xtask cluster`.
pub(crate) fn run(args: &[&str]) -> Result<(), String> {
    let options = Options::parse(args)?;
    tools::bus(options.bus == Bus::Nats)?;
    tools::haproxy()?;
    let packages = options.apps.iter().flat_map(|app| ["-p", app.program()]);
    let build: Vec<&str> = ["build", "--bins"].into_iter().chain(packages).collect();
    Program::cargo(&build).run()?;
    let folder = target().join("cluster");
    fs::create_dir_all(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;

    let mut parts = Parts::default();
    let bus = bus(&mut parts, options.bus, &folder)?;
    let mut fronts = Vec::new();
    for (app, port) in options.apps.iter().zip(options.port..) {
        let mut nodes = Vec::new();
        for number in 1..=NODES {
            let name = format!("web-{number}");
            let port = node(&mut parts, *app, &name, &bus, &folder)?;
            nodes.push((name, port));
        }
        fronts.push(Front {
            app: *app,
            port,
            nodes,
        });
    }
    let path = folder.join("haproxy.cfg");
    fs::write(&path, balancer::configuration(&fronts))
        .map_err(|error| format!("{}: {error}", path.display()))?;
    let path = path.to_string_lossy().into_owned();
    Program::new("haproxy", &["-c", "-q", "-f", &path]).run()?;
    parts.start("haproxy", &["-db", "-q", "-f", &path])?;
    for front in &fronts {
        front.tell();
    }
    let [_, url] = &bus;
    println!("\nThe bus is {url}. ctrl-c ends all of it.");
    let ended = parts.wait();
    Err(format!("{ended} has ended, and so has the cluster"))
}

/// What is started, and where.
#[derive(Debug, PartialEq, Eq)]
struct Options {
    apps: Vec<App>,
    bus: Bus,
    /// Of the first application; the next has the next one.
    port: u16,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum App {
    Showcase,
    Conformance,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Bus {
    Redis,
    Nats,
}

/// The nodes of an application, and the port that leads to them.
struct Front {
    app: App,
    port: u16,
    nodes: Vec<(String, u16)>,
}

impl Options {
    fn parse(args: &[&str]) -> Result<Self, String> {
        let mut options = Self {
            apps: vec![App::Showcase, App::Conformance],
            bus: Bus::Redis,
            port: PORT,
        };
        let mut args = args.iter();
        while let Some(arg) = args.next() {
            let value = args.next().copied().unwrap_or_default();
            match (*arg, value) {
                ("--app", "showcase") => options.apps = vec![App::Showcase],
                ("--app", "conformance") => options.apps = vec![App::Conformance],
                ("--app", "both") => options.apps = vec![App::Showcase, App::Conformance],
                ("--app", _) => return Err("--app wants showcase, conformance or both".to_owned()),
                ("--bus", "redis") => options.bus = Bus::Redis,
                ("--bus", "nats") => options.bus = Bus::Nats,
                ("--bus", _) => return Err("--bus wants redis or nats".to_owned()),
                ("--port", port) => {
                    // Another one comes after it.
                    let port = port.parse().ok().filter(|it| (1..u16::MAX).contains(it));
                    options.port = port.ok_or("--port wants a number from 1 to 65534")?;
                }
                (other, _) => {
                    return Err(format!(
                        "unknown option {other:?}; there are --app, --bus and --port"
                    ));
                }
            }
        }
        Ok(options)
    }
}

impl App {
    fn program(self) -> &'static str {
        match self {
            Self::Showcase => "showcase",
            Self::Conformance => "conformance",
        }
    }
}

impl Front {
    /// How it's reached.
    fn tell(&self) {
        let Self { port, nodes, .. } = self;
        match self.app {
            App::Showcase => {
                println!(
                    "\nThe showcase is at http://localhost:{port}/, and each of its nodes by itself:"
                );
                for (name, port) in nodes {
                    println!("  {name}  http://localhost:{port}/");
                }
                println!(
                    "Open the chat in two windows, on two nodes. The forum's nodes share a database; the race"
                );
                println!(
                    "has one owner, so that the balancer leads all its players to the first node."
                );
            }
            App::Conformance => {
                println!(
                    "\nThe conformance server is at ws://localhost:{port}/socket, and each of its nodes by itself:"
                );
                for (name, port) in nodes {
                    println!("  {name}  http://localhost:{port}/metrics, /health, /sockets");
                }
                println!("To try it, in two terminals:");
                println!("  cargo run -p bennu-cli -- listen ws://localhost:{port}/socket room:1");
                println!(
                    "  cargo run -p bennu-cli -- push ws://localhost:{port}/socket room:1 shout '{{\"hello\": \"all\"}}'"
                );
            }
        }
    }
}

/// The programs that run while this lives.
#[derive(Default)]
struct Parts {
    running: Vec<(String, Child)>,
}

impl Parts {
    fn start(&mut self, program: &str, args: &[&str]) -> Result<&mut Child, String> {
        // Whatever becomes of this program, they end with it.
        let child = Command::new("setpriv")
            .args(["--pdeathsig", "TERM", program])
            .args(args)
            .current_dir(root())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn();
        let child =
            child.map_err(|error| format!("{program} can't be started by setpriv: {error}"))?;
        self.running.push((program.to_owned(), child));
        let last = self.running.last_mut().map(|(_, child)| child);
        last.ok_or_else(|| format!("{program} is lost"))
    }

    /// Starts a program and reads what it writes up to a line with `ready` in it, which is returned.
    fn start_until(&mut self, program: &str, args: &[&str], ready: &str) -> Result<String, String> {
        let child = self.start(program, args)?;
        let stdout = child.stdout.take().ok_or("its output can't be read")?;
        let mut lines = BufReader::new(stdout).lines().map_while(Result::ok);
        let line = lines.by_ref().find(|line| line.contains(ready));
        // Nobody wants the rest, but somebody has to read it.
        thread::spawn(move || lines.for_each(drop));
        line.ok_or_else(|| format!("{program} ended before it was ready"))
    }

    /// Waits until one of them ends, and says which.
    fn wait(&mut self) -> String {
        loop {
            for (program, child) in &mut self.running {
                if !matches!(child.try_wait(), Ok(None)) {
                    return program.clone();
                }
            }
            thread::sleep(LOOKS_EVERY);
        }
    }
}

impl Drop for Parts {
    fn drop(&mut self) {
        for (_, child) in self.running.iter_mut().rev() {
            // It may have ended by itself.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// Starts the bus, and says by which options nodes reach it.
fn bus(parts: &mut Parts, bus: Bus, folder: &Path) -> Result<[String; 2], String> {
    let port = free_port()?;
    let number = port.to_string();
    if bus == Bus::Nats {
        // It logs to stderr, and nodes wait for it anyway.
        parts.start("nats-server", &["--addr", "127.0.0.1", "--port", &number])?;
        return Ok(["--nats".to_owned(), format!("nats://127.0.0.1:{port}")]);
    }
    let folder = folder.to_string_lossy();
    let args = [
        "--bind",
        "127.0.0.1",
        "--port",
        &number,
        "--save",
        "",
        "--dir",
        &folder,
    ];
    parts.start_until("redis-server", &args, "Ready to accept connections")?;
    Ok(["--redis".to_owned(), format!("redis://127.0.0.1:{port}")])
}

/// Starts a node, and says on which port it is.
fn node(
    parts: &mut Parts,
    app: App,
    name: &str,
    [bus, url]: &[String; 2],
    folder: &Path,
) -> Result<u16, String> {
    let program = target().join("debug").join(app.program());
    let program = program.to_string_lossy();
    let data = folder.join("showcase");
    let data = data.to_string_lossy();
    let own = match app {
        // Its secret is in the folder, which all nodes share.
        App::Showcase => ["--data", &data],
        App::Conformance => ["--secret", SECRET],
    };
    let args = [
        "--port",
        "0",
        "--bind",
        "127.0.0.1",
        "--node",
        name,
        bus,
        url,
    ];
    let line = parts.start_until(&program, &[&args[..], &own].concat(), "listening on")?;
    let port = line
        .rsplit(':')
        .next()
        .and_then(|it| it.trim().parse().ok());
    port.ok_or_else(|| format!("{name} says no port: {line}"))
}

fn free_port() -> Result<u16, String> {
    let listener = TcpListener::bind(("127.0.0.1", 0));
    let address = listener.and_then(|it| it.local_addr());
    address
        .map(|it| it.port())
        .map_err(|error| format!("there is no free port: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_say_what_over_which_bus_and_where() {
        let both = [App::Showcase, App::Conformance];
        let check = |args: &[&str], expected: Result<(&[App], Bus, u16), &str>| {
            let options = Options::parse(args);
            match (&options, expected) {
                (Err(why), Err(expected)) => assert!(why.contains(expected), "{why}"),
                (Ok(it), Ok(expected)) => assert_eq!((&*it.apps, it.bus, it.port), expected),
                (_, expected) => panic!("{args:?} gave {options:?}, not {expected:?}"),
            }
        };
        check(&[], Ok((&both, Bus::Redis, 4000)));
        check(
            &["--bus", "nats", "--port", "5000"],
            Ok((&both, Bus::Nats, 5000)),
        );
        check(
            &["--app", "showcase"],
            Ok((&[App::Showcase], Bus::Redis, 4000)),
        );
        check(
            &["--app", "both", "--bus", "redis"],
            Ok((&both, Bus::Redis, 4000)),
        );
        check(&["--port"], Err("wants a number"));
        check(&["--port", "0"], Err("wants a number"));
        check(&["--port", "65535"], Err("wants a number"));
        check(&["--bus", "kafka"], Err("wants redis or nats"));
        check(&["--app"], Err("wants showcase"));
        check(&["--redis"], Err("unknown option"));
    }
}
