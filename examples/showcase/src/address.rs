//! Where the program is reached.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};

/// What people type into a browser.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Addresses {
    /// What the listener is bound to.
    pub(crate) bound: SocketAddr,
    /// On this computer, such as `http://localhost:4000`.
    pub(crate) here: String,
    /// On others in the same network, when they can get in.
    pub(crate) phones: Option<String>,
}

impl Addresses {
    /// Those of a listener.
    pub(crate) fn of(bound: SocketAddr) -> Self {
        Self::within(bound, network())
    }

    /// `network` is this computer's address in its network.
    fn within(bound: SocketAddr, network: Option<IpAddr>) -> Self {
        let ip = bound.ip();
        let url = |ip| format!("http://{}", SocketAddr::new(ip, bound.port()));
        let is_everywhere = ip.is_unspecified();
        let here = match is_everywhere || ip.is_loopback() {
            true => format!("http://localhost:{}", bound.port()),
            false => url(ip),
        };
        let phones = match is_everywhere {
            true => network.map(url),
            false => (!ip.is_loopback()).then(|| url(ip)),
        };
        Self {
            bound,
            here,
            phones,
        }
    }
}

/// This computer's address on the way out of it. Connecting a UDP socket asks the system for the route and sends nothing;
/// the address asked for is one that is kept for documentation (RFC 5737).
fn network() -> Option<IpAddr> {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).ok()?;
    socket.connect((Ipv4Addr::new(192, 0, 2, 1), 9)).ok()?;
    let ip = socket.local_addr().ok()?.ip();
    (!ip.is_loopback() && !ip.is_unspecified()).then_some(ip)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn phones_are_told_an_address_that_they_can_reach() {
        let check = |bound: &str, network: Option<&str>, here: &str, phones: Option<&str>| {
            let network = network.map(|it| it.parse().unwrap());
            let addresses = Addresses::within(bound.parse().unwrap(), network);
            let found = (addresses.here.as_str(), addresses.phones.as_deref());
            assert_eq!(found, (here, phones), "{bound}");
        };
        let lan = Some("10.1.2.3");
        let localhost = "http://localhost:4000";
        check("0.0.0.0:4000", lan, localhost, Some("http://10.1.2.3:4000"));
        check("[::]:4000", lan, localhost, Some("http://10.1.2.3:4000"));
        check("0.0.0.0:4000", None, localhost, None);
        check("127.0.0.1:4000", lan, localhost, None);
        check("[::1]:4000", lan, localhost, None);
        let own = "http://10.9.9.9:80";
        check("10.9.9.9:80", lan, own, Some(own));
        let own = "http://[fd00::1]:80";
        check("[fd00::1]:80", lan, own, Some(own));
    }
}
