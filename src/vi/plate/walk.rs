//! Draws through the levels of one row that has rows inside.

use super::graph::transposed;
use crate::graph::batch::batch;
use crate::graph::{Graph, Index, Shape, Spread, Var};
use crate::guide::amortized::Amortized;
use crate::guide::nested::{Nest, Paths, RowVars};

/// Draws through the levels of one row.
pub(super) struct Walk<'a> {
    pub guide: &'a Amortized,
    pub nest: &'a Nest,
    /// Draws of innermost rows.
    pub k: usize,
    /// Members that the encoder reads.
    pub members: &'a [usize],
}

/// What a row has drawn.
pub(super) struct Drawn {
    /// For each level its coordinates, `[n]`, or `[K, n]` of an innermost one; none where it has no rows.
    pub points: Vec<Option<(usize, Var)>>,
    /// log q of innermost rows `[L, K]` and of the rest; the same with parameters held fixed.
    pub log_q: [Var; 4],
    /// Draws of the innermost rows `[K, C]`.
    pub leaves: Var,
    /// The same draws as functions of their guide's parameters alone.
    pub again: Var,
    /// Innermost row of each of the C coordinates.
    pub owners: Vec<u32>,
}

/// What levels hang on.
struct Given {
    theta: Var,
    /// The same, held fixed.
    fixed: Var,
    noise: Var,
    /// The row as its encoder sees it; with parameters held fixed; with the globals held fixed.
    live: RowVars,
    held: RowVars,
    alone: RowVars,
}

/// An innermost level.
struct Leaf {
    level: usize,
    size: usize,
    z: Var,
    q: Var,
    again: Var,
    /// What its encoder says with parameters held fixed.
    held: Var,
}

/// What the levels so far have drawn.
struct Path {
    /// Numbers of noise that they have taken.
    taken: usize,
    around: Paths,
    points: Vec<Option<(usize, Var)>>,
    /// log q of levels that have rows inside, and the same with parameters held fixed.
    log_q: [Var; 2],
    leaves: Vec<Leaf>,
}

impl Path {
    fn take(&mut self, g: &mut Graph, noise: Var, dims: &[usize]) -> Var {
        let (start, len) = (self.taken, dims.iter().product());
        self.taken += len;
        g.gather(noise, Index::Stride { start, stride: 1, len }, Shape::new(dims))
    }
}

