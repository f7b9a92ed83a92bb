//! What tshark reads, frame by frame, added up here.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::path::Path;
use std::process::Command;

use super::{End, Pair, Service, View};

/// What stands between the values of a field that occurs again.
const BETWEEN: char = '|';

/// Fragments are left as they are: each is a packet. Of a field that occurs again, as within a tunnel, the
/// first is the outermost.
const OPTIONS: &[&str] = &[
    "-n",
    "-T",
    "fields",
    "-E",
    "occurrence=a",
    "-E",
    "separator=/t",
    "-E",
    "aggregator=|",
    "-o",
    "ip.defragment:FALSE",
    "-o",
    "ipv6.defragment:FALSE",
];

/// Datagrams of mDNS and LLMNR that are read of a flow, in each direction.
const DATAGRAMS: u32 = 4;

/// Questions of a message that the detector reads.
const QUESTIONS: usize = 8;

/// 1 (RFC 9000) and 2 (RFC 9369).
const QUIC_VERSIONS: [&str; 2] = ["0x00000001", "0x6b3343cf"];

const FIELDS: [&str; 25] = [
    "frame.protocols",
    "ip.src",
    "ip.dst",
    "ip.proto",
    "ip.len",
    "ip.frag_offset",
    "ip.flags.mf",
    "ipv6.src",
    "ipv6.dst",
    "ipv6.plen",
    "tcp.srcport",
    "tcp.dstport",
    "tcp.flags.syn",
    "tcp.flags.ack",
    "udp.srcport",
    "udp.dstport",
    "dns.qry.name",
    "tls.handshake.extensions_server_name",
    "http.host",
    "ipv6.nxt",
    "tls.handshake.type",
    "ip.id",
    "ipv6.fraghdr.ident",
    "ipv6.fraghdr.offset",
    "quic.version",
];

/// What may be why the two disagree.
#[derive(Debug, Default)]
pub(crate) struct Facts {
    /// Conversations with packets longer than a link carries.
    pub(crate) oversized: BTreeSet<Pair>,
    /// With a packet whose header has a length of 0.
    pub(crate) zero_length: BTreeSet<Pair>,
    /// Names in DNS on other ports than those of DNS, mDNS and LLMNR alone.
    pub(crate) dns_elsewhere: BTreeSet<String>,
    /// Names in mDNS and LLMNR beyond the first datagrams of a flow.
    pub(crate) late_names: BTreeSet<String>,
    /// Names in messages with more questions than the detector reads.
    pub(crate) many_questions: BTreeSet<String>,
    /// With hellos that tshark reads.
    pub(crate) tls: BTreeSet<Service>,
    /// With QUIC of versions other than 1 and 2.
    pub(crate) old_quic: BTreeSet<Service>,
}

pub(crate) fn read(path: &Path) -> (View, Facts) {
    let mut command = Command::new("tshark");
    command.args(OPTIONS).arg("-r").arg(path);
    for field in FIELDS {
        command.args(["-e", field]);
    }
    let output = command.output().unwrap_or_else(|error| panic!("no tshark: {error}"));
    let mut reader = Reader::default();
    for line in String::from_utf8_lossy(&output.stdout).lines() {
        let cells: Vec<&str> = line.split('\t').collect();
        let row: BTreeMap<&str, &str> = FIELDS.into_iter().zip(cells).collect();
        reader.frame(&Row(row));
    }
    (reader.view, reader.facts)
}

fn number(text: &str) -> Option<u64> {
    match text.strip_prefix("0x") {
        Some(digits) => u64::from_str_radix(digits, 16).ok(),
        None => text.parse().ok(),
    }
}

struct Row<'a>(BTreeMap<&'a str, &'a str>);

impl<'a> Row<'a> {
    fn all(&self, field: &str) -> impl Iterator<Item = &'a str> + use<'a> {
        let text = self.0.get(field).copied().unwrap_or_default();
        text.split(BETWEEN).filter(|text| !text.is_empty())
    }

    fn text(&self, field: &str) -> Option<&'a str> {
        self.all(field).next()
    }

    fn number(&self, field: &str) -> Option<u64> {
        number(self.text(field)?)
    }

    fn port(&self, field: &str) -> u16 {
        self.number(field).and_then(|port| u16::try_from(port).ok()).unwrap_or_default()
    }

    fn address(&self, field: &str) -> Option<IpAddr> {
        self.text(field)?.parse().ok()
    }

    fn is_set(&self, field: &str) -> bool {
        matches!(self.text(field), Some("1" | "True"))
    }
}

/// Sender, receiver, protocol and identification of a datagram in fragments.
type Datagram = (IpAddr, IpAddr, u8, u64);

#[derive(Default)]
struct Reader {
    view: View,
    facts: Facts,
    /// The ports that first fragments had.
    ports: BTreeMap<Datagram, (u16, u16)>,
    /// Datagrams of mDNS and LLMNR, by who sent them to whom.
    local_dns: BTreeMap<(End, End), u32>,
}

/// The outermost packet of a frame.
struct Outermost {
    source: End,
    destination: End,
    protocol: u8,
    ip_bytes: u64,
}

