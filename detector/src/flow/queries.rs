//! What a domain learns from one DNS message.

use super::facts::DnsNames;
use super::head::dns::{self, Message, record_type};
use super::head::entropy::entropy;
use super::{distinct, registered};

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
        self.nxdomain += u64::from(message.rcode == dns::RCODE_NXDOMAIN);
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
