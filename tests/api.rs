//! The HTTP API as clients meet it: the program itself, on a port of the loopback interface.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

#[path = "api/bed.rs"]
mod bed;
#[path = "api/document.rs"]
mod document;
#[path = "api/input.rs"]
mod input;
#[path = "api/labels.rs"]
mod labels;
#[path = "api/login.rs"]
mod login;
#[path = "api/rights.rs"]
mod rights;
#[path = "api/tls.rs"]
mod tls;
