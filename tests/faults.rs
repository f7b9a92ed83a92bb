//! What hosts do to an agent, and what it must not cost: bytes, alerts, the network.
//!
//! Each test says what it allows: bytes unaccounted, alerts lost, seconds until all is well again.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

#[path = "faults/accounts.rs"]
mod accounts;
#[path = "faults/flood.rs"]
mod flood;
#[path = "faults/ground.rs"]
mod ground;
#[path = "faults/half_read.rs"]
mod half_read;
#[path = "faults/kills.rs"]
mod kills;
#[path = "faults/limits.rs"]
mod limits;
#[path = "faults/neighbours.rs"]
mod neighbours;
#[path = "netns/programs.rs"]
mod programs;
#[path = "faults/reload.rs"]
mod reload;
#[path = "faults/storage.rs"]
mod storage;
