//! What netlink says of interfaces: which lie above which, and of the programs at their hooks, which XDP
//! programs there are and which tc filters, in the order in which they run.

use std::io;
use std::os::fd::{AsRawFd as _, OwnedFd};

use nix::sys::socket::{
    AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType, recv, send, socket,
};

// Of include/uapi/linux/netlink.h and rtnetlink.h.
const NLMSG_ERROR: u16 = 2;
const NLMSG_DONE: u16 = 3;
const NLM_F_REQUEST: u16 = 1;
const NLM_F_DUMP: u16 = 0x300;
const RTM_GETLINK: u16 = 18;
const RTM_GETTFILTER: u16 = 46;
/// A message's header, that of a link and that of a filter.
const HEADER: usize = 16;
const LINK_HEADER: usize = 16;
const FILTER_HEADER: usize = 20;

const IFLA_LINK: u16 = 5;
const IFLA_MASTER: u16 = 10;
const IFLA_LINKINFO: u16 = 18;
const IFLA_INFO_KIND: u16 = 1;
const IFLA_LINK_NETNSID: u16 = 37;
const IFF_LOOPBACK: u32 = 8;
const IFLA_XDP: u16 = 43;
/// The program of an interface's one mode, and those of each mode where there are several.
const IFLA_XDP_PROGRAM_IDS: [u16; 4] = [4, 5, 6, 7];
const TCA_OPTIONS: u16 = 2;
const TCA_BPF_ID: u16 = 11;
/// Without the bits that say how an attribute is written.
const TYPE: u16 = 0x3fff;

/// The most that the kernel puts into one answer is 32 kB.
const ANSWER_BYTES: usize = 64 << 10;

/// An interface, and what it is made of.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Link {
    pub(super) index: u32,
    /// The driver's word, such as `vlan`; empty for what has none.
    pub(super) kind: String,
    /// The device that it is a part of.
    pub(super) master: Option<u32>,
    /// The device below it or the other end of its wire, where that is in this network namespace.
    pub(super) lower: Option<u32>,
    pub(super) loopback: bool,
}

/// All interfaces of this network namespace.
pub(super) fn links() -> io::Result<Vec<Link>> {
    let mut links = Vec::new();
    ask(RTM_GETLINK, NLM_F_DUMP, &[0; LINK_HEADER], |message| links.extend(link(message)))?;
    Ok(links)
}

fn link(message: &[u8]) -> Option<Link> {
    let index = number(message.get(4..8)?)?;
    let flags = number(message.get(8..12)?)?;
    let mut link = Link { index, loopback: flags & IFF_LOOPBACK != 0, ..Link::default() };
    let mut is_elsewhere = false;
    for (kind, value) in attributes(message.get(LINK_HEADER..)?) {
        match kind {
            IFLA_MASTER => link.master = number(value),
            IFLA_LINK => link.lower = number(value),
            IFLA_LINK_NETNSID => is_elsewhere = true,
            IFLA_LINKINFO => {
                let name = attributes(value).find(|(kind, _)| *kind == IFLA_INFO_KIND);
                let name = name.map_or(&[][..], |(_, name)| name).strip_suffix(b"\0");
                link.kind = String::from_utf8_lossy(name.unwrap_or_default()).into_owned();
            }
            _ => {}
        }
    }
    link.lower = link.lower.filter(|_| !is_elsewhere);
    Some(link)
}

/// A tc filter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Filter {
    pub(super) priority: u16,
    pub(super) handle: u32,
    /// Of its BPF program; none where it has none.
    pub(super) program: Option<u32>,
}

