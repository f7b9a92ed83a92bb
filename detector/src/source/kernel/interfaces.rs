//! The machine's interfaces: which there are, which are meant, and when that changes.
//!
//! A change is news from netlink; what changed is then read afresh, so that a message lost or
//! misread costs a delay and nothing else.

use std::collections::BTreeMap;
use std::io;
use std::net::IpAddr;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};

use anyhow::{Context as _, bail};
use detector_common::frame::LinkType;
use nix::ifaddrs::getifaddrs;
use nix::net::if_::{InterfaceFlags, if_nametoindex};
use nix::sys::socket::{
    AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, bind, recv, socket,
};
use wildmatch::WildMatch;

use crate::network::Network;

/// One interface of this network namespace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Interface {
    pub name: String,
    pub index: u32,
    pub link: LinkType,
    pub loopback: bool,
    /// The networks of its own addresses.
    pub networks: Vec<Network>,
}

/// `ARPHRD_` numbers of include/uapi/linux/if_arp.h for devices with an Ethernet header; the others
/// that carry IP (tun, WireGuard, ppp, tunnels) start with the IP header.
const ARPHRD_ETHERNET: [u16; 2] = [1, 772];

/// All interfaces of this network namespace, by name.
pub fn list() -> anyhow::Result<BTreeMap<String, Interface>> {
    let mut interfaces: BTreeMap<String, Interface> = BTreeMap::new();
    let addresses = getifaddrs().context("failed to list the interfaces")?;
    for entry in addresses {
        let Some(address) = entry.address else {
            // A device without a hardware address (WireGuard, tun) is reported without any, and
            // before its networks; its packets begin with their IP header.
            let name = entry.interface_name;
            if let Ok(index) = if_nametoindex(name.as_str()) {
                interfaces.entry(name.clone()).or_insert(Interface {
                    name,
                    index,
                    link: LinkType::Raw,
                    loopback: false,
                    networks: Vec::new(),
                });
            }
            continue;
        };
        if let Some(link) = address.as_link_addr() {
            let interface = Interface {
                name: entry.interface_name.clone(),
                index: u32::try_from(link.ifindex()).unwrap_or(0),
                link: if ARPHRD_ETHERNET.contains(&link.hatype()) {
                    LinkType::Ethernet
                } else {
                    LinkType::Raw
                },
                loopback: entry.flags.contains(InterfaceFlags::IFF_LOOPBACK),
                networks: Vec::new(),
            };
            interfaces.insert(entry.interface_name, interface);
            continue;
        }
        let mask = entry.netmask;
        let network = match (address.as_sockaddr_in(), address.as_sockaddr_in6()) {
            (Some(v4), _) => {
                let mask = mask.and_then(|mask| mask.as_sockaddr_in().map(|mask| mask.ip()));
                let length = mask.map_or(32, |mask| u32::from(mask).count_ones() as u8);
                Network::around(IpAddr::V4(v4.ip()), length)
            }
            (_, Some(v6)) => {
                let mask = mask.and_then(|mask| mask.as_sockaddr_in6().map(|mask| mask.ip()));
                let length = mask.map_or(128, |mask| u128::from(mask).count_ones() as u8);
                Network::around(IpAddr::V6(v6.ip()), length)
            }
            _ => continue,
        };
        // Labels such as eth0:1 belong to the interface before the colon.
        let name = entry.interface_name.split(':').next().unwrap_or_default();
        if let (Some(interface), Ok(network)) = (interfaces.get_mut(name), network) {
            interface.networks.push(network);
        }
    }
    Ok(interfaces)
}

/// The interfaces that are meant: names, patterns, or all.
#[derive(Clone, Debug)]
pub struct Selection {
    /// As they were written.
    names: Vec<String>,
    patterns: Vec<WildMatch>,
    all: bool,
    /// Said while it runs, of single interfaces: it goes before the rest.
    said: BTreeMap<String, bool>,
}

impl Selection {
    pub fn new(names: &[String]) -> anyhow::Result<Self> {
        if names.is_empty() {
            bail!(
                "no interface is configured: use --interface with a name, a pattern such as \
                 \"eth*\", or all"
            );
        }
        Ok(Self {
            names: names.to_vec(),
            patterns: names.iter().map(|name| WildMatch::new(name)).collect(),
            all: names.iter().any(|name| name == "all"),
            said: BTreeMap::new(),
        })
    }

