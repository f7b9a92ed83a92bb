//! Captures analysed: what the command line and uploads share, and the queue of uploads.
//!
//! A capture is scored by the pipeline that runs live. Each is for itself.

mod capture_file;
pub mod features;
mod job;
mod queue;
pub mod recordings;
pub mod vectors;

pub use queue::{Captures, Progress, Upload};
