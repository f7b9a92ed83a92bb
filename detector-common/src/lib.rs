//! What the kernel programs and the agent share: one parser, one way to count, one layout.
//!
//! Everything here is `no_std`, allocates nothing, reads no clock and never panics on input. The
//! same functions run in XDP, at tc and on captures, which is what makes their results equal.
#![no_std]

#[cfg(test)]
extern crate std;

pub mod abi;
pub mod flow;
pub mod frame;
pub mod parse;
pub mod policy;

pub use flow::{Clock, Direction, FlowCounters, FlowKey, Half, Recorded};
pub use frame::{Frame, LinkType, Segmentation};
pub use parse::{Decapsulation, Packet, Skip, parse};
