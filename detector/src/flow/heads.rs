//! What a session learns from one head.

use std::sync::Arc;

use detector_common::parse::protocol;

use super::dns_stream::Found;
use super::facts::Heads;
use super::head::entropy::{ByteProfile, SAMPLE_MIN_BYTES};
use super::head::protocol::{is_mail_command, is_upload_command};
use super::head::tls::ClientHello;
use super::head::{Protocol, http, ja4};

/// The port of unicast DNS.
pub(crate) const DNS_PORT: u16 = 53;

/// The first bytes of a payload, and where it comes from.
#[derive(Debug)]
pub(crate) struct Head<'a> {
    pub(crate) bytes: &'a [u8],
    /// Payload bytes of the packet.
    pub(crate) payload_bytes: u32,
    pub(crate) from_client: bool,
    /// Among the first of its flow and direction, [`detector_common::abi::HEAD_PACKETS`].
    pub(crate) is_first: bool,
    /// IANA protocol number.
    pub(crate) protocol: u8,
    pub(crate) server_port: u16,
    /// `None` where it is no ICMP echo.
    pub(crate) echo: Option<Echo>,
    /// The DNS messages in it.
    pub(crate) dns: Found,
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

impl Head<'_> {
    /// Whether this should be DNS: the port it is spoken on, that of mDNS or of LLMNR.
    pub(crate) fn is_dns(&self) -> bool {
        match self.protocol {
            protocol::UDP => matches!(self.server_port, DNS_PORT | 5353 | 5355),
            protocol::TCP => self.server_port == DNS_PORT,
            _ => false,
        }
    }
}

impl Heads {
    /// Takes in a head. True where it said something that is worth a judgement.
    pub(crate) fn learn(&mut self, head: &Head<'_>) -> bool {
        self.count += 1;
        let told = match head.protocol {
            protocol::ICMP | protocol::ICMPV6 => {
                self.icmp.get_or_insert_default().learn(head);
                true
            }
            _ if head.is_dns() => self.learn_dns(head),
            _ => self.learn_payload(head),
        };
        self.decoded += u64::from(told);
        told
    }

    fn learn_dns(&mut self, head: &Head<'_>) -> bool {
        let dns = self.dns.get_or_insert_default();
        let found = &head.dns;
        let responses = found.messages.iter().filter(|message| message.response).count() as u64;
        dns.responses += responses;
        dns.queries += found.messages.len() as u64 - responses;
        // A message cut by the head still weighs what its packet carried.
        let bytes = u64::from(head.payload_bytes);
        if head.from_client {
            dns.query_bytes += bytes;
        } else {
            dns.response_bytes += bytes;
        }
        if found.is_foreign() {
            dns.undecoded += 1;
            self.learn_bytes(head);
            return false;
        }
        self.protocol.get_or_insert(Protocol::Dns);
        !found.messages.is_empty()
    }

    fn learn_payload(&mut self, head: &Head<'_>) -> bool {
        self.learn_bytes(head);
        let found = match head.protocol {
            protocol::TCP => Protocol::of_tcp(head.bytes),
            protocol::UDP => Protocol::of_udp(head.bytes),
            _ => None,
        };
        match found {
            Some(Protocol::Tls | Protocol::Quic) => self.tls = true,
            Some(Protocol::Ssh) => self.ssh = true,
            _ => {}
        }
        if self.protocol.is_none() {
            self.protocol = found;
        }
        if head.protocol != protocol::TCP {
            return false;
        }
        if head.from_client { self.learn_client(head, found) } else { self.learn_server(head) }
    }

    /// What the client of a TCP connection said, by the protocol that its payload starts.
    fn learn_client(&mut self, head: &Head<'_>, found: Option<Protocol>) -> bool {
        match found {
            Some(Protocol::Tls) => {
                self.learn_hello(head.bytes);
                false
            }
            Some(Protocol::Http) => self.learn_http(head.bytes),
            _ if self.http.as_mut().is_some_and(|http| http.learn_body(head.bytes)) => true,
            _ => self.learn_command(head),
        }
    }

    fn learn_server(&mut self, head: &Head<'_>) -> bool {
        if self.is_ftp(head) {
            self.control.get_or_insert_default().learn_reply(head.bytes);
        }
        false
    }

    fn is_ftp(&self, head: &Head<'_>) -> bool {
        head.server_port == 21 || self.protocol == Some(Protocol::Ftp)
    }

