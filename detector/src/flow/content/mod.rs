//! What the first payload bytes of a flow say. Hostile bytes: every read is bounded, nothing
//! panics, and input that ends early gives what could be read of it.
//!
//! The lowest room of `flow`: it knows none of the others. DNS has a room of its own above it.

pub(crate) mod body;
pub mod conversation;
pub(crate) mod conversations;
pub mod counted;
pub mod cursor;
pub mod distinct;
pub mod echo;
pub mod entropy;
pub mod file;
mod first_payload;
pub mod ftp;
pub(crate) mod h2;
pub(crate) mod hpack;
pub mod http;
pub mod ja4;
pub mod mail;
mod mean;
pub mod ping;
pub mod protocol;
pub mod quic;
pub(crate) mod quic_client;
pub mod smtp;
pub mod stream;
pub mod tls;
pub mod web;
pub mod words;

use std::sync::Arc;

pub(crate) use first_payload::{DNS_PORT, Echo, FirstPayload};
pub use mean::Mean;
pub use protocol::Protocol;

/// A name as it is compared and shown.
pub(crate) fn lower_case(name: &str) -> Arc<str> {
    name.to_ascii_lowercase().into()
}
