//! The numbers of entries: which are given out and which comes next.

use std::collections::{BTreeSet, VecDeque};

use crate::response::EntryNumber;

/// Numbers from 1. One that is given back is the last to be given out again, and not before the
/// kernel knows: a flow may remember it until then.
#[derive(Debug)]
pub(super) struct Numbers {
    free: VecDeque<EntryNumber>,
    resting: Vec<EntryNumber>,
    /// The lowest number that was never given out.
    next: EntryNumber,
    /// The highest there is.
    last: EntryNumber,
}

impl Numbers {
    /// All numbers up to `last` but those in use.
    pub(super) fn new(last: EntryNumber, used: &BTreeSet<EntryNumber>) -> Self {
        let next = used.last().map_or(1, |highest| highest + 1);
        let free = (1..next).filter(|number| !used.contains(number)).collect();
        Self { free, resting: Vec::new(), next, last }
    }

    /// None where all are in use, or rest.
    pub(super) fn take(&mut self) -> Option<EntryNumber> {
        // Those that were never used first: what rests longest is least likely to be remembered.
        if self.next <= self.last {
            self.next += 1;
            return Some(self.next - 1);
        }
        self.free.pop_front()
    }

    pub(super) fn give_back(&mut self, number: EntryNumber) {
        self.resting.push(number);
    }

    /// The kernel knows of what was given back.
    pub(super) fn settle(&mut self) {
        self.free.extend(self.resting.drain(..));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_rests_as_long_as_there_are_others() {
        let mut numbers = Numbers::new(3, &BTreeSet::new());
        assert_eq!(numbers.take(), Some(1));
        numbers.give_back(1);
        numbers.settle();
        assert_eq!([numbers.take(), numbers.take(), numbers.take()], [Some(2), Some(3), Some(1)]);
        numbers.give_back(2);
        assert_eq!(numbers.take(), None, "the kernel does not know yet");
        numbers.settle();
        assert_eq!(numbers.take(), Some(2));
    }

    #[test]
    fn what_is_in_use_is_left_out() {
        let mut numbers = Numbers::new(5, &BTreeSet::from([2, 4]));
        let taken: Vec<_> = std::iter::from_fn(|| numbers.take()).collect();
        assert_eq!(taken, [5, 1, 3]);
    }
}
