//! Where the packet inside a tunnel starts, for those tunnels that the options open.

use super::link::{ppp, version, walk};
use super::{Decapsulation, Family, Fragment, Packet, byte, lower, protocol, upper};
use crate::flow::FlowKey;
use crate::frame::Frame;

/// GTP-U extension headers read; 5G uses one.
const MAX_GTP_EXTENSIONS: usize = 4;

const ETHERTYPE_TRANSPARENT_BRIDGING: u16 = 0x6558;
/// ERSPAN types I and II share one; which it is the sequence number says.
const ETHERTYPE_ERSPAN: u16 = 0x88be;
const ETHERTYPE_ERSPAN_3: u16 = 0x22eb;

const VXLAN_PORT: u16 = 4789;
/// What Linux used before the assignment, and still does by default.
const VXLAN_PORT_LINUX: u16 = 8472;
const GTP_U_PORT: u16 = 2152;
const GENEVE_PORT: u16 = 6081;
const L2TP_PORT: u16 = 1701;

/// A kind of tunnel, by the name of the option that opens it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Tunnel {
    Vxlan = 0,
    Gre = 1,
    GtpU = 2,
    IpInIp = 3,
    Geneve = 4,
    L2tp = 5,
}

impl Tunnel {
    pub const COUNT: usize = 6;
    /// The names of the options, in the order of the values. ERSPAN is a kind of GRE.
    pub const OPTIONS: [&'static str; Self::COUNT] =
        ["vxlan", "gre", "gtp_u", "ip_in_ip", "geneve", "l2tp"];

    /// The tunnel that a flow of this key most likely is.
    #[must_use]
    pub fn of(key: &FlowKey) -> Option<Self> {
        let by_port = |port| match u16::from_be_bytes(port) {
            VXLAN_PORT | VXLAN_PORT_LINUX => Some(Self::Vxlan),
            GTP_U_PORT => Some(Self::GtpU),
            GENEVE_PORT => Some(Self::Geneve),
            L2TP_PORT => Some(Self::L2tp),
            _ => None,
        };
        match key.protocol {
            protocol::GRE => Some(Self::Gre),
            protocol::IPV4 | protocol::IPV6 => Some(Self::IpInIp),
            protocol::UDP => by_port(key.low_port).or_else(|| by_port(key.high_port)),
            _ => None,
        }
    }
}

/// What a tunnel carries beside EtherTypes, by a number that none of them has: IP of either version.
const EITHER_VERSION: u16 = 0xffff;
/// A PPP frame.
const PPP: u16 = 0xfffe;

/// Where the packet inside `outer` starts, if the options open that tunnel and it carries one. One
/// function for what follows all of them: the verifier walks it for each place that it is called from.
#[inline(always)]
pub(super) fn inner<F: Frame>(
    frame: &F,
    outer: &Packet,
    decapsulation: Decapsulation,
) -> Option<(Family, usize)> {
    if outer.fragment != Fragment::None {
        return None;
    }
    let payload = frame.forget(outer.payload_offset as usize);
    let (mut ethertype, offset) = match outer.key.protocol {
        protocol::GRE if decapsulation.gre || decapsulation.erspan => {
            gre(frame, payload, decapsulation)?
        }
        protocol::IPV4 | protocol::IPV6 if decapsulation.ip_in_ip => (EITHER_VERSION, payload),
        protocol::UDP => match u16::from_be_bytes(outer.key.destination(outer.direction).1) {
            VXLAN_PORT | VXLAN_PORT_LINUX if decapsulation.vxlan => vxlan(frame, payload)?,
            GTP_U_PORT if decapsulation.gtp_u => gtp_u(frame, payload)?,
            GENEVE_PORT if decapsulation.geneve => geneve(frame, payload)?,
            L2TP_PORT if decapsulation.l2tp => l2tp(frame, payload)?,
            _ => return None,
        },
        _ => return None,
    };
    let mut offset = frame.forget(offset);
    match ethertype {
        EITHER_VERSION => return version(frame, offset).ok(),
        PPP => return ppp(frame, offset).ok(),
        _ => {}
    }
    if ethertype == ETHERTYPE_TRANSPARENT_BRIDGING {
        let [word] = frame.load(offset + 12)?;
        (ethertype, offset) = (upper(word), offset + 14);
    }
    walk(frame, ethertype, offset).ok()
}

/// RFC 7348 section 5: the I flag says that the network identifier is valid.
#[inline(always)]
fn vxlan<F: Frame>(frame: &F, offset: usize) -> Option<(u16, usize)> {
    let [flags, _] = frame.load(offset)?;
    (byte(flags, 0) & 0x08 != 0).then_some((ETHERTYPE_TRANSPARENT_BRIDGING, offset + 8))
}

/// RFC 8926 section 3.4: version 0, options of up to 63 words. Control packets carry none.
#[inline(always)]
fn geneve<F: Frame>(frame: &F, offset: usize) -> Option<(u16, usize)> {
    let [header, _] = frame.load(offset)?;
    if byte(header, 0) >> 6 != 0 || byte(header, 1) & 0x80 != 0 {
        return None;
    }
    let options = usize::from(byte(header, 0) & 0x3f) * 4;
    match lower(header) {
        EITHER_VERSION | PPP => None,
        ethertype => Some((ethertype, offset + 8 + options)),
    }
}

/// RFC 2784 and RFC 2890: version 0, optional checksum, key and sequence number.
#[inline(always)]
fn gre<F: Frame>(frame: &F, offset: usize, decapsulation: Decapsulation) -> Option<(u16, usize)> {
    let [header] = frame.load(offset)?;
    if byte(header, 1) & 0x07 != 0 {
        return None;
    }
    // Checksum, key, sequence number: four bytes each.
    let optional = (byte(header, 0) & 0xb0).count_ones() as usize;
    let payload = frame.forget(offset + 4 + optional * 4);
    match lower(header) {
        // Without a sequence number there is no ERSPAN header (type I).
        ETHERTYPE_ERSPAN if decapsulation.erspan => {
            let header_len = if byte(header, 0) & 0x10 != 0 { 8 } else { 0 };
            Some((ETHERTYPE_TRANSPARENT_BRIDGING, payload + header_len))
        }
        ETHERTYPE_ERSPAN_3 if decapsulation.erspan => {
            let [_, _, last] = frame.load(payload)?;
            // Eight bytes of the platform's own where the last bit says so.
            let header_len = if byte(last, 3) & 1 != 0 { 20 } else { 12 };
            Some((ETHERTYPE_TRANSPARENT_BRIDGING, payload + header_len))
        }
        // The numbers that stand for something else here are nobody's EtherTypes.
        EITHER_VERSION | PPP => None,
        ethertype => decapsulation.gre.then_some((ethertype, payload)),
    }
}

/// 3GPP TS 29.281 section 5.1: version 1, message type 255 carries a user packet.
#[inline(always)]
fn gtp_u<F: Frame>(frame: &F, offset: usize) -> Option<(u16, usize)> {
    let [header, _] = frame.load(offset)?;
    if byte(header, 0) >> 5 != 1 || byte(header, 1) != 255 {
        return None;
    }
    let mut payload = offset + 8;
    if byte(header, 0) & 0x07 != 0 {
        // Sequence number, N-PDU number, next extension type: present together.
        let [word] = frame.load(payload)?;
        payload += 4;
        let mut next = byte(word, 3);
        for _ in 0..MAX_GTP_EXTENSIONS {
            if next == 0 {
                break;
            }
            payload = frame.forget(payload);
            let [word] = frame.load(payload)?;
            let length = usize::from(byte(word, 0)) * 4;
            if length == 0 {
                return None;
            }
            // The last byte of an extension is the type of the next.
            let [word] = frame.load(frame.forget(payload + length - 4))?;
            payload += length;
            next = byte(word, 3);
        }
        if next != 0 {
            return None;
        }
    }
    Some((EITHER_VERSION, payload))
}

/// RFC 2661 section 3.1: version 2, a data message; length, sequence numbers and padding where the
/// flags say so; then PPP.
#[inline(always)]
fn l2tp<F: Frame>(frame: &F, offset: usize) -> Option<(u16, usize)> {
    const CONTROL: u8 = 0x80;
    const LENGTH: u8 = 0x40;
    const SEQUENCE: u8 = 0x08;
    const OFFSET: u8 = 0x02;
    let [header, _] = frame.load(offset)?;
    let flags = byte(header, 0);
    if flags & CONTROL != 0 || byte(header, 1) & 0x0f != 2 {
        return None;
    }
    // Flags, tunnel and session.
    let mut payload = offset + 6;
    payload += if flags & LENGTH != 0 { 2 } else { 0 };
    payload += if flags & SEQUENCE != 0 { 4 } else { 0 };
    if flags & OFFSET != 0 {
        let [word] = frame.load(frame.forget(payload))?;
        payload += 2 + usize::from(upper(word) & 0x0fff);
    }
    payload = frame.forget(payload);
    let [word] = frame.load(payload)?;
    let framing = if upper(word) == 0xff03 { 2 } else { 0 };
    Some((PPP, payload + framing))
}
