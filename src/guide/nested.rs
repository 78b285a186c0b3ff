//! Guides of rows with rows inside: q(z_n | x_n) Π_m q(u_nm | x_nm, z_n), a level for each plate with latents.
//!
//! Every level has an encoder and a flow that its rows share. An inner encoder reads the data of its row, the globals, and the
//! coordinates of the rows around it, so that the guide follows how latents depend on those outside.

use super::amortized::Amortized;
use crate::graph::batch::batch;
use crate::graph::{Graph, Index, Shape, Spread, Var};

/// Where the latents of a row lie among the rows inside it, level by level; the row itself is the first level.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Nest {
    /// For each level the coordinates of each of its rows, by their place in the row.
    pub coordinates: Vec<Vec<Vec<u32>>>,
    /// For all levels but the first, the level in which they lie.
    pub levels: Vec<usize>,
    /// For each level and row the place of the row around it in that level.
    pub parents: Vec<Vec<u32>>,
}

impl Nest {
    /// Whether no level lies in this one.
    pub fn is_leaf(&self, level: usize) -> bool {
        !self.levels.contains(&level)
    }

    /// Rows of a level.
    pub fn rows(&self, level: usize) -> usize {
        self.coordinates[level].len()
    }

    /// Coordinates of all its levels.
    pub fn dim(&self) -> usize {
        self.coordinates.iter().flatten().map(|c| c.len()).sum()
    }

    /// Places of a level's coordinates, row after row.
    pub fn places(&self, level: usize) -> Vec<u32> {
        self.coordinates[level].concat()
    }
}

/// What a row gives its guide, in a graph.
#[derive(Clone, Copy, Debug)]
pub struct RowVars {
    /// What the encoder says of it, `[encoded]`; behind it what is added to what the encoders of inner rows say.
    pub encoded: Var,
    /// What the encoders of inner rows read, level after level.
    pub inner: Var,
    /// Coordinates of the globals.
    pub globals: Var,
}

/// Rows of the levels as they are made: for each level what inner rows read of the rows around them, `[rows, n]`.
#[derive(Default)]
pub struct Paths(Vec<Var>);

impl Paths {
    /// What the rows of `level` read, its own coordinates aside.
    pub fn around(&self, g: &mut Graph, nest: &Nest, level: usize) -> Var {
        let path = self.0[nest.levels[level - 1]];
        let (n, width) = (nest.rows(level), g.shape(path).dims()[1]);
        let table = nest.parents[level].iter().flat_map(|p| (0..width as u32).map(move |j| p * width as u32 + j));
        g.gather(path, Index::from_table(table.collect()), Shape::new(&[n, width]))
    }

    /// Adds the next level, whose rows are at `z` `[rows, dim]`.
    pub fn add(&mut self, g: &mut Graph, nest: &Nest, z: Var) {
        let level = self.0.len();
        let all = match level {
            0 => z,
            _ => {
                let around = self.around(g, nest, level);
                beside(g, around, z)
            }
        };
        self.0.push(all);
    }
}

/// Two matrices side by side.
fn beside(g: &mut Graph, a: Var, b: Var) -> Var {
    let [n, p, q] = [g.shape(a).dims()[0], g.shape(a).dims()[1], g.shape(b).dims()[1]];
    let flat = [g.reshape(a, Shape::new(&[n * p])), g.reshape(b, Shape::new(&[n * q]))];
    let flat = g.concat(&flat, Shape::new(&[n * (p + q)]));
    let one = |k: usize| {
        let (row, j) = (k / (p + q).max(1), k % (p + q).max(1));
        (if j < p { row * p + j } else { n * p + row * q + j - p }) as u32
    };
    g.gather(flat, Index::from_table((0..n * (p + q)).map(one).collect()), Shape::new(&[n, p + q]))
}

/// A part of a flat vector as rows.
fn rows(g: &mut Graph, v: Var, start: usize, n: usize, width: usize) -> Var {
    g.gather(v, Index::Stride { start, stride: 1, len: n * width }, Shape::new(&[n, width]))
}

impl Amortized {
    /// Numbers that encoders give for a row: for an inner row of a nest what is added to what its encoder says.
    pub fn encoded_in(&self, nest: Option<&Nest>) -> usize {
        let inner =
            |n: &Nest| (1..n.coordinates.len()).map(|l| n.rows(l) * self.inner()[l - 1].encoded_len()).sum::<usize>();
        self.encoded_len() + nest.map_or(0, inner)
    }

    /// Numbers of a row that the encoders of the rows inside read.
    pub fn inner_inputs(&self, nest: Option<&Nest>) -> usize {
        nest.map_or(0, |n| (1..n.coordinates.len()).map(|l| n.rows(l) * self.inner()[l - 1].plan().inputs).sum())
    }

    /// Parameters of a level: `[len of the level]`.
    fn theta_of(&self, g: &mut Graph, theta: Var, level: usize) -> Var {
        let start = self.own_len() + self.inner()[..level - 1].iter().map(Amortized::len).sum::<usize>();
        let len = self.inner()[level - 1].len();
        g.gather(theta, Index::Stride { start, stride: 1, len }, Shape::new(&[len]))
    }

