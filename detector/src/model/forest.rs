//! The forest as it is served: flat arrays, walked without branches on the data.
//!
//! The score is the mean of the trees' leaf means, summed in tree order, so it equals the trainer's
//! own prediction bit for bit. Training, files and thresholds for alerts live elsewhere; nothing
//! here allocates per row.

use anyhow::{Context as _, Result, bail, ensure};

use crate::features::Selection;

/// Most columns a forest reads. The feature number has eight bits, the last of which serves the
/// leaves.
pub const MAX_COLUMNS: usize = 255;

/// Most nodes over all trees: a child has 24 bits. A hundred full trees of depth 16 fit.
pub const MAX_NODES: usize = 1 << (u32::BITS - FEATURE_BITS);

/// Rows walked together in a batch. With 8 the loads of one step do not hide those of the next,
/// with 32 the positions leave the registers.
const LANES: usize = 16;

/// Rows that meet one tree before the next tree is fetched: a block of rows and a tree fit the
/// first two caches.
const BLOCK_GROUPS: usize = 32;

/// Trees walked together for a single row.
const TREES_TOGETHER: usize = 20;

/// Feature of a leaf: a slot no column uses, held at minus infinity, so that a leaf always steps
/// left, to itself.
const LEAF_FEATURE: u8 = u8::MAX;

const SLOTS: usize = 256;
const FEATURE_BITS: u32 = 8;

/// One position in a tree, eight bytes. The left child takes `x <= threshold`, the right child
/// follows it.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Node {
    threshold: f32,
    /// Left child (or itself, for a leaf) in the upper 24 bits, feature in the lower 8.
    link: u32,
}

impl Node {
    fn new(feature: u8, threshold: f32, child: u32) -> Self {
        Self { threshold, link: child << FEATURE_BITS | u32::from(feature) }
    }

    #[inline(always)]
    fn feature(self) -> u8 {
        self.link as u8
    }

    #[inline(always)]
    fn next(self, value: f32) -> u32 {
        (self.link >> FEATURE_BITS) + goes_right(value, self.threshold)
    }

    fn is_leaf(self) -> bool {
        self.feature() == LEAF_FEATURE
    }
}

/// 1 for the right child. A value that is not a number goes right, as it does in the trainer.
#[inline(always)]
#[expect(clippy::neg_cmp_op_on_partial_ord, reason = "not-a-number must go right")]
fn goes_right(value: f32, threshold: f32) -> u32 {
    u32::from(!(value <= threshold))
}

/// One node of a tree as it is stored and exchanged, in breadth-first order.
///
/// The order alone gives the children: the k-th split of a tree (from 0) has the nodes 2k + 1 and
/// 2k + 2. A cycle or a child out of range cannot be written.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TreeNode {
    /// Mean label of the training rows that reached this node, 0 to 1.
    pub mean: f64,
    /// The question asked here; none at a leaf.
    pub split: Option<Split>,
}

/// `row[column] <= threshold` goes left.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Split {
    /// Column number.
    pub column: u16,
    /// In the unit of the column; never infinity upwards nor not-a-number.
    pub threshold: f32,
}

/// Trees over `columns` inputs, ready to score.
#[derive(Clone, Debug, PartialEq)]
pub struct Forest {
    columns: usize,
    roots: Vec<Root>,
    nodes: Vec<Node>,
    /// Mean per node, leaves and splits alike.
    means: Vec<f64>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
struct Root {
    node: u32,
    /// Splits on the longest path: after so many steps every row is on a leaf.
    depth: u32,
}

impl Forest {
    /// Builds from trees, each a non-empty list of nodes in breadth-first order.
    pub fn from_trees(columns: usize, trees: &[Vec<TreeNode>]) -> Result<Self> {
        ensure!(columns > 0, "a forest needs at least one column");
        ensure!(
            columns <= MAX_COLUMNS,
            "{columns} columns are too many: a forest reads at most {MAX_COLUMNS}"
        );
        ensure!(!trees.is_empty(), "a forest needs at least one tree");
        let count = trees.iter().map(Vec::len).sum::<usize>();
        ensure!(
            count <= MAX_NODES,
            "{count} nodes are too many: a forest holds at most {MAX_NODES}"
        );

        let mut forest = Self {
            columns,
            roots: Vec::with_capacity(trees.len()),
            nodes: Vec::with_capacity(count),
            means: Vec::with_capacity(count),
        };
        for (number, tree) in trees.iter().enumerate() {
            forest.push_tree(tree).with_context(|| format!("tree {number} is malformed"))?;
        }
        Ok(forest)
    }

