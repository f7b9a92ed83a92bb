//! Reading a hash map a few thousand entries a call, which aya has no call for.

use std::io;
use std::marker::PhantomData;
use std::os::fd::{AsFd as _, AsRawFd as _, RawFd};

use aya::Pod;
use aya::maps::MapData;

use super::sys::bpf;

/// `BPF_MAP_LOOKUP_BATCH` of `enum bpf_cmd` in include/uapi/linux/bpf.h (Linux 5.6).
pub(super) const BPF_MAP_LOOKUP_BATCH: libc::c_long = 24;

/// The `batch` part of `union bpf_attr`.
#[derive(Default)]
#[repr(C)]
pub(super) struct BatchAttributes {
    pub(super) in_batch: u64,
    pub(super) out_batch: u64,
    pub(super) keys: u64,
    pub(super) values: u64,
    pub(super) count: u32,
    pub(super) map_fd: u32,
    pub(super) elem_flags: u64,
    pub(super) flags: u64,
}

/// Entries asked for in one call: large enough that the call costs nothing, small enough that
/// events are not kept waiting behind it.
pub const BATCH_ENTRIES: u32 = 4_096;

/// A walk over all entries of a hash map. Entries that come or go meanwhile may be missed or seen
/// twice.
pub struct BatchReader<K, V> {
    map_fd: RawFd,
    keys: Vec<K>,
    values: Vec<V>,
    /// The kernel's place in the walk: the number of the next bucket.
    place: u32,
    started: bool,
    finished: bool,
    types: PhantomData<(K, V)>,
}

impl<K: Pod + Default, V: Pod + Default> BatchReader<K, V> {
    /// Starts a walk. The map's key and value must be a `K` and a `V`.
    pub fn new(map: &MapData) -> anyhow::Result<Self> {
        let info = map.info()?;
        anyhow::ensure!(
            info.key_size() as usize == size_of::<K>()
                && info.value_size() as usize == size_of::<V>(),
            "a map has entries of another size: the agent and its BPF object do not match"
        );
        Ok(Self {
            map_fd: map.fd().as_fd().as_raw_fd(),
            keys: Vec::new(),
            values: Vec::new(),
            place: 0,
            started: false,
            finished: false,
            types: PhantomData,
        })
    }

    /// Begins again from the first entry.
    pub fn restart(&mut self) {
        self.started = false;
        self.finished = false;
    }

    /// The next entries; none at the end of the walk.
    pub fn next_entries(&mut self) -> io::Result<Option<(&[K], &[V])>> {
        if self.finished {
            return Ok(None);
        }
        let mut capacity = self.keys.len().max(BATCH_ENTRIES as usize);
        loop {
            self.keys.resize(capacity, K::default());
            self.values.resize(capacity, V::default());
            match self.call(capacity) {
                Ok(count) => {
                    self.started = true;
                    return Ok((count != 0).then(|| (&self.keys[..count], &self.values[..count])));
                }
                // One bucket has more entries than there was room for.
                Err(error) if error.raw_os_error() == Some(libc::ENOSPC) => capacity *= 2,
                Err(error) => return Err(error),
            }
        }
    }

    fn call(&mut self, capacity: usize) -> io::Result<usize> {
        let mut next_place = 0_u32;
        let mut attributes = BatchAttributes {
            in_batch: if self.started { (&raw const self.place) as u64 } else { 0 },
            out_batch: (&raw mut next_place) as u64,
            keys: self.keys.as_mut_ptr() as u64,
            values: self.values.as_mut_ptr() as u64,
            count: u32::try_from(capacity).unwrap_or(u32::MAX),
            map_fd: u32::try_from(self.map_fd).unwrap_or(u32::MAX),
            ..BatchAttributes::default()
        };
        // SAFETY: the attributes are as `union bpf_attr` wants them; keys and values point to
        // `capacity` entries of the sizes that [`BatchReader::new`] compared with the map's, and
        // the places to four bytes each, which is what a hash map writes.
        match unsafe { bpf(BPF_MAP_LOOKUP_BATCH, &mut attributes) } {
            Ok(_) => {}
            // The last entries have been read.
            Err(error) if error.raw_os_error() == Some(libc::ENOENT) => self.finished = true,
            Err(error) => return Err(error),
        }
        self.place = next_place;
        Ok(attributes.count as usize)
    }
}
