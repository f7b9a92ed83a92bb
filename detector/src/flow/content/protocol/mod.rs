//! What protocol a payload looks like, from its first bytes.
//!
//! One table: a row has a protocol, its transport, its ports and a check of the first bytes, as strict
//! as the protocol's specification allows. A check follows messages by their lengths as far as the
//! bytes reach, so that a known beginning before other data is no protocol. What fits no row is
//! `None`, which for encrypted private protocols is the truth.

mod databases;
mod directories;
mod industrial;
mod infrastructure;
mod media;
mod messaging;
mod read;
mod remote;
#[cfg(test)]
mod samples;
#[cfg(test)]
mod table_tests;
mod text;
mod tunnels;

use detector_common::parse::protocol;

use read::{Start, starts_with_any};

/// The protocols, each with its lower-case name.
macro_rules! protocols {
    ($($variant:ident => $name:literal,)*) => {
        /// A protocol told by its first bytes.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Protocol {
            $($variant,)*
        }

        impl Protocol {
            /// A lower-case name.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)*
                }
            }

            #[cfg(test)]
            const ALL: &[Self] = &[$(Self::$variant,)*];
        }
    };
}

protocols! {
    Tls => "tls",
    Quic => "quic",
    Ssh => "ssh",
    Http => "http",
    Http2 => "http2",
    Smtp => "smtp",
    Ftp => "ftp",
    Pop3 => "pop3",
    Imap => "imap",
    Dns => "dns",
    Smb => "smb",
    Rdp => "rdp",
    Mqtt => "mqtt",
    Rfb => "rfb",
    Stun => "stun",
    BitTorrent => "bittorrent",
    Socks => "socks",
    WireGuard => "wireguard",
    Rtp => "rtp",
    MpegTs => "mpeg_ts",
    Rtmp => "rtmp",
    Bgp => "bgp",
    Bmp => "bmp",
    NetFlow => "netflow",
    Ipfix => "ipfix",
    SFlow => "sflow",
    Syslog => "syslog",
    Telemetry => "telemetry",
    Ntp => "ntp",
    Dhcp => "dhcp",
    Radius => "radius",
    Tacacs => "tacacs",
    Diameter => "diameter",
    Ldp => "ldp",
    OpenFlow => "openflow",
    Snmp => "snmp",
    Ldap => "ldap",
    Kerberos => "kerberos",
    Rpc => "rpc",
    DceRpc => "dce_rpc",
    PostgreSql => "postgresql",
    MySql => "mysql",
    Tds => "tds",
    Tns => "tns",
    MongoDb => "mongodb",
    Redis => "redis",
    Cassandra => "cassandra",
    Memcached => "memcached",
    Amqp => "amqp",
    Kafka => "kafka",
    Nats => "nats",
    Xmpp => "xmpp",
    Irc => "irc",
    Stomp => "stomp",
    Modbus => "modbus",
    Dnp3 => "dnp3",
    S7 => "s7",
    OpcUa => "opc_ua",
    Iec104 => "iec104",
    Bacnet => "bacnet",
    EtherNetIp => "ethernet_ip",
    Sip => "sip",
    Rtsp => "rtsp",
    H225 => "h225",
    Rtcp => "rtcp",
    OpenVpn => "openvpn",
    Ipsec => "ipsec",
    L2tp => "l2tp",
    Pptp => "pptp",
    X11 => "x11",
    Telnet => "telnet",
    Iperf => "iperf",
    Rsync => "rsync",
    Git => "git",
    Svn => "svn",
    Iscsi => "iscsi",
    Dicom => "dicom",
    Afp => "afp",
    Lpd => "lpd",
    Lumberjack => "lumberjack",
    Zabbix => "zabbix",
    Bitcoin => "bitcoin",
    Tftp => "tftp",
}

/// How much a payload says about its protocol.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Certainty {
    /// Other payloads may begin so, too: the check fixes few bits, as those that count on their ports
    /// alone and RTP's do, or a few bytes were there. What follows may refute it.
    #[default]
    Weak,
    /// The check fixes more bits than chance gives, and followed them through at least eight bytes.
    Strong,
}

