//! First payloads of each protocol as its clients and servers send them, for tests.

use detector_common::parse::protocol::{TCP, UDP};

use super::Protocol;

/// A payload, where it goes, and what it is.
#[derive(Clone, Debug)]
pub(super) struct Sample {
    pub(super) protocol: Protocol,
    pub(super) number: u8,
    pub(super) port: u16,
    pub(super) bytes: Vec<u8>,
}

/// Bytes of parts.
macro_rules! bytes {
    ($($part:expr),* $(,)?) => { [$(AsRef::<[u8]>::as_ref(&$part)),*].concat() };
}

fn be16(value: usize) -> [u8; 2] {
    u16::try_from(value).expect("small").to_be_bytes()
}

fn be32(value: usize) -> [u8; 4] {
    u32::try_from(value).expect("small").to_be_bytes()
}

fn le16(value: usize) -> [u8; 2] {
    u16::try_from(value).expect("small").to_le_bytes()
}

fn le32(value: usize) -> [u8; 4] {
    u32::try_from(value).expect("small").to_le_bytes()
}

/// A value in BER.
fn ber(tag: u8, body: impl AsRef<[u8]>) -> Vec<u8> {
    let body = body.as_ref();
    match u8::try_from(body.len()) {
        Ok(length @ 0..=0x7f) => bytes!([tag, length], body),
        _ => bytes!([tag, 0x82], be16(body.len()), body),
    }
}

/// A packet of RFC 1006.
fn tpkt(body: impl AsRef<[u8]>) -> Vec<u8> {
    bytes!([3, 0], be16(4 + body.as_ref().len()), body)
}

/// A body behind its length in four bytes.
fn long(body: impl AsRef<[u8]>) -> Vec<u8> {
    bytes!(be32(body.as_ref().len()), body)
}

/// A record of remote calls in one fragment.
fn record(body: impl AsRef<[u8]>) -> Vec<u8> {
    bytes!(be32(0x8000_0000 + body.as_ref().len()), body)
}

pub(super) fn all() -> Vec<Sample> {
    [
        text(),
        tunnels(),
        directories(),
        databases(),
        messaging(),
        networks(),
        telemetry(),
        industry(),
        remote(),
        storage(),
        media(),
    ]
    .concat()
}

fn samples(protocol: Protocol, number: u8, port: u16, payloads: &[&[u8]]) -> Vec<Sample> {
    let sample = |bytes: &&[u8]| Sample { protocol, number, port, bytes: bytes.to_vec() };
    payloads.iter().map(sample).collect()
}

fn tcp(protocol: Protocol, port: u16, payloads: &[&[u8]]) -> Vec<Sample> {
    samples(protocol, TCP, port, payloads)
}

fn udp(protocol: Protocol, port: u16, payloads: &[&[u8]]) -> Vec<Sample> {
    samples(protocol, UDP, port, payloads)
}

