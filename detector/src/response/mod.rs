//! What is done about an alert: the policy decides, an enforcer carries it out.
//!
//! The policy is pure. Observing is the default, a block always has an end, and never-block wins.

pub mod enforcer;
pub mod policy;

pub use enforcer::{Blocked, DryRun, Enforcer, Released};
pub use policy::{Action, Decision, Mode, Policy, Refusal};