/// A match of fewer bytes is weak.
const STRONG_BYTES: usize = 8;

/// What carries a protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Transport {
    Tcp,
    Udp,
    Both,
}

impl Transport {
    fn is(self, number: u8) -> bool {
        match self {
            Self::Tcp => number == protocol::TCP,
            Self::Udp => number == protocol::UDP,
            Self::Both => matches!(number, protocol::TCP | protocol::UDP),
        }
    }
}

/// One way to recognise a protocol.
#[derive(Debug)]
struct Row {
    protocol: Protocol,
    transport: Transport,
    /// Where servers listen: IANA's ports, and those that programs use by default. Empty where any
    /// port is usual.
    ports: &'static [u16],
    /// The bits that the check fixes are few: it counts on these ports alone.
    on_port: bool,
    /// Where the check comes from.
    source: &'static str,
    check: Check,
}

type Check = fn(Start<'_>) -> bool;

impl Row {
    const fn anywhere(
        protocol: Protocol,
        transport: Transport,
        ports: &'static [u16],
        source: &'static str,
        check: Check,
    ) -> Self {
        Self { protocol, transport, ports, on_port: false, source, check }
    }

    const fn on_port(
        protocol: Protocol,
        transport: Transport,
        ports: &'static [u16],
        source: &'static str,
        check: Check,
    ) -> Self {
        Self { on_port: true, ..Self::anywhere(protocol, transport, ports, source, check) }
    }
}

/// All rows. A port's own protocols come before those of any port, and RTP, whose headers fix few
/// bits, comes last.
fn rows() -> impl Iterator<Item = &'static Row> {
    let all = || {
        [
            text::ROWS,
            tunnels::ROWS,
            directories::ROWS,
            databases::ROWS,
            messaging::ROWS,
            infrastructure::ROWS,
            industrial::ROWS,
            remote::ROWS,
            media::ROWS,
        ]
        .into_iter()
        .flatten()
    };
    all().filter(|row| row.on_port).chain(all().filter(|row| !row.on_port))
}

/// The text of `docs/protocols.md`.
#[must_use]
pub fn markdown() -> String {
    let mut text = String::from(
        "# Protocols\n\nThe protocols that the detector recognises by their first payload. Generated from \
         `detector/src/flow/content/protocol`: change it there.\n\nA check follows messages by their lengths as far \
         as the payload sample reaches. A known beginning before other data is no protocol. *On its ports*: the check \
         fixes few bits, so it counts on these ports only. A name never explains volume: [rules.md](rules.md) says \
         which rules still look.\n\n\
         | protocol | over | ports | counts | specification |\n|---|---|---|---|---|\n",
    );
    let mut all: Vec<_> = rows().collect();
    all.sort_by_key(|row| row.protocol.name());
    for Row { protocol, transport, ports, on_port, source, .. } in all {
        let over = match transport {
            Transport::Tcp => "TCP",
            Transport::Udp => "UDP",
            Transport::Both => "TCP, UDP",
        };
        let named: Vec<String> = ports.iter().map(u16::to_string).collect();
        let ports = if named.is_empty() { "any".to_owned() } else { named.join(", ") };
        let counts = if *on_port { "on its ports" } else { "everywhere" };
        let name = protocol.name();
        text.push_str(&format!("| `{name}` | {over} | {ports} | {counts} | {source} |\n"));
    }
    text
}

impl Protocol {
    /// What a payload starts with. `number` is the transport's IANA number, `port` the server's, and
    /// `length` that of the datagram of which `bytes` are the start; of a stream it is that of
    /// `bytes`.
    #[must_use]
    pub fn of(number: u8, port: u16, bytes: &[u8], length: usize) -> Option<Self> {
        Self::told(number, port, bytes, length).map(|(found, _)| found)
    }

