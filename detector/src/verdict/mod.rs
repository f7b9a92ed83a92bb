//! From scores to verdicts: who is scored, when an alert opens and grows, and what it says.
//!
//! Pure: time and sessions come as arguments. A verdict is about one *sender* of a session, who is
//! at home; what is done about it is the response's.

pub mod alert;
pub mod allow;
mod episodes;
pub mod evidence;
pub mod monitor;
pub mod reason;
pub mod reasons;
pub mod record;
pub mod rules;
pub mod score;
mod scorer;
pub mod services;
mod severity;
mod technique;
pub mod unexplained;

pub use alert::{ActionTaken, Alert, AlertId, Basis, End, PayloadSample, Way};
pub use allow::AllowList;
pub use episodes::{Episodes, Joined};
pub use reason::Reason;
pub use scorer::{Scorer, SessionVerdict};
pub use severity::Severity;
pub use technique::Technique;
