//! Starts the conformance server on a port of its own, and ends it as an operator would.

use std::{
    env,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

/// The server; it ends with this.
pub struct Server {
    child: Child,
    address: String,
}

impl Server {
    pub fn start() -> Self {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../..");
        let programs = env::var_os("BENNU_PROGRAMS").map(PathBuf::from);
        let programs = programs.unwrap_or_else(|| root.join("target/debug"));
        let mut child = Command::new(programs.join("conformance"))
            .args(["--port", "0"])
            .stdout(Stdio::piped())
            .spawn()
            .expect("the conformance server is built");
        let mut line = String::new();
        let stdout = child.stdout.take().expect("stdout is a pipe");
        BufReader::new(stdout).read_line(&mut line).unwrap();
        let address = line.trim().strip_prefix("listening on ");
        let address = address.expect(&line).to_owned();
        Self { child, address }
    }

    /// The address of its WebSocket, and of the socket that it belongs to.
    pub fn websocket(&self) -> String {
        format!("ws://{}/socket/websocket", self.address)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        _ = self.child.kill();
        _ = self.child.wait();
    }
}