/// The numbers of the XDP programs of an interface.
///
/// # Errors
///
/// ENODEV where the interface is gone.
pub(super) fn xdp_programs(interface: u32) -> io::Result<Vec<u32>> {
    let mut request = [0; LINK_HEADER];
    request[4..8].copy_from_slice(&interface.to_ne_bytes());
    let mut programs = Vec::new();
    ask(RTM_GETLINK, 0, &request, |link| {
        let xdp = attributes(link.get(LINK_HEADER..).unwrap_or_default());
        for (_, xdp) in xdp.filter(|(kind, _)| *kind == IFLA_XDP) {
            let ids = attributes(xdp).filter(|(kind, _)| IFLA_XDP_PROGRAM_IDS.contains(kind));
            programs.extend(ids.filter_map(|(_, id)| number(id)).filter(|id| *id != 0));
        }
    })?;
    Ok(programs)
}

/// The filters below `parent` at an interface, in the order in which they run.
pub(super) fn filters(interface: u32, parent: u32) -> io::Result<Vec<Filter>> {
    let mut request = [0; FILTER_HEADER];
    request[4..8].copy_from_slice(&interface.to_ne_bytes());
    request[12..16].copy_from_slice(&parent.to_ne_bytes());
    let mut filters = Vec::new();
    ask(RTM_GETTFILTER, NLM_F_DUMP, &request, |message| filters.extend(filter(message)))?;
    Ok(filters)
}

/// None for what only says that filters of a kind follow.
fn filter(message: &[u8]) -> Option<Filter> {
    let handle = number(message.get(8..12)?)?;
    let info = number(message.get(16..20)?)?;
    let options = attributes(message.get(FILTER_HEADER..)?).find(|(kind, _)| *kind == TCA_OPTIONS);
    let (_, options) = options.filter(|_| handle != 0)?;
    let program = attributes(options).find(|(kind, _)| *kind == TCA_BPF_ID);
    let program = program.and_then(|(_, id)| number(id));
    Some(Filter { priority: (info >> 16) as u16, handle, program })
}

/// Asks, and shows each message of the answer without its header.
fn ask(kind: u16, flags: u16, body: &[u8], mut see: impl FnMut(&[u8])) -> io::Result<()> {
    let socket = socket(
        AddressFamily::Netlink,
        SockType::Raw,
        SockFlag::SOCK_CLOEXEC,
        SockProtocol::NetlinkRoute,
    )?;
    let length = u32::try_from(HEADER + body.len()).map_err(io::Error::other)?;
    let mut request = length.to_ne_bytes().to_vec();
    request.extend(kind.to_ne_bytes());
    request.extend((NLM_F_REQUEST | flags).to_ne_bytes());
    // Its sequence and the port of whoever asks: there is one request a socket.
    request.extend([0; 8]);
    request.extend(body);
    send(socket.as_raw_fd(), &request, MsgFlags::empty())?;
    while !answer(&socket, &mut see, flags == NLM_F_DUMP)? {}
    Ok(())
}

