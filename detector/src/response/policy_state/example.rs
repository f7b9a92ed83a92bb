//! a block request for tests.

use detector_common::FlowKey;

use super::BlockRequest;
use crate::network::Address;
use crate::verdict::{AlertId, Technique};

/// An alert about what 10.0.0.7 sends to `dst` over HTTPS.
pub(crate) fn block_request(dst: Address) -> BlockRequest {
    let src = Address::from([10, 0, 0, 7]);
    let (from, to) = (40_000_u16.to_be_bytes(), 443_u16.to_be_bytes());
    let flow = FlowKey {
        low: src.min(dst).octets(),
        high: src.max(dst).octets(),
        low_port: if src < dst { from } else { to },
        high_port: if src < dst { to } else { from },
        protocol: 6,
        ..FlowKey::default()
    };
    BlockRequest {
        alert: AlertId::live(7),
        technique: Technique::BulkUpload,
        score: 0.9,
        src,
        dst,
        dst_port: Some(443),
        server_port: 443,
        dst_name: None,
        domain: None,
        resolves: false,
        overflow: false,
        all_of_sender: false,
        answered: true,
        flow,
    }
}
