//! What the heads of a session's flows have told: the first payload bytes, DNS messages, ICMP
//! payloads.
//!
//! Plain data, filled by [`super::heads`] from the decoders in [`super::head`].

use std::sync::Arc;

use super::distinct::Distinct;
use super::echo::Icmp;
use super::entropy_sketch::EntropySketch;
use super::head::Protocol;
use super::mail::Mail;
use super::transfer::{Control, FtpUpload};
use super::web::Http;

/// A running mean.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Mean {
    pub sum: f64,
    pub count: u64,
}

impl Mean {
    pub fn add(&mut self, value: f64) {
        self.sum += value;
        self.count += 1;
    }

    /// `None` before the first value.
    #[must_use]
    pub fn mean(&self) -> Option<f64> {
        #[expect(clippy::cast_precision_loss, reason = "a count of heads is far below 2^52")]
        let count = self.count as f64;
        (self.count != 0).then(|| self.sum / count)
    }
}

/// The first payload bytes of a session's flows. Boxed where most sessions have none.
#[derive(Clone, Debug, Default)]
pub struct Heads {
    /// Heads seen.
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
    /// Shannon entropy of heads from the client, in bits per byte (0 to 8); DNS left out. Heads
    /// below 16 bytes are left out too: a sample of n bytes has at most log2(n) bits.
    pub up_entropy: Mean,
    /// The same from the server.
    pub down_entropy: Mean,
    /// Share of printable ASCII (0 to 1) in the same heads.
    pub up_printable: Mean,
    pub down_printable: Mean,
    /// What the payload looks like, from the first head that tells.
    pub protocol: Option<Protocol>,
    /// The TLS server name (RFC 6066), in lower case.
    pub server_name: Option<Arc<str>>,
    /// TLS or QUIC, SSH: whichever end said so.
    pub tls: bool,
    pub ssh: bool,
    /// The JA4 fingerprint of the first ClientHello that the head held whole.
    pub ja4: Option<Arc<str>>,
    /// ClientHellos that were cut before their JA4 was known.
    pub hellos_cut: u32,
    /// SMTP commands that hand over a message: MAIL, DATA, BDAT.
    pub mail_commands: u32,
    /// FTP commands that upload: STOR, STOU, APPE.
    pub upload_commands: u32,
}

/// The DNS messages of a session, or of one domain: see [`super::Session::domain`].
#[derive(Clone, Debug, Default)]
pub struct Dns {
    pub queries: u64,
    pub responses: u64,
    /// Payloads on a DNS port that are no message and no part of one.
    pub undecoded: u64,
    /// Payload bytes of query and of response messages, and of what is no message.
    pub query_bytes: u64,
    pub response_bytes: u64,
    /// What the names say; only of a domain.
    pub names: Option<Box<DnsNames>>,
}

/// What a client asked below one registered domain, and what came back. Lengths and characters are
/// those of the subdomains, which are what the client chose.
#[derive(Clone, Debug, Default)]
pub struct DnsNames {
    /// Bytes of all subdomains in presentation form.
    pub name_bytes: u64,
    pub label_count: u64,
    /// Longest label and longest subdomain of any query, in bytes.
    pub longest_label: u16,
    pub longest_name: u16,
    /// Bytes that are digits, letters in upper case, and what no host name has: neither letter nor
    /// digit, hyphen, underscore or dot.
    pub digits: u64,
    pub uppercase: u64,
    pub foreign: u64,
    /// Distinct subdomains, about.
    pub distinct: Distinct,
    /// What the distinct labels of all subdomains can carry, about.
    pub information: EntropySketch,
    /// The most that the labels of one subdomain carry beyond those of host names, in bytes.
    pub richest_bytes: f64,
    /// Whether the subdomain that carries most has bytes that no host name has.
    pub richest_foreign: bool,
    /// Shannon entropy of subdomains in lower case, in bits per byte.
    pub entropy: Mean,
    /// Queries by type.
    pub a: u64,
    pub aaaa: u64,
    pub txt: u64,
    pub null: u64,
    pub cname: u64,
    pub mx: u64,
    pub srv: u64,
    /// PTR, NS, SOA, DS, DNSKEY, HTTPS: what resolvers and browsers ask besides.
    pub plain: u64,
    pub unusual: u64,
    /// Responses with an RCODE other than 0, and those with NXDOMAIN.
    pub failures: u64,
    pub nxdomain: u64,
    /// Bytes of record data in answers, and the most of one response.
    pub answer_bytes: u64,
    pub answer_max: u32,
    /// Queries over TCP.
    pub tcp_queries: u64,
    /// Queries to another resolver than the one that the client asks most.
    pub other_resolver: u64,
}
