//! Where observations come from: the kernel's maps and events, or captures. Sources know the common
//! types and the flow layer, and never score.

pub mod capture;
pub mod host;
pub mod kernel;
