//! The network that most tests need: a client behind a gateway, and servers on its far side.
//!
//! ```text
//! client lan0 ── gw-lan gateway gw-wan0 ── [wire] ── wan0 server 0
//!                               gw-wan1 ── [wire] ── wan0 server 1 …
//! ```
//!
//! The client lives in 10.66.1.0/24 and fd66:1::/64. A server answers for every address of its
//! prefixes, so that one namespace can stand for many hosts; what it starts by itself comes from its
//! first address of each family. Where asked for, a bare namespace stands in the middle of a link
//! (`wire`), for a program that delays or loses frames.

use anyhow::Result;

use crate::{Namespace, Veth, VethEnd};

/// A namespace on the far side of the gateway, and the prefixes that are routed to it.
#[derive(Clone, Debug)]
pub struct ServerSpec {
    pub role: String,
    pub prefixes: Vec<String>,
    pub addresses: Vec<String>,
    /// Puts a namespace with the interfaces `left` and `right` into the link; nothing passes until a
    /// program in it carries frames across.
    pub wire: bool,
}

impl ServerSpec {
    pub fn new(role: &str) -> Self {
        Self { role: role.to_owned(), prefixes: Vec::new(), addresses: Vec::new(), wire: false }
    }

    /// Routes a prefix of either family to this server, which answers for all of it.
    pub fn prefix(mut self, prefix: &str) -> Self {
        self.prefixes.push(prefix.to_owned());
        self
    }

    /// An address of the server (without prefix length), inside one of its prefixes.
    pub fn address(mut self, address: &str) -> Self {
        self.addresses.push(address.to_owned());
        self
    }

    pub fn wire(mut self) -> Self {
        self.wire = true;
        self
    }

    /// The three documentation prefixes and one address of each: enough for most tests.
    pub fn internet() -> Self {
        Self::new("internet")
            .prefix("203.0.113.0/24")
            .prefix("198.51.100.0/24")
            .prefix("2001:db8::/32")
            .address("203.0.113.10")
            .address("198.51.100.10")
            .address("2001:db8::10")
    }
}

/// Namespaces in which every client can reach every server; all of it vanishes on drop.
#[derive(Debug)]
pub struct Topology {
    pub client: Namespace,
    pub gateway: Namespace,
    pub servers: Vec<Namespace>,
    /// Same order as `servers`; present where the spec asked for one.
    pub wires: Vec<Option<Namespace>>,
}

impl Topology {
    pub const CLIENT_INTERFACE: &str = "lan0";
    pub const GATEWAY_INNER: &str = "gw-lan";
    pub const GATEWAY_V4: &str = "10.66.1.1";
    pub const GATEWAY_V6: &str = "fd66:1::1";
    pub const SERVER_INTERFACE: &str = "wan0";

    pub fn builder() -> TopologyBuilder {
        TopologyBuilder { client_host: 10, mtu: 1500, wire_size: false, servers: Vec::new() }
    }

    /// A client, a gateway and one server with `ServerSpec::internet`.
    pub fn simple() -> Result<Self> {
        Self::builder().server(ServerSpec::internet()).build()
    }

    /// The gateway's interface towards server `index`.
    pub fn gateway_outer(index: usize) -> String {
        format!("gw-wan{index}")
    }

    /// The first server.
    pub fn server(&self) -> &Namespace {
        &self.servers[0]
    }
}

#[derive(Clone, Debug)]
pub struct TopologyBuilder {
    client_host: u8,
    mtu: u32,
    wire_size: bool,
    servers: Vec<ServerSpec>,
}

impl TopologyBuilder {
    /// The last number of the client's addresses, 10.66.1.N and fd66:1::N.
    pub fn client_host(mut self, client_host: u8) -> Self {
        self.client_host = client_host;
        self
    }

    pub fn mtu(mut self, mtu: u32) -> Self {
        self.mtu = mtu;
        self
    }

    /// Offloads off on every link.
    pub fn wire_size(mut self) -> Self {
        self.wire_size = true;
        self
    }

    pub fn server(mut self, server: ServerSpec) -> Self {
        self.servers.push(server);
        self
    }

