//! What is done about an alert: the policy says what is wanted, the book what is allowed and what
//! stands, an enforcer carries it out.
//!
//! Policy and book are pure but for the enforcer they are handed. Observing is the default, a block
//! always has an end, and never-block wins.

pub mod book;
pub mod enforcer;
pub mod policy;
pub mod target;

pub use book::{Accusation, Book, Change, Outcome};
pub use enforcer::{DryRun, Effect, Enforcer, EntryNumber, Exception, Order, Span};
pub use policy::{ActionKind, Mode, Policy};
pub use target::Target;
