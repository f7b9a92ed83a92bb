//! The model: a forest that scores feature vectors, and all around it.
//!
//! `table` → `train` (smartcore, nowhere else) → `forest` (flat, what is served) → `file` (what is
//! shipped) → `served` (bound to the rows of this program); `validate` and `evaluate` tell how good it
//! is, `calibrate` what its scores are worth; `synth` makes records to try things out on. No clock and
//! no socket; files are touched by `file` alone. What a score means for a session is decided in the verdict, not here.

pub mod calibrate;
pub mod evaluate;
pub mod file;
pub mod forest;
pub mod permute;
mod random;
pub mod served;
pub mod synth;
pub mod table;
pub mod train;
pub mod validate;

pub use calibrate::Calibration;
pub use evaluate::{Confusion, Objective, Rate, Report, Scored, choose_threshold};
pub use file::{Meta, Model, Schema, TrainingSummary};
pub use forest::Forest;
pub use served::ServedModel;
pub use table::{RowKey, Table};
pub use train::{TrainConfig, Trained, train};
pub use validate::{Fold, cross_validate, split};