    fn push_tree(&mut self, tree: &[TreeNode]) -> Result<()> {
        let root = u32::try_from(self.nodes.len())?;
        let mut levels = vec![0_u32; tree.len()];
        let mut next_child = 1_usize;
        for (position, node) in tree.iter().enumerate() {
            ensure!(position < next_child, "node {position} has no parent");
            ensure!(node.mean.is_finite(), "node {position} has the mean {}", node.mean);
            self.means.push(node.mean);
            let Some(split) = node.split else {
                self.nodes.push(Node::new(LEAF_FEATURE, 0.0, root + u32::try_from(position)?));
                continue;
            };
            ensure!(
                usize::from(split.column) < self.columns,
                "node {position} reads column {}",
                split.column
            );
            ensure!(
                split.threshold < f32::INFINITY,
                "node {position} has the threshold {}",
                split.threshold
            );
            let level = levels[position] + 1;
            let Some(children) = levels.get_mut(next_child..next_child + 2) else {
                bail!("node {position} has no children");
            };
            children.fill(level);
            self.nodes.push(Node::new(
                split.column as u8,
                split.threshold,
                root + u32::try_from(next_child)?,
            ));
            next_child += 2;
        }
        ensure!(
            next_child == tree.len(),
            "it has {} nodes, its splits ask for {next_child}",
            tree.len()
        );
        self.roots.push(Root { node: root, depth: levels.iter().copied().max().unwrap_or(0) });
        Ok(())
    }

    /// Gives the trees back as [`Forest::from_trees`] takes them.
    pub fn trees(&self) -> impl Iterator<Item = Vec<TreeNode>> + '_ {
        self.roots.iter().enumerate().map(|(number, root)| {
            let start = root.node as usize;
            let end =
                self.roots.get(number + 1).map_or(self.nodes.len(), |next| next.node as usize);
            let split = |node: &Node| {
                (!node.is_leaf())
                    .then(|| Split { column: u16::from(node.feature()), threshold: node.threshold })
            };
            (start..end)
                .map(|at| TreeNode { mean: self.means[at], split: split(&self.nodes[at]) })
                .collect()
        })
    }

    /// The same forest over wider or reordered rows, in which its own columns are where
    /// `selection` says.
    pub fn over(&self, selection: &Selection) -> Result<Self> {
        ensure!(
            selection.positions().len() == self.columns,
            "{} of {} columns are selected",
            selection.positions().len(),
            self.columns
        );
        let mut trees: Vec<_> = self.trees().collect();
        for split in trees.iter_mut().flatten().filter_map(|node| node.split.as_mut()) {
            split.column = u16::try_from(selection.positions()[usize::from(split.column)])?;
        }
        Self::from_trees(selection.width(), &trees)
    }

    /// Number of inputs per row.
    pub fn columns(&self) -> usize {
        self.columns
    }

    /// Number of trees.
    pub fn tree_count(&self) -> usize {
        self.roots.len()
    }

    /// Number of nodes over all trees.
    pub fn node_count(&self) -> usize {
        self.nodes.len()
    }

    /// Splits on the longest path of any tree.
    pub fn depth(&self) -> u32 {
        self.roots.iter().map(|root| root.depth).max().unwrap_or(0)
    }

    /// Scores one row, 0 (like the negatives) to 1 (like the positives).
    ///
    /// # Panics
    ///
    /// When `row` has not [`Forest::columns`] values.
    pub fn score(&self, row: &[f32]) -> f64 {
        assert_eq!(row.len(), self.columns, "a row has one value per column");
        let mut slots = [f32::NEG_INFINITY; SLOTS];
        slots[..row.len()].copy_from_slice(row);

        let mut sum = 0.0;
        let mut groups = self.roots.chunks_exact(TREES_TOGETHER);
        for group in &mut groups {
            let mut at = [0_u32; TREES_TOGETHER];
            let mut depth = 0;
            for (at, root) in at.iter_mut().zip(group) {
                *at = root.node;
                depth = depth.max(root.depth);
            }
            for _ in 0..depth {
                for at in &mut at {
                    let node = self.nodes[*at as usize];
                    *at = node.next(slots[usize::from(node.feature())]);
                }
            }
            for at in at {
                sum += self.means[at as usize];
            }
        }
        for root in groups.remainder() {
            let mut at = root.node;
            for _ in 0..root.depth {
                let node = self.nodes[at as usize];
                at = node.next(slots[usize::from(node.feature())]);
            }
            sum += self.means[at as usize];
        }
        sum / self.roots.len() as f64
    }