/// Reads a part of an answer; true where it was the last.
fn answer(socket: &OwnedFd, see: &mut impl FnMut(&[u8]), is_dump: bool) -> io::Result<bool> {
    let mut buffer = vec![0; ANSWER_BYTES];
    let read = recv(socket.as_raw_fd(), &mut buffer, MsgFlags::empty())?;
    let mut rest = &buffer[..read];
    while let Some(length) = rest.get(..4).and_then(number) {
        let length = length as usize;
        let Some(message) = rest.get(..length).filter(|_| length >= HEADER) else { break };
        let body = &message[HEADER..];
        match u16::from_ne_bytes([message[4], message[5]]) {
            NLMSG_DONE => return Ok(true),
            NLMSG_ERROR => {
                let error = body.get(..4).and_then(number).unwrap_or(0).cast_signed();
                return match error {
                    0 => Ok(true),
                    error => Err(io::Error::from_raw_os_error(-error)),
                };
            }
            _ => see(body),
        }
        rest = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
    // A dump ends with a message that says so.
    Ok(!is_dump)
}

/// Attributes one after the other, each with its type; stops at what is none.
fn attributes(mut rest: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    std::iter::from_fn(move || {
        let &[length_0, length_1, kind_0, kind_1, ..] = rest else { return None };
        let length = usize::from(u16::from_ne_bytes([length_0, length_1]));
        let value = rest.get(4..length)?;
        rest = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some((u16::from_ne_bytes([kind_0, kind_1]) & TYPE, value))
    })
}

fn number(bytes: &[u8]) -> Option<u32> {
    Some(u32::from_ne_bytes(*bytes.first_chunk()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attribute(kind: u16, value: &[u8]) -> Vec<u8> {
        let mut bytes = (value.len() as u16 + 4).to_ne_bytes().to_vec();
        bytes.extend(kind.to_ne_bytes());
        bytes.extend(value);
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        bytes
    }

    fn message(handle: u32, priority: u32, attributes: &[u8]) -> Vec<u8> {
        let mut bytes = vec![0; 8];
        bytes.extend(handle.to_ne_bytes());
        bytes.extend(0_u32.to_ne_bytes());
        bytes.extend((priority << 16 | 3).to_ne_bytes());
        bytes.extend(attributes);
        bytes
    }

    #[test]
    fn a_filter_has_its_priority_and_program() {
        let options = [attribute(8, &[1]), attribute(TCA_BPF_ID, &77_u32.to_ne_bytes())].concat();
        // As some kernels write it: nested.
        let nested = attribute(TCA_OPTIONS | 0x8000, &options);
        let bytes = [attribute(1, b"bpf\0"), nested].concat();
        let expected = Filter { priority: 61_000, handle: 1, program: Some(77) };
        assert_eq!(filter(&message(1, 61_000, &bytes)), Some(expected));
        let flower = [attribute(1, b"flower\0"), attribute(TCA_OPTIONS, &[])].concat();
        let expected = Filter { priority: 5, handle: 2, program: None };
        assert_eq!(filter(&message(2, 5, &flower)), Some(expected));
        assert_eq!(filter(&message(0, 5, &attribute(1, b"bpf\0"))), None);
        for length in 0..message(1, 5, &[]).len() {
            assert_eq!(filter(&message(1, 5, &bytes)[..length]), None);
        }
    }

    #[test]
    fn a_link_says_what_it_is_made_of() {
        let header = |flags: u32| {
            let mut bytes = vec![0; 4];
            bytes.extend(7_u32.to_ne_bytes());
            bytes.extend(flags.to_ne_bytes());
            bytes.extend([0; 4]);
            bytes
        };
        let number = |kind, value: u32| attribute(kind, &value.to_ne_bytes());
        let info = attribute(IFLA_LINKINFO | 0x8000, &attribute(IFLA_INFO_KIND, b"vlan\0"));
        let bytes = [header(0), number(IFLA_MASTER, 4), number(IFLA_LINK, 2), info].concat();
        let expected = Link {
            index: 7,
            kind: "vlan".to_owned(),
            master: Some(4),
            lower: Some(2),
            loopback: false,
        };
        assert_eq!(link(&bytes), Some(expected.clone()));
        let elsewhere = [bytes.clone(), number(IFLA_LINK_NETNSID, 0)].concat();
        assert_eq!(link(&elsewhere), Some(Link { lower: None, ..expected }));
        assert_eq!(link(&bytes[..LINK_HEADER - 1]), None);
        let lo = links().unwrap().into_iter().find(|link| link.loopback).unwrap();
        assert_eq!(lo, Link { index: 1, loopback: true, ..Link::default() });
    }

    #[test]
    fn what_is_no_attribute_ends_them() {
        for bytes in [&[0_u8; 8][..], &[200, 0, 1, 0, 9], &[1, 2], &[]] {
            assert_eq!(attributes(bytes).count(), 0, "{bytes:?}");
        }
    }

    #[test]
    fn the_loopback_has_no_programs_and_nowhere_is_no_interface() {
        assert!(xdp_programs(1).unwrap().is_empty());
        assert!(filters(1, 0xffff_fff2).unwrap().is_empty());
        let error = xdp_programs(i32::MAX as u32).unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::ENODEV));
    }
}
