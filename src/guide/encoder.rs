//! Encoders: networks from the data of a row to what its guide needs.
//!
//! A row's numbers are standardised and read by a multilayer perceptron ρ. Where rows have sets of members, of any size and
//! in any order, each member x goes through a network φ of its set, and ρ reads the mean of φ(x) over the members (Deep Sets:
//! Zaheer et al. 2017, theorem 2; the mean and the size, which is among the row's numbers, say what the sum says).

use crate::base::rng::Stream;
use crate::flow::layer::Parameters;
use crate::flow::mlp::{Activation, Mlp, Network};
use crate::graph::batch::batch;
use crate::graph::{Fold, Graph, Index, Shape, Spread, Var};

/// Numbers that φ says of a set's members.
const POOLED: usize = 32;

/// What an encoder reads.
#[derive(Clone, Copy, Debug)]
pub struct Reads<'a> {
    /// Numbers that a row has as a whole.
    pub inputs: usize,
    /// Numbers of a member of each set.
    pub sets: &'a [usize],
    /// Coordinates of the globals.
    pub globals: usize,
}

/// A network without values of its weights.
#[derive(Clone, Debug)]
pub struct Encoder {
    rho: Mlp,
    phi: Vec<Mlp>,
    inputs: usize,
    sets: Vec<usize>,
    globals: usize,
    /// Centre and scale of each number of a row, then of each number of a member of each set.
    standard: Vec<(f64, f64)>,
}

impl Encoder {
    /// With `hidden` layers, to `outputs` numbers; `standard` as [`standardise`] measures it.
    pub fn new(reads: Reads<'_>, hidden: &[usize], outputs: usize, standard: Vec<(f64, f64)>) -> Encoder {
        let network = Network { hidden: hidden.to_vec(), activation: Activation::Tanh };
        let first = Network { hidden: hidden.iter().take(1).copied().collect(), ..network.clone() };
        let phi: Vec<Mlp> = reads.sets.iter().map(|n| Mlp::dense(*n, &first, POOLED)).collect();
        let read = reads.inputs + POOLED * phi.len() + reads.globals;
        let rho = Mlp::dense(read, &network, outputs);
        Encoder { rho, phi, inputs: reads.inputs, sets: reads.sets.to_vec(), globals: reads.globals, standard }
    }

    /// Weights that such an encoder has at least, found without building it.
    pub fn least_weights(reads: Reads<'_>, hidden: &[usize], outputs: usize) -> usize {
        let read = reads.inputs.saturating_add(reads.globals).saturating_add(POOLED.saturating_mul(reads.sets.len()));
        // A network without inputs has no hidden layers.
        let own: &[usize] = if read == 0 { &[] } else { hidden };
        let sets = reads.sets.iter().map(|n| least(*n, &hidden[..hidden.len().min(1)], POOLED));
        sets.fold(least(read, own, outputs), usize::saturating_add)
    }

    /// Centre and scale of each column.
    pub fn standard(&self) -> &[(f64, f64)] {
        &self.standard
    }

    /// Names and shapes of the weights, in order.
    pub fn parameters(&self) -> Vec<(String, Vec<usize>)> {
        let member =
            |(k, phi): (usize, &Mlp)| phi.parameters().into_iter().map(move |(n, s)| (format!("set{}/{n}", k + 1), s));
        self.rho.parameters().into_iter().chain(self.phi.iter().enumerate().flat_map(member)).collect()
    }

    /// Number of weights.
    pub fn weights(&self) -> usize {
        count(&self.parameters())
    }

    /// Writes initial weights: ρ says 0 of every row; φ is random in its last layer too, or neither would learn at first.
    pub fn initial(&self, rng: &mut Stream, out: &mut [f64]) {
        let (own, mut rest) = out.split_at_mut(count(&self.rho.parameters()));
        self.rho.initial(rng, own);
        for phi in &self.phi {
            let list = phi.parameters();
            let (own, tail) = std::mem::take(&mut rest).split_at_mut(count(&list));
            rest = tail;
            phi.initial(rng, own);
            let Some((_, shape)) = list.iter().rev().nth(1) else { continue };
            let end = own.len() - POOLED;
            let last = &mut own[end - shape.iter().product::<usize>()..end];
            rng.fill_normal(last);
            let sd = (shape[1] as f64).sqrt().recip();
            last.iter_mut().for_each(|w| *w *= sd);
        }
    }

