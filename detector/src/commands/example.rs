//! Entries for tests.

use std::io;

use crate::control::{AllowEffect, AllowKind, AllowLine, BlockLine, BlockState, EffectWanted};
use crate::units::rfc3339;

pub(super) fn text(write: impl FnOnce(&mut Vec<u8>) -> io::Result<()>) -> String {
    let mut bytes = Vec::new();
    write(&mut bytes).unwrap();
    String::from_utf8(bytes).unwrap()
}

pub(crate) fn block() -> BlockLine {
    let placed_ns = 1_800_000_000_000_000_000;
    BlockLine {
        number: 4,
        target: "pair 10.0.0.7 192.0.2.1".parse().unwrap(),
        effect: EffectWanted::Drop,
        simulated: false,
        by: "agent".into(),
        reason: "bulk_upload".into(),
        alert: Some("00000000000000ab".into()),
        placed: rfc3339(placed_ns),
        ends: rfc3339(placed_ns + 600_000_000_000),
        remaining_secs: 600,
        times: 2,
        packets: 1_234,
        bytes: 1_400_000,
        last_hit: Some(rfc3339(placed_ns)),
        state: BlockState::InForce,
        pending: None,
    }
}

pub(super) fn allow() -> AllowLine {
    AllowLine {
        id: "g1".into(),
        kind: AllowKind::Gateway,
        network: Some("192.0.2.254".parse().unwrap()),
        source: None,
        destination: None,
        name: None,
        port: None,
        reason: "next hop of the default route".into(),
        expires: None,
        hits: 3,
        sessions: 0,
        effect: AllowEffect::NeverBlocked,
    }
}
