//! A network of its own for one node, whose cable to the bus can be pulled: where this machine lets us, packets are really lost.

use std::{
    net::{Ipv4Addr, SocketAddr},
    process::{Command, id},
};

/// Of addresses that are kept for measurements (RFC 2544), so that nobody else has them.
const NETWORK: [u8; 2] = [198, 18];

/// While the cable is pulled nothing passes, and neither side is told. Dropped, all of it is gone.
pub(crate) struct Namespace {
    name: String,
    /// Where the node is reached by clients, and where it finds the bus.
    pub(crate) node: Ipv4Addr,
    pub(crate) bus: Ipv4Addr,
}

impl Namespace {
    /// The error says what this machine refuses.
    pub(crate) fn new() -> Result<Self, String> {
        // Another run has another number, or fails.
        let [.., number] = id().to_be_bytes();
        let address = |host| Ipv4Addr::new(NETWORK[0], NETWORK[1], number, host);
        let name = format!("bennu-{number}");
        ip(&["netns", "add", &name])?;
        let namespace = Self {
            name,
            node: address(2),
            bus: address(5),
        };
        // One cable for the clients, and one for the bus.
        namespace.cable("clients", address(1), address(2))?;
        namespace.cable("bus", address(5), address(6))?;
        ip(&["netns", "exec", &namespace.name, "true"])?;
        Ok(namespace)
    }

    fn cable(&self, to: &str, here: Ipv4Addr, there: Ipv4Addr) -> Result<(), String> {
        let (near, far) = (self.near(to), "to-".to_owned() + to);
        let (here, there) = (format!("{here}/30"), format!("{there}/30"));
        let name = &self.name;
        ip(&[
            "link", "add", &near, "type", "veth", "peer", "name", &far, "netns", name,
        ])?;
        ip(&["addr", "add", &here, "dev", &near])?;
        ip(&["-n", name, "addr", "add", &there, "dev", &far])?;
        ip(&["link", "set", &near, "up"])?;
        ip(&["-n", name, "link", "set", &far, "up"])
    }

    /// The cable's end on this side. Fifteen bytes are the most that it may have.
    fn near(&self, to: &str) -> String {
        format!("{}-{}", self.name, &to[..1])
    }

    /// A program and its arguments, to be run within.
    pub(crate) fn within<'a>(&'a self, program: &'a str, args: &[&'a str]) -> Vec<&'a str> {
        // It becomes the program, which signals reach then.
        [&["netns", "exec", &self.name, program], args].concat()
    }

    /// Where the node listens.
    pub(crate) fn address(&self, port: u16) -> SocketAddr {
        (self.node, port).into()
    }

    pub(crate) fn cut(&self) {
        ip(&["link", "set", &self.near("bus"), "down"]).unwrap();
    }

    pub(crate) fn mend(&self) {
        ip(&["link", "set", &self.near("bus"), "up"]).unwrap();
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        // The cables go along. What isn't there needn't be removed.
        let _ = ip(&["netns", "del", &self.name]);
    }
}

fn ip(args: &[&str]) -> Result<(), String> {
    let said = Command::new("ip").args(args).output();
    let said = said.map_err(|error| format!("`ip` can't be started: {error}"))?;
    if said.status.success() {
        return Ok(());
    }
    let why = String::from_utf8_lossy(&said.stderr).trim().to_owned();
    Err(format!("`ip {}`: {why}", args.join(" ")))
}
