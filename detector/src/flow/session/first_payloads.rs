//! What the payload samples of a session's flows have shown: DNS messages, ICMP payloads, requests
//! and commands in clear, and what the rest looks like.

use std::sync::Arc;

use detector_common::parse::protocol;

use super::transfer::{Control, FtpDownload, FtpUpload};
use crate::flow::content::conversation::Saying;
use crate::flow::content::counted::CountedDatagrams;
use crate::flow::content::echo::Icmp;
use crate::flow::content::entropy::{ByteProfile, SAMPLE_MIN_BYTES};
use crate::flow::content::ja4::{self, Transport};
use crate::flow::content::mail::Mail;
use crate::flow::content::protocol::{Certainty, is_mail_command, is_upload_command};
use crate::flow::content::tls::ClientHello;
use crate::flow::content::web::Http;
use crate::flow::content::{DNS_PORT, FirstPayload, Mean, Protocol, lower_case};
use crate::flow::dns::Dns;
use crate::flow::dns::message::Message;
use crate::flow::dns::stream::Found;

/// The first payload bytes of a session's flows. Boxed where most sessions have none.
#[derive(Clone, Debug, Default)]
pub struct FirstPayloads {
    /// Payload samples seen.
    pub count: u64,
    /// Those that said something: DNS, ICMP, HTTP requests, SMTP and FTP commands that hand over.
    pub decoded: u64,
    pub dns: Option<Box<Dns>>,
    pub icmp: Option<Box<Icmp>>,
    pub http: Option<Box<Http>>,
    pub mail: Option<Box<Mail>>,
    /// What an FTP control connection is about to do.
    pub control: Option<Box<Control>>,
    /// Set on the data connection of an FTP upload.
    pub ftp_upload: Option<FtpUpload>,
    /// Set on the data connection of an FTP download.
    pub ftp_download: Option<FtpDownload>,
    /// Counters of encrypted datagrams, where a VPN was joined late.
    counted: Option<Box<CountedDatagrams>>,
    /// Shannon entropy of payload samples from the client, in bits per byte (0 to 8); DNS left out.
    /// Payload samples below 16 bytes are left out too: a sample of n bytes has at most log2(n)
    /// bits.
    pub up_entropy: Mean,
    /// The same from the server.
    pub down_entropy: Mean,
    /// Share of printable ASCII (0 to 1) in the same payload samples.
    pub up_printable: Mean,
    pub down_printable: Mean,
    /// What the payload looks like. The surest answer counts: a strong one replaces a weak one, see
    /// [`Certainty`], and a weak one is taken back where more of the payload refutes it. Among strong ones
    /// the latest of a stream counts, as TLS behind STARTTLS, else the first.
    pub protocol: Option<Protocol>,
    certainty: Certainty,
    /// The first strong answer, where a later one replaced it.
    opening: Option<Protocol>,
    /// Weak answers that were taken back: no other weak one counts.
    pub refuted: u32,
    /// The TLS server name (RFC 6066), in lower case.
    pub server_name: Option<Arc<str>>,
    /// TLS or QUIC, SSH: whichever end said so.
    pub tls: bool,
    pub ssh: bool,
    /// The JA4 fingerprint of the first ClientHello that the payload sample held whole.
    pub ja4: Option<Arc<str>>,
    /// ClientHellos that were cut before their JA4 was known.
    pub hellos_cut: u32,
    /// Connections whose segments had other bytes in the same place. Whoever sends such may have the
    /// server read something else than the detector: nothing that was read is an explanation.
    pub contradictions: u32,
    /// SMTP commands that hand over a message: MAIL, DATA, BDAT.
    pub mail_commands: u32,
    /// FTP commands that upload: STOR, STOU, APPE.
    pub upload_commands: u32,
}

