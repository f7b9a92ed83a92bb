//! Decoders of the first payload bytes of a flow. Hostile bytes: every read is bounded, nothing
//! panics, and input that ends early gives what could be read of it.

pub mod cursor;
pub mod dns;
pub mod entropy;
pub mod file;
pub mod ftp;
pub mod http;
pub mod ja4;
pub mod ping;
pub mod protocol;
pub mod smtp;
pub mod tls;
pub mod words;

pub use protocol::Protocol;