    fn is_mail(&self, head: &Head<'_>) -> bool {
        matches!(head.server_port, 25 | 587 | 2525) || self.protocol == Some(Protocol::Smtp)
    }

    fn learn_hello(&mut self, bytes: &[u8]) {
        let Some(hello) = ClientHello::decode(bytes) else {
            return;
        };
        if self.server_name.is_none() {
            self.server_name = hello.server_name().map(lower_case);
        }
        if self.ja4.is_none() {
            self.ja4 = ja4::fingerprint(&hello).map(Arc::from);
            self.hellos_cut += u32::from(self.ja4.is_none());
        }
    }

    /// Entropy and printable share, by direction, of the first payloads: of a dialogue no more than
    /// of any other flow.
    fn learn_bytes(&mut self, head: &Head<'_>) {
        if !head.is_first || head.bytes.len() < SAMPLE_MIN_BYTES {
            return;
        }
        let (bits, printable) = if head.from_client {
            (&mut self.up_entropy, &mut self.up_printable)
        } else {
            (&mut self.down_entropy, &mut self.down_printable)
        };
        let profile = ByteProfile::of(head.bytes);
        bits.add(profile.entropy);
        printable.add(profile.printable_share);
    }

    fn learn_http(&mut self, bytes: &[u8]) -> bool {
        let Some(request) = http::Request::decode(bytes) else {
            return false;
        };
        let http = self.http.get_or_insert_default();
        http.learn(&request);
        true
    }

    fn learn_command(&mut self, head: &Head<'_>) -> bool {
        let (mail, upload) = (is_mail_command(head.bytes), is_upload_command(head.bytes));
        self.mail_commands += u32::from(mail);
        self.upload_commands += u32::from(upload);
        if self.is_ftp(head) {
            self.control.get_or_insert_default().learn_command(head.bytes);
            return upload;
        }
        self.is_mail(head) && self.mail.get_or_insert_default().learn(head.bytes) || mail || upload
    }

    /// The server's name as the client put it.
    pub(crate) fn name(&self) -> Option<&Arc<str>> {
        let host = || self.http.as_ref().and_then(|http| http.host.as_ref());
        self.server_name.as_ref().or_else(host)
    }
}

pub(super) fn lower_case(name: &str) -> Arc<str> {
    name.to_ascii_lowercase().into()
}

#[cfg(test)]
mod tests {
    use detector_common::parse::protocol;

    use super::{Echo, Found, Head, Heads};

    fn head(bytes: &[u8], number: u8, server_port: u16, echo: Option<Echo>) -> Head<'_> {
        Head {
            bytes,
            payload_bytes: u32::try_from(bytes.len()).expect("short"),
            from_client: echo != Some(Echo::Reply),
            is_first: true,
            protocol: number,
            server_port,
            echo,
            dns: Found::default(),
        }
    }

    #[test]
    fn http_uploads_are_told() {
        let mut heads = Heads::default();
        let request = b"PUT /x HTTP/1.1\r\nHost: 198.51.100.9\r\nContent-Length: 99\r\n\r\n";
        assert!(heads.learn(&head(request, protocol::TCP, 80, None)));
        let http = heads.http.expect("decoded");
        assert_eq!((http.uploads, http.content_length_max), (1, 99));
        assert!(http.bare_host);
        assert_eq!(heads.up_entropy.count, 1);
    }

    #[test]
    fn replies_are_compared_with_requests() {
        let mut heads = Heads::default();
        heads.learn(&head(b"abcdefghijklmnopqrstuvw", protocol::ICMP, 0, Some(Echo::Request)));
        heads.learn(&head(b"abcdefghijklmnopqrstuvw", protocol::ICMP, 0, Some(Echo::Reply)));
        heads.learn(&head(b"another answer than this", protocol::ICMP, 0, Some(Echo::Reply)));
        let icmp = heads.icmp.expect("decoded");
        assert_eq!((icmp.requests, icmp.replies), (1, 2));
        assert_eq!((icmp.unusual, icmp.replies_unlike), (1, 1));
        assert_eq!(icmp.size_changes, 1);
    }

    #[test]
    fn what_is_no_dns_on_its_port_is_counted() {
        let mut heads = Heads::default();
        let head = head(b"SSH-2.0-tunnel over port 53\r\n", protocol::TCP, 53, None);
        assert!(!heads.learn(&head));
        assert_eq!(heads.dns.expect("counted").undecoded, 1);
        assert_eq!(heads.up_entropy.count, 1);
    }
}
