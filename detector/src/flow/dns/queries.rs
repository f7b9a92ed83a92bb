//! The DNS messages of a session, and what one domain learns from each of them.

use super::entropy_sketch::EntropySketch;
use super::message::{Message, RCODE_NXDOMAIN, record_type};
use super::registered;
use crate::flow::content::Mean;
use crate::flow::content::distinct::{self, Distinct};
use crate::flow::content::entropy::entropy;

/// The DNS messages of a session, or of one domain: see [`crate::flow::Session::domain`].
#[derive(Clone, Debug, Default)]
pub struct Dns {
    pub queries: u64,
    pub responses: u64,
    /// Payloads on a DNS port that are no message and no part of one.
    pub undecoded: u64,
    /// Those of the client.
    pub undecoded_queries: u64,
    /// Bytes that the client sent to a DNS server and that are no part of a question: behind it, in
    /// options, and in what is no message.
    pub hidden_bytes: u64,
    /// Payload bytes of query and of response messages, and of what is no message.
    pub query_bytes: u64,
    pub response_bytes: u64,
    /// What the names say; only of a domain.
    pub names: Option<Box<DnsNames>>,
}

/// Bytes beside the questions from which on they are content: the ticket of one dynamic update has some
/// kilobytes.
const HIDDEN_BYTES: u64 = 16 << 10;

impl Dns {
    /// Whether most of what the client sent stands beside its questions.
    #[must_use]
    pub fn hides(&self) -> bool {
        self.hidden_bytes >= HIDDEN_BYTES && self.hidden_bytes >= self.query_bytes / 2
    }
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

/// How a message came, besides what it says.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asked {
    pub(crate) over_tcp: bool,
    /// Not to the resolver that the client asks most.
    pub(crate) elsewhere: bool,
}

impl DnsNames {
    /// Takes in a message about a name of which `lower` is the lower case and whose domain begins
    /// at `domain_start`.
    pub(crate) fn learn(
        &mut self,
        message: &Message,
        lower: &[u8],
        domain_start: usize,
        asked: Asked,
    ) {
        if message.response {
            self.learn_response(message);
            return;
        }
        self.tcp_queries += u64::from(asked.over_tcp);
        self.other_resolver += u64::from(asked.elsewhere);
        self.count_type(message.record_type);
        let subdomain = registered::subdomain(lower, domain_start);
        let as_sent = message.name.as_bytes().get(..subdomain.len()).unwrap_or_default();
        self.learn_shape(as_sent);
        self.learn_content(subdomain);
    }

    /// Queries of types whose answers carry what the server likes. Types beyond the usual ones count:
    /// who reads their content asks for them.
    #[must_use]
    pub fn carriers(&self) -> u64 {
        self.txt + self.null + self.cname + self.mx + self.srv + self.unusual
    }

    fn learn_response(&mut self, message: &Message) {
        self.failures += u64::from(message.rcode != 0);
        self.nxdomain += u64::from(message.rcode == RCODE_NXDOMAIN);
        self.answer_bytes += u64::from(message.answer_bytes);
        self.answer_max = self.answer_max.max(message.answer_bytes);
    }

    fn learn_shape(&mut self, subdomain: &[u8]) {
        let bytes = |length: usize| u16::try_from(length).unwrap_or(u16::MAX);
        let labels = || subdomain.split(|byte| *byte == b'.').filter(|label| !label.is_empty());
        let longest = labels().map(<[u8]>::len).max().unwrap_or(0);
        self.name_bytes += subdomain.len() as u64;
        self.label_count += labels().count() as u64;
        self.longest_label = self.longest_label.max(bytes(longest));
        self.longest_name = self.longest_name.max(bytes(subdomain.len()));
        self.digits += count(subdomain, u8::is_ascii_digit);
        self.uppercase += count(subdomain, u8::is_ascii_uppercase);
        self.foreign += foreign(subdomain);
    }

    fn learn_content(&mut self, subdomain: &[u8]) {
        self.distinct.insert(distinct::hash(subdomain.iter().copied()));
        self.entropy.add(entropy(subdomain));
        let coded = self.information.learn(subdomain).coded_bytes;
        if coded > self.richest_bytes {
            self.richest_bytes = coded;
            self.richest_foreign = foreign(subdomain) != 0;
        }
    }

    fn count_type(&mut self, asked: u16) {
        *match asked {
            record_type::A => &mut self.a,
            record_type::AAAA => &mut self.aaaa,
            record_type::TXT => &mut self.txt,
            record_type::NULL => &mut self.null,
            record_type::CNAME => &mut self.cname,
            record_type::MX => &mut self.mx,
            record_type::SRV => &mut self.srv,
            record_type::PTR | record_type::NS | record_type::HTTPS => &mut self.plain,
            record_type::SOA | record_type::DS | record_type::DNSKEY => &mut self.plain,
            _ => &mut self.unusual,
        } += 1;
    }
}

fn count(bytes: &[u8], is: impl Fn(&u8) -> bool) -> u64 {
    bytes.iter().filter(|byte| is(byte)).count() as u64
}

/// Bytes that no host name has; none in the names of service instances (RFC 6763), which people
/// write with spaces.
fn foreign(subdomain: &[u8]) -> u64 {
    if subdomain.contains(&b' ') { 0 } else { count(subdomain, is_foreign) }
}

/// What no host name has (RFC 952, RFC 1123), nor the service names of RFC 8552.
fn is_foreign(byte: &u8) -> bool {
    !byte.is_ascii_alphanumeric() && !matches!(byte, b'-' | b'_' | b'.')
}