impl FirstPayloads {
    /// Takes in the start of a packet's payload. True where it said something that is worth a verdict.
    pub(crate) fn learn(&mut self, payload: &FirstPayload<'_>, found: &Found) -> bool {
        if payload.offset != 0 {
            return false;
        }
        self.count += 1;
        let told = match payload.protocol {
            protocol::ICMP | protocol::ICMPV6 => {
                self.icmp.get_or_insert_default().learn(payload);
                true
            }
            _ if payload.is_dns() => self.learn_dns(payload, found),
            _ => payload.is_sample && self.learn_payload(payload),
        };
        self.decoded += u64::from(told);
        told
    }

    /// Takes in what was read of a stream. True where it is worth a verdict.
    pub(crate) fn hear(&mut self, saying: &Saying<'_>, transport: Transport) -> bool {
        let told = match saying {
            Saying::Contradiction => {
                self.distrust();
                true
            }
            _ if self.contradictions != 0 => false,
            Saying::Protocol(found, certainty) => {
                self.learn_protocol(*found, *certainty, true);
                false
            }
            Saying::Refuted => {
                self.refute();
                false
            }
            Saying::Hello(message) => {
                self.learn_hello(message, transport);
                false
            }
            Saying::Request(request) => {
                self.learn_protocol(Protocol::Http, Certainty::Strong, true);
                self.http.get_or_insert_default().learn(request);
                true
            }
            Saying::Body(bytes) => self.http.as_mut().is_some_and(|http| http.learn_body(bytes)),
        };
        self.decoded += u64::from(told);
        told
    }

    /// Forgets what would explain the session.
    fn distrust(&mut self) {
        self.contradictions += 1;
        (self.protocol, self.opening, self.server_name, self.ja4) = (None, None, None, None);
    }

    fn learn_dns(&mut self, payload: &FirstPayload<'_>, found: &Found) -> bool {
        let dns = self.dns.get_or_insert_default();
        dns.hidden_bytes += hidden_bytes(payload, found);
        let responses = found.messages.iter().filter(|message| message.response).count() as u64;
        dns.responses += responses;
        dns.queries += found.messages.len() as u64 - responses;
        // A message cut by the payload sample still weighs what its packet carried.
        let bytes = u64::from(payload.payload_bytes);
        if payload.from_client {
            dns.query_bytes += bytes;
        } else {
            dns.response_bytes += bytes;
        }
        if found.is_foreign() {
            dns.undecoded += 1;
            dns.undecoded_queries += u64::from(payload.from_client);
            self.learn_bytes(payload);
            return false;
        }
        self.learn_protocol(Protocol::Dns, Certainty::Strong, false);
        !found.messages.is_empty()
    }

    fn learn_payload(&mut self, payload: &FirstPayload<'_>) -> bool {
        self.learn_bytes(payload);
        let length = payload.payload_bytes as usize;
        let found = Protocol::told(payload.protocol, payload.server_port, payload.bytes, length);
        // Each datagram is a message of its own, while a segment may be any part of one.
        if payload.protocol == protocol::UDP && found.is_none_or(|found| self.is_other(found)) {
            self.refute();
        }
        let counted = || self.learn_counter(payload).map(|found| (found, Certainty::Strong));
        let found = found.or_else(counted);
        if let Some((found, certainty)) = found {
            self.learn_protocol(found, certainty, false);
        }
        let found = found.map(|(found, _)| found);
        if payload.protocol != protocol::TCP {
            return false;
        }
        if payload.from_client {
            self.learn_client(payload, found)
        } else {
            self.learn_server(payload)
        }
    }

    /// `of_stream`: it was read where a message begins.
    fn learn_protocol(&mut self, found: Protocol, certainty: Certainty, of_stream: bool) {
        if self.contradictions != 0 {
            return;
        }
        match found {
            Protocol::Tls | Protocol::Quic => self.tls = true,
            Protocol::Ssh => self.ssh = true,
            _ => {}
        }
        match (self.protocol, certainty) {
            (None, Certainty::Weak) if self.refuted != 0 => {}
            (None, _) => (self.protocol, self.certainty) = (Some(found), certainty),
            (Some(_), Certainty::Strong) if self.certainty == Certainty::Weak => {
                (self.protocol, self.certainty) = (Some(found), certainty);
            }
            (Some(before), Certainty::Strong) if of_stream && found != before => {
                self.opening.get_or_insert(before);
                self.protocol = Some(found);
            }
            _ => {}
        }
    }

