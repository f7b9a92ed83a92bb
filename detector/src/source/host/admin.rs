//! Who is connected to this host's administrative ports right now.
//!
//! The kernel is asked for established TCP connections with a given local port (sock_diag(7)), so
//! that a server with a hundred thousand others costs nothing. Where it has no such service, its
//! list of all connections is read instead.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read as _};
use std::os::fd::{AsRawFd as _, OwnedFd};

use anyhow::{Context as _, bail, ensure};
use nix::errno::Errno;
use nix::sys::socket::sockopt::ReceiveTimeout;
use nix::sys::socket::{
    AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, recv, sendto,
    setsockopt, socket,
};
use nix::sys::time::TimeVal;

use crate::network::Address;

/// Addresses that are returned at most; administrators are few.
const MAX_PEERS: usize = 1_024;
/// What one answer may bring: enough for a hundred thousand connections.
const MAX_MESSAGES: usize = 8_192;
/// How long the kernel may take over an answer, which it has ready at once.
const TIMEOUT_SECS: i64 = 2;

/// `TCP_ESTABLISHED` of net/tcp_states.h.
const ESTABLISHED: u8 = 1;

/// The far ends of established TCP connections to a local port of `ports`.
pub fn admin_peers(ports: &[u16]) -> anyhow::Result<BTreeSet<Address>> {
    let mut peers = BTreeSet::new();
    for port in ports {
        for family in [AddressFamily::Inet, AddressFamily::Inet6] {
            if let Err(error) = ask(family, *port, &mut peers) {
                tracing::debug!(
                    "failed to query connections over netlink, reading the list instead: {error:#}"
                );
                return listed(ports);
            }
        }
    }
    Ok(peers)
}

/// Sends one request and reads the answer to its end.
fn ask(family: AddressFamily, port: u16, peers: &mut BTreeSet<Address>) -> anyhow::Result<()> {
    let socket: OwnedFd = socket(
        AddressFamily::Netlink,
        SockType::Raw,
        SockFlag::SOCK_CLOEXEC,
        SockProtocol::NetlinkSockDiag,
    )
    .context("failed to open a netlink socket")?;
    setsockopt(&socket, ReceiveTimeout, &TimeVal::new(TIMEOUT_SECS, 0))?;
    let request = request(family as u8, port);
    sendto(socket.as_raw_fd(), &request, &NetlinkAddr::new(0, 0), MsgFlags::empty())
        .context("failed to query connections")?;
    let mut buffer = vec![0; 32 << 10];
    for _ in 0..MAX_MESSAGES {
        let length = match recv(socket.as_raw_fd(), &mut buffer, MsgFlags::empty()) {
            Ok(length) => length,
            Err(Errno::EINTR) => continue,
            Err(error) => return Err(error).context("failed to read connections"),
        };
        if !read_messages(&buffer[..length], port, peers)? {
            return Ok(());
        }
    }
    bail!("the list of connections does not end")
}

const HEADER_BYTES: usize = 16;
const SOCK_DIAG_BY_FAMILY: u16 = 20;
const NLMSG_ERROR: u16 = 2;
const NLMSG_DONE: u16 = 3;
/// `NLM_F_REQUEST | NLM_F_DUMP`.
const REQUEST_DUMP: u16 = 0x301;

/// A netlink header and an `inet_diag_req_v2`.
fn request(family: u8, port: u16) -> [u8; 72] {
    let mut request = [0; 72];
    let mut put = |offset: usize, bytes: &[u8]| {
        request[offset..offset + bytes.len()].copy_from_slice(bytes);
    };
    put(0, &72_u32.to_ne_bytes());
    put(4, &SOCK_DIAG_BY_FAMILY.to_ne_bytes());
    put(6, &REQUEST_DUMP.to_ne_bytes());
    put(16, &[family, libc::IPPROTO_TCP as u8]);
    put(20, &(1_u32 << ESTABLISHED).to_ne_bytes());
    put(24, &port.to_be_bytes());
    request
}