impl Reader {
    fn frame(&mut self, row: &Row<'_>) {
        let Some(mut packet) = outermost(row) else { return };
        self.take_ports(row, &mut packet);
        let Outermost { source, destination, protocol, ip_bytes } = packet;
        let pair = Pair::of(source, destination, protocol);
        if ip_bytes > 1_500 {
            self.facts.oversized.insert(pair);
        }
        if row.number("ip.len").or(row.number("ipv6.plen")) == Some(0) {
            self.facts.zero_length.insert(pair);
        }
        let carried = self.view.conversations.entry(pair).or_default();
        carried.packets += 1;
        carried.ip_bytes += ip_bytes;
        // A SYN-ACK answers, whoever is seen first.
        let is_answer = row.is_set("tcp.flags.syn") && row.is_set("tcp.flags.ack");
        carried.initiator.get_or_insert(if is_answer { destination } else { source });
        self.names(row, source, destination, protocol);
    }

    fn names(&mut self, row: &Row<'_>, source: End, destination: End, protocol: u8) {
        let service =
            Service { client: source.0, server: destination.0, port: destination.1, protocol };
        let ports = [source.1, destination.1];
        let is_dns = ports.iter().any(|port| matches!(port, 53 | 5353 | 5355));
        let is_late = ports.iter().any(|port| matches!(port, 5353 | 5355)) && {
            let datagrams = self.local_dns.entry((source, destination)).or_default();
            *datagrams += 1;
            *datagrams > DATAGRAMS
        };
        let has_many = row.all("dns.qry.name").count() > QUESTIONS;
        for name in row.all("dns.qry.name") {
            let name = if name == "<Root>" { String::new() } else { name.to_ascii_lowercase() };
            if !is_dns {
                self.facts.dns_elsewhere.insert(name.clone());
            }
            if is_late {
                self.facts.late_names.insert(name.clone());
            }
            if has_many {
                self.facts.many_questions.insert(name.clone());
            }
            self.view.dns_names.insert(name);
        }
        for name in row.all("tls.handshake.extensions_server_name") {
            let names = self.view.server_names.entry(service).or_default();
            names.insert(name.to_ascii_lowercase());
        }
        if row.text("tls.handshake.type").is_some() {
            self.facts.tls.insert(service);
        }
        if row.all("quic.version").any(|version| !QUIC_VERSIONS.contains(&version)) {
            self.facts.old_quic.insert(service);
        }
        for host in row.all("http.host") {
            let (name, port) = host.rsplit_once(':').unwrap_or((host, ""));
            let is_port = !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit());
            let name = if is_port { name } else { host };
            let hosts = self.view.http_hosts.entry(service).or_default();
            hosts.insert(name.to_ascii_lowercase());
        }
    }

    /// Later fragments have the ports of the first.
    fn take_ports(&mut self, row: &Row<'_>, packet: &mut Outermost) {
        let offset = row.number("ip.frag_offset").or(row.number("ipv6.fraghdr.offset"));
        let is_fragment = offset != Some(0) && offset.is_some()
            || row.is_set("ip.flags.mf")
            || row.text("ipv6.fraghdr.ident").is_some();
        let identification = row.number("ipv6.fraghdr.ident").or(row.number("ip.id"));
        let (Some(identification), true) = (identification, is_fragment) else { return };
        let Outermost { source, destination, protocol, .. } = packet;
        let datagram = (source.0, destination.0, *protocol, identification);
        if offset == Some(0) || offset.is_none() {
            self.ports.insert(datagram, (source.1, destination.1));
        } else if let Some(ports) = self.ports.get(&datagram) {
            (source.1, destination.1) = *ports;
        }
    }
}

fn layers<'a>(row: &Row<'a>) -> impl Iterator<Item = &'a str> + use<'a> {
    row.text("frame.protocols").unwrap_or_default().split(':')
}

fn outermost(row: &Row<'_>) -> Option<Outermost> {
    let version = layers(row).find(|layer| matches!(*layer, "ip" | "ipv6"))?;
    let (source, destination, ip_bytes) = if version == "ip" {
        (row.address("ip.src")?, row.address("ip.dst")?, row.number("ip.len")?)
    } else {
        let bytes = row.number("ipv6.plen")? + 40;
        (row.address("ipv6.src")?, row.address("ipv6.dst")?, bytes)
    };
    let mut inner = layers(row).skip_while(|layer| *layer != version).skip(1);
    let next = inner.find(|layer| !layer.starts_with("ipv6.")).unwrap_or_default();
    let (ports, protocol) = match next {
        "tcp" => ((row.port("tcp.srcport"), row.port("tcp.dstport")), 6),
        "udp" => ((row.port("udp.srcport"), row.port("udp.dstport")), 17),
        "icmp" => ((0, 0), 1),
        "icmpv6" => ((0, 0), 58),
        // Of IPv6, the last of the headers says.
        _ => {
            let number = row.number("ip.proto").or_else(|| number(row.all("ipv6.nxt").last()?));
            ((0, 0), u8::try_from(number?).ok()?)
        }
    };
    Some(Outermost {
        source: (source, ports.0),
        destination: (destination, ports.1),
        protocol,
        ip_bytes,
    })
}