    /// Whether a weak answer is not the one that there is.
    fn is_other(&self, (found, certainty): (Protocol, Certainty)) -> bool {
        certainty == Certainty::Weak && self.protocol != Some(found)
    }

    /// Takes back a weak answer.
    fn refute(&mut self) {
        if self.certainty == Certainty::Weak && self.protocol.take().is_some() {
            self.refuted += 1;
        }
    }

    /// What the first connection began with: that is what its port is for, and what follows STARTTLS or a
    /// proxy's CONNECT is not.
    #[must_use]
    pub fn opened_as(&self) -> Option<Protocol> {
        self.opening.or(self.protocol)
    }

    /// What the client of a TCP connection said, packet by packet; hellos and requests are read as
    /// streams, see [`Self::hear`].
    fn learn_client(&mut self, payload: &FirstPayload<'_>, found: Option<Protocol>) -> bool {
        match found {
            Some(Protocol::Tls | Protocol::Http | Protocol::Http2) => false,
            _ => self.learn_command(payload),
        }
    }

    fn learn_server(&mut self, payload: &FirstPayload<'_>) -> bool {
        if self.is_ftp(payload) {
            self.control.get_or_insert_default().learn_reply(payload.bytes);
        }
        false
    }

    fn is_ftp(&self, payload: &FirstPayload<'_>) -> bool {
        payload.server_port == 21 || self.protocol == Some(Protocol::Ftp)
    }

    fn is_mail(&self, payload: &FirstPayload<'_>) -> bool {
        matches!(payload.server_port, 25 | 587 | 2525) || self.protocol == Some(Protocol::Smtp)
    }

    fn learn_hello(&mut self, message: &[u8], transport: Transport) {
        let Some(hello) = ClientHello::decode(message) else {
            self.hellos_cut += u32::from(self.ja4.is_none());
            return;
        };
        if self.server_name.is_none() {
            self.server_name = hello.server_name().map(lower_case);
        }
        if self.ja4.is_none() {
            self.ja4 = ja4::fingerprint(&hello, transport).map(Arc::from);
            self.hellos_cut += u32::from(self.ja4.is_none());
        }
    }

    fn learn_counter(&mut self, payload: &FirstPayload<'_>) -> Option<Protocol> {
        let is_unknown = payload.protocol == protocol::UDP && self.protocol.is_none();
        is_unknown.then(|| self.counted.get_or_insert_default().learn(payload)).flatten()
    }

    /// Entropy and printable share, by direction, of the payload samples: of a dialogue no more than
    /// of any other flow.
    fn learn_bytes(&mut self, payload: &FirstPayload<'_>) {
        if !payload.is_first || payload.bytes.len() < SAMPLE_MIN_BYTES {
            return;
        }
        let (bits, printable) = if payload.from_client {
            (&mut self.up_entropy, &mut self.up_printable)
        } else {
            (&mut self.down_entropy, &mut self.down_printable)
        };
        let profile = ByteProfile::of(payload.bytes);
        bits.add(profile.entropy);
        printable.add(profile.printable_share);
    }

    fn learn_command(&mut self, payload: &FirstPayload<'_>) -> bool {
        let (mail, upload) = (is_mail_command(payload.bytes), is_upload_command(payload.bytes));
        self.mail_commands += u32::from(mail);
        self.upload_commands += u32::from(upload);
        if self.is_ftp(payload) {
            self.control.get_or_insert_default().learn_command(payload.bytes);
            return upload;
        }
        self.is_mail(payload) && self.mail.get_or_insert_default().learn(payload.bytes)
            || mail
            || upload
    }