    /// The same, and how sure that is.
    #[must_use]
    pub fn told(number: u8, port: u16, bytes: &[u8], length: usize) -> Option<(Self, Certainty)> {
        let start = Start { bytes, length: length.max(bytes.len()) };
        let fits = |row: &&Row| {
            row.transport.is(number)
                && (!row.on_port || row.ports.contains(&port))
                && (row.check)(start)
        };
        rows().find(fits).map(|row| {
            let is_weak = row.on_port || row.protocol == Self::Rtp || bytes.len() < STRONG_BYTES;
            (row.protocol, if is_weak { Certainty::Weak } else { Certainty::Strong })
        })
    }

    /// Whether `port` has a protocol of its own that its first bytes tell.
    #[must_use]
    pub fn is_recognised_on(number: u8, port: u16) -> bool {
        rows().any(|row| row.transport.is(number) && row.ports.contains(&port))
    }

    /// Whether servers of this protocol usually listen on `port`, or on any.
    #[must_use]
    pub fn is_usual_on(self, port: u16) -> bool {
        let mut own = rows().filter(|row| row.protocol == self).peekable();
        own.peek().is_none() || own.any(|row| row.ports.is_empty() || row.ports.contains(&port))
    }
}

/// How protocols begin of which a single byte may come first.
const STARTS: [&[u8]; 11] = [
    b"SSH-",
    b"HTTP/1.",
    b"PRI * HTTP/2.0",
    b"RFB 00",
    b"EHLO ",
    b"HELO ",
    b"MAIL FROM:",
    b"RCPT TO:",
    b"STARTTLS",
    b"+OK ",
    b"* OK ",
];

/// Whether a stream that begins so may yet become one of a protocol whose messages are read over several
/// segments, or one that a few more bytes name.
#[must_use]
pub fn may_become_known(bytes: &[u8]) -> bool {
    let is_cut = |start: &[u8]| bytes.len() < start.len() && start.starts_with(bytes);
    // A TLS record's header.
    let record = matches!(bytes, [0x16] | [0x16, 3] | [0x16, 3, _] | [0x16, 3, _, _]);
    record || super::http::may_become_method(bytes) || STARTS.into_iter().any(is_cut)
}

/// Whether a payload from a client is an SMTP command that hands over a message.
#[must_use]
pub fn is_mail_command(bytes: &[u8]) -> bool {
    starts_with_any(bytes, &[b"MAIL FROM:", b"DATA\r\n", b"BDAT "])
}

/// Whether a payload from a client is an FTP command that uploads (RFC 959 section 4.1.3).
#[must_use]
pub fn is_upload_command(bytes: &[u8]) -> bool {
    starts_with_any(bytes, &[b"STOR ", b"STOU", b"APPE "])
}

#[cfg(test)]
mod tests {
    use super::{is_mail_command, is_upload_command, may_become_known};

    #[test]
    fn a_few_bytes_may_become_a_protocol() {
        let check =
            |bytes: &[u8], expected| assert_eq!(may_become_known(bytes), expected, "{bytes:?}");
        check(b"\x16", true);
        check(b"\x16\x03\x01\x02", true);
        check(b"\x16\x03\x01\x02\x00", false);
        check(b"P", true);
        check(b"PUT", true);
        check(b"PUT ", false);
        check(b"PRI * HTTP/2.", true);
        check(b"EHL", true);
        check(b"\x05\x01", false);
        check(b"xyz", false);
    }

    #[test]
    fn commands_that_upload() {
        assert!(is_mail_command(b"mail from:<a@b>"));
        assert!(is_upload_command(b"STOR secrets.zip\r\n"));
        assert!(!is_upload_command(b"RETR file\r\n"));
        assert!(!is_mail_command(b""));
    }

    /// `UPDATE_GOLDEN=1 cargo test` writes the page.
    #[test]
    fn the_generated_page_is_current() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/protocols.md");
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            std::fs::write(path, super::markdown()).unwrap();
        }
        let page = std::fs::read_to_string(path).unwrap_or_default();
        assert!(
            page == super::markdown(),
            "docs/protocols.md is old: run UPDATE_GOLDEN=1 cargo test"
        );
    }
}
