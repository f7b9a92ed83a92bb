//! DNS: its messages, the names that they give to addresses, and what the names below one domain
//! carry.
//!
//! Knows `content` and no other room of `flow`. The unit of one client and domain is a session and
//! is kept with them.

pub mod entropy_sketch;
pub mod message;
pub mod names;
mod queries;
pub(crate) mod registered;
mod resolvers;
pub(crate) mod stream;

pub(crate) use queries::Asked;
pub use queries::{Dns, DnsNames};
pub(crate) use resolvers::Resolvers;
