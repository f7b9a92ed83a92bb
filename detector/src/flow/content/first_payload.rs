//! The first bytes of one payload, and where they come from: what every decoder is given.

use detector_common::parse::protocol;

/// The port of unicast DNS.
pub(crate) const DNS_PORT: u16 = 53;

/// The first bytes of a payload, and where it comes from.
#[derive(Debug)]
pub(crate) struct FirstPayload<'a> {
    pub(crate) bytes: &'a [u8],
    /// Payload bytes of the packet.
    pub(crate) payload_bytes: u32,
    /// Where `bytes` begin in the packet's payload: beyond 0, a piece that the stream alone needs.
    pub(crate) offset: u32,
    /// The TCP sequence number of the payload's first byte.
    pub(crate) sequence: u32,
    pub(crate) from_client: bool,
    /// From an internal address.
    pub(crate) from_home: bool,
    /// Among the first of its flow and direction, [`detector_common::abi::FIRST_PAYLOADS`].
    pub(crate) is_first: bool,
    /// The start of a packet that is handed up whatever the stream needs, see
    /// [`detector_common::FlowKey::first_payloads`].
    pub(crate) is_sample: bool,
    /// IANA protocol number.
    pub(crate) protocol: u8,
    pub(crate) server_port: u16,
    /// `None` where it is no ICMP echo.
    pub(crate) echo: Option<Echo>,
}

/// The two ICMP messages that carry a payload of the sender's own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Echo {
    Request,
    Reply,
}

impl Echo {
    /// By the message's type (RFC 792, RFC 4443).
    pub(crate) fn of(number: u8, icmp_type: u8) -> Option<Self> {
        match (number, icmp_type) {
            (protocol::ICMP, 8) | (protocol::ICMPV6, 128) => Some(Self::Request),
            (protocol::ICMP, 0) | (protocol::ICMPV6, 129) => Some(Self::Reply),
            _ => None,
        }
    }

    /// What comes back for it.
    pub(crate) fn answer(self) -> Self {
        match self {
            Self::Request => Self::Reply,
            Self::Reply => Self::Request,
        }
    }
}

impl FirstPayload<'_> {
    /// Whether this should be DNS: the port it is used on, that of mDNS or of LLMNR.
    pub(crate) fn is_dns(&self) -> bool {
        match self.protocol {
            protocol::UDP => matches!(self.server_port, DNS_PORT | 5353 | 5355),
            protocol::TCP => self.server_port == DNS_PORT,
            _ => false,
        }
    }
}
