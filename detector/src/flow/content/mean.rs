//! A running mean.

/// A running mean.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Mean {
    pub sum: f64,
    pub count: u64,
}

impl Mean {
    pub fn add(&mut self, value: f64) {
        self.sum += value;
        self.count += 1;
    }

    /// `None` before the first value.
    #[must_use]
    pub fn mean(&self) -> Option<f64> {
        #[expect(
            clippy::cast_precision_loss,
            reason = "a count of first_payloads is far below 2^52"
        )]
        let count = self.count as f64;
        (self.count != 0).then(|| self.sum / count)
    }
}
