//! What several targets share: a capture scored under watch, and captures built from a script.

pub mod dialogue;
pub mod scored;

/// Calls `check` with `bytes` cut at a few places, the places taken from the bytes themselves: a head
/// ends wherever the budget of the kernel or a segment does.
pub fn cuts(bytes: &[u8], mut check: impl FnMut(&[u8])) {
    let sum: usize = bytes.iter().take(64).map(|byte| usize::from(*byte)).sum();
    for part in 1..=3 {
        check(&bytes[..sum * part % (bytes.len() + 1)]);
    }
}

/// Whether `part` lies within `whole`, not only equals a piece of it.
pub fn is_within(part: &[u8], whole: &[u8]) -> bool {
    let (part, whole) = (part.as_ptr_range(), whole.as_ptr_range());
    part.start == part.end || whole.start <= part.start && part.end <= whole.end
}