impl Walk<'_> {
    /// From parameters, what the encoders of the row and of rows inside see, globals, and noise.
    pub fn draw(&self, g: &mut Graph, [theta, seen, inner, globals, noise]: [Var; 5]) -> Drawn {
        let fixed = g.stop_gradient(theta);
        let still = g.stop_gradient(globals);
        let [live, held, alone] = [(theta, globals), (fixed, globals), (theta, still)].map(|(theta, globals)| {
            let encoded = self.guide.encode(g, theta, seen, self.members, Some(globals));
            RowVars { encoded, inner, globals }
        });
        let given = Given { theta, fixed, noise, live, held, alone };
        let zero = g.scalar(0.0);
        let mut path = Path { taken: 0, around: Paths::default(), points: vec![], log_q: [zero; 2], leaves: vec![] };
        for level in 0..self.nest.coordinates.len() {
            match self.nest.rows(level) {
                0 => {
                    path.around.add_none(g);
                    path.points.push(None);
                }
                _ if level > 0 && self.nest.is_leaf(level) => self.leaf(g, level, &given, &mut path),
                _ => self.inside(g, level, &given, &mut path),
            }
        }
        self.joined(g, fixed, path)
    }

    /// A level that has rows inside: one draw.
    fn inside(&self, g: &mut Graph, level: usize, given: &Given, path: &mut Path) {
        let (n, size) = (self.nest.rows(level), self.nest.places(level).len());
        let (theta, fixed) = (given.theta, given.fixed);
        let eps = path.take(g, given.noise, &[n, size / n]);
        let (z, q, q_held) = match level {
            0 => {
                let (z, q) = self.guide.first_level(g, theta, given.live.encoded, eps, true);
                let z = wall(g, z);
                (z, q, self.guide.first_level(g, fixed, given.held.encoded, z, false).1)
            }
            _ => {
                let around = path.around.around(g, self.nest, level);
                let [e, e_held] = [(theta, &given.live), (fixed, &given.held)]
                    .map(|(t, row)| self.guide.encode_level(g, t, row, (self.nest, level), around, false));
                let (z, q) = self.guide.at_level(g, theta, level, e, eps, true);
                let z = wall(g, z);
                (z, q, self.guide.at_level(g, fixed, level, e_held, z, false).1)
            }
        };
        path.around.add(g, self.nest, z);
        for (sum, q) in path.log_q.iter_mut().zip([q, q_held]) {
            let q = g.sum(q);
            *sum = g.add(*sum, q);
        }
        path.points.push(Some((size, g.reshape(z, Shape::new(&[size])))));
    }

    /// An innermost level: K draws. Nothing lies inside, so that nobody reads its path.
    fn leaf(&self, g: &mut Graph, level: usize, given: &Given, path: &mut Path) {
        let size = self.nest.places(level).len();
        let eps = path.take(g, given.noise, &[self.k, size]);
        let around = path.around.around(g, self.nest, level);
        let apart = g.stop_gradient(around);
        let rows = [
            (given.theta, &given.live, around),
            (given.fixed, &given.held, around),
            (given.theta, &given.alone, apart),
        ];
        let [e, held, alone] =
            rows.map(|(t, row, around)| self.guide.encode_level(g, t, row, (self.nest, level), around, false));
        let [z, q, again] = self.innermost(g, level, given.theta, [e, alone], eps);
        path.leaves.push(Leaf { level, size, z, q, again, held });
        path.points.push(None);
        path.around.add_none(g);
    }

    /// Innermost levels beside one another, scored once more with parameters held fixed.
    fn joined(&self, g: &mut Graph, fixed: Var, path: Path) -> Drawn {
        let Path { mut points, log_q: rest, leaves: each, .. } = path;
        let of = |f: &dyn Fn(&Leaf) -> (usize, Var)| each.iter().map(f).collect::<Vec<_>>();
        let [leaves, again] = [of(&|l| (l.size, l.z)), of(&|l| (l.size, l.again))].map(|parts| self.beside(g, &parts));
        let leaves = wall(g, leaves);
        let total: usize = each.iter().map(|l| l.size).sum();
        let (mut held, mut owners, mut start, mut rows) = (vec![], vec![], 0, 0);
        for leaf in &each {
            let (n, size) = (self.nest.rows(leaf.level), leaf.size);
            let table = (0..self.k * size).map(|j| (j / size * total + start + j % size) as u32).collect();
            let z = g.gather(leaves, Index::from_table(table), Shape::new(&[self.k, size]));
            held.push((n, self.score(g, leaf.level, fixed, leaf.held, z)));
            points[leaf.level] = Some((size, z));
            owners.extend((0..size).map(|j| (rows + j / (size / n)) as u32));
            start += size;
            rows += n;
        }
        let drawn = of(&|l| (self.nest.rows(l.level), l.q));
        let log_q = [self.by_row(g, &drawn), rest[0], self.by_row(g, &held), rest[1]];
        Drawn { points, log_q, leaves, again, owners }
    }

    /// K draws `[K, n]` of an innermost level, their log q `[K, rows]`, and the draws again where an encoder says `e[1]`.
    fn innermost(&self, g: &mut Graph, level: usize, theta: Var, e: [Var; 2], eps: Var) -> [Var; 3] {
        let size = g.shape(eps).dims()[1];
        let mut p = Graph::new();
        let own = p.input("theta", g.shape(theta), Spread::Shared);
        let said = e.map(|v| p.input("encoded", g.shape(v), Spread::Shared));
        let noise = p.input("noise", Shape::new(&[size]), Spread::Shared);
        let rows = Shape::new(&[self.nest.rows(level), size / self.nest.rows(level)]);
        let noise = p.reshape(noise, rows);
        let (z, q) = self.guide.at_level(&mut p, own, level, said[0], noise, true);
        let again = self.guide.at_level(&mut p, own, level, said[1], noise, true).0;
        let [z, again] = [z, again].map(|v| p.reshape(v, Shape::new(&[size])));
        let (many, out) = batch(&p, &[z, q, again], &[false, false, false, true], self.k);
        let out = g.inline(&many, &[theta, e[0], e[1], eps], &out);
        [out[0], out[1], out[2]]
    }

    /// log q `[K, rows]` of an innermost level at K points `[K, n]`.
    fn score(&self, g: &mut Graph, level: usize, theta: Var, e: Var, z: Var) -> Var {
        let size = g.shape(z).dims()[1];
        let mut p = Graph::new();
        let own = p.input("theta", g.shape(theta), Spread::Shared);
        let said = p.input("encoded", g.shape(e), Spread::Shared);
        let point = p.input("point", Shape::new(&[size]), Spread::Shared);
        let rows = Shape::new(&[self.nest.rows(level), size / self.nest.rows(level)]);
        let x = p.reshape(point, rows);
        let q = self.guide.at_level(&mut p, own, level, said, x, false).1;
        let (many, q) = batch(&p, &[q], &[false, false, true], self.k);
        g.inline(&many, &[theta, e, z], &q)[0]
    }

    /// Levels of `[K, n]` as one `[L, K]`.
    fn by_row(&self, g: &mut Graph, parts: &[(usize, Var)]) -> Var {
        let all = self.beside(g, parts);
        transposed(g, all)
    }

    /// Levels of `[K, n]` beside one another.
    fn beside(&self, g: &mut Graph, parts: &[(usize, Var)]) -> Var {
        let total: usize = parts.iter().map(|p| p.0).sum();
        let flat: Vec<Var> = parts.iter().map(|(n, v)| g.reshape(*v, Shape::new(&[self.k * n]))).collect();
        let flat = g.concat(&flat, Shape::new(&[self.k * total]));
        let mut table = vec![];
        for draw in 0..self.k {
            let mut start = 0;
            for (n, _) in parts {
                table.extend((0..*n).map(|j| (start + draw * n + j) as u32));
                start += self.k * n;
            }
        }
        g.gather(flat, Index::from_table(table), Shape::new(&[self.k, total]))
    }
}

/// Nothing simplifies past this: whatever reads the point reads this node, and its derivative is all of it.
fn wall(g: &mut Graph, z: Var) -> Var {
    let one = g.scalar(1.0);
    g.scale_grad(z, one)
}