    /// Scores many rows: `rows` holds [`Forest::columns`] values per row, one row after the other,
    /// and `out` one place per row. Every score equals that of [`Forest::score`].
    ///
    /// # Panics
    ///
    /// When `rows` does not hold exactly one row per place in `out`.
    pub fn score_batch(&self, rows: &[f32], out: &mut [f64]) {
        assert_eq!(rows.len(), out.len() * self.columns, "one row per score");
        if out.len() < LANES / 2 {
            for (row, out) in rows.chunks_exact(self.columns).zip(out) {
                *out = self.score(row);
            }
            return;
        }
        let groups = out.len().div_ceil(LANES).min(BLOCK_GROUPS);
        let mut block = vec![[[f32::NEG_INFINITY; LANES]; SLOTS]; groups];
        let rows = rows.chunks(self.columns * LANES * BLOCK_GROUPS);
        for (rows, out) in rows.zip(out.chunks_mut(LANES * BLOCK_GROUPS)) {
            let groups = rows.chunks(self.columns * LANES);
            for (slots, rows) in block.iter_mut().zip(groups) {
                transpose(rows, self.columns, slots);
            }
            self.score_block(&block, out);
        }
    }

    /// Scores up to `BLOCK_GROUPS` groups of `LANES` rows: each tree meets them all before the
    /// next.
    fn score_block(&self, block: &[[[f32; LANES]; SLOTS]], out: &mut [f64]) {
        out.fill(0.0);
        for root in &self.roots {
            for (slots, out) in block.iter().zip(out.chunks_mut(LANES)) {
                let mut at = [root.node; LANES];
                for _ in 0..root.depth {
                    for (lane, at) in at.iter_mut().enumerate() {
                        let node = self.nodes[*at as usize];
                        *at = node.next(slots[usize::from(node.feature())][lane]);
                    }
                }
                for (out, at) in out.iter_mut().zip(at) {
                    *out += self.means[at as usize];
                }
            }
        }
        let trees = self.roots.len() as f64;
        for out in out {
            *out /= trees;
        }
    }

    /// Splits the score of `row` into what each column added: along every tree's path the change of
    /// the node's mean belongs to the column asked. `out` has one place per column; returned is the
    /// bias, the mean of the roots. Bias plus contributions differ from [`Forest::score`] by
    /// rounding alone, under 1e-12.
    ///
    /// # Panics
    ///
    /// When `row` or `out` has not [`Forest::columns`] values.
    pub fn contributions(&self, row: &[f32], out: &mut [f64]) -> f64 {
        assert_eq!(row.len(), self.columns, "a row has one value per column");
        assert_eq!(out.len(), self.columns, "one contribution per column");
        out.fill(0.0);
        let mut bias = 0.0;
        for root in &self.roots {
            let mut at = root.node as usize;
            bias += self.means[at];
            while !self.nodes[at].is_leaf() {
                let node = self.nodes[at];
                let column = usize::from(node.feature());
                let next = node.next(row[column]) as usize;
                out[column] += self.means[next] - self.means[at];
                at = next;
            }
        }
        let trees = self.roots.len() as f64;
        for out in out {
            *out /= trees;
        }
        bias / trees
    }
}

/// Writes up to `LANES` rows column by column. Lanes without a row keep what they held; their
/// scores are not read.
fn transpose(rows: &[f32], columns: usize, slots: &mut [[f32; LANES]; SLOTS]) {
    for (lane, row) in rows.chunks_exact(columns).enumerate() {
        for (slot, value) in slots.iter_mut().zip(row) {
            slot[lane] = *value;
        }
    }
}

