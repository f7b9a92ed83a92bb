//! Why our parser and etherparse disagree, where they do. Each reason says which fields may differ for it
//! and which frames it is about; a disagreement that no reason covers whole fails the test.

use detector_common::parse::{Fragment, Skip, protocol};
use etherparse::err::packet::SliceError;
use etherparse::err::{Layer, ipv6_exts};

use crate::views::{Case, Field, Theirs};

/// One reason.
pub(crate) struct Reason {
    pub(crate) name: &'static str,
    fields: &'static [Field],
    applies: fn(&Case<'_>, &Theirs) -> bool,
}

/// Everything behind the place where one of the two stops.
const BEHIND: &[Field] = &[Field::Protocol, Field::Ports, Field::PayloadBytes, Field::Transport];
const TRANSPORT: &[Field] = &[Field::Ports, Field::PayloadBytes, Field::Transport];
const CHAIN: &[Field] =
    &[Field::Protocol, Field::Ports, Field::PayloadBytes, Field::Transport, Field::Fragment];

/// EtherTypes that only we go over: MPLS, PPPoE, 802.1ah, FabricPath, VN-Tag, E-Tag.
const ONLY_OURS: [[u8; 2]; 7] = [
    [0x88, 0x47],
    [0x88, 0x48],
    [0x88, 0x64],
    [0x88, 0xe7],
    [0x89, 0x03],
    [0x89, 0x26],
    [0x89, 0x3f],
];

/// Of the walk over IPv6 extension headers, which we end after so many.
const MAX_EXTENSIONS: usize = 8;

pub(crate) const REASONS: &[Reason] = &[
    Reason {
        // A length is believed or the packet is not: what is missing was never on this wire.
        name: "an IP length beyond the frame: we skip it, they take what is there",
        fields: &[Field::Packet],
        applies: |case, theirs| {
            let rest = case.frame.wire_len.saturating_sub(theirs.view.ip_offset);
            case.ours == Err(Skip::BadLength) && theirs.view.ip_bytes > rest
        },
    },
    Reason {
        name: "an IPv4 length shorter than its header: we skip it, they take the frame's",
        fields: &[Field::Packet],
        applies: |case, theirs| {
            case.ours == Err(Skip::BadHeaderLength)
                && !theirs.is_v6
                && theirs.view.ip_bytes < theirs.header_bytes
        },
    },
    Reason {
        name: "a version that contradicts the link layer: we skip it, they go by the version",
        fields: &[Field::Packet],
        applies: |case, theirs| {
            // An IPv6 header would be longer than what is there.
            let short = case.frame.bytes.len() < theirs.view.ip_offset as usize + 40;
            case.ours == Err(Skip::BadVersion)
                || case.ours == Err(Skip::TruncatedIp) && !theirs.is_v6 && short
        },
    },
    Reason {
        // The fields that a flow is made of stand in the first 20 bytes.
        name: "IPv4 options that the recording cut off: we read what is there, they nothing",
        fields: &[Field::Packet],
        applies: |case, _| {
            let Ok(packet) = &case.ours else { return false };
            let ip = packet.ip_offset as usize;
            let header = case.frame.bytes.get(ip).map_or(0, |first| usize::from(first & 15) * 4);
            case.theirs.is_none() && case.frame.bytes.len() < ip + header
        },
    },
    Reason {
        name: "SCTP, DCCP, UDP-Lite: only we read their ports",
        fields: TRANSPORT,
        applies: |_, theirs| {
            matches!(theirs.view.protocol, protocol::SCTP | protocol::DCCP | protocol::UDP_LITE)
        },
    },
    Reason {
        name: "a link header or an 802.2 header: only we go over it",
        fields: &[Field::Packet],
        applies: |case, _| {
            let Ok(packet) = &case.ours else { return false };
            let link = case.frame.bytes.get(..packet.ip_offset as usize).unwrap_or_default();
            let word = |at: usize| link.get(at..at + 2).map(|word| [word[0], word[1]]);
            let opened =
                |at: usize| word(at).is_some_and(|word| ONLY_OURS.contains(&word) || word[0] < 6);
            case.theirs.is_none() && (12..link.len()).any(opened)
        },
    },
    Reason {
        // So that the later fragments can be given their ports.
        name: "a first fragment: only we read its transport header",
        fields: TRANSPORT,
        applies: |case, _| case.ours.is_ok_and(|packet| packet.fragment == Fragment::First),
    },
    Reason {
        // The bytes are there and so are the ports; the payload begins where the header must end at
        // the latest.
        name: "a TCP header shorter than 20 bytes or longer than its packet: only we read its ports",
        fields: TRANSPORT,
        applies: |_, theirs| stopped_at(theirs, Layer::TcpHeader),
    },
    Reason {
        name: "a UDP header longer than its packet: only we read its ports",
        fields: TRANSPORT,
        applies: |_, theirs| stopped_at(theirs, Layer::UdpHeader),
    },
    Reason {
        // Captured before segmentation (TSO, LSO).
        name: "an IPv4 length of 0: we take the frame's, they nothing",
        fields: &[
            Field::Packet,
            Field::Protocol,
            Field::Ports,
            Field::IpBytes,
            Field::PayloadBytes,
            Field::Transport,
            Field::Fragment,
        ],
        applies: |_, theirs| !theirs.is_v6 && theirs.view.ip_bytes == 0,
    },
    Reason {
        name: "an ICMP time stamp: its three times are header to them, payload to us",
        fields: TRANSPORT,
        applies: |case, theirs| {
            let kind = case.ours.map_or(0, |packet| packet.icmp);
            theirs.view.protocol == protocol::ICMP && matches!(kind, 0x0d00 | 0x0e00)
        },
    },
    Reason {
        // Nobody reads behind it in the clear: ESP has the payload, and AH without it is hardly used.
        name: "an authentication header over IPv4: they look behind it, for us it is the protocol",
        fields: BEHIND,
        applies: |case, theirs| {
            !theirs.is_v6
                && theirs.next == protocol::AUTHENTICATION
                && case.ours.is_ok_and(|packet| packet.key.protocol == protocol::AUTHENTICATION)
        },
    },
    Reason {
        name: "a hop-by-hop header that is not the first: they stop, we go on",
        fields: CHAIN,
        applies: |_, theirs| {
            let error = ipv6_exts::HeaderError::HopByHopNotAtStart;
            matches!(&theirs.stopped, Some((SliceError::Ipv6Exts(stop), _)) if *stop == error)
        },
    },
    Reason {
        name: "mobility, host identity and shim6 headers: only we go over them",
        fields: CHAIN,
        applies: |_, theirs| {
            let unknown = [protocol::MOBILITY, protocol::HIP, protocol::SHIM6];
            theirs.is_v6 && unknown.contains(&theirs.view.protocol)
        },
    },
    Reason {
        // Its bytes are somewhere in the middle of a payload.
        name: "a later fragment over IPv6: they read its payload as further headers",
        fields: CHAIN,
        applies: |case, theirs| {
            theirs.is_v6 && case.ours.is_ok_and(|packet| packet.fragment == Fragment::Later)
        },
    },
    Reason {
        name: "more than eight extension headers: we stop, they go on",
        fields: CHAIN,
        applies: |_, theirs| theirs.extensions >= MAX_EXTENSIONS,
    },
    Reason {
        // What follows is not there; that it should have been of another protocol says nothing.
        name: "an extension header longer than its packet: they stop before it, we at the end",
        fields: CHAIN,
        applies: |_, theirs| {
            theirs.is_v6
                && matches!(theirs.stopped, Some((SliceError::Len(_) | SliceError::Ipv6Exts(_), layer))
                if matches!(
                    layer,
                    Layer::Ipv6ExtHeader
                        | Layer::Ipv6HopByHopHeader
                        | Layer::Ipv6DestOptionsHeader
                        | Layer::Ipv6RouteHeader
                        | Layer::Ipv6FragHeader
                        | Layer::IpAuthHeader
                ))
        },
    },
    Reason {
        // RFC 2675: a jumbogram's length stands in the hop-by-hop header. Others were captured before segmentation.
        name: "an IPv6 length of 0: we take the frame's, they nothing",
        fields: &[
            Field::Protocol,
            Field::Ports,
            Field::IpBytes,
            Field::PayloadBytes,
            Field::Transport,
            Field::Fragment,
        ],
        applies: |_, theirs| theirs.is_v6 && theirs.view.ip_bytes == 40,
    },
];

fn stopped_at(theirs: &Theirs, at: Layer) -> bool {
    theirs.stopped.as_ref().is_some_and(|(_, layer)| *layer == at)
}

/// The reasons for a disagreement, or none where they do not cover all of it.
pub(crate) fn explain(case: &Case<'_>, differences: &[Field]) -> Option<Vec<&'static str>> {
    let nothing = Theirs::default();
    let theirs = case.theirs.as_ref().unwrap_or(&nothing);
    let reasons: Vec<&Reason> = REASONS
        .iter()
        .filter(|reason| differences.iter().any(|field| reason.fields.contains(field)))
        .filter(|reason| (reason.applies)(case, theirs))
        .collect();
    let covered = |field: &Field| reasons.iter().any(|reason| reason.fields.contains(field));
    differences.iter().all(covered).then(|| reasons.iter().map(|reason| reason.name).collect())
}
