//! The records that the programs send up the ring buffer, checked and taken apart.

use detector_common::abi::{
    BudgetEvent, BypassEvent, CheckpointEvent, EventKind, FirstPayloadEvent, OverflowEvent,
};

/// What the ring buffer brought.
#[derive(Debug)]
pub enum KernelEvent {
    Checkpoint(Box<CheckpointEvent>),
    FirstPayload(Box<FirstPayloadEvent>),
    Overflow(Box<OverflowEvent>),
    /// A budget is spent.
    Budget(Box<BudgetEvent>),
}

/// Reads a record; none where it is of no kind or size that this agent knows.
pub(super) fn news(record: &[u8]) -> Option<KernelEvent> {
    let kind = u32::from_ne_bytes(*record.first_chunk()?);
    if kind == EventKind::Checkpoint as u32 {
        // SAFETY: integers and byte arrays only; every bit pattern is a value.
        unsafe { read(record) }.map(KernelEvent::Checkpoint)
    } else if kind == EventKind::FirstPayload as u32 {
        // SAFETY: as above.
        unsafe { read(record) }.map(KernelEvent::FirstPayload)
    } else if kind == EventKind::OverflowCheckpoint as u32 {
        // SAFETY: as above.
        unsafe { read(record) }.map(KernelEvent::Overflow)
    } else if kind == EventKind::Budget as u32 {
        // SAFETY: as above.
        unsafe { read(record) }.map(KernelEvent::Budget)
    } else {
        None
    }
}

/// Reads a record about a socket that goes past the programs; none where it is too short.
pub(super) fn bypass(record: &[u8]) -> Option<Box<BypassEvent>> {
    // SAFETY: as above.
    unsafe { read(record) }
}

/// Copies a `T` off the start of a record that is long enough.
///
/// # Safety
///
/// Every bit pattern must be a `T`.
unsafe fn read<T: Copy>(record: &[u8]) -> Option<Box<T>> {
    if record.len() < size_of::<T>() {
        return None;
    }
    // SAFETY: the record holds a T's bytes, at any alignment; the caller vouches for their value.
    Some(Box::new(unsafe { record.as_ptr().cast::<T>().read_unaligned() }))
}

#[cfg(test)]
mod tests {
    use super::news;
    use detector_common::abi::{EventKind, FirstPayloadEvent};

    #[test]
    fn short_and_unknown_records_are_refused() {
        for length in 0..64 {
            assert!(news(&vec![0xff; length]).is_none());
        }
        let mut record = vec![0; size_of::<FirstPayloadEvent>() - 1];
        record[..4].copy_from_slice(&(EventKind::FirstPayload as u32).to_ne_bytes());
        assert!(news(&record).is_none());
        record.push(0);
        assert!(news(&record).is_some());
    }
}