    pub fn build(&self) -> Result<Topology> {
        let gateway = Namespace::new("gateway")?;
        gateway.sysctl("net.ipv4.ip_forward", "1")?;
        gateway.sysctl("net.ipv6.conf.all.forwarding", "1")?;
        let client = self.client(&gateway)?;
        let mut servers = Vec::new();
        let mut wires = Vec::new();
        for (index, spec) in self.servers.iter().enumerate() {
            let (server, wire) = self.server_behind(&gateway, spec, index)?;
            servers.push(server);
            wires.push(wire);
        }
        Ok(Topology { client, gateway, servers, wires })
    }

    fn client(&self, gateway: &Namespace) -> Result<Namespace> {
        let client = Namespace::new("client")?;
        let host = self.client_host;
        let inner = VethEnd::new(&client, Topology::CLIENT_INTERFACE)
            .mac(&format!("02:66:01:00:00:{host:02x}"))
            .address(&format!("10.66.1.{host}/24"))
            .address(&format!("fd66:1::{host:x}/64"));
        let outer = VethEnd::new(gateway, Topology::GATEWAY_INNER)
            .mac("02:66:01:00:00:01")
            .address(&format!("{}/24", Topology::GATEWAY_V4))
            .address(&format!("{}/64", Topology::GATEWAY_V6));
        self.join(inner, outer)?;
        client.ip(&format!("route add default via {}", Topology::GATEWAY_V4))?;
        client.ip(&format!("-6 route add default via {}", Topology::GATEWAY_V6))?;
        Ok(client)
    }

    fn server_behind(
        &self,
        gateway: &Namespace,
        spec: &ServerSpec,
        index: usize,
    ) -> Result<(Namespace, Option<Namespace>)> {
        let server = Namespace::new(&spec.role)?;
        let net = index + 1;
        let near = VethEnd::new(gateway, &Topology::gateway_outer(index))
            .mac(&format!("02:66:02:00:{net:02x}:01"))
            .address(&format!("10.67.{net}.1/30"))
            .address(&format!("fd67:{net:x}::1/64"));
        let far = VethEnd::new(&server, Topology::SERVER_INTERFACE)
            .mac(&format!("02:66:02:00:{net:02x}:02"))
            .address(&format!("10.67.{net}.2/30"))
            .address(&format!("fd67:{net:x}::2/64"));
        let wire = if spec.wire {
            Some(self.join_through_wire(near, far)?)
        } else {
            self.join(near, far)?;
            None
        };
        for (family, near, far) in [
            ("-4", format!("10.67.{net}.1"), format!("10.67.{net}.2")),
            ("-6", format!("fd67:{net:x}::1"), format!("fd67:{net:x}::2")),
        ] {
            let own = |address: &&String| address.contains(':') == (family == "-6");
            for prefix in spec.prefixes.iter().filter(own) {
                gateway.ip(&format!("{family} route add {prefix} via {far}"))?;
                // The whole prefix is local, without an address for each host (AnyIP).
                server.ip(&format!("{family} route add local {prefix} dev lo"))?;
            }
            for address in spec.addresses.iter().filter(own) {
                // Without nodad an IPv6 address is tentative at first, and no route may name it.
                let nodad = if family == "-6" { "nodad" } else { "" };
                server.ip(&format!("{family} address add {address} dev lo {nodad}"))?;
            }
            let source = spec
                .addresses
                .iter()
                .find(own)
                .map(|address| format!("src {address}"))
                .unwrap_or_default();
            server.ip(&format!("{family} route add default via {near} {source}"))?;
        }
        Ok((server, wire))
    }

    fn join(&self, left: VethEnd<'_>, right: VethEnd<'_>) -> Result<()> {
        Veth::new(left, right).mtu(self.mtu).wire_size(self.wire_size).create()
    }

    fn join_through_wire(&self, near: VethEnd<'_>, far: VethEnd<'_>) -> Result<Namespace> {
        let wire = Namespace::new("wire")?;
        // The wire itself has no addresses and says nothing.
        wire.sysctl("net.ipv6.conf.default.disable_ipv6", "1")?;
        self.join(near, VethEnd::new(&wire, "left"))?;
        self.join(VethEnd::new(&wire, "right"), far)?;
        Ok(wire)
    }
}
