//! The flows that are alive, and the table, index and timers that sessions are kept in as well.
//!
//! Of the rooms of `flow` it knows `content` and `dns`: a flow over TCP holds its stream of DNS
//! messages.

mod biflow;
pub mod community_id;
mod flows;
pub(crate) mod index;
mod live_flow;
pub mod record;
mod slab;
mod timer_wheel;
mod volume;

pub(crate) use flows::FlowTable;
pub(crate) use live_flow::{Delta, LiveFlow};
pub(crate) use slab::{Handle, Slab};
pub(crate) use timer_wheel::Wheel;
pub use volume::Volume;