    /// Writes what it says of a row. `theta` has its weights from 0 on; `x` are the row's numbers as they are in the data, then
    /// the members of each set, of which there are `members`; `globals` are `[globals]`.
    pub fn apply(&self, g: &mut Graph, theta: Var, x: Var, members: &[usize], globals: Option<Var>) -> Var {
        let own = Parameters::slices(g, theta, 0, &self.rho.parameters());
        let flat = part(g, x, 0, &[self.inputs]);
        let flat = self.standardised(g, flat, 0);
        let mut inputs = vec![flat];
        let (mut at, mut column) = (self.inputs, self.inputs);
        let mut weights = count(&self.rho.parameters());
        for ((phi, n), size) in self.phi.iter().zip(&self.sets).zip(members) {
            let set = part(g, x, at, &[*size, *n]);
            inputs.push(self.pooled(g, phi, theta, weights, set, column));
            at += size * n;
            column += n;
            weights += count(&phi.parameters());
        }
        inputs.extend(globals.filter(|_| self.globals > 0));
        let all = inputs.iter().map(|v| g.shape(*v).count()).sum();
        let inputs = g.concat(&inputs, Shape::new(&[all]));
        let weights = self.rho.weights(g, &own);
        self.rho.apply(g, &weights, inputs)
    }

    /// `(x - centre) / scale` of columns from `from` on.
    fn standardised(&self, g: &mut Graph, x: Var, from: usize) -> Var {
        let n = g.shape(x).count();
        let column = |g: &mut Graph, f: &dyn Fn(&(f64, f64)) -> f64| {
            g.constant(self.standard[from..from + n].iter().map(f).collect::<Vec<_>>(), Shape::new(&[n]))
        };
        let (centre, scale) = (column(g, &|s| s.0), column(g, &|s| 1.0 / s.1));
        let x = g.sub(x, centre);
        g.mul(x, scale)
    }

    /// Mean of φ over the members `[size, n]`; 0 of an empty set.
    fn pooled(&self, g: &mut Graph, phi: &Mlp, theta: Var, start: usize, set: Var, column: usize) -> Var {
        let dims = g.shape(set).dims().to_vec();
        if dims[0] == 0 {
            return g.filled(0.0, Shape::new(&[POOLED]));
        }
        let mut p = Graph::new();
        let weights = p.input("weights", g.shape(theta), Spread::Shared);
        let member = p.input("member", Shape::new(&[dims[1]]), Spread::Shared);
        let own = Parameters::slices(&mut p, weights, start, &phi.parameters());
        let x = self.standardised(&mut p, member, column);
        let own = phi.weights(&mut p, &own);
        let said = phi.apply(&mut p, &own, x);
        let (many, said) = batch(&p, &[said], &[false, true], dims[0]);
        let said = g.inline(&many, &[theta, set], &said)[0];
        let sum = g.fold(Fold::Sum, said, 0);
        g.scale(1.0 / dims[0] as f64, sum)
    }
}

/// A part of a flat vector.
fn part(g: &mut Graph, v: Var, start: usize, dims: &[usize]) -> Var {
    g.gather(v, Index::Stride { start, stride: 1, len: dims.iter().product() }, Shape::new(dims))
}

fn count(list: &[(String, Vec<usize>)]) -> usize {
    list.iter().map(|(_, s)| s.iter().product::<usize>()).sum()
}

fn least(inputs: usize, hidden: &[usize], outputs: usize) -> usize {
    crate::flow::architecture::least_weights(inputs, hidden, outputs)
}

/// The values of column `j` in rows of (numbers, members of each set): a row's own, or those of all its members.
pub fn column<'a>(rows: &[(&'a [f64], &[usize])], inputs: usize, sets: &[usize], j: usize) -> Vec<f64> {
    let of_row = |&(x, sizes): &(&'a [f64], &[usize])| {
        if j < inputs {
            return x[j..j + 1].iter().step_by(1);
        }
        let (mut at, mut first) = (inputs, inputs);
        for (n, size) in sets.iter().zip(sizes) {
            if j < first + n {
                let members = &x[at..at + n * size];
                return members[(j - first).min(members.len())..].iter().step_by(*n);
            }
            (at, first) = (at + n * size, first + n);
        }
        x[..0].iter().step_by(1)
    };
    rows.iter().flat_map(of_row).copied().collect()
}

/// Centre and scale of each column of `rows` ([`column()`]): mean and standard deviation, 1 where a column does not vary.
pub fn standardise(rows: &[(&[f64], &[usize])], inputs: usize, sets: &[usize]) -> Vec<(f64, f64)> {
    let of_column = |j: usize| {
        let x = column(rows, inputs, sets, j);
        let n = x.len().max(1) as f64;
        let mean = x.iter().sum::<f64>() / n;
        let var = x.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / n;
        (mean, if var > 1e-20 * mean.abs().max(1.0) { var.sqrt() } else { 1.0 })
    };
    (0..inputs + sets.iter().sum::<usize>()).map(of_column).collect()
}
