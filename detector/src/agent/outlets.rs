//! Where what the agent finds goes: people at a terminal, the store, pages that look on.

use std::sync::Arc;

use super::{Reloads, Told};
use crate::notify::Switch;
use crate::output::queue::Queue;
use crate::status::bus::Bus;
use crate::store::Store;

/// What a run is given to tell its results to.
pub struct Outlets {
    pub sink: Queue<Told>,
    /// None where nothing is stored.
    pub store: Option<Store>,
    pub bus: Arc<Bus>,
    /// Woken when alerts were stored.
    pub notifier: Option<Switch>,
    pub reloads: Reloads,
}
