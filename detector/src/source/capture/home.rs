//! Which addresses are home.

use detector_common::flow::{FlowCounters, FlowKey};
use detector_common::policy::Prefix;

/// Home where nothing is configured: RFC 1918, unique local (RFC 4193), link-local (RFC 3927,
/// RFC 4291). A capture has no interface that shows it.
#[must_use]
pub fn default_prefixes() -> Vec<Prefix> {
    let v4 = |address: [u8; 4], length: u32| {
        let [a, b, c, d] = address;
        Prefix {
            length: length + 96,
            address: [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, a, b, c, d],
        }
    };
    let v6 = |first: [u8; 2], length: u32| {
        let mut address = [0; 16];
        address[..2].copy_from_slice(&first);
        Prefix { length, address }
    };
    vec![
        v4([10, 0, 0, 0], 8),
        v4([172, 16, 0, 0], 12),
        v4([192, 168, 0, 0], 16),
        v4([169, 254, 0, 0], 16),
        v6([0xfc, 0], 7),
        v6([0xfe, 0x80], 10),
    ]
}

/// Which endpoints of a flow are home: the bits of [`FlowCounters::home`].
pub(super) fn home(prefixes: &[Prefix], key: &FlowKey) -> u8 {
    let is_home = |address| prefixes.iter().any(|prefix| prefix.contains(address));
    let mut home = 0;
    if is_home(&key.low) {
        home |= FlowCounters::HOME_LOW;
    }
    if is_home(&key.high) {
        home |= FlowCounters::HOME_HIGH;
    }
    home
}
