//! `cargo xtask cluster`: three nodes of each application behind a load balancer, to try what is in docs/cluster.md by hand.

mod balancer;
mod parts;

use std::{fs, io::ErrorKind, net::TcpListener, path::Path};

use parts::Parts;

use crate::{
    program::{Program, target},
    tools,
};

const NODES: usize = 3;
const PORT: u16 = 4000;
/// Tokens of one node have to be good on the others.
const SECRET: &str = "a secret that is none";

/// `args` is what follows `cargo xtask cluster`.
pub(crate) fn run(args: &[&str]) -> Result<(), String> {
    let options = Options::parse(args)?;
    // HAProxy would share a port with another HAProxy. Held until it starts, so that nobody else takes them meanwhile.
    let held = options.ports().map(hold).collect::<Result<Vec<_>, _>>()?;
    tools::bus(options.bus == Bus::Nats)?;
    tools::haproxy()?;
    let packages = options.apps.iter().flat_map(|app| ["-p", app.program()]);
    let build: Vec<&str> = ["build", "--bins"].into_iter().chain(packages).collect();
    Program::cargo(&build).run()?;
    // Of this cluster alone: another one may run, at another port.
    let folder = target().join("cluster").join(options.port.to_string());
    fs::create_dir_all(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;

    let mut parts = Parts::default();
    let bus = bus(&mut parts, options.bus, &folder)?;
    let mut fronts = Vec::new();
    for (app, port) in options.apps.iter().zip(options.ports()) {
        let mut nodes = Vec::new();
        for number in 1..=NODES {
            let name = format!("web-{number}");
            nodes.push(node(&mut parts, *app, name, &bus, &folder)?);
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
    Program::new("haproxy", &["-c", "-f", &path]).output()?;
    drop(held);
    // What it says of nodes that come and go is worth seeing.
    parts.start("haproxy", &["-db", "-f", &path])?;
    parts.listens(options.ports())?;
    for front in &fronts {
        front.tell();
    }
    let [_, url] = &bus;
    println!("\nTo see a node fail, kill -9 its pid: it's started again after a second.");
    println!("The bus is {url}. ctrl-c ends all of it.");
    parts.wait()
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
pub(crate) enum Bus {
    Redis,
    Nats,
}

/// The nodes of an application, and the port that leads to them.
struct Front {
    app: App,
    port: u16,
    nodes: Vec<Node>,
}

#[derive(Clone)]
struct Node {
    name: String,
    port: u16,
    pid: u32,
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

    /// One for each application.
    fn ports(&self) -> impl Iterator<Item = u16> {
        (self.port..).take(self.apps.len())
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
                for Node { name, port, pid } in nodes {
                    println!("  {name}  http://localhost:{port}/  pid {pid}");
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
                for Node { name, port, pid } in nodes {
                    println!(
                        "  {name}  http://localhost:{port}/metrics, /health, /sockets  pid {pid}"
                    );
                }
                println!("To try it, in two terminals:");
                println!("  cargo run -p bennu-cli -- listen ws://localhost:{port}/socket room:1");
                println!(
                    "  cargo run -p bennu-cli -- push --no-reply ws://localhost:{port}/socket room:1 shout '{{\"hello\": \"all\"}}'"
                );
            }
        }
    }
}

/// A bus for nodes that somebody else starts. It ends when this is dropped.
pub(crate) struct BusAlone {
    _parts: Parts,
    pub(crate) url: String,
}

impl BusAlone {
    pub(crate) fn start(kind: Bus, folder: &Path) -> Result<Self, String> {
        let mut parts = Parts::default();
        let [_, url] = bus(&mut parts, kind, folder)?;
        Ok(Self { _parts: parts, url })
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

/// Starts a node, which keeps its port when it's started again.
fn node(
    parts: &mut Parts,
    app: App,
    name: String,
    [bus, url]: &[String; 2],
    folder: &Path,
) -> Result<Node, String> {
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
        &["--bind", "127.0.0.1", "--node", &name, bus, url][..],
        &own,
    ]
    .concat();
    let first = [&["--port", "0"][..], &args].concat();
    let (line, pid) = parts.start_until(&program, &first, "listening on")?;
    let port = line
        .rsplit(':')
        .next()
        .and_then(|it| it.trim().parse::<u16>().ok());
    let port = port.ok_or_else(|| format!("{name} says no port: {line}"))?;
    let again = port.to_string();
    parts.again(
        format!("node {name} of {}", app.program()),
        &program,
        &[&["--port", &again][..], &args].concat(),
    );
    Ok(Node { name, port, pid })
}

/// Takes a port of the balancer's, unless somebody has it.
fn hold(port: u16) -> Result<TcpListener, String> {
    TcpListener::bind(("127.0.0.1", port)).map_err(|error| match error.kind() {
        ErrorKind::AddrInUse => format!("port {port} is taken; give another with --port"),
        _ => format!("port {port} can't be used: {error}; give another with --port"),
    })
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
    fn a_port_that_somebody_has_is_said_to_be_taken() {
        let taken = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let port = taken.local_addr().unwrap().port();
        let why = hold(port).unwrap_err();
        assert_eq!(
            why,
            format!("port {port} is taken; give another with --port")
        );
        hold(0).unwrap();
    }

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
