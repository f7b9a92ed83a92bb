//! The next hops of default routes, from the kernel's route lists.
//!
//! The two halves of everything that tunnels like to set (`0.0.0.0/1` and `128.0.0.0/1`) count as
//! default routes, too.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read as _};

use anyhow::Context as _;

use crate::network::Address;

const V4: &str = "/proc/thread-self/net/route";
const V6: &str = "/proc/thread-self/net/ipv6_route";

/// A whole Internet of routes is some 130 MB.
const MAX_BYTES: u64 = 256 << 20;

/// `RTF_UP` and `RTF_GATEWAY` of route(8).
const UP_THROUGH_GATEWAY: u32 = 3;

/// The longest prefix that still counts as a default route.
const LONGEST_DEFAULT: u32 = 1;

/// The gateways of both families.
///
/// # Errors
///
/// When the kernel's lists cannot be read; a family that the kernel does not have is none.
pub fn gateways() -> anyhow::Result<BTreeSet<Address>> {
    let mut found = BTreeSet::new();
    read(V4, v4, &mut found)?;
    read(V6, v6, &mut found)?;
    Ok(found)
}

type Parse = fn(&str) -> Option<Address>;

fn read(path: &str, parse: Parse, found: &mut BTreeSet<Address>) -> anyhow::Result<()> {
    let lines = match File::open(path) {
        Ok(file) => BufReader::new(file.take(MAX_BYTES)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error).with_context(|| format!("failed to read {path}")),
    };
    collect(lines, parse, found).with_context(|| format!("failed to read {path}"))
}

fn collect(mut lines: impl BufRead, parse: Parse, found: &mut BTreeSet<Address>) -> io::Result<()> {
    let mut line = String::new();
    while lines.read_line(&mut line)? != 0 {
        found.extend(parse(&line).filter(|gateway| !gateway.is_unspecified()));
        line.clear();
    }
    Ok(())
}

/// `Iface Destination Gateway Flags RefCnt Use Metric Mask …`, addresses as numbers in hexadecimal
/// that have the network's bytes in this machine's order.
fn v4(line: &str) -> Option<Address> {
    let words: Vec<&str> = line.split_whitespace().collect();
    let [_, destination, gateway, flags, _, _, _, mask, ..] = *words.as_slice() else {
        return None;
    };
    let number = |word| u32::from_str_radix(word, 16).ok();
    let address = |word| Some(number(word)?.to_ne_bytes());
    let length = u32::from_be_bytes(address(mask)?).count_ones();
    let half_or_all = length <= LONGEST_DEFAULT && address(destination)?[1..] == [0; 3];
    let usable = number(flags)? & UP_THROUGH_GATEWAY == UP_THROUGH_GATEWAY;
    (half_or_all && usable).then_some(address(gateway)?.into())
}

/// Destination and its length, source and its length, next hop, metric, two counts, flags and the
/// interface, all in hexadecimal, addresses as they are on the wire.
fn v6(line: &str) -> Option<Address> {
    let words: Vec<&str> = line.split_whitespace().collect();
    let [_, length, _, _, gateway, _, _, _, flags, ..] = *words.as_slice() else { return None };
    let number = |word| u32::from_str_radix(word, 16).ok();
    let usable = number(flags)? & UP_THROUGH_GATEWAY == UP_THROUGH_GATEWAY;
    if number(length)? > LONGEST_DEFAULT || !usable || gateway.len() != 32 {
        return None;
    }
    Some(u128::from_str_radix(gateway, 16).ok()?.to_be_bytes().into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str, parse: Parse) -> Vec<String> {
        let mut found = BTreeSet::new();
        collect(text.as_bytes(), parse, &mut found).unwrap();
        found.iter().map(|gateway| gateway.to_string()).collect()
    }

    /// As this machine writes the address.
    fn hex(address: [u8; 4]) -> String {
        format!("{:08X}", u32::from_ne_bytes(address))
    }

    #[test]
    fn gateways_of_default_routes_over_ipv4() {
        let line = |destination, gateway, flags: &str, mask| {
            let [destination, gateway, mask] = [destination, gateway, mask].map(hex);
            format!("eth0\t{destination}\t{gateway}\t{flags}\t0\t0\t100\t{mask}\t0\t0\t0  \n")
        };
        let none = [0; 4];
        let gateway = [192, 0, 2, 254];
        let header =
            "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n";
        let check = |line: String, expected: &[&str]| {
            assert_eq!(shown(&format!("{header}{line}"), v4), expected, "{line}");
        };
        check(line(none, gateway, "0003", none), &["192.0.2.254"]);
        check(line([128, 0, 0, 0], gateway, "0003", [128, 0, 0, 0]), &["192.0.2.254"]);
        // A network, a route that is down, one without a gateway.
        check(line([10, 0, 0, 0], gateway, "0003", [255, 0, 0, 0]), &[]);
        check(line(none, gateway, "0002", none), &[]);
        check(line(none, none, "0001", none), &[]);
        check(line(none, none, "0003", none), &[]);
        for damaged in ["", "eth0", "eth0 0 x 3 0 0 0 0", "a b c d e f g h", "\0 \u{fffd}"] {
            check(format!("{damaged}\n"), &[]);
        }
    }

    #[test]
    fn gateways_of_default_routes_over_ipv6() {
        let zero = "0".repeat(32);
        let gateway = "fe80000000000000000000000000abcd";
        let line = |destination: &str, length: &str, gateway: &str, flags: &str| {
            format!(
                "{destination} {length} {zero} 00 {gateway} 00000400 00000001 00000000 {flags}     eth0\n"
            )
        };
        let check = |line: String, expected: &[&str]| {
            assert_eq!(shown(&line, v6), expected, "{line}");
        };
        check(line(&zero, "00", gateway, "00000003"), &["fe80::abcd"]);
        check(line(&zero, "40", gateway, "00000003"), &[]);
        check(line(&zero, "00", gateway, "00000001"), &[]);
        check(line(&zero, "00", &zero, "00200200"), &[]);
        for damaged in ["", "0 0", "g 00 g 00 g g g g g", &line(&zero, "00", "ff", "00000003")] {
            check(format!("{damaged}\n"), &[]);
        }
    }

    #[test]
    fn the_kernels_own_lists_are_read() {
        gateways().unwrap();
    }
}
