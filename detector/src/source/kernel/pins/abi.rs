//! Whether pinned maps are those that this agent's programs would make.

use std::path::Path;

use anyhow::{Context as _, ensure};
use aya::maps::MapInfo;
use detector_common::abi::{
    ABI_VERSION, BUDGET_RULES, Count, FragmentKey, FragmentPorts, Interface, OverflowCounters,
    OverflowKey, PointTotals, map,
};
use detector_common::policy::{Budget, BudgetKey, Entry, EntryCounters, Prefix, TargetKey};
use detector_common::{FlowCounters, FlowKey};

use super::super::object::ObjectConfig;

/// The maps that carry something from one agent to the next.
pub(in super::super) const MAPS: [&str; 16] = [
    map::FLOWS,
    map::OVERFLOW,
    map::TOTALS,
    map::INTERFACES,
    map::HOME,
    map::NEVER_BLOCK,
    map::BLOCKS,
    map::PREFIXES,
    map::POLICY,
    map::HITS,
    map::BUDGETS,
    map::BUDGET_RULES,
    map::REMOVED,
    map::FRAGMENTS,
    map::UNOPENED,
    map::EVENTS,
];

const MARKER: &str = "abi-";

/// The name of the directory that says which ABI the pins around it are of.
pub(super) fn marker() -> String {
    format!("{MARKER}{ABI_VERSION}")
}

/// The ABI version of a directory of pins; none where it is missing or incomplete.
pub(super) fn version(folder: &Path) -> anyhow::Result<Option<u32>> {
    if !folder.exists() {
        return Ok(None);
    }
    let version =
        |path: &std::path::PathBuf| path.file_name()?.to_str()?.strip_prefix(MARKER)?.parse().ok();
    Ok(super::entries(folder)?.iter().find_map(version))
}

/// Bytes of a map's keys and values.
fn layout(name: &str) -> (usize, usize) {
    const INDEX: usize = size_of::<u32>();
    match name {
        map::FLOWS => (size_of::<FlowKey>(), size_of::<FlowCounters>()),
        map::OVERFLOW => (size_of::<OverflowKey>(), size_of::<OverflowCounters>()),
        map::TOTALS => (INDEX, size_of::<PointTotals>()),
        map::INTERFACES => (INDEX, size_of::<Interface>()),
        map::HOME | map::NEVER_BLOCK | map::PREFIXES => (size_of::<Prefix>(), INDEX),
        map::BLOCKS => (size_of::<TargetKey>(), INDEX),
        map::POLICY => (INDEX, size_of::<Entry>()),
        map::HITS => (INDEX, size_of::<EntryCounters>()),
        map::BUDGETS => (size_of::<BudgetKey>(), size_of::<Budget>()),
        map::BUDGET_RULES => (INDEX, size_of::<u64>()),
        map::REMOVED | map::UNOPENED => (INDEX, size_of::<Count>()),
        map::FRAGMENTS => (size_of::<FragmentKey>(), size_of::<FragmentPorts>()),
        _ => (0, 0),
    }
}

/// Entries of the maps whose size is configured, and where.
fn capacity(name: &str, sizes: &ObjectConfig) -> Option<(u32, &'static str)> {
    Some(match name {
        map::FLOWS => (sizes.max_flows, "kernel.max_flows"),
        map::OVERFLOW => (sizes.max_overflow_entries, "kernel.max_overflow_entries"),
        map::EVENTS => (sizes.ring_buffer_bytes, "kernel.ring_buffer_bytes"),
        map::BLOCKS => (sizes.max_blocks, "block.max_blocks"),
        map::PREFIXES => (sizes.max_prefixes, "block.max_prefixes"),
        map::NEVER_BLOCK => (sizes.max_exceptions, "block.max_exceptions"),
        map::BUDGETS => (sizes.max_budgets, "budget.max_entries"),
        map::BUDGET_RULES => (BUDGET_RULES, "the number of budget rules"),
        map::POLICY | map::HITS => {
            (sizes.max_entries().saturating_add(1), "the sum of block.max_*")
        }
        _ => return None,
    })
}

/// Sees that the pinned maps are such as this agent would make.
pub(super) fn check(folder: &Path, version: u32, sizes: &ObjectConfig) -> anyhow::Result<()> {
    ensure!(
        version == ABI_VERSION,
        "it has ABI version {version}, and this program has {ABI_VERSION}"
    );
    for name in MAPS {
        let info = MapInfo::from_pin(folder.join(name))
            .with_context(|| format!("its map {name} is missing"))?;
        if let Some((wanted, key)) = capacity(name, sizes) {
            let there = info.max_entries();
            ensure!(there == wanted, "its map {name} holds {there} entries, and {key} is {wanted}");
        }
        let there = (info.key_size() as usize, info.value_size() as usize);
        let wanted = layout(name);
        ensure!(
            there == wanted,
            "entries of its map {name} have {} and {} bytes, not {} and {}",
            there.0,
            there.1,
            wanted.0,
            wanted.1
        );
    }
    Ok(())
}
