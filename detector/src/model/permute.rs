//! What a column is worth to a finished forest: how much worse it separates exfiltration from the
//! rest when the column's values are shuffled among the rows (Breiman 2001).
//!
//! Unlike the impurity's share it is measured on rows that the forest was not grown on. Columns
//! that say the same hide each other: each alone seems worth little.

use super::evaluate::{Scored, roc_auc};
use super::forest::Forest;
use super::random::mix;

/// Each column is shuffled so many times, and the mean is reported.
const DEALS: u64 = 3;

/// The drop of the area under the receiver operating characteristic, column by column. `rows` holds
/// the forest's columns row after row. None where one of the labels is missing.
///
/// # Panics
///
/// When `rows` does not hold one row for each label.
#[must_use]
pub fn importances(forest: &Forest, rows: &[f32], labels: &[bool]) -> Option<Vec<f64>> {
    let width = forest.columns();
    let mut scores = vec![0.0; labels.len()];
    let whole = area(forest, rows, labels, &mut scores)?;
    let mut dealt = rows.to_vec();
    let mut all = Vec::with_capacity(width);
    for column in 0..width {
        let mut sum = 0.0;
        for deal in 0..DEALS {
            let order = shuffled(labels.len(), column as u64 * DEALS + deal);
            for (row, from) in order.into_iter().enumerate() {
                dealt[row * width + column] = rows[from * width + column];
            }
            sum += whole - area(forest, &dealt, labels, &mut scores)?;
        }
        for row in 0..labels.len() {
            dealt[row * width + column] = rows[row * width + column];
        }
        all.push(sum / DEALS as f64);
    }
    Some(all)
}

fn area(forest: &Forest, rows: &[f32], labels: &[bool], scores: &mut [f64]) -> Option<f64> {
    forest.score_batch(rows, scores);
    let scored = scores.iter().zip(labels).zip(0..);
    let scored =
        scored.map(|((score, label), session)| Scored { score: *score, label: *label, session });
    roc_auc(&scored.collect::<Vec<_>>())
}

/// The positions below `count` in an order that depends on `seed` alone (Fisher and Yates).
fn shuffled(count: usize, seed: u64) -> Vec<usize> {
    let mut order: Vec<usize> = (0..count).collect();
    for last in (1..count).rev() {
        order.swap(last, (mix(seed, last as u64) % (last as u64 + 1)) as usize);
    }
    order
}

#[cfg(test)]
mod tests {
    use super::super::{RowKey, Table, TrainConfig, train};
    use super::*;

    /// The label is the first column; the second is noise.
    #[test]
    fn what_decides_is_worth_all_and_noise_nothing() {
        let mut table = Table::new(vec!["decides".into(), "noise".into()]);
        for number in 0..200_u64 {
            let (label, noise) = (number % 2 == 0, (mix(7, number) % 100) as f32);
            let row = [f32::from(u8::from(label)), noise];
            table.push(&row, RowKey { label, group: 0, session: number }).unwrap();
        }
        let config = TrainConfig { trees: 20, ..TrainConfig::default() };
        let forest = train(&table, &config).unwrap().forest;
        let found = importances(&forest, &table.rows, &table.labels).unwrap();
        assert!(found[0] > 0.3 && found[1].abs() < 0.05, "{found:?}");
        assert_eq!(found, importances(&forest, &table.rows, &table.labels).unwrap());
        let one_label = vec![true; table.len()];
        assert_eq!(importances(&forest, &table.rows, &one_label), None);
        assert_eq!(importances(&forest, &[], &[]), None);
    }

    #[test]
    fn a_shuffle_keeps_every_position() {
        let mut order = shuffled(100, 3);
        assert_ne!(order, (0..100).collect::<Vec<_>>());
        order.sort_unstable();
        assert_eq!(order, (0..100).collect::<Vec<_>>());
    }
}
