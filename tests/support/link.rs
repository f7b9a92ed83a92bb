//! veth pairs whose two ends are born inside the namespaces they belong to, so that no interface
//! ever appears in the machine's own namespace.

use anyhow::{Context, Result};

use crate::{Namespace, run_checked};

/// One end of a veth pair, as it shall be.
#[derive(Clone, Debug)]
pub struct VethEnd<'a> {
    namespace: &'a Namespace,
    name: String,
    mac: Option<String>,
    addresses: Vec<String>,
}

impl<'a> VethEnd<'a> {
    pub fn new(namespace: &'a Namespace, name: &str) -> Self {
        Self { namespace, name: name.to_owned(), mac: None, addresses: Vec::new() }
    }

    /// A fixed hardware address, so that recordings of two runs compare.
    pub fn mac(mut self, mac: &str) -> Self {
        self.mac = Some(mac.to_owned());
        self
    }

    /// An address with its prefix length, of either family.
    pub fn address(mut self, address: &str) -> Self {
        self.addresses.push(address.to_owned());
        self
    }

    fn bring_up(&self, mtu: u32) -> Result<()> {
        let Self { namespace, name, .. } = self;
        if let Some(mac) = &self.mac {
            namespace.ip(&format!("link set dev {name} address {mac}"))?;
        }
        // Router solicitations would be traffic that no test asked for.
        namespace.sysctl(&format!("net.ipv6.conf.{name}.router_solicitations"), "0")?;
        // No link-local address by itself, as the kernel would test that one for duplicates.
        namespace.ip(&format!("link set dev {name} mtu {mtu} addrgenmode none"))?;
        namespace.ip(&format!("link set dev {name} up"))?;
        Ok(())
    }

    /// Once both ends are up. No address is tentative at any time: a router with a tentative one
    /// resolves no neighbour, and drops what it should forward, for up to two seconds.
    fn assign_addresses(&self, link_local: &str) -> Result<()> {
        let Self { namespace, name, addresses, .. } = self;
        let speaks_v6 = addresses.iter().any(|address| address.contains(':'));
        for address in
            speaks_v6.then_some(link_local).into_iter().chain(addresses.iter().map(String::as_str))
        {
            let nodad = if address.contains(':') { "nodad" } else { "" };
            namespace.ip(&format!("address add {address} dev {name} {nodad}"))?;
        }
        Ok(())
    }

    fn use_wire_size(&self) -> Result<()> {
        let flags = ["gro", "gso", "tso", "tx"].into_iter().flat_map(|feature| [feature, "off"]);
        run_checked(self.namespace.command("ethtool").args(["-K", &self.name]).args(flags))?;
        Ok(())
    }
}

/// A veth pair; it vanishes with either of its namespaces.
#[derive(Clone, Debug)]
pub struct Veth<'a> {
    pub left: VethEnd<'a>,
    pub right: VethEnd<'a>,
    pub mtu: u32,
    /// Segmentation and checksum offloads off at both ends, so that captures hold packets as a wire
    /// would carry them.
    pub wire_size: bool,
}

impl<'a> Veth<'a> {
    pub fn new(left: VethEnd<'a>, right: VethEnd<'a>) -> Self {
        Self { left, right, mtu: 1500, wire_size: false }
    }

    pub fn mtu(mut self, mtu: u32) -> Self {
        self.mtu = mtu;
        self
    }

    pub fn wire_size(mut self, wire_size: bool) -> Self {
        self.wire_size = wire_size;
        self
    }

    /// Creates the pair with both ends up and addressed.
    pub fn create(&self) -> Result<()> {
        let Self { left, right, .. } = self;
        let peer = format!(
            "link add {} type veth peer name {} netns {}",
            left.name,
            right.name,
            right.namespace.name()
        );
        left.namespace
            .ip(&peer)
            .with_context(|| format!("failed to join {} and {}", left.name, right.name))?;
        for end in [left, right] {
            if self.wire_size {
                end.use_wire_size()?;
            }
            end.bring_up(self.mtu)?;
        }
        left.assign_addresses("fe80::1/64")?;
        right.assign_addresses("fe80::2/64")?;
        Ok(())
    }
}
