//! Network namespaces, veth pairs, child processes, waiting and packet recording for everything in
//! this project that needs real traffic: end-to-end tests, the lab, the demo and the bench.
//!
//! Never touches an interface, a route or an address of the machine's own namespace: devices are
//! created inside the namespaces they belong to, and no process-wide `setns` takes place.

mod background;
pub mod capture_file;
pub mod conversation;
mod disk;
pub mod frames;
pub mod http;
mod link;
pub mod mutants;
mod namespace;
mod recorder;
pub mod scenes;
mod scratch;
mod topology;
mod wait;
pub mod watch;

pub use background::Background;
pub use disk::SmallDisk;
pub use link::{Veth, VethEnd};
pub use namespace::{Namespace, remove_leftovers, require_root, run_checked};
pub use recorder::{Recorder, Recording};
pub use scratch::{Scratch, remove_stale_scratch};
pub use topology::{ServerSpec, Topology, TopologyBuilder};
pub use wait::{poll_until, wait_for_tcp_listener, wait_for_udp_listener};