    /// What the encoder of an inner level says of its rows, `[rows, encoded]`. `added`: to what it says.
    pub fn encode_level(
        &self,
        g: &mut Graph,
        theta: Var,
        row: &RowVars,
        (nest, level): (&Nest, usize),
        around: Var,
        added: bool,
    ) -> Var {
        let guide = &self.inner()[level - 1];
        let (n, inputs, out) = (nest.rows(level), guide.plan().inputs, guide.encoded_len());
        let before = |f: &dyn Fn(usize) -> usize| (1..level).map(|l| nest.rows(l) * f(l)).sum::<usize>();
        let x = rows(g, row.inner, before(&|l| self.inner()[l - 1].plan().inputs), n, inputs);
        let own = self.theta_of(g, theta, level);
        let mut p = Graph::new();
        let widths = [guide.len(), inputs, g.shape(row.globals).count(), g.shape(around).dims()[1]];
        let names = ["theta", "x", "globals", "around"];
        let v: Vec<Var> =
            names.iter().zip(widths).map(|(name, k)| p.input(name, Shape::new(&[k]), Spread::Shared)).collect();
        let given = p.concat(&[v[2], v[3]], Shape::new(&[widths[2] + widths[3]]));
        let e = guide.encode(&mut p, v[0], v[1], &[], Some(given));
        let (many, e) = batch(&p, &[e], &[false, true, false, true], n);
        let e = g.inline(&many, &[own, x, row.globals, around], &e)[0];
        if !added {
            return e;
        }
        let start = self.encoded_len() + before(&|l| self.inner()[l - 1].encoded_len());
        let more = rows(g, row.encoded, start, n, out);
        g.add(e, more)
    }

    /// Points of a level `[rows, dim]` and their log q `[rows]`, from noise or at given points.
    pub fn at_level(&self, g: &mut Graph, theta: Var, level: usize, e: Var, x: Var, from_noise: bool) -> (Var, Var) {
        let guide = &self.inner()[level - 1];
        let own = self.theta_of(g, theta, level);
        let n = g.shape(e).dims()[0];
        let mut p = Graph::new();
        let widths = [guide.len(), guide.encoded_len(), guide.plan().dim];
        let v: Vec<Var> = ["theta", "e", "x"]
            .iter()
            .zip(widths)
            .map(|(name, k)| p.input(name, Shape::new(&[k]), Spread::Shared))
            .collect();
        let e_parts = guide.split(&mut p, v[1]);
        let (z, q) = match from_noise {
            true => guide.push(&mut p, v[0], &e_parts, v[2]),
            false => (v[2], guide.score(&mut p, v[0], &e_parts, v[2])),
        };
        let (many, out) = batch(&p, &[z, q], &[false, true, true], n);
        let out = g.inline(&many, &[own, e, x], &out);
        (out[0], out[1])
    }

    /// Writes z and log q(z | x) from noise `eps`, a number for each coordinate of the row, in the order of z.
    pub fn draw(&self, g: &mut Graph, theta: Var, row: &RowVars, nest: Option<&Nest>, eps: Var) -> (Var, Var) {
        match nest {
            None => {
                let e = self.split(g, row.encoded);
                self.push(g, theta, &e, eps)
            }
            Some(nest) => self.through(g, theta, row, nest, eps, true),
        }
    }

    /// Writes log q(z | x) at a point.
    pub fn log_q(&self, g: &mut Graph, theta: Var, row: &RowVars, nest: Option<&Nest>, z: Var) -> Var {
        match nest {
            None => {
                let e = self.split(g, row.encoded);
                self.score(g, theta, &e, z)
            }
            Some(nest) => self.through(g, theta, row, nest, z, false).1,
        }
    }

    /// The first level, from noise or at a point: `[1, dim]`, and log q `[1]`.
    pub fn first_level(&self, g: &mut Graph, theta: Var, encoded: Var, x: Var, from_noise: bool) -> (Var, Var) {
        let e = self.split(g, encoded);
        let d = self.plan().dim;
        let x = g.reshape(x, Shape::new(&[d]));
        let (z, q) = match from_noise {
            true => self.push(g, theta, &e, x),
            false => (x, self.score(g, theta, &e, x)),
        };
        (g.reshape(z, Shape::new(&[1, d])), g.reshape(q, Shape::new(&[1])))
    }

    /// All levels: the point and its log q.
    fn through(&self, g: &mut Graph, theta: Var, row: &RowVars, nest: &Nest, x: Var, from_noise: bool) -> (Var, Var) {
        let (mut paths, mut points, mut total) = (Paths::default(), vec![], g.scalar(0.0));
        for level in 0..nest.coordinates.len() {
            let places = nest.places(level);
            let (n, d) = (nest.rows(level), places.len() / nest.rows(level).max(1));
            if n == 0 {
                paths.add_none(g);
                continue;
            }
            let own = g.gather(x, Index::from_table(places), Shape::new(&[n, d]));
            let (z, q) = match level {
                0 => self.first_level(g, theta, row.encoded, own, from_noise),
                _ => {
                    let around = paths.around(g, nest, level);
                    let e = self.encode_level(g, theta, row, (nest, level), around, true);
                    self.at_level(g, theta, level, e, own, from_noise)
                }
            };
            paths.add(g, nest, z);
            let q = g.sum(q);
            total = g.add(total, q);
            points.push(g.reshape(z, Shape::new(&[n * d])));
        }
        (assembled(g, nest, &points), total)
    }
}

impl Paths {
    /// A level without rows.
    pub fn add_none(&mut self, g: &mut Graph) {
        self.0.push(g.constant(vec![], Shape::new(&[0, 0])));
    }
}

/// The point `[dim]` of a row from those of its levels, flat, levels without rows left out.
pub fn assembled(g: &mut Graph, nest: &Nest, points: &[Var]) -> Var {
    let d = nest.dim();
    let flat = g.concat(points, Shape::new(&[d]));
    let mut table = vec![0u32; d];
    let all = (0..nest.coordinates.len()).flat_map(|l| nest.places(l));
    all.enumerate().for_each(|(at, place)| table[place as usize] = at as u32);
    g.gather(flat, Index::from_table(table), Shape::new(&[d]))
}
