//! A bounded queue before a sink: the giving side never waits, what does not fit is counted.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, Receiver, SyncSender, TrySendError};

/// The giving end.
#[derive(Debug)]
pub struct Queue<T> {
    sender: SyncSender<T>,
    taken: Arc<AtomicU64>,
    dropped: Arc<AtomicU64>,
}

impl<T> Clone for Queue<T> {
    fn clone(&self) -> Self {
        let (taken, dropped) = (Arc::clone(&self.taken), Arc::clone(&self.dropped));
        Self { sender: self.sender.clone(), taken, dropped }
    }
}

/// A queue of at most `capacity` items, and the end that takes from it. The taking end sees the
/// queue's end when every giving end is gone.
#[must_use]
pub fn bounded<T>(capacity: usize) -> (Queue<T>, Receiver<T>) {
    let (sender, receiver) = mpsc::sync_channel(capacity);
    (Queue { sender, taken: Arc::default(), dropped: Arc::default() }, receiver)
}

impl<T> Queue<T> {
    /// Gives an item, or counts it as dropped where the queue is full or nobody takes any more.
    pub fn offer(&self, item: T) {
        let count = match self.sender.try_send(item) {
            Ok(()) => &self.taken,
            Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => &self.dropped,
        };
        count.fetch_add(1, Ordering::Relaxed);
    }

    /// Items that there was room for.
    #[must_use]
    pub fn taken(&self) -> u64 {
        self.taken.load(Ordering::Relaxed)
    }

    /// Items that were not taken.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_queue_drops_and_counts() {
        let (queue, receiver) = bounded(2);
        for item in 0..5 {
            queue.offer(item);
        }
        assert_eq!((queue.taken(), queue.dropped()), (2, 3));
        let counting = queue.clone();
        drop(queue);
        drop(counting);
        assert_eq!(receiver.iter().collect::<Vec<_>>(), [0, 1]);
    }

    #[test]
    fn nobody_listening_is_counted() {
        let (queue, receiver) = bounded(2);
        drop(receiver);
        queue.offer(1);
        assert_eq!(queue.dropped(), 1);
    }
}