/// The largest `f32` not above `threshold`: for every `f32` value x, `x <= threshold` and `x <=
/// rounded` agree.
pub fn round_down(threshold: f64) -> f32 {
    let nearest = threshold as f32;
    if f64::from(nearest) > threshold { nearest.next_down() } else { nearest }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn leaf(mean: f64) -> TreeNode {
        TreeNode { mean, split: None }
    }

    fn split(column: u16, threshold: f32, mean: f64) -> TreeNode {
        TreeNode { mean, split: Some(Split { column, threshold }) }
    }

    /// Two columns; the first tree asks both, the second is a leaf.
    fn two_trees() -> Forest {
        let first = vec![split(0, 1.0, 0.4), leaf(0.1), split(1, -2.0, 0.7), leaf(0.5), leaf(0.9)];
        Forest::from_trees(2, &[first, vec![leaf(0.2)]]).unwrap()
    }

    #[test]
    fn follows_the_path_by_hand() {
        let forest = two_trees();
        for (row, leaf) in [
            ([1.0, 0.0], 0.1),
            ([1.5, -2.0], 0.5),
            ([1.5, -1.9], 0.9),
            ([f32::INFINITY, f32::NEG_INFINITY], 0.5),
            ([f32::NAN, f32::NAN], 0.9),
            ([f32::NEG_INFINITY, f32::NAN], 0.1),
        ] {
            assert_eq!(forest.score(&row), (0.0 + leaf + 0.2) / 2.0, "{row:?}");
        }
        assert_eq!(
            (forest.columns(), forest.tree_count(), forest.node_count(), forest.depth()),
            (2, 2, 6, 2)
        );
    }

    #[test]
    fn contributions_by_hand() {
        let mut out = [7.0; 2];
        let bias = two_trees().contributions(&[1.5, 0.0], &mut out);
        let close = |value: f64, expected: f64| {
            assert!((value - expected).abs() < 1e-15, "{value} {expected}")
        };
        close(bias, (0.4 + 0.2) / 2.0);
        close(out[0], (0.7 - 0.4) / 2.0);
        close(out[1], (0.9 - 0.7) / 2.0);
    }

    #[test]
    fn gives_its_trees_back() {
        let forest = two_trees();
        let trees: Vec<_> = forest.trees().collect();
        assert_eq!(Forest::from_trees(2, &trees).unwrap(), forest);
    }

    #[test]
    fn refuses_what_is_not_a_forest() {
        let check = |columns, trees: &[Vec<TreeNode>], expected: &str| {
            let error = format!("{:#}", Forest::from_trees(columns, trees).unwrap_err());
            assert!(error.contains(expected), "{error}");
        };
        check(0, &[vec![leaf(0.0)]], "at least one column");
        check(256, &[vec![leaf(0.0)]], "256 columns");
        check(1, &[], "at least one tree");
        check(1, &[vec![]], "tree 0 is malformed");
        check(
            1,
            &[vec![leaf(0.0)], vec![leaf(0.0), leaf(0.0)]],
            "tree 1 is malformed: node 1 has no parent",
        );
        check(1, &[vec![split(0, 0.0, 0.0), leaf(0.0)]], "node 0 has no children");
        check(
            1,
            &[vec![split(0, 0.0, 0.0), leaf(0.0), leaf(0.0), leaf(0.0)]],
            "node 3 has no parent",
        );
        check(1, &[vec![split(1, 0.0, 0.0), leaf(0.0), leaf(0.0)]], "reads column 1");
        check(1, &[vec![split(0, f32::NAN, 0.0), leaf(0.0), leaf(0.0)]], "threshold NaN");
        check(1, &[vec![leaf(f64::NAN)]], "mean NaN");
    }

    #[test]
    fn a_threshold_is_rounded_down() {
        let below = 1.0_f32.next_down();
        for (threshold, expected) in [
            (0.5, 0.5),
            (-0.0, -0.0),
            (1.0 - 1e-12, below),
            (1.0 + 1e-12, 1.0),
            (-1.0 - 1e-12, (-1.0_f32).next_down()),
            (-1e-60, (-0.0_f32).next_down()),
            (1e-60, 0.0),
            (1e300, f32::MAX),
            (-1e300, f32::NEG_INFINITY),
        ] {
            assert_eq!(round_down(threshold), expected, "{threshold:e}");
            let near = [
                expected.next_down(),
                expected,
                expected.next_up(),
                0.0,
                -0.0,
                f32::INFINITY,
                f32::NAN,
            ];
            for value in near {
                assert_eq!(
                    value <= expected,
                    f64::from(value) <= threshold,
                    "{value:e} at {threshold:e}"
                );
            }
        }
    }
}
