//! The resolvers that this host asks, from a file in the form of resolv.conf(5).

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;

use anyhow::Context as _;

use crate::network::Address;

/// A file of resolvers is a page or so.
const MAX_BYTES: u64 = 64 << 10;

/// Where services that answer on a loopback address name the resolvers that they ask themselves.
const BEHIND: [&str; 2] =
    ["/run/systemd/resolve/resolv.conf", "/run/NetworkManager/no-stub-resolv.conf"];

/// The name servers in the file at `path`, and those behind a service of this host that it names;
/// none where there is no file.
pub fn resolvers(path: &Path) -> anyhow::Result<BTreeSet<Address>> {
    let mut found = read(path)?;
    if found.iter().any(|address| address.is_loopback()) {
        for path in BEHIND {
            found.extend(read(Path::new(path))?);
        }
    }
    Ok(found)
}

fn read(path: &Path) -> anyhow::Result<BTreeSet<Address>> {
    let mut text = Vec::new();
    let read = File::open(path).and_then(|file| file.take(MAX_BYTES).read_to_end(&mut text));
    match read {
        Ok(_) => Ok(parse(&String::from_utf8_lossy(&text))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(BTreeSet::new()),
        Err(error) => Err(error).with_context(|| format!("failed to read {}", path.display())),
    }
}

fn parse(text: &str) -> BTreeSet<Address> {
    text.lines()
        .filter_map(|line| {
            let mut words = line.split_whitespace();
            let server = words.next().filter(|word| *word == "nameserver").and(words.next())?;
            // `fe80::1%eth0`: flows know the address without its interface.
            let address = server.split_once('%').map_or(server, |(address, _)| address);
            address.parse::<Address>().ok()
        })
        .filter(|address| !address.is_unspecified())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn name_servers_and_nothing_else() {
        let check = |text: &str, expected: &[&str]| {
            let shown: Vec<String> =
                parse(text).iter().map(|address| address.to_string()).collect();
            assert_eq!(shown, expected, "{text}");
        };
        check("nameserver 192.0.2.53\nnameserver 2001:db8::53\n", &["192.0.2.53", "2001:db8::53"]);
        check("  nameserver\t192.0.2.53 # ours", &["192.0.2.53"]);
        check("nameserver fe80::1%eth0", &["fe80::1"]);
        check("nameserver 192.0.2.53\nnameserver 192.0.2.53", &["192.0.2.53"]);
        check("#nameserver 192.0.2.1\n; nameserver 192.0.2.2\nsearch 192.0.2.3", &[]);
        check("nameserver\nnameserver here\nnameserver 0.0.0.0\nnameservers 192.0.2.1", &[]);
        check("\u{fffd}\0\nnameserver ::1", &["::1"]);
    }

    #[test]
    fn no_file_is_no_resolver() {
        assert_eq!(resolvers(Path::new("/nowhere/resolv.conf")).unwrap(), BTreeSet::new());
        assert!(resolvers(Path::new("/")).is_err());
    }
}
