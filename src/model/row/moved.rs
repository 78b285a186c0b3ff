//! Rows whose needs are those of an earlier row, moved: the same elements of every node, further on by one distance.
//!
//! Where that holds, the earlier row's recipe is this row's too, and only leaves are left to look up. Rows of a
//! rectangular plate are like that, so that most of them need not be cut.

use super::labels::{Product, square};
use super::layout::Reads;
use super::rule::RowRule;
use super::slice::{Class, Elements, LeafReads};
use crate::graph::{Graph, Node, Op};

/// What a row needs of one node.
pub(super) struct Need {
    pub node: usize,
    /// All elements, which are shared.
    pub whole: bool,
    /// Elements that the row computes, ascending.
    pub own: Vec<u32>,
    /// Elements that it reads, ascending.
    pub leaves: Vec<u32>,
    /// What these are.
    pub class: Class,
}

/// The needs of a row that was cut, by ascending node.
pub(super) struct Template {
    pub seeds: Vec<Elements>,
    pub needs: Vec<Need>,
}

impl Template {
    /// What the leaves of the row read, with its rule and its seeds, if its needs are these, moved.
    pub fn moved(&self, rule: &RowRule<'_>, seeds: &[Elements]) -> Option<LeafReads> {
        let distances = self.distances(rule, seeds)?;
        let mut out = LeafReads::default();
        for (need, d) in self.needs.iter().zip(distances) {
            let i = need.node;
            if need.whole {
                out.shared.push((i as u32, Reads::All));
            } else if !need.leaves.is_empty() {
                let list = need.leaves.iter().map(|j| (i64::from(*j) + d) as u32);
                match (need.class, &rule.g.nodes()[i].op) {
                    (Class::Data, Op::Const(c)) => out.data.extend(list.map(|j| c[j as usize])),
                    (Class::Coordinate, _) => out.coordinates.extend(list.map(|j| (i as u32, j))),
                    _ => out.shared.push((i as u32, Reads::These(list.collect()))),
                }
            }
        }
        Some(out)
    }

    /// How far each node's elements have moved, carried from the seeds backward.
    fn distances(&self, rule: &RowRule<'_>, seeds: &[Elements]) -> Option<Vec<i64>> {
        let g = rule.g;
        let mut all: Vec<Option<i64>> = vec![None; self.needs.len()];
        if seeds.len() != self.seeds.len() {
            return None;
        }
        for ((node, there), (n, here)) in self.seeds.iter().zip(seeds) {
            let d = i64::from(*here.first()?) - i64::from(*there.first()?);
            let alike = node == n && there.len() == here.len();
            if !alike || there.iter().zip(here).any(|(a, b)| i64::from(*a) + d != i64::from(*b)) {
                return None;
            }
            self.agree(&mut all, *node, d)?;
        }
        for at in (0..self.needs.len()).rev() {
            let need = &self.needs[at];
            let d = all[at].unwrap_or(0);
            if need.whole {
                continue;
            }
            let node = &g.nodes()[need.node];
            let n = node.shape.count() as i64;
            let ends = |list: &[u32]| {
                [list.first(), list.last()].into_iter().flatten().all(|j| (0..n).contains(&(i64::from(*j) + d)))
            };
            let are = |list: &[u32], class| ends(list) && rule.are(need.node, list, d, class);
            if !are(&need.own, Class::Own) || !are(&need.leaves, need.class) {
                return None;
            }
            if need.own.is_empty() {
                continue;
            }
            for k in 0..node.args.len() {
                if let Some(d) = source(g, node, k, &need.own, d)? {
                    self.agree(&mut all, node.args[k].index(), d)?;
                }
            }
        }
        Some(all.into_iter().map(|d| d.unwrap_or(0)).collect())
    }

    /// Notes a node's distance; `None` where it contradicts what is known.
    fn agree(&self, all: &mut [Option<i64>], node: usize, d: i64) -> Option<()> {
        let at = self.needs.binary_search_by_key(&node, |n| n.node).ok()?;
        if self.needs[at].whole {
            return Some(());
        }
        match all[at] {
            Some(known) if known != d => None,
            _ => {
                all[at] = Some(d);
                Some(())
            }
        }
    }
}

/// How far the elements of argument `k` move that elements `own` of a node read, where these move by `d`:
/// `Some(None)` where none of them is read, `None` where they do not all move alike.
fn source(g: &Graph, node: &Node, k: usize, own: &[u32], d: i64) -> Option<Option<i64>> {
    let moved = match &node.op {
        Op::Unary(_) | Op::Binary(_) | Op::Ternary(_) | Op::StopGradient | Op::ScaleGrad | Op::Reshape => {
            if g.shape(node.args[k]).count() == 1 { 0 } else { d }
        }
        Op::Gather(index) => {
            let distance = |j: &u32| index.at((i64::from(*j) + d) as usize) as i64 - index.at(*j as usize) as i64;
            let first = distance(own.first()?);
            if own.iter().any(|j| distance(j) != first) {
                return None;
            }
            first
        }
        Op::Concat => {
            let start: i64 = node.args[..k].iter().map(|a| g.shape(*a).count() as i64).sum();
            let part = start..start + g.shape(node.args[k]).count() as i64;
            let inside = |j: &u32| part.contains(&i64::from(*j));
            let after = |j: &u32| part.contains(&(i64::from(*j) + d));
            if own.iter().any(|j| inside(j) != after(j)) {
                return None;
            }
            return Some(own.iter().any(inside).then_some(d));
        }
        Op::Fold { n, inner, .. } if d % (*inner).max(1) as i64 == 0 => d * *n as i64,
        Op::MatMul { ta, tb } => {
            let p = Product::new(g, node, *ta, *tb);
            let (m, inner, n) = (p.m as i64, p.k as i64, p.n as i64);
            match k {
                // Other rows of the left factor, the same columns of the right one.
                0 if p.batch == 1 && d % n == 0 => d / n * if *ta { 1 } else { inner },
                1 if p.batch == 1 && d % n == 0 => 0,
                0 if d % (m * n) == 0 => d / n * inner,
                1 if d % (m * n) == 0 => d / m * inner,
                _ => return None,
            }
        }
        Op::Cholesky if d % square(g, node) as i64 == 0 => d,
        Op::Input(_) | Op::Const(_) => return Some(None),
        _ if d == 0 => 0,
        _ => return None,
    };
    Some(Some(moved))
}

