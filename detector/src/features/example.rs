//! Sessions for tests.

use crate::flow::session::Checkpoints;
use crate::flow::{Session, SessionKey, Volume};

/// A session of which nothing is known but its key.
pub(crate) fn session(key: SessionKey) -> Session {
    Session {
        key,
        domain: None,
        id: 1,
        client_home: true,
        server_home: false,
        up: Volume::default(),
        down: Volume::default(),
        flows: 0,
        flows_answered: 0,
        first_seen_ns: 0,
        last_seen_ns: 0,
        name: None,
        named_by_dns: false,
        client_name: None,
        asked_own_address: false,
        other_answers: 0,
        to_group: false,
        first_payloads: crate::flow::session::FirstPayloads::default(),
        inter_arrival: None,
        checkpoints: Checkpoints {
            packets_done: false,
            up_next_bytes: u64::MAX,
            down_next_bytes: u64::MAX,
            next_seconds: 1,
            next_first_payloads: 1,
            scored_packets: 0,
            scored_first_payloads: 0,
            scored: 0,
            ended: false,
        },
        overflow: None,
    }
}
