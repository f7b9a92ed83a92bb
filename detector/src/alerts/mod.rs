//! The alert as people and other programs get it: what is added to it once it is kept, its words, its
//! columns. Nothing here reads the database or a clock.

pub mod columns;
pub mod expected;
pub mod export;
pub mod facts;
mod record;
pub mod replay;
pub mod search;

pub use record::{Origin, Resolution, Status, StoredAlert};