    /// Whether this is the data connection of a known transfer.
    pub(crate) fn is_transfer(&self) -> bool {
        self.ftp_upload.is_some() || self.ftp_download.is_some()
    }

    /// The server's name as the client put it.
    pub(crate) fn name(&self) -> Option<&Arc<str>> {
        let host = || self.http.as_ref().and_then(|http| http.host.as_ref());
        self.server_name.as_ref().or_else(host)
    }
}

/// What a client's payload on a unicast DNS port has beside questions, an EDNS record without options
/// (RFC 6891: 11 bytes) and a signature or a cookie.
fn hidden_bytes(payload: &FirstPayload<'_>, found: &Found) -> u64 {
    const ORDINARY: u64 = 128;
    if !payload.from_client || payload.server_port != DNS_PORT || found.part {
        return 0;
    }
    let asked = |message: &Message| u64::from(!message.further) * u64::from(message.question_bytes);
    let questions: u64 = found.messages.iter().map(asked).sum();
    let ordinary = if found.messages.is_empty() { 0 } else { ORDINARY };
    u64::from(payload.payload_bytes).saturating_sub(questions + ordinary)
}

#[cfg(test)]
mod tests {
    use detector_common::parse::protocol;

    use super::{FirstPayloads, Found, Transport};
    use crate::flow::content::conversation::Conversation;
    use crate::flow::content::{Echo, FirstPayload, Protocol};

