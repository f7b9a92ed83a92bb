//! The names of the lab's internet and where they live. Addresses come from the documentation prefixes
//! only; every host name answers with A, some with AAAA, MX and TXT too.

use std::fmt::Write;

use super::random::Random;

/// The public resolver, and the address that a thief's name server has.
pub(super) const PUBLIC_RESOLVER: &str = "198.51.100.53";
pub(super) const THIEF_NAME_SERVER: &str = "203.0.113.53";

/// Where every name has an address.
pub(super) const WILD_TOP_LEVEL: [&str; 3] = ["info", "xyz", "top"];

const TOP_LEVEL: [&str; 8] = ["com", "net", "org", "io", "de", "co.uk", "fr", "app"];
const HOSTS: [&str; 12] = [
    "www", "cdn", "api", "static", "img", "mail", "login", "assets", "m", "edge-12", "s3", "media",
];
const COUNT: usize = 240;
/// Sites after those, at addresses of their own, that nobody goes to by chance.
const UNVISITED: usize = 8;

#[derive(Clone, Debug)]
pub(super) struct Site {
    pub(super) name: String,
    pub(super) v4: String,
    pub(super) v6: Option<String>,
}

/// The same list for every run of one seed.
pub(super) fn generate(seed: u64) -> Vec<Site> {
    let mut random = Random::new(seed, "sites");
    let mut sites: Vec<Site> = (0..COUNT).map(|number| site(&mut random, number)).collect();
    sites.extend((0..UNVISITED).map(|number| Site {
        v4: format!("203.0.113.{}", 20 + number),
        v6: None,
        ..site(&mut random, COUNT + number)
    }));
    sites
}

/// Where people go.
pub(super) fn visited(sites: &[Site]) -> &[Site] {
    &sites[..COUNT.min(sites.len())]
}

/// Where a host has certainly never been; there are eight of them.
pub(super) fn unvisited(sites: &[Site], number: usize) -> &Site {
    &sites[sites.len() - 1 - number % UNVISITED]
}

fn site(random: &mut Random, number: usize) -> Site {
    let length = random.between(4, 12) as usize;
    let domain = format!("{}.{}", random.word(length), random.pick(&TOP_LEVEL));
    let name =
        if random.chance(0.25) { domain } else { format!("{}.{domain}", random.pick(&HOSTS)) };
    let prefix = if random.chance(0.5) { "203.0.113" } else { "198.51.100" };
    // .53 is a name server in both prefixes.
    let v4 = format!("{prefix}.{}", random.between(60, 250));
    let v6 = random
        .chance(0.4)
        .then(|| format!("2001:db8:{:x}::{:x}", random.between(1, 9), 0x100 + number));
    Site { name, v4, v6 }
}

/// A zone that only a thief's name server knows.
pub(super) fn thief_zone(random: &mut Random) -> String {
    let length = random.between(3, 11) as usize;
    let zone = format!("{}.{}", random.word(length), random.pick(&TOP_LEVEL));
    if random.chance(0.5) {
        format!("{}.{zone}", random.pick(&["t", "ns1", "data", "c"]))
    } else {
        zone
    }
}

/// dnsmasq's configuration for the public resolver; queries for `thief_zone` go to the thief.
pub(super) fn resolver_configuration(sites: &[Site], thief_zone: &str) -> String {
    let mut text = format!(
        "listen-address={PUBLIC_RESOLVER}\nbind-interfaces\nno-resolv\nno-hosts\nlocal-ttl=120\nneg-ttl=30\n"
    );
    for top in TOP_LEVEL {
        writeln!(text, "local=/{top}/").ok();
    }
    for top in WILD_TOP_LEVEL {
        writeln!(text, "address=/{top}/203.0.113.80").ok();
    }
    for (number, site) in sites.iter().enumerate() {
        let Site { name, v4, v6 } = site;
        match v6 {
            Some(v6) => writeln!(text, "host-record={name},{v4},{v6}").ok(),
            None => writeln!(text, "host-record={name},{v4}").ok(),
        };
        if number % 5 == 0 {
            writeln!(text, "mx-host={name},{name},10\ntxt-record={name},\"v=spf1 ip4:{v4} include:{name} ~all\"").ok();
        }
    }
    writeln!(text, "server=/{thief_zone}/{THIEF_NAME_SERVER}").ok();
    text
}

/// dnsmasq's configuration for the resolver in the home gateway.
pub(super) fn forwarder_configuration(gateway: &str) -> String {
    format!(
        "listen-address={gateway}\nbind-interfaces\nno-resolv\nno-hosts\ncache-size=1000\nserver={PUBLIC_RESOLVER}\n"
    )
}