fn text() -> Vec<Sample> {
    let settings = [0, 0, 6, 4, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0, 100];
    [
        tcp(
            Protocol::Http,
            80,
            &[
                b"GET /index.html HTTP/1.1\r\nHost: www.example\r\nAccept: */*\r\n\r\n",
                b"POST /up HTTP/1.1\r\nHost: x.example\r\nContent-Length: 5\r\n\r\nhello",
                b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 2\r\n\r\nok",
            ],
        ),
        tcp(
            Protocol::Http2,
            80,
            &[
                &bytes!(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", settings),
                &bytes!(settings, [0, 0, 0, 4, 1, 0, 0, 0, 0]),
            ],
        ),
        tcp(
            Protocol::Smtp,
            25,
            &[
                b"220 mail.example ESMTP Postfix\r\n",
                b"EHLO client.example\r\n",
                b"EHLO client.example\r\nMAIL FROM:<a@b.example>\r\nDATA\r\nhello",
            ],
        ),
        tcp(
            Protocol::Ftp,
            21,
            &[
                b"220 (vsFTPd 3.0.3)\r\n",
                b"220 Welcome\r\n",
                b"USER anonymous\r\n",
                b"AUTH TLS\r\n",
                b"STOR a.bin\r\n",
            ],
        ),
        tcp(Protocol::Pop3, 110, &[b"+OK POP3 ready\r\n", b"CAPA\r\n", b"USER joe\r\n"]),
        tcp(Protocol::Imap, 143, &[b"* OK IMAP4rev1 ready\r\n", b"a001 CAPABILITY\r\n"]),
    ]
    .concat()
}

fn tunnels() -> Vec<Sample> {
    let hello = bytes!([0x16, 3, 1], be16(204), [1, 0, 0, 200, 3, 3], [7; 198]);
    let quic = bytes!([0xc3, 0, 0, 0, 1, 8], [5; 8], [8], [6; 8], [0, 0x44, 0x9e], [9; 1_172]);
    let wireguard = |kind: u8, length: usize| bytes!([kind, 0, 0, 0], vec![0x5a; length - 4]);
    let openvpn = bytes!([0x38], [9; 8], [0; 5]);
    let answer = bytes!([0x40], [8; 8], [1, 0, 0, 0, 0], [9; 8], [0; 4]);
    let sealed = bytes!([0x38], [9; 8], [0, 0, 0, 1, 0x66, 0x55, 0x44, 0x33], [0x77; 37]);
    let ike = |version: u8, exchange: u8, flags: u8| {
        bytes!([3; 8], [0; 8], [33, version, exchange, flags], [0; 4], be32(228), [0x22; 200])
    };
    let marked = bytes!([0; 4], ike(0x20, 34, 8));
    let esp = bytes!([0xc1, 2, 3, 4, 0, 0, 0, 1], [0x99; 84]);
    let l2tp = |kind: u8| {
        bytes!(
            [0xc8, 2],
            be16(60),
            [0; 8],
            [0x80, 8, 0, 0, 0, 0, 0, kind],
            [0x80, 8, 0, 0, 0, 2, 1, 0],
            [0x80, 10, 0, 0, 0, 3, 0, 0, 0, 3],
            [0x80, 22, 0, 0, 0, 7],
            [b'h'; 16]
        )
    };
    let pptp =
        |kind: u8| bytes!(be16(156), [0, 1, 0x1a, 0x2b, 0x3c, 0x4d, 0, kind, 0, 0, 1, 0], [0; 142]);
    [
        tcp(
            Protocol::Tls,
            443,
            &[&hello, &bytes!([0x15, 3, 3, 0, 2, 2, 40]), &bytes!([0x17, 3, 3], be16(64), [1; 64])],
        ),
        udp(
            Protocol::Quic,
            443,
            &[&quic, &bytes!([0xd0, 0x6b, 0x33, 0x43, 0xcf, 8], [5; 8], [0], [0; 1_185])],
        ),
        tcp(
            Protocol::Ssh,
            22,
            &[
                b"SSH-2.0-OpenSSH_9.2\r\n",
                &bytes!(b"SSH-2.0-libssh2_1.11.0\r\n", be32(28), [6, 20], [4; 26]),
            ],
        ),
        udp(
            Protocol::WireGuard,
            51_820,
            &[&wireguard(1, 148), &wireguard(2, 92), &wireguard(4, 96)],
        ),
        udp(
            Protocol::OpenVpn,
            1194,
            &[&openvpn, &answer, &sealed, &bytes!([0x48, 0, 0, 1], [0x31; 96])],
        ),
        tcp(Protocol::OpenVpn, 1194, &[&bytes!(be16(14), openvpn), &bytes!(be16(26), answer)]),
        udp(Protocol::Ipsec, 500, &[&ike(0x10, 2, 0), &ike(0x20, 34, 0x20)]),
        udp(Protocol::Ipsec, 4500, &[&marked, &esp, &[0xff]]),
        udp(
            Protocol::L2tp,
            1701,
            &[&l2tp(1), &l2tp(2), &bytes!([0, 2, 0, 7, 0, 9, 0xff, 3], [0x21; 60])],
        ),
        tcp(Protocol::Pptp, 1723, &[&pptp(1), &pptp(2)]),
        tcp(Protocol::Socks, 1080, &[&[5, 1, 0], &[5, 2, 0, 2]]),
    ]
    .concat()
}

fn directories() -> Vec<Sample> {
    let bind = ber(
        0x30,
        bytes!(
            ber(2, [1]),
            ber(0x60, bytes!(ber(2, [3]), ber(4, b"cn=a,dc=b"), ber(0x80, b"secret")))
        ),
    );
    let bound =
        ber(0x30, bytes!(ber(2, [1]), ber(0x61, bytes!(ber(10, [0]), ber(4, b""), ber(4, b"")))));
    let request = ber(
        0x6a,
        ber(
            0x30,
            bytes!(ber(0xa1, ber(2, [5])), ber(0xa2, ber(2, [10])), ber(0xa4, ber(0x30, [7; 150]))),
        ),
    );
    let error = ber(
        0x7e,
        ber(
            0x30,
            bytes!(ber(0xa0, ber(2, [5])), ber(0xa1, ber(2, [30])), ber(0xa4, b"20260101000000Z")),
        ),
    );
    let pdu = |tag: u8| {
        ber(
            tag,
            bytes!(
                ber(2, [9, 9]),
                ber(2, [0]),
                ber(2, [0]),
                ber(0x30, ber(0x30, bytes!(ber(6, [0x2b, 6, 1]), ber(5, []))))
            ),
        )
    };
    let snmp = |tag: u8| ber(0x30, bytes!(ber(2, [1]), ber(4, b"public"), pdu(tag)));
    let snmp3 = ber(
        0x30,
        bytes!(
            ber(2, [3]),
            ber(0x30, bytes!(ber(2, [1, 2, 3]), ber(2, [5, 0]), ber(4, [4]), ber(2, [3]))),
            ber(4, [0; 20]),
            ber(4, [9; 40])
        ),
    );
    let smb = |magic: u8| bytes!([0], &be32(64)[1..], [magic], b"SMB", [0x40, 0], [0; 58]);
    let call = |program: usize| {
        bytes!(
            [1, 2, 3, 4],
            be32(0),
            be32(2),
            be32(program),
            be32(3),
            be32(1),
            be32(1),
            be32(8),
            [5; 8],
            be32(0),
            be32(0)
        )
    };
    let reply = bytes!([1, 2, 3, 4], be32(1), be32(0), be32(0), be32(0), be32(0), [0; 16]);
    let rpc_bind =
        |kind: u8| bytes!([5, 0, kind, 3, 0x10, 0, 0, 0], le16(72), le16(0), le32(1), [0; 56]);
    let (krb, krb_error) = (long(&request), long(&error));
    [
        tcp(Protocol::Ldap, 389, &[&bind, &bound, &bytes!(bind, bind)]),
        udp(Protocol::Ldap, 389, &[&ber(0x30, bytes!(ber(2, [1]), ber(0x63, [4; 60])))]),
        tcp(Protocol::Kerberos, 88, &[&krb, &krb_error]),
        udp(Protocol::Kerberos, 88, &[&request, &error]),
        udp(Protocol::Snmp, 161, &[&snmp(0xa0), &snmp(0xa2), &snmp3]),
        udp(Protocol::Snmp, 162, &[&snmp(0xa7)]),
        tcp(Protocol::Snmp, 161, &[&snmp(0xa1)]),
        tcp(Protocol::Smb, 445, &[&smb(0xfe), &smb(0xff), &bytes!(smb(0xfe), smb(0xfd))]),
        tcp(
            Protocol::Smb,
            139,
            &[
                &bytes!([0x81, 0, 0, 0x44, 0x20], [b'C'; 32], [0, 0x20], [b'F'; 32], [0]),
                &[0x82, 0, 0, 0],
            ],
        ),
        tcp(Protocol::Rpc, 2049, &[&record(call(100_003)), &record(&reply)]),
        tcp(Protocol::Rpc, 40_001, &[&bytes!(record(call(100_005)), record(call(100_003)))]),
        udp(Protocol::Rpc, 111, &[&call(100_000), &reply]),
        tcp(Protocol::DceRpc, 49_152, &[&rpc_bind(11), &rpc_bind(12)]),
    ]
    .concat()
}

fn databases() -> Vec<Sample> {
    let startup = |body: &[u8]| bytes!(be32(8 + body.len()), be32(0x3_0000), body);
    let start = startup(b"user\0joe\0database\0shop\0application_name\0psql\0\0");
    let query = bytes!(b"Q", be32(13), b"SELECT 1\0");
    let mysql_hello = bytes!(
        [10],
        b"8.0.36\0",
        [1, 0, 0, 0],
        [b's'; 8],
        [0, 0xff, 0xff, 0xff, 2, 0, 0xff, 0xdf, 21],
        [0; 10],
        [b't'; 12],
        [0],
        b"caching_sha2_password\0"
    );
    let mysql_login = bytes!(
        [0x8d, 0xa2, 0x0b, 0],
        le32(1 << 24),
        [45],
        [0; 23],
        b"joe\0",
        [20],
        [7; 20],
        b"shop\0"
    );
    let packet = |number: u8, body: &[u8]| bytes!(&le32(body.len())[..3], [number], body);
    let options = bytes!([0, 0, 11, 0, 6], [1, 0, 17, 0, 1], [0xff], [15, 0, 7, 0, 0, 0], [0]);
    let tds = |kind: u8, body: &[u8]| bytes!([kind, 1], be16(8 + body.len()), [0, 0, 1, 0], body);
    let describe =
        b"(DESCRIPTION=(ADDRESS=(PROTOCOL=TCP)(HOST=db)(PORT=1521))(CONNECT_DATA=(SID=X)))";
    let connect = bytes!(
        be16(58 + describe.len()),
        [0, 0, 1, 0, 0, 0],
        be16(314),
        be16(300),
        be16(0),
        be16(8192),
        be16(32767),
        [0x7f, 8, 0, 0, 0, 1],
        be16(describe.len()),
        be16(58),
        [0; 30],
        describe
    );
    let mongo = |answers: usize, code: usize, body: &[u8]| {
        bytes!(le32(16 + body.len()), le32(7), le32(answers), le32(code), body)
    };
    let document = bytes!(le32(0), [0], le32(26), b"\x10hello\0\x01\0\0\0\x02$db\0\x02\0\0\0a\0\0");
    let options_frame = bytes!([4, 0, 0, 0, 5], be32(0));
    [
        tcp(
            Protocol::PostgreSql,
            5432,
            &[
                &bytes!(be32(8), be32(80_877_103)),
                &start,
                &bytes!(start, query),
                b"S",
                &bytes!(b"R", be32(12), be32(5), [1, 2, 3, 4]),
                &bytes!(b"R", be32(8), be32(0), b"S", be32(20), b"TimeZone\0Etc/UTC"),
            ],
        ),
        tcp(
            Protocol::MySql,
            3306,
            &[
                &packet(0, &mysql_hello),
                &packet(1, &mysql_login),
                &bytes!(packet(1, &mysql_login), packet(0, b"\x03SELECT 1")),
            ],
        ),
        tcp(Protocol::Tds, 1433, &[&tds(0x12, &options), &tds(4, &options)]),
        tcp(
            Protocol::Tns,
            1521,
            &[
                &connect,
                &bytes!(be16(8), [0, 0, 11, 0, 0, 0]),
                &bytes!(be16(32), [0, 0, 2, 0, 0, 0], [1; 24]),
            ],
        ),
        tcp(
            Protocol::MongoDb,
            27_017,
            &[
                &mongo(0, 2013, &document),
                &mongo(7, 1, &[0; 60]),
                &mongo(0, 2004, b"\0\0\0\0admin.$cmd\0\0\0\0\0\xff\xff\xff\xff"),
            ],
        ),
        tcp(
            Protocol::Redis,
            6379,
            &[
                b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$5\r\nhello\r\n",
                b"*1\r\n$4\r\nPING\r\n*2\r\n$3\r\nGET\r\n$1\r\nk\r\n",
                b"+PONG\r\n",
                b"$5\r\nhello\r\n",
            ],
        ),
        tcp(
            Protocol::Cassandra,
            9042,
            &[
                &options_frame,
                &bytes!([0x84, 0, 0, 0, 2], be32(0)),
                &bytes!([4, 0, 0, 0, 1], be32(22), [0, 1, 0, 11], b"CQL_VERSION", [0, 5], b"3.0.0"),
            ],
        ),
        tcp(
            Protocol::Memcached,
            11_211,
            &[
                b"set key 0 60 5\r\nhello\r\n",
                b"STORED\r\n",
                &bytes!([0x80, 0x0a, 0, 0, 0, 0, 0, 0], [0; 16]),
            ],
        ),
    ]
    .concat()
}

fn messaging() -> Vec<Sample> {
    let connect = bytes!([0x10, 17, 0, 4], b"MQTT", [4, 2, 0, 60, 0, 5], b"sense");
    let publish = bytes!([0x30, 9, 0, 3], b"t/a", b"21.5");
    let amqp = b"AMQP\0\0\x09\x01";
    let started =
        bytes!([1, 0, 0], be32(20), [0, 10, 0, 10, 0, 9], be32(0), be32(6), b"PLAIN!", [0xce]);
    let sasl = bytes!(b"AMQP\x03\x01\0\0", be32(16), [2, 1, 0, 0], [0x53; 8]);
    let kafka = |key: usize, body: &[u8]| {
        long(bytes!(be16(key), be16(3), be32(1), be16(8), b"rdkafka1", body))
    };
    [
        tcp(Protocol::Mqtt, 1883, &[&connect, &bytes!(connect, publish), &[0x20, 2, 0, 0]]),
        tcp(Protocol::Amqp, 5672, &[amqp, &started, &sasl]),
        tcp(Protocol::Kafka, 9092, &[&kafka(18, &[0]), &bytes!(kafka(18, &[0]), kafka(3, &[0; 5])), &long(bytes!(be32(1), [0; 60]))]),
        tcp(Protocol::Nats, 4222, &[
            b"INFO {\"server_id\":\"N1\",\"version\":\"2.10\",\"max_payload\":1048576} \r\n",
            b"CONNECT {\"verbose\":false,\"lang\":\"go\"}\r\nPING\r\n",
        ]),
        tcp(Protocol::Xmpp, 5222, &[
            b"<?xml version='1.0'?><stream:stream to='a.example' xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' version='1.0'>",
            b"<stream:stream from='a.example' id='7' xmlns='jabber:client' version='1.0'>",
        ]),
        tcp(Protocol::Irc, 6667, &[
            b"CAP LS 302\r\nNICK joe\r\nUSER joe 0 * :Joe\r\n",
            b"NICK joe\r\nUSER joe 0 * :Joe\r\n",
            b":irc.example NOTICE * :*** Looking up your hostname\r\n",
            b":irc.example 001 joe :Welcome\r\n",
        ]),
        tcp(Protocol::Stomp, 61_613, &[b"CONNECT\naccept-version:1.2\nhost:a\n\n\0", b"CONNECTED\nversion:1.2\n\n\0"]),
    ]
    .concat()
}

fn networks() -> Vec<Sample> {
    let bgp = |kind: u8, body: &[u8]| bytes!([0xff; 16], be16(19 + body.len()), [kind], body);
    let open = bgp(1, &bytes!([4], be16(65_001), be16(180), [192, 0, 2, 1], [0]));
    let bmp = |kind: u8, body: &[u8]| bytes!([3], be32(6 + body.len()), [kind], body);
    let initiation = bmp(4, &bytes!(be16(1), be16(5), b"IOS-X", be16(2), be16(2), b"r1"));
    let tacacs = bytes!([0xc0, 1, 1, 0], [7; 4], be32(20), [0x41; 20]);
    let radius = |code: u8| bytes!([code, 7], be16(28), [0x33; 16], [1, 8], b"joe.do");
    let diameter = bytes!([1], &be32(56)[1..], [0x80], &be32(257)[1..], [0; 4], [9; 8], [0; 36]);
    let ldp = bytes!(be16(1), be16(28), [192, 0, 2, 1, 0, 0], be16(0x200), be16(18), [0; 18]);
    let dhcp = |op: u8| {
        bytes!([op, 1, 6, 0], [0x31; 4], [0; 228], [0x63, 0x82, 0x53, 0x63, 53, 1, 1, 255])
    };
    [
        tcp(
            Protocol::Bgp,
            179,
            &[&open, &bytes!(open, bgp(4, &[])), &bytes!(open, bgp(2, &[0, 0, 0, 0]))],
        ),
        tcp(Protocol::Bmp, 11_019, &[&initiation, &bytes!(initiation, bmp(3, &[0; 120]))]),
        udp(
            Protocol::Ntp,
            123,
            &[&bytes!([0x23, 0, 6, 0xec], [0; 44]), &bytes!([0x24, 2, 6, 0xec], [1; 44])],
        ),
        udp(Protocol::Dhcp, 67, &[&dhcp(1), &dhcp(2)]),
        udp(Protocol::Radius, 1812, &[&radius(1), &radius(2)]),
        tcp(Protocol::Tacacs, 49, &[&tacacs, &bytes!([0xc1, 2, 2, 4], [7; 4], be32(6), [0x41; 6])]),
        tcp(Protocol::Diameter, 3868, &[&diameter, &bytes!(diameter, diameter)]),
        tcp(Protocol::Ldp, 646, &[&ldp, &bytes!(ldp, ldp)]),
        tcp(
            Protocol::OpenFlow,
            6653,
            &[&[4, 0, 0, 8, 0, 0, 0, 1], &[1, 0, 0, 8, 0, 0, 0, 1, 1, 5, 0, 8, 0, 0, 0, 2]],
        ),
    ]
    .concat()
}

fn telemetry() -> Vec<Sample> {
    let five = |count: usize| bytes!(be16(5), be16(count), [0x44; 20], vec![1; 48 * count]);
    let nine = bytes!(
        be16(9),
        be16(2),
        [0x44; 16],
        be16(0),
        be16(16),
        [1; 12],
        be16(256),
        be16(20),
        [2; 16]
    );
    let ipfix = bytes!(
        be16(10),
        be16(52),
        [0x44; 12],
        be16(2),
        be16(16),
        [1; 12],
        be16(256),
        be16(20),
        [2; 16]
    );
    let sflow = bytes!(
        be32(5),
        be32(1),
        [192, 0, 2, 1],
        be32(0),
        be32(9),
        be32(99),
        be32(1),
        be32(1),
        be32(24),
        [3; 24]
    );
    let sflow6 = bytes!(
        be32(5),
        be32(2),
        [0x20; 16],
        be32(0),
        be32(9),
        be32(99),
        be32(1),
        be32(2),
        be32(8),
        [3; 8]
    );
    let counted = |text: &str| bytes!(text.len().to_string(), b" ", text);
    let modern = "<165>1 2026-01-05T09:00:00Z host app 7 - - it works";
    let notif = |media: u8, body: &[u8]| {
        bytes!([0x20 | media, 12], be16(12 + body.len()), be32(1), be32(7), body)
    };
    let dialout = |body: &[u8]| bytes!([0, 1, 0, 1, 0, 1, 0, 0], be32(body.len()), body);
    [
        udp(Protocol::NetFlow, 2055, &[&five(1), &five(28), &nine]),
        udp(Protocol::Ipfix, 4739, &[&ipfix]),
        tcp(Protocol::Ipfix, 4739, &[&ipfix, &bytes!(ipfix, ipfix)]),
        udp(Protocol::SFlow, 6343, &[&sflow, &sflow6]),
        udp(Protocol::Syslog, 514, &[b"<34>Oct 11 22:14:15 mymachine su: 'su root' failed", modern.as_bytes()]),
        tcp(Protocol::Syslog, 601, &[
            b"<34>Oct 11 22:14:15 mymachine su: failed\n<35>Oct 11 22:14:16 mymachine su: again\n",
            &bytes!(counted(modern), counted(modern)),
        ]),
        udp(Protocol::Telemetry, 57_500, &[&notif(1, b"{\"ietf-notification:notification\":{}}"), &notif(2, b"<notification/>")]),
        tcp(Protocol::Telemetry, 57_500, &[&dialout(&[0x0a; 90]), &bytes!(dialout(&[0x0a; 90]), dialout(&[0x0a; 30]))]),
    ]
    .concat()
}

fn industry() -> Vec<Sample> {
    let modbus = |body: &[u8]| bytes!([0, 1, 0, 0], be16(1 + body.len()), [1], body);
    // A request of link status, and one of class data; the checksums are those of the standard.
    let link = [5, 0x64, 5, 0xc9, 1, 0, 2, 0];
    let dnp3 = bytes!(link, le16(dnp3_sum(&link)));
    let header = [5, 0x64, 11, 0xc4, 1, 0, 2, 0];
    let poll = bytes!(header, le16(dnp3_sum(&header)), [0xc0, 0xc1, 1, 0x3c, 2, 6], [0x11, 0x22]);
    let selectors = [0xc0, 1, 10, 0xc1, 2, 1, 0, 0xc2, 2, 1, 2];
    let cotp = |kind: u8| tpkt(bytes!([17, kind, 0, 0, 0, 1, 0], selectors));
    let setup = tpkt(bytes!(
        [2, 0xf0, 0x80, 0x32, 1, 0, 0, 0, 0, 0, 8, 0, 0],
        [0xf0, 0, 0, 1, 0, 1, 1, 0xe0]
    ));
    let url = b"opc.tcp://plc.example:4840";
    let hello = bytes!(
        b"HELF",
        le32(32 + url.len()),
        le32(0),
        le32(65_535),
        le32(65_535),
        le32(0),
        le32(0),
        le32(url.len()),
        url
    );
    let ack = bytes!(b"ACKF", le32(28), le32(0), le32(65_535), le32(65_535), le32(0), le32(0));
    let who = [0x81, 0x0b, 0, 12, 1, 0x20, 0xff, 0xff, 0, 0xff, 0x10, 8];
    let register = bytes!(le16(0x65), le16(4), le32(0), le32(0), [0; 8], le32(0), [1, 0, 0, 0]);
    let identity = bytes!(le16(0x63), le16(0), le32(0), le32(0), [0; 8], le32(0));
    [
        tcp(
            Protocol::Modbus,
            502,
            &[
                &modbus(&[3, 0, 0, 0, 10]),
                &modbus(&[3, 4, 0, 1, 0, 2]),
                &bytes!(modbus(&[0x83, 2]), modbus(&[6, 0, 1, 0, 2])),
            ],
        ),
        tcp(Protocol::Dnp3, 20_000, &[&dnp3, &bytes!(poll, dnp3)]),
        udp(Protocol::Dnp3, 20_000, &[&dnp3]),
        tcp(Protocol::S7, 102, &[&cotp(0xe0), &cotp(0xd0), &bytes!(cotp(0xe0), setup)]),
        tcp(Protocol::OpcUa, 4840, &[&hello, &ack, &bytes!(hello, b"OPNF", le32(132), [0; 124])]),
        tcp(
            Protocol::Iec104,
            2404,
            &[
                &[0x68, 4, 7, 0, 0, 0],
                &[0x68, 4, 0x0b, 0, 0, 0],
                &[0x68, 4, 7, 0, 0, 0, 0x68, 14, 0, 0, 0, 0, 100, 1, 6, 0, 1, 0, 0, 0, 0, 20],
            ],
        ),
        udp(
            Protocol::Bacnet,
            47_808,
            &[&who, &[0x81, 0x0a, 0, 8, 1, 0, 0x10, 8], &[0x81, 5, 0, 6, 0, 60]],
        ),
        tcp(Protocol::EtherNetIp, 44_818, &[&register, &bytes!(register, identity)]),
        udp(Protocol::EtherNetIp, 44_818, &[&identity]),
        udp(
            Protocol::EtherNetIp,
            2222,
            &[&bytes!([2, 0, 2, 0x80, 8, 0], [7; 8], [0xb1, 0], le16(4), [1; 4])],
        ),
    ]
    .concat()
}

/// The checksum of a block bit by bit, as the standard draws it.
fn dnp3_sum(block: &[u8]) -> usize {
    let mut register = 0_u16;
    for byte in block {
        for bit in 0..8 {
            let feedback = (register & 1) ^ u16::from(byte >> bit & 1);
            register = (register >> 1) ^ (feedback * 0xa6bc);
        }
    }
    usize::from(!register)
}

fn remote() -> Vec<Sample> {
    let request = |variable: &[u8]| {
        tpkt(bytes!(
            [u8::try_from(6 + variable.len()).expect("short"), 0xe0, 0, 0, 0, 0, 0],
            variable
        ))
    };
    let negotiation = [1, 0, 8, 0, 3, 0, 0, 0];
    let confirm = tpkt([14, 0xd0, 0, 0, 0x12, 0x34, 0, 2, 0, 8, 0, 2, 0, 0, 0]);
    let peer = bytes!(b"\x13BitTorrent protocol", [0; 8], [7; 20], b"-TR3000-", [8; 12]);
    let tracker = bytes!([0, 0, 4, 0x17, 0x27, 0x10, 0x19, 0x80], be32(0), [1; 4]);
    let opening = bytes!([0x41, 0], be16(7), [1; 4], be32(0), be32(1 << 20), be16(1), be16(0));
    let digits: Vec<u8> = (0..1_400_u32).map(|place| b'0' + (place % 10) as u8).collect();
    let pkt = |text: &[u8]| bytes!(format!("{:04x}", text.len() + 4), text);
    let refs = bytes!([b'a'; 40], b" HEAD\0multi_ack thin-pack side-band\n");
    [
        tcp(
            Protocol::Rdp,
            3389,
            &[&request(&bytes!(b"Cookie: mstshash=joe\r\n", negotiation)), &request(&[]), &confirm],
        ),
        tcp(
            Protocol::Rfb,
            5900,
            &[b"RFB 003.008\n", &bytes!(b"RFB 003.008\n", [1, 1], [0; 4], [32; 16])],
        ),
        tcp(
            Protocol::X11,
            6000,
            &[
                &bytes!(
                    [b'l', 0, 11, 0, 0, 0, 18, 0, 16, 0, 0, 0],
                    b"MIT-MAGIC-COOKIE-1\0\0",
                    [7; 16]
                ),
                &bytes!([b'B', 0, 0, 11, 0, 0, 0, 0, 0, 0, 0, 0]),
            ],
        ),
        tcp(
            Protocol::Telnet,
            23,
            &[
                &[0xff, 0xfd, 0x18, 0xff, 0xfd, 0x20],
                &[0xff, 0xfb, 3, 0xff, 0xfa, 0x18, 0, b'x', 0xff, 0xf0],
            ],
        ),
        tcp(
            Protocol::BitTorrent,
            51_413,
            &[&peer, &bytes!(peer, be32(5), [20, 0, 1, 2, 3], be32(1), [15])],
        ),
        udp(
            Protocol::BitTorrent,
            51_413,
            &[b"d1:ad2:id20:abcdefghij0123456789e1:q4:ping1:t2:aa1:y1:qe", &tracker, &opening],
        ),
        tcp(
            Protocol::Iperf,
            5201,
            &[&bytes!([b'k'; 36], [0]), &bytes!([b'z'; 36], [0], long(b"{\"tcp\":true}"))],
        ),
        tcp(Protocol::Iperf, 5001, &[&bytes!([0; 24], &digits[..1_376])]),
        udp(Protocol::Iperf, 5001, &[&bytes!(be32(1), [9; 32], &digits[..1_000])]),
        udp(Protocol::Iperf, 5201, &[b"6789", b"9876"]),
        tcp(
            Protocol::Rsync,
            873,
            &[b"@RSYNCD: 31.0\n", b"@RSYNCD: 31.0 sha512 sha256 md5\nmodule\n"],
        ),
        tcp(
            Protocol::Git,
            9418,
            &[
                &pkt(b"git-upload-pack /a.git\0host=g.example\0"),
                &pkt(&refs),
                &bytes!(pkt(&refs), b"0000"),
            ],
        ),
        tcp(
            Protocol::Svn,
            3690,
            &[
                b"( success ( 2 2 ( ) ( edit-pipeline svndiff1 ) ) ) ",
                b"( 2 ( edit-pipeline svndiff1 ) 18:svn://svn.example/a 3:svn ( ) ) ",
            ],
        ),
        udp(Protocol::Tftp, 69, &[b"\0\x01boot.img\0octet\0", b"\0\x02startup-config\0netascii\0"]),
    ]
    .concat()
}

fn storage() -> Vec<Sample> {
    let names = b"InitiatorName=iqn.2026-01.example:a\0";
    let login = bytes!([0x43, 0x81, 0, 0, 0, 0, 0, 36], [1; 40], names);
    let associate = |kind: u8| {
        bytes!([kind, 0], be32(4 + 32 + 32 + 40), [0, 1, 0, 0], [b'A'; 32], [0; 32], [0x10; 40])
    };
    let afp = |kind: u8| bytes!([kind, 3, 0, 1], be32(0), be32(4), be32(0), [9; 4]);
    let bitcoin = |command: &[u8]| {
        bytes!(
            [0xf9, 0xbe, 0xb4, 0xd9],
            command,
            vec![0; 12 - command.len()],
            le32(86),
            [7; 4],
            [1; 86]
        )
    };
    [
        tcp(Protocol::Iscsi, 3260, &[&login, &bytes!([0x23, 0x81, 0, 0, 0, 0, 0, 0], [1; 40])]),
        tcp(
            Protocol::Dicom,
            104,
            &[&associate(1), &associate(2), &bytes!(associate(1), [4, 0], be32(100), [1; 100])],
        ),
        tcp(Protocol::Afp, 548, &[&afp(0), &afp(1)]),
        tcp(Protocol::Lpd, 515, &[b"\x02lp\n", b"\x04queue joe\n"]),
        tcp(
            Protocol::Lumberjack,
            5044,
            &[&bytes!(b"2W", be32(1), b"2C", be32(40), [0x78; 40]), b"2W\0\0\0\x02"],
        ),
        tcp(
            Protocol::Zabbix,
            10_051,
            &[
                &bytes!(b"ZBXD\x01", le32(20), le32(0), b"{\"request\":\"active\"}"),
                &bytes!(b"ZBXD\x01", le32(2), le32(0), b"{}"),
            ],
        ),
        tcp(
            Protocol::Bitcoin,
            8333,
            &[&bitcoin(b"version"), &bytes!(bitcoin(b"version"), bitcoin(b"verack"))],
        ),
    ]
    .concat()
}

fn media() -> Vec<Sample> {
    let invite = b"INVITE sip:bob@example.org SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.1:5060\r\nTo: <sip:bob@example.org>\r\n\r\nv=0\r\n";
    let ok = b"SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP 192.0.2.1:5060\r\nContent-Length: 0\r\n\r\n";
    let call =
        |kind: u8| tpkt(bytes!([8, 2, 0, 1, kind, 4, 3, 0x88, 0x93, 0xa5, 0x7e, 0, 8, 5], [9; 7]));
    let stun = |kind: u8| {
        bytes!(
            [kind >> 4, kind & 15],
            be16(8),
            [0x21, 0x12, 0xa4, 0x42],
            [5; 12],
            [0x80, 0x22, 0, 4],
            b"test"
        )
    };
    let rtp = bytes!([0x80, 8], [7; 200]);
    let report =
        bytes!([0x80, 200], be16(6), [3; 24], [0x81, 202], be16(3), [3; 4], [1, 5], b"a@b.c", [0]);
    let ts: Vec<u8> = bytes!([0x47, 1, 2, 0x10], [8; 184]).repeat(7);
    let rtmp = bytes!([3], be32(0), be32(0), [9; 1_528]);
    [
        udp(Protocol::Sip, 5060, &[invite, ok]),
        tcp(Protocol::Sip, 5060, &[invite, ok]),
        tcp(
            Protocol::Rtsp,
            554,
            &[
                b"OPTIONS rtsp://c.example/1 RTSP/1.0\r\nCSeq: 1\r\n\r\n",
                b"RTSP/1.0 200 OK\r\nCSeq: 1\r\n\r\n",
            ],
        ),
        tcp(Protocol::H225, 1720, &[&call(5), &call(2), &bytes!(call(5), call(0x62))]),
        udp(Protocol::Stun, 3478, &[&stun(0x01), &stun(0x11), &bytes!([0x40, 1], be16(8), [3; 8])]),
        tcp(Protocol::Stun, 3478, &[&stun(0x03), &bytes!(stun(0x03), [0x40, 1], be16(8), [3; 8])]),
        udp(Protocol::Rtcp, 5005, &[&report, &bytes!([0x80, 201], be16(1), [3; 4])]),
        udp(Protocol::Rtp, 5004, &[&rtp, &bytes!([0x90, 0x60], [7; 100])]),
        tcp(
            Protocol::Rtp,
            5004,
            &[&bytes!(be16(202), rtp), &bytes!(be16(202), rtp, be16(202), rtp)],
        ),
        udp(Protocol::MpegTs, 1234, &[&ts, &ts[..188]]),
        tcp(Protocol::Rtmp, 1935, &[&rtmp, &rtmp[..512]]),
    ]
    .concat()
}

/// Every protocol that has a sample.
#[test]
fn every_protocol_has_samples() {
    let samples = all();
    for protocol in Protocol::ALL {
        let own = samples.iter().filter(|sample| sample.protocol == *protocol).count();
        // DNS is decoded message by message, in a room of its own.
        assert!(own >= 2 || *protocol == Protocol::Dns, "{protocol:?} has {own}");
    }
}