/// Collects the far ends in one datagram of messages. Whether more are to come.
fn read_messages(
    mut bytes: &[u8],
    port: u16,
    peers: &mut BTreeSet<Address>,
) -> anyhow::Result<bool> {
    while let Some(header) = bytes.first_chunk::<HEADER_BYTES>() {
        let length = u32::from_ne_bytes([header[0], header[1], header[2], header[3]]) as usize;
        let kind = u16::from_ne_bytes([header[4], header[5]]);
        ensure!(
            (HEADER_BYTES..=bytes.len()).contains(&length),
            "a message claims {length} bytes, and {} are left",
            bytes.len()
        );
        let body = &bytes[HEADER_BYTES..length];
        match kind {
            NLMSG_DONE => return Ok(false),
            NLMSG_ERROR => bail!("{}", refusal(body)),
            SOCK_DIAG_BY_FAMILY => {
                peers.extend(peer(body, port).filter(|_| peers.len() < MAX_PEERS));
            }
            _ => {}
        }
        // Messages begin at multiples of four.
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
    Ok(true)
}

fn refusal(body: &[u8]) -> String {
    let code = body.first_chunk().map_or(0, |code| i32::from_ne_bytes(*code));
    format!("the kernel refuses to list connections: {}", Errno::from_raw(code.wrapping_neg()))
}

/// The far end in an `inet_diag_msg`: family, state, two bytes, then ports and addresses of both
/// ends.
fn peer(body: &[u8], port: u16) -> Option<Address> {
    let [family, state, ..] = *body else { return None };
    if state != ESTABLISHED || *body.get(4..6)? != port.to_be_bytes() {
        return None;
    }
    let far = body.get(24..40)?.first_chunk::<16>()?;
    let address = match i32::from(family) {
        libc::AF_INET => Address::from(*far.first_chunk::<4>()?),
        // IPv4 over a socket of both families is in mapped form here, which is that of flows.
        libc::AF_INET6 => Address::from(*far),
        _ => return None,
    };
    (!address.is_unspecified()).then_some(address)
}

/// The kernel's lists of all connections, in lines.
const LISTS: [&str; 2] = ["/proc/thread-self/net/tcp", "/proc/thread-self/net/tcp6"];
/// A million connections are some 150 MB.
const MAX_LIST_BYTES: u64 = 256 << 20;

fn listed(ports: &[u16]) -> anyhow::Result<BTreeSet<Address>> {
    let mut peers = BTreeSet::new();
    for path in LISTS {
        let lines = match File::open(path) {
            Ok(file) => BufReader::new(file.take(MAX_LIST_BYTES)).lines(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(error).with_context(|| format!("failed to read {path}")),
        };
        for line in lines {
            let line = line.with_context(|| format!("failed to read {path}"))?;
            peers.extend(listed_peer(&line, ports).filter(|_| peers.len() < MAX_PEERS));
        }
    }
    Ok(peers)
}

/// `sl local_address rem_address st …`: address and port in hexadecimal, addresses as numbers of
/// four bytes in this machine's order.
fn listed_peer(line: &str, ports: &[u16]) -> Option<Address> {
    let mut words = line.split_whitespace().skip(1);
    let (local, far, state) = (words.next()?, words.next()?, words.next()?);
    let (_, local_port) = local.split_once(':')?;
    let (far, _) = far.split_once(':')?;
    let port = u16::from_str_radix(local_port, 16).ok()?;
    let established = u8::from_str_radix(state, 16).ok()? == ESTABLISHED;
    if !established || !ports.contains(&port) || !far.is_ascii() {
        return None;
    }
    let mut bytes = Vec::with_capacity(16);
    for number in far.as_bytes().chunks(8) {
        let number = u32::from_str_radix(std::str::from_utf8(number).ok()?, 16).ok()?;
        bytes.extend(number.to_ne_bytes());
    }
    let address = match *bytes.as_slice() {
        [a, b, c, d] => Address::from([a, b, c, d]),
        _ => <[u8; 16]>::try_from(bytes).ok()?.into(),
    };
    (!address.is_unspecified()).then_some(address)
}

#[cfg(test)]
mod tests {
    use std::net::{SocketAddr, TcpListener, TcpStream};

    use super::*;

    fn message(kind: u16, body: &[u8]) -> Vec<u8> {
        let length = (HEADER_BYTES + body.len()) as u32;
        let mut message = length.to_ne_bytes().to_vec();
        message.extend(kind.to_ne_bytes());
        message.extend([0; 10]);
        message.extend(body);
        message.resize(message.len().next_multiple_of(4), 0);
        message
    }

    fn connection(family: i32, state: u8, port: u16, far: &[u8]) -> Vec<u8> {
        let mut body = vec![0; 72];
        body[0] = family as u8;
        body[1] = state;
        body[4..6].copy_from_slice(&port.to_be_bytes());
        body[24..24 + far.len()].copy_from_slice(far);
        message(SOCK_DIAG_BY_FAMILY, &body)
    }

    fn shown(peers: &BTreeSet<Address>) -> Vec<String> {
        peers.iter().map(|peer| peer.to_string()).collect()
    }

    #[test]
    fn far_ends_of_established_connections_to_the_port() {
        let check = |bytes: &[u8], expected: &[&str], more: bool| {
            let mut peers = BTreeSet::new();
            assert_eq!(read_messages(bytes, 22, &mut peers).unwrap(), more);
            assert_eq!(shown(&peers), expected);
        };
        let v4 = connection(libc::AF_INET, 1, 22, &[192, 0, 2, 9]);
        let v6 =
            connection(libc::AF_INET6, 1, 22, &[0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9]);
        let mapped = connection(libc::AF_INET6, 1, 22, &Address::from([192, 0, 2, 8]).octets());
        check(&v4, &["192.0.2.9"], true);
        check(&[v4.clone(), v6, mapped].concat(), &["192.0.2.8", "192.0.2.9", "fd00::9"], true);
        check(
            &[v4.clone(), message(NLMSG_DONE, &[0; 4]), v4.clone()].concat(),
            &["192.0.2.9"],
            false,
        );
        check(&connection(libc::AF_INET, 6, 22, &[192, 0, 2, 9]), &[], true);
        check(&connection(libc::AF_INET, 1, 80, &[192, 0, 2, 9]), &[], true);
        check(&connection(libc::AF_UNIX, 1, 22, &[192, 0, 2, 9]), &[], true);
        check(&connection(libc::AF_INET, 1, 22, &[0; 4]), &[], true);
        check(&message(1, &[1; 9]), &[], true);
        check(&[], &[], true);
        check(&[0; 15], &[], true);
    }

    #[test]
    fn damaged_answers_are_errors_and_never_more() {
        let sound = connection(libc::AF_INET, 1, 22, &[192, 0, 2, 9]);
        for length in 0..sound.len() {
            let mut peers = BTreeSet::new();
            // Cut anywhere: an error, or too short to be a message.
            assert_eq!(read_messages(&sound[..length], 22, &mut peers).is_err(), length >= 16);
            assert!(peers.is_empty());
            // A message that is whole and too short for a connection is none.
            let short = message(SOCK_DIAG_BY_FAMILY, &sound[16..16 + length.min(39)]);
            assert!(read_messages(&short, 22, &mut peers).unwrap());
            assert!(peers.is_empty());
        }
        let mut peers = BTreeSet::new();
        for length in [0, 15, u32::MAX] {
            let mut message = sound.clone();
            message[..4].copy_from_slice(&length.to_ne_bytes());
            assert!(read_messages(&message, 22, &mut peers).is_err());
        }
        let refused = message(NLMSG_ERROR, &(-libc::ENOENT).to_ne_bytes());
        let error = read_messages(&refused, 22, &mut peers).unwrap_err().to_string();
        assert!(error.contains("ENOENT"), "{error}");
        assert!(read_messages(&message(NLMSG_ERROR, &[]), 22, &mut peers).is_err());
        let lowest = message(NLMSG_ERROR, &i32::MIN.to_ne_bytes());
        assert!(read_messages(&lowest, 22, &mut peers).is_err());
    }

    #[test]
    fn lines_of_the_list() {
        let hex = |address: &str| -> String {
            let address: std::net::IpAddr = address.parse().unwrap();
            let bytes = match address {
                std::net::IpAddr::V4(address) => address.octets().to_vec(),
                std::net::IpAddr::V6(address) => address.octets().to_vec(),
            };
            let words = bytes.chunks(4).map(|word| u32::from_ne_bytes(word.try_into().unwrap()));
            words.map(|word| format!("{word:08X}")).collect()
        };
        let check = |far: &str, port: u16, state: &str, expected: Option<&str>| {
            let local = hex("10.0.0.1");
            let line =
                format!("   0: {local}:{port:04X} {}:C350 {state} 00000000:00000000", hex(far));
            let peer = listed_peer(&line, &[22, 2222]);
            assert_eq!(peer.map(|peer| peer.to_string()).as_deref(), expected, "{line}");
        };
        check("192.0.2.9", 22, "01", Some("192.0.2.9"));
        check("2001:db8::9", 2222, "01", Some("2001:db8::9"));
        check("::ffff:192.0.2.9", 22, "01", Some("192.0.2.9"));
        check("192.0.2.9", 80, "01", None);
        check("192.0.2.9", 22, "0A", None);
        check("0.0.0.0", 22, "01", None);
        for line in ["", "sl local rem st", "0: 0:16 zz:1 01", "0: 0:16 ü:1 01", "0: 0:16 00:1 01"]
        {
            assert_eq!(listed_peer(line, &[22]), None, "{line}");
        }
    }

    #[test]
    fn a_connection_is_found_while_it_lives_in_both_ways() {
        let check = |address: &str, expected: &str| {
            let Ok(listener) = TcpListener::bind((address, 0)) else { return };
            let local: SocketAddr = listener.local_addr().unwrap();
            let ports = [local.port()];
            assert_eq!(shown(&admin_peers(&ports).unwrap()), [""; 0]);
            let client = TcpStream::connect(local).unwrap();
            let server = listener.accept().unwrap();
            assert_eq!(shown(&admin_peers(&ports).unwrap()), [expected]);
            assert_eq!(shown(&listed(&ports).unwrap()), [expected]);
            drop((client, server));
        };
        check("127.0.0.1", "127.0.0.1");
        check("::1", "::1");
    }

    #[test]
    fn a_socket_of_both_families_tells_ipv4() {
        let Ok(listener) = TcpListener::bind("[::]:0") else { return };
        let port = listener.local_addr().unwrap().port();
        let Ok(_client) = TcpStream::connect(("127.0.0.1", port)) else { return };
        let _server = listener.accept().unwrap();
        assert_eq!(shown(&admin_peers(&[port]).unwrap()), ["127.0.0.1"]);
    }
}
