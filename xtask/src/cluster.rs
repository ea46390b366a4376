//! `cargo xtask cluster`: three nodes behind a load balancer, to try what is in docs/cluster.md by hand.

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
/// How often it's seen whether all still run.
const LOOKS_EVERY: Duration = Duration::from_millis(200);

/// `args` is what follows `cargo xtask cluster`.
pub(crate) fn run(args: &[&str]) -> Result<(), String> {
    let options = Options::parse(args)?;
    tools::bus(options.is_nats)?;
    tools::haproxy()?;
    Program::cargo(&["build", "-p", "conformance", "--bins"]).run()?;
    let folder = target().join("cluster");
    fs::create_dir_all(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let mut parts = Parts::default();
    let bus = bus(&mut parts, options.is_nats, &folder)?;
    let mut servers = Vec::new();
    for number in 1..=NODES {
        let name = format!("web-{number}");
        let port = node(&mut parts, &name, &bus)?;
        servers.push((name, port));
    }
    let path = folder.join("haproxy.cfg");
    fs::write(&path, balancer(options.port, &servers))
        .map_err(|error| format!("{}: {error}", path.display()))?;
    let path = path.to_string_lossy().into_owned();
    Program::new("haproxy", &["-c", "-q", "-f", &path]).run()?;
    parts.start("haproxy", &["-db", "-q", "-f", &path])?;
    tell(options.port, &servers, &bus);
    let ended = parts.wait();
    Err(format!("{ended} has ended, and so has the cluster"))
}

#[derive(Debug, PartialEq, Eq)]
struct Options {
    is_nats: bool,
    port: u16,
}

impl Options {
    fn parse(args: &[&str]) -> Result<Self, String> {
        let mut options = Self {
            is_nats: false,
            port: PORT,
        };
        let mut args = args.iter();
        while let Some(arg) = args.next() {
            match *arg {
                "--nats" => options.is_nats = true,
                "--port" => {
                    let port = args.next().and_then(|it| it.parse().ok());
                    options.port = port.filter(|it| *it > 0).ok_or("--port wants a number")?;
                }
                other => {
                    return Err(format!(
                        "unknown option {other:?}; there are --nats and --port PORT"
                    ));
                }
            }
        }
        Ok(options)
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
fn bus(parts: &mut Parts, is_nats: bool, folder: &Path) -> Result<[String; 2], String> {
    let port = free_port()?;
    let number = port.to_string();
    if is_nats {
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
fn node(parts: &mut Parts, name: &str, [bus, url]: &[String; 2]) -> Result<u16, String> {
    let program = target().join("debug/conformance");
    let program = program.to_string_lossy();
    // Tokens of one node have to be good on the others.
    let secret = "a secret that is none";
    let args = ["--port", "0", "--node", name, "--secret", secret, bus, url];
    let line = parts.start_until(&program, &args, "listening on")?;
    let port = line
        .rsplit(':')
        .next()
        .and_then(|it| it.trim().parse().ok());
    port.ok_or_else(|| format!("{name} says no port: {line}"))
}

/// What HAProxy is told: no client sticks to a node, and nodes that drain are left alone. It keeps its connections to
/// them, as otherwise it would end some by resets, which look as if answers were lost.
fn balancer(port: u16, servers: &[(String, u16)]) -> String {
    let servers: String = servers
        .iter()
        .map(|(name, port)| format!("    server {name} 127.0.0.1:{port} check\n"))
        .collect();
    format!(
        "\
global
    maxconn 9000

defaults
    mode http
    option redispatch
    retries 3
    retry-on conn-failure
    timeout connect 2s
    timeout client 75s
    timeout server 75s
    timeout tunnel 75s

frontend bennu
    bind 127.0.0.1:{port}
    default_backend nodes

backend nodes
    balance roundrobin
    option httpchk GET /health
    http-reuse always
    default-server inter 500ms fall 1 rise 1
{servers}"
    )
}

fn tell(port: u16, servers: &[(String, u16)], [_, url]: &[String; 2]) {
    println!("\nThe cluster is at ws://127.0.0.1:{port}/socket, and each of its nodes by itself:");
    for (name, port) in servers {
        println!("  {name}  http://127.0.0.1:{port}/metrics, /health, /sockets");
    }
    println!("\nThe bus is {url}. To try it, in two terminals:");
    println!("  cargo run -p bennu-cli -- listen ws://127.0.0.1:{port}/socket room:1");
    println!(
        "  cargo run -p bennu-cli -- push ws://127.0.0.1:{port}/socket room:1 shout '{{\"hello\": \"all\"}}'"
    );
    println!("\nctrl-c ends it.");
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
    fn options_say_which_bus_and_where() {
        let check = |args: &[&str], expected: Result<(bool, u16), &str>| {
            let options = Options::parse(args).map(|it| (it.is_nats, it.port));
            match (&options, expected) {
                (Err(why), Err(expected)) => assert!(why.contains(expected), "{why}"),
                (options, expected) => assert_eq!(options.as_ref().ok(), expected.ok().as_ref()),
            }
        };
        check(&[], Ok((false, 4000)));
        check(&["--nats", "--port", "5000"], Ok((true, 5000)));
        check(&["--port"], Err("wants a number"));
        check(&["--port", "0"], Err("wants a number"));
        check(&["--redis"], Err("unknown option"));
    }

    #[test]
    fn the_balancer_knows_every_node() {
        let servers = [("web-1".to_owned(), 1001), ("web-2".to_owned(), 1002)];
        let text = balancer(4000, &servers);
        for line in [
            "    bind 127.0.0.1:4000\n",
            "    server web-1 127.0.0.1:1001 check\n",
            "    server web-2 127.0.0.1:1002 check\n",
        ] {
            assert!(text.contains(line), "{text}");
        }
    }
}
