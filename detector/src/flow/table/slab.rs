//! Entries that stay where they are, and handles to them that know when an entry was replaced.

/// One use of one slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Handle {
    pub(crate) slot: u32,
    pub(crate) generation: u32,
}

impl Handle {
    /// A handle to nothing: slots hold at most 2^32 − 2 entries.
    pub(crate) const NONE: Self = Self { slot: u32::MAX, generation: 0 };
}

#[derive(Debug)]
struct Slot<T> {
    generation: u32,
    value: Option<T>,
}

/// A vector with holes, bounded, filled from the latest hole.
#[derive(Debug)]
pub(crate) struct Slab<T> {
    slots: Vec<Slot<T>>,
    holes: Vec<u32>,
    limit: u32,
}

impl<T> Slab<T> {
    pub(crate) fn new(limit: u32) -> Self {
        Self { slots: Vec::new(), holes: Vec::new(), limit: limit.clamp(1, u32::MAX - 1) }
    }

    pub(crate) fn len(&self) -> usize {
        self.slots.len() - self.holes.len()
    }

    pub(crate) fn is_full(&self) -> bool {
        self.len() >= self.limit as usize
    }

    /// Puts a value in; gives it back where the slab is full.
    pub(crate) fn insert(&mut self, value: T) -> Result<Handle, T> {
        if self.is_full() {
            return Err(value);
        }
        let slot = self.holes.pop().unwrap_or_else(|| {
            self.slots.push(Slot { generation: 0, value: None });
            u32::try_from(self.slots.len() - 1).unwrap_or(u32::MAX)
        });
        let Some(place) = self.slots.get_mut(slot as usize) else {
            return Err(value);
        };
        place.value = Some(value);
        Ok(Handle { slot, generation: place.generation })
    }

    pub(crate) fn get(&self, handle: Handle) -> Option<&T> {
        let place = self.slots.get(handle.slot as usize)?;
        if place.generation == handle.generation { place.value.as_ref() } else { None }
    }

    pub(crate) fn get_mut(&mut self, handle: Handle) -> Option<&mut T> {
        let place = self.slots.get_mut(handle.slot as usize)?;
        if place.generation == handle.generation { place.value.as_mut() } else { None }
    }

    /// What is in a slot now, for an index that holds slots of live entries only.
    pub(crate) fn at(&self, slot: u32) -> Option<&T> {
        self.slots.get(slot as usize)?.value.as_ref()
    }

    /// The handle of what is in a slot now.
    pub(crate) fn handle(&self, slot: u32) -> Handle {
        self.slots
            .get(slot as usize)
            .map_or(Handle::NONE, |place| Handle { slot, generation: place.generation })
    }

    pub(crate) fn remove(&mut self, handle: Handle) -> Option<T> {
        let place = self.slots.get_mut(handle.slot as usize)?;
        if place.generation != handle.generation {
            return None;
        }
        let value = place.value.take()?;
        place.generation = place.generation.wrapping_add(1);
        self.holes.push(handle.slot);
        Some(value)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &T> {
        self.slots.iter().filter_map(|place| place.value.as_ref())
    }

    /// Handles of all entries, by slot.
    pub(crate) fn handles(&self) -> Vec<Handle> {
        (0..)
            .zip(&self.slots)
            .filter(|(_, place)| place.value.is_some())
            .map(|(slot, place)| Handle { slot, generation: place.generation })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::{Handle, Slab};

    #[test]
    fn a_handle_dies_with_its_entry() {
        let mut slab = Slab::new(2);
        let first = slab.insert("first").expect("room");
        let second = slab.insert("second").expect("room");
        assert_eq!(slab.insert("third"), Err("third"));
        assert_eq!(slab.remove(first), Some("first"));
        assert_eq!(slab.remove(first), None);
        let third = slab.insert("third").expect("room");
        assert_eq!(third.slot, first.slot);
        assert_eq!(slab.get(first), None);
        assert_eq!(slab.get(third), Some(&"third"));
        assert_eq!(slab.get(Handle::NONE), None);
        assert_eq!(slab.handles(), [third, second]);
        assert_eq!(slab.len(), 2);
    }
}
