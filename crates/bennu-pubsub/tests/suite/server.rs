//! A broker's process, on a free port of this machine, without anything that outlives it.

use std::{
    io::{BufRead, BufReader, Read},
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicU32, Ordering},
    thread,
};

/// Counts the servers of this process, whose folders need names.
static SERVERS: AtomicU32 = AtomicU32::new(0);

/// A program that runs while this lives.
pub(crate) struct Server {
    program: &'static str,
    pub(crate) args: Vec<String>,
    ready: &'static str,
    pub(crate) port: u16,
    folder: PathBuf,
    child: Option<Child>,
}

impl Server {
    /// Starts `program` with the arguments that `args` makes of a free port and an empty folder; it's ready when it
    /// has written a line with `ready` in it.
    pub(crate) fn start(
        program: &'static str,
        ready: &'static str,
        args: impl Fn(u16, &str) -> Vec<String>,
    ) -> Self {
        let number = SERVERS.fetch_add(1, Ordering::Relaxed);
        let name = Path::new(program).file_name().unwrap().to_string_lossy();
        let folder = format!("bennu-{name}-{}-{number}", std::process::id());
        let folder = std::env::temp_dir().join(folder);
        // Somebody else may take a port between finding it and using it: then another will do.
        for _ in 0..10 {
            let port = free_port();
            std::fs::create_dir_all(&folder).unwrap();
            let mut server = Self {
                program,
                args: args(port, &folder.to_string_lossy()),
                ready,
                port,
                folder: folder.clone(),
                child: None,
            };
            if server.run().is_ok() {
                return server;
            }
        }
        panic!("{program} doesn't start");
    }

    /// Starts it again where it was.
    pub(crate) fn run(&mut self) -> Result<(), String> {
        let program = self.program;
        let child = Command::new(program)
            .args(&self.args)
            .current_dir(&self.folder)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn();
        let child = child.unwrap_or_else(|error| {
            panic!(
                "{program} can't be started ({error}); `cargo xtask test --only tools` installs what tests need, or \
                 says how"
            )
        });
        let child = self.child.insert(child);
        let (stdout, stderr) = (child.stdout.take().unwrap(), child.stderr.take().unwrap());
        // One of the two is where it logs; both have to be read, or it would wait for that one day.
        let (lines, read) = std::sync::mpsc::channel();
        for output in [
            Box::new(stdout) as Box<dyn Read + Send>,
            Box::new(stderr) as Box<dyn Read + Send>,
        ] {
            let lines = lines.clone();
            thread::spawn(move || {
                for line in BufReader::new(output).lines().map_while(Result::ok) {
                    let _ = lines.send(line);
                }
            });
        }
        drop(lines);
        let mut log = String::new();
        for line in read {
            if line.contains(self.ready) {
                return Ok(());
            }
            log = log + &line + "\n";
        }
        Err(log)
    }

    /// Ends it where it stands.
    pub(crate) fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

pub(crate) fn free_port() -> u16 {
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    listener.local_addr().unwrap().port()
}
