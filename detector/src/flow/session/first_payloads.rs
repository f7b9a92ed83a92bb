//! What the payload samples of a session's flows have told: DNS messages, ICMP payloads, requests and
//! commands in clear, and what the rest looks like.

use std::sync::Arc;

use detector_common::parse::protocol;

use super::transfer::{Control, FtpDownload, FtpUpload};
use crate::flow::content::echo::Icmp;
use crate::flow::content::entropy::{ByteProfile, SAMPLE_MIN_BYTES};
use crate::flow::content::mail::Mail;
use crate::flow::content::protocol::{is_mail_command, is_upload_command};
use crate::flow::content::tls::ClientHello;
use crate::flow::content::web::Http;
use crate::flow::content::{FirstPayload, Mean, Protocol, http, ja4, lower_case};
use crate::flow::dns::Dns;
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
    /// Shannon entropy of payload samples from the client, in bits per byte (0 to 8); DNS left out.
    /// Payload samples below 16 bytes are left out too: a sample of n bytes has at most log2(n)
    /// bits.
    pub up_entropy: Mean,
    /// The same from the server.
    pub down_entropy: Mean,
    /// Share of printable ASCII (0 to 1) in the same payload samples.
    pub up_printable: Mean,
    pub down_printable: Mean,
    /// What the payload looks like, from the first payload sample that tells.
    pub protocol: Option<Protocol>,
    /// The TLS server name (RFC 6066), in lower case.
    pub server_name: Option<Arc<str>>,
    /// TLS or QUIC, SSH: whichever end said so.
    pub tls: bool,
    pub ssh: bool,
    /// The JA4 fingerprint of the first ClientHello that the payload sample held whole.
    pub ja4: Option<Arc<str>>,
    /// ClientHellos that were cut before their JA4 was known.
    pub hellos_cut: u32,
    /// SMTP commands that hand over a message: MAIL, DATA, BDAT.
    pub mail_commands: u32,
    /// FTP commands that upload: STOR, STOU, APPE.
    pub upload_commands: u32,
}

impl FirstPayloads {
    /// Takes in a payload sample. True where it said something that is worth a verdict.
    pub(crate) fn learn(&mut self, payload: &FirstPayload<'_>, found: &Found) -> bool {
        self.count += 1;
        let told = match payload.protocol {
            protocol::ICMP | protocol::ICMPV6 => {
                self.icmp.get_or_insert_default().learn(payload);
                true
            }
            _ if payload.is_dns() => self.learn_dns(payload, found),
            _ => self.learn_payload(payload),
        };
        self.decoded += u64::from(told);
        told
    }

    fn learn_dns(&mut self, payload: &FirstPayload<'_>, found: &Found) -> bool {
        let dns = self.dns.get_or_insert_default();
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
            self.learn_bytes(payload);
            return false;
        }
        self.protocol.get_or_insert(Protocol::Dns);
        !found.messages.is_empty()
    }

    fn learn_payload(&mut self, payload: &FirstPayload<'_>) -> bool {
        self.learn_bytes(payload);
        let length = payload.payload_bytes as usize;
        let found = Protocol::of(payload.protocol, payload.server_port, payload.bytes, length);
        match found {
            Some(Protocol::Tls | Protocol::Quic) => self.tls = true,
            Some(Protocol::Ssh) => self.ssh = true,
            _ => {}
        }
        if self.protocol.is_none() {
            self.protocol = found;
        }
        if payload.protocol != protocol::TCP {
            return false;
        }
        if payload.from_client {
            self.learn_client(payload, found)
        } else {
            self.learn_server(payload)
        }
    }

    /// What the client of a TCP connection said, by the protocol that its payload starts.
    fn learn_client(&mut self, payload: &FirstPayload<'_>, found: Option<Protocol>) -> bool {
        match found {
            Some(Protocol::Tls) => {
                self.learn_hello(payload.bytes);
                false
            }
            Some(Protocol::Http) => self.learn_http(payload.bytes),
            _ if self.http.as_mut().is_some_and(|http| http.learn_body(payload.bytes)) => true,
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

    fn learn_http(&mut self, bytes: &[u8]) -> bool {
        let Some(request) = http::Request::decode(bytes) else {
            return false;
        };
        let http = self.http.get_or_insert_default();
        http.learn(&request);
        true
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

#[cfg(test)]
mod tests {
    use detector_common::parse::protocol;

    use super::{FirstPayloads, Found};
    use crate::flow::content::{Echo, FirstPayload};

    fn payload(bytes: &[u8], number: u8, server_port: u16, echo: Option<Echo>) -> FirstPayload<'_> {
        FirstPayload {
            bytes,
            payload_bytes: u32::try_from(bytes.len()).expect("short"),
            from_client: echo != Some(Echo::Reply),
            is_first: true,
            protocol: number,
            server_port,
            echo,
        }
    }

    #[test]
    fn http_uploads_are_told() {
        let mut first_payloads = FirstPayloads::default();
        let request = b"PUT /x HTTP/1.1\r\nHost: 198.51.100.9\r\nContent-Length: 99\r\n\r\n";
        assert!(
            first_payloads.learn(&payload(request, protocol::TCP, 80, None), &Found::default())
        );
        let http = first_payloads.http.expect("decoded");
        assert_eq!((http.uploads, http.content_length_max), (1, 99));
        assert!(http.bare_host);
        assert_eq!(first_payloads.up_entropy.count, 1);
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

    #[test]
    fn what_is_no_dns_on_its_port_is_counted() {
        let mut first_payloads = FirstPayloads::default();
        let payload = payload(b"SSH-2.0-tunnel over port 53\r\n", protocol::TCP, 53, None);
        assert!(!first_payloads.learn(&payload, &Found::default()));
        assert_eq!(first_payloads.dns.expect("counted").undecoded, 1);
        assert_eq!(first_payloads.up_entropy.count, 1);
    }
}
