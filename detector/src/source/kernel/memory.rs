//! Kernel memory of the maps.

use anyhow::Context as _;

use super::object::Object;

impl Object {
    /// Kernel memory of all maps, entries preallocated, in bytes: what the kernel itself reports
    /// where it does, else sizes times entries.
    pub fn map_memory_bytes(&self) -> anyhow::Result<u64> {
        let processors = u64::from(processors());
        let mut sum = 0;
        for (_, map) in self.ebpf.maps() {
            sum += map_bytes(map, processors)?;
        }
        Ok(sum)
    }
}

/// Processors the kernel keeps per-processor values for.
fn processors() -> u32 {
    aya::util::nr_cpus().map_or(1, |count| u32::try_from(count).unwrap_or(1))
}

/// What a map's entries take; the kernel's own bookkeeping beside them is some percent more.
fn map_bytes(map: &aya::maps::Map, processors: u64) -> anyhow::Result<u64> {
    use aya::maps::Map;
    let (data, header, copies) = match map {
        Map::HashMap(data) | Map::LruHashMap(data) => (data, HASH_ELEMENT_HEADER_BYTES, 1),
        Map::PerCpuArray(data) => (data, 0, processors),
        Map::RingBuf(data) => return Ok(u64::from(data.info()?.max_entries())),
        // Prefixes are allocated as they are added.
        Map::LpmTrie(_) => return Ok(0),
        Map::Array(data) => (data, 0, 1),
        _ => return Ok(0),
    };
    let info = data.info().context("failed to read a map's memory")?;
    let entry = header
        + u64::from(info.key_size()).next_multiple_of(8)
        + u64::from(info.value_size()).next_multiple_of(8) * copies;
    Ok(u64::from(info.max_entries()) * entry)
}

/// Bytes of a map's entries, and how many there can be.
pub(super) fn entries_bytes(object: &Object, name: &str) -> anyhow::Result<(u64, u32)> {
    let map = object.ebpf.map(name);
    let map = map.with_context(|| format!("the BPF object has no map {name}"))?;
    let capacity = match map {
        aya::maps::Map::HashMap(data) | aya::maps::Map::Array(data) => data.info()?.max_entries(),
        _ => 0,
    };
    Ok((map_bytes(map, u64::from(processors()))?, capacity))
}

/// The kernel's own part of a hash element.
const HASH_ELEMENT_HEADER_BYTES: u64 = 48;