#[cfg(test)]
mod tests {
    use super::super::owners::Owners;
    use super::super::rule::{RowRule, shared_nodes};
    use super::super::slice::{Class, Rule, cut};
    use crate::model::data::DataFile;
    use crate::model::posterior::Model;

    /// Rows after the first that have its needs, moved; each of them is also cut, and both have to be the same.
    fn moved_rows(source: &str, data: &str) -> usize {
        let data = DataFile::from_json(data).expect("data");
        let post = Model::from_text("m.thal", source).and_then(|m| m.bind(&data)).unwrap_or_else(|e| panic!("{e}"));
        let plate = &post.plates[0];
        let assigned = post.assign(plate).expect("a separable plate");
        let (g, addends) = (&post.graph, post.addends(plate, &assigned));
        let owners = Owners::new(g, &addends.all);
        let whole = shared_nodes(g, &assigned.labels, &owners);
        let rule = |row: usize| {
            let (labels, tag) = (&assigned.labels, row as u32 + 1);
            RowRule { g, labels, owners: &owners, whole: &whole, tag }
        };
        // What is said of elements together is what is said of each.
        for (node, n) in g.nodes().iter().enumerate().map(|(k, n)| (k, n.shape.count())) {
            for (row, e) in (0..plate.rows).flat_map(|r| (0..n).map(move |e| (r, e))) {
                for class in [Class::Own, Class::Data, Class::Shared, Class::Coordinate] {
                    assert_eq!(rule(row).are(node, &[e as u32], 0, class), rule(row).class(node, e) == class);
                }
            }
        }
        let (first, template) = cut(g, &rule(0), &addends.rows[0]);
        let Some(template) = template else { return 0 };
        let same = |row: &usize| {
            let Some(leaves) = template.moved(&rule(*row), &addends.rows[*row]) else { return false };
            let (own, _) = cut(g, &rule(*row), &addends.rows[*row]);
            assert_eq!(own.recipe, first.recipe, "row {row}");
            assert_eq!(own.leaves, leaves, "row {row}");
            true
        };
        (1..plate.rows).filter(same).count()
    }

    #[test]
    fn rows_of_a_rectangle_are_the_first_one_moved() {
        let network = "data x: array[5, 3] int<lower=0, upper=1>\nlatent a ~ normal(0, 1)\n\
            latent f: matrix[3, 2] ~ normal(0, 1)\n\
            plate n in 1:5 {\n  latent z: vector[2] ~ normal(a, 1)\n  observe x[n] ~ bernoulli_logit(tanh(f * z))\n}";
        let x = r#"{"x": [[0, 1, 1], [1, 0, 0], [1, 1, 1], [0, 0, 0], [0, 1, 0]]}"#;
        assert_eq!(moved_rows(network, x), 4);
        let backward = "data y: vector[6]\nlatent s ~ half_normal(0, 1)\n\
            plate n in 1:6 {\n  latent z ~ normal(0, s)\n  observe y[7 - n] ~ normal(exp(z), 1)\n}";
        assert_eq!(moved_rows(backward, r#"{"y": [1, 2, 3, 4, 5, 6]}"#), 5);
    }

    #[test]
    fn rows_with_other_needs_are_cut() {
        // Rows 3 and 4 have the size of row 1, row 2 another.
        let ragged = "data n: array[4] int\ndata y: vector[9]\ndata from: array[4] int\nlatent s ~ half_normal(0, 1)\n\
            plate g in 1:4 {\n  latent m ~ normal(0, s)\n  plate i in 1:n[g] {\n    observe y[from[g] + i] ~ normal(m, 1)\n  }\n}";
        let data = r#"{"n": [2, 3, 2, 2], "from": [0, 2, 5, 7], "y": [1, 2, 3, 4, 5, 6, 7, 8, 9]}"#;
        assert_eq!(moved_rows(ragged, data), 2);
        // Row 2 reads its data in the order of row 1, row 3 in another.
        let order = "data k: array[3, 2] int\ndata y: vector[6]\nlatent b: vector[6] ~ normal(0, 1)\n\
            plate g in 1:3 {\n  latent m ~ normal(0, 1)\n  observe y[2 * g - 1] ~ normal(m + b[k[g, 1]] - 2 * b[k[g, 2]], 1)\n}";
        let data = r#"{"k": [[1, 2], [3, 4], [6, 5]], "y": [1, 2, 3, 4, 5, 6]}"#;
        assert_eq!(moved_rows(order, data), 1);
    }
}