    /// Whether an interface is meant. The loopback is only when it is named itself: its traffic is
    /// seen twice and leaves no host.
    #[must_use]
    pub fn contains(&self, interface: &Interface) -> bool {
        if let Some(said) = self.said.get(&interface.name) {
            return *said;
        }
        if interface.loopback {
            return self.names.contains(&interface.name);
        }
        self.all || self.patterns.iter().any(|pattern| pattern.matches(&interface.name))
    }

    /// From now on this interface is meant, or is not, whatever the names say.
    pub fn say(&mut self, name: &str, meant: bool) {
        self.said.insert(name.to_owned(), meant);
    }

    /// Sees that every name means something now.
    pub fn check(&self, interfaces: &BTreeMap<String, Interface>) -> anyhow::Result<()> {
        for (name, pattern) in self.names.iter().zip(&self.patterns) {
            let meant = name == "all" || interfaces.keys().any(|known| pattern.matches(known));
            if !meant {
                let known: Vec<&str> = interfaces.keys().map(String::as_str).collect();
                bail!("there is no interface {name}: use one of {}", known.join(", "));
            }
        }
        Ok(())
    }
}

/// Hears of links and addresses that come and go.
#[derive(Debug)]
pub struct Watcher {
    socket: OwnedFd,
}

/// Multicast groups of include/uapi/linux/rtnetlink.h: links, IPv4 and IPv6 addresses.
const GROUPS: u32 = 0x1 | 0x10 | 0x100;

impl Watcher {
    pub fn new() -> anyhow::Result<Self> {
        let socket = socket(
            AddressFamily::Netlink,
            SockType::Raw,
            SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK,
            SockProtocol::NetlinkRoute,
        )
        .context("failed to open a netlink socket")?;
        bind(socket.as_raw_fd(), &NetlinkAddr::new(0, GROUPS))
            .context("failed to subscribe to interface changes")?;
        Ok(Self { socket })
    }

    /// Takes all news there is; true where there was any. An overrun is news, too.
    pub fn drain(&self) -> io::Result<bool> {
        let mut any = false;
        let mut buffer = [0; 8_192];
        loop {
            match recv(self.socket.as_raw_fd(), &mut buffer, MsgFlags::empty()) {
                Ok(_) | Err(nix::Error::ENOBUFS) => any = true,
                Err(nix::Error::EAGAIN) => return Ok(any),
                Err(nix::Error::EINTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
}

impl AsRawFd for Watcher {
    fn as_raw_fd(&self) -> RawFd {
        self.socket.as_raw_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn interface(name: &str) -> Interface {
        Interface {
            name: name.to_owned(),
            index: 2,
            link: LinkType::Ethernet,
            loopback: name == "lo",
            networks: Vec::new(),
        }
    }

    fn check(names: &[&str], meant: &[&str], not_meant: &[&str]) {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let selection = Selection::new(&names).unwrap();
        for name in meant {
            assert!(selection.contains(&interface(name)), "{names:?} and {name}");
        }
        for name in not_meant {
            assert!(!selection.contains(&interface(name)), "{names:?} and {name}");
        }
    }

    #[test]
    fn names_patterns_and_all() {
        check(&["eth0"], &["eth0"], &["eth1", "eth01", "lo"]);
        check(&["eth*", "wg?"], &["eth0", "eth12", "wg0"], &["wg10", "lo"]);
        check(&["all"], &["eth0", "docker0"], &["lo"]);
        check(&["*"], &["eth0"], &["lo"]);
        check(&["lo"], &["lo"], &["eth0"]);
        assert!(Selection::new(&[]).is_err());
    }

    #[test]
    fn a_missing_interface_is_named_with_those_there_are() {
        let there = BTreeMap::from([("eth0".to_owned(), interface("eth0"))]);
        let selection = Selection::new(&["eth0".to_owned(), "eth7".to_owned()]).unwrap();
        let error = selection.check(&there).unwrap_err().to_string();
        assert_eq!(error, "there is no interface eth7: use one of eth0");
    }

    #[test]
    fn the_loopback_is_listed() {
        assert!(list().unwrap()["lo"].loopback);
    }
}