    fn payload(bytes: &[u8], number: u8, server_port: u16, echo: Option<Echo>) -> FirstPayload<'_> {
        FirstPayload {
            bytes,
            payload_bytes: u32::try_from(bytes.len()).expect("short"),
            offset: 0,
            sequence: 0,
            from_client: echo != Some(Echo::Reply),
            from_home: true,
            is_first: true,
            is_sample: true,
            protocol: number,
            server_port,
            echo,
        }
    }

    #[test]
    fn replies_are_compared_with_requests() {
        let mut first_payloads = FirstPayloads::default();
        let mut ping = |bytes: &[u8], echo| {
            first_payloads.learn(&payload(bytes, protocol::ICMP, 0, Some(echo)), &Found::default());
        };
        ping(b"abcdefghijklmnopqrstuvw", Echo::Request);
        ping(b"abcdefghijklmnopqrstuvw", Echo::Reply);
        ping(b"another answer than this", Echo::Reply);
        let icmp = first_payloads.icmp.expect("decoded");
        assert_eq!((icmp.requests, icmp.replies), (1, 2));
        assert_eq!((icmp.unusual, icmp.replies_unlike), (1, 1));
        assert_eq!(icmp.size_changes, 1);
    }

    /// What comes of a session.
    struct Case {
        port: u16,
        number: u8,
        /// What the client sends, one packet each; [`ANSWER`] stands for the server's.
        packets: &'static [&'static [u8]],
        protocol: Option<Protocol>,
        opened_as: Option<Protocol>,
        refuted: u32,
    }

    const ANSWER: &[u8] = b"(an answer that is none)";
    const HELLO: &[u8] = b"\x16\x03\x01\x00\x30\x01\x00\x00\x2c\x03\x03";
    const OPAQUE: &[u8] =
        b"\x9d\x02\xe7\x51\xc4\x88\x1b\x6f\xd0\x35\xaa\x7e\x13\x94\xf8\x62\x2d\xbb\x40";
    const NTP: &[u8] = &{
        let mut packet = [0; 48];
        packet[0] = 0x23;
        packet
    };

    const CASES: [Case; 10] = [
        // The stream goes on as another protocol.
        Case {
            port: 25,
            number: protocol::TCP,
            packets: &[b"EHLO a.example\r\n", ANSWER, b"STARTTLS\r\n", ANSWER, HELLO],
            protocol: Some(Protocol::Tls),
            opened_as: Some(Protocol::Smtp),
            refuted: 0,
        },
        Case {
            port: 3128,
            number: protocol::TCP,
            packets: &[b"CONNECT a.example:443 HTTP/1.1\r\nHost: a\r\n\r\n", ANSWER, HELLO],
            protocol: Some(Protocol::Tls),
            opened_as: Some(Protocol::Http),
            refuted: 0,
        },
        // A strong answer stays where nothing surer comes.
        Case {
            port: 443,
            number: protocol::TCP,
            packets: &[HELLO, OPAQUE, ANSWER, OPAQUE],
            protocol: Some(Protocol::Tls),
            opened_as: Some(Protocol::Tls),
            refuted: 0,
        },
        // A few bytes begin as a protocol does, and the rest does not.
        Case {
            port: 4444,
            number: protocol::TCP,
            packets: &[b"\x05\x01\x00", OPAQUE, OPAQUE],
            protocol: None,
            opened_as: None,
            refuted: 1,
        },
        Case {
            port: 443,
            number: protocol::TCP,
            packets: &[b"\x16\x03\x01\x02\x00", OPAQUE, OPAQUE],
            protocol: None,
            opened_as: None,
            refuted: 1,
        },
        // The server answers what is a whole message.
        Case {
            port: 1080,
            number: protocol::TCP,
            packets: &[b"\x05\x01\x00", ANSWER, OPAQUE],
            protocol: Some(Protocol::Socks),
            opened_as: Some(Protocol::Socks),
            refuted: 0,
        },
        // Few bits, as its port expects them, in each datagram or in one alone.
        Case {
            port: 123,
            number: protocol::UDP,
            packets: &[NTP, NTP, NTP],
            protocol: Some(Protocol::Ntp),
            opened_as: Some(Protocol::Ntp),
            refuted: 0,
        },
        Case {
            port: 123,
            number: protocol::UDP,
            packets: &[NTP, OPAQUE, NTP],
            protocol: None,
            opened_as: None,
            refuted: 1,
        },
        // What is sure replaces what is not, and is not refuted.
        Case {
            port: 123,
            number: protocol::UDP,
            packets: &[NTP, STUN, OPAQUE],
            protocol: Some(Protocol::Stun),
            opened_as: Some(Protocol::Stun),
            refuted: 0,
        },
        Case {
            port: 123,
            number: protocol::UDP,
            packets: &[OPAQUE, OPAQUE],
            protocol: None,
            opened_as: None,
            refuted: 0,
        },
    ];

    const STUN: &[u8] = b"\x00\x01\x00\x00\x21\x12\xa4\x42abcdefghijkl";

    #[test]
    fn the_surest_answer_counts() {
        for (case, Case { port, number, packets, protocol, opened_as, refuted }) in
            CASES.iter().enumerate()
        {
            let mut first_payloads = FirstPayloads::default();
            let (mut conversation, mut sequence) = (Conversation::new(*port), 0);
            for packet in *packets {
                let from_client = *packet != ANSWER;
                let sample = FirstPayload { from_client, ..payload(packet, *number, *port, None) };
                first_payloads.learn(&sample, &Found::default());
                if *number != protocol::TCP {
                    continue;
                }
                if !from_client {
                    conversation.answer();
                    continue;
                }
                conversation.read(sequence, packet, &mut |saying| {
                    first_payloads.hear(saying, Transport::Tcp);
                });
                sequence += u32::try_from(packet.len()).expect("short");
            }
            let found = (first_payloads.protocol, first_payloads.opened_as());
            assert_eq!(found, (*protocol, *opened_as), "case {case}");
            assert_eq!(first_payloads.refuted, *refuted, "case {case}");
        }
    }

    #[test]
    fn what_is_no_dns_on_its_port_is_counted() {
        let mut first_payloads = FirstPayloads::default();
        let payload = payload(b"SSH-2.0-tunnel over port 53\r\n", protocol::TCP, 53, None);
        assert!(!first_payloads.learn(&payload, &Found::default()));
        assert_eq!(first_payloads.dns.expect("counted").undecoded, 1);
        assert_eq!(first_payloads.up_entropy.count, 1);
    }
}
