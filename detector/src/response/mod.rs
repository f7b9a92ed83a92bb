//! What is done about an alert: the policy says what is wanted, the policy state what is allowed
//! and what is, an enforcer carries it out.
//!
//! Policy and its state are pure but for the enforcer they are handed. Observing is the default, a
//! block always has an end, and never-block wins.

pub mod change;
pub mod enforcer;
pub mod mode;
pub mod policy;
pub mod policy_state;
pub mod target;

pub use change::{Change, ChangeKind};
pub use enforcer::{BlockSpec, DryRun, Effect, Enforcer, EntryNumber, Exception, Span};
pub use mode::Mode;
pub use policy::{ActionKind, Policy};
pub use policy_state::{BlockRequest, Outcome, PolicyState};
pub use target::Target;
