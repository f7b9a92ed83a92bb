//! Who asked what its own public address is, and when: stealers do before they report.
//!
//! Bounded: the host that was noted first makes room, counted.

use std::collections::{HashMap, VecDeque};

use crate::flow::observation::SECOND_NS;
use crate::network::Address;

/// Hosts that are remembered.
const MAX_HOSTS: usize = 4_096;
/// For how long having asked says something about what is sent next.
const MEMORY_NS: u64 = 600 * SECOND_NS;

/// Services that answer with the asker's address or place, as stealers use them (MITRE ATT&CK
/// T1016, T1614): the name itself or what ends in a dot and it.
const SERVICES: [&str; 30] = [
    "checkip.dyndns.org",
    "checkip.dyndns.com",
    "api.ipify.org",
    "api64.ipify.org",
    "api4.ipify.org",
    "ip-api.com",
    "ipinfo.io",
    "icanhazip.com",
    "reallyfreegeoip.org",
    "freegeoip.app",
    "freegeoip.live",
    "checkip.amazonaws.com",
    "whatismyipaddress.com",
    "api.myip.com",
    "myexternalip.com",
    "ipecho.net",
    "ident.me",
    "ifconfig.me",
    "ifconfig.co",
    "wtfismyip.com",
    "api.ip.sb",
    "geoplugin.net",
    "ipwho.is",
    "ipapi.co",
    "api.2ip.ua",
    "2ip.ru",
    "iplogger.org",
    "extreme-ip-lookup.com",
    "api.db-ip.com",
    "bot.whatismyipaddress.com",
];

/// Whether a name, in any case, is one of a service that shows its client's address.
#[must_use]
pub(super) fn tells_own_address(name: &[u8]) -> bool {
    let name = name.strip_suffix(b".").unwrap_or(name);
    SERVICES.iter().any(|service| is_under(name, service.as_bytes()))
}

/// Whether `name` is `parent` or ends in a dot and it.
fn is_under(name: &[u8], parent: &[u8]) -> bool {
    let Some((front, end)) =
        name.len().checked_sub(parent.len()).and_then(|at| name.split_at_checked(at))
    else {
        return false;
    };
    end.eq_ignore_ascii_case(parent) && (front.is_empty() || front.ends_with(b"."))
}

/// The hosts that asked.
#[derive(Debug, Default)]
pub(crate) struct IpLookupClients {
    asked_ns: HashMap<Address, u64>,
    order: VecDeque<Address>,
    /// Hosts that had to make room.
    pub(crate) evictions: u64,
}

impl IpLookupClients {
    /// `host` asked for or contacted such a service.
    pub(crate) fn note(&mut self, host: Address, now_ns: u64) {
        if self.asked_ns.insert(host, now_ns).is_none() {
            self.order.push_back(host);
        }
        if self.order.len() > MAX_HOSTS
            && let Some(oldest) = self.order.pop_front()
        {
            self.asked_ns.remove(&oldest);
            self.evictions += 1;
        }
    }

    /// Time starts again.
    pub(crate) fn restart(&mut self) {
        self.asked_ns.clear();
        self.order.clear();
    }

    /// Whether `host` asked within [`MEMORY_NS`] before `now_ns`.
    pub(crate) fn asked(&self, host: Address, now_ns: u64) -> bool {
        !self.asked_ns.is_empty()
            && self.asked_ns.get(&host).is_some_and(|at| now_ns.abs_diff(*at) <= MEMORY_NS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn services_are_known_by_name() {
        let check = |name: &str, expected| {
            assert_eq!(tells_own_address(name.as_bytes()), expected, "{name}");
        };
        check("checkip.dyndns.org", true);
        check("API.ipify.org.", true);
        check("ipv4.icanhazip.com", true);
        check("noticanhazip.com", false);
        check("dyndns.org", false);
        check("", false);
    }

    #[test]
    fn who_asked_is_remembered_for_a_while() {
        let mut ip_lookup_clients = IpLookupClients::default();
        ip_lookup_clients.note([1; 16].into(), MEMORY_NS);
        assert!(ip_lookup_clients.asked([1; 16].into(), 2 * MEMORY_NS));
        assert!(!ip_lookup_clients.asked([1; 16].into(), 2 * MEMORY_NS + 1));
        assert!(!ip_lookup_clients.asked([2; 16].into(), MEMORY_NS));
        for host in 0..=MAX_HOSTS as u128 {
            ip_lookup_clients.note(host.to_be_bytes().into(), 0);
        }
        assert_eq!(ip_lookup_clients.evictions, 2);
    }
}
