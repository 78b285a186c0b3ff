//! What one task of a step treats: the numbers of some rows, and the programs that run on them.

use super::graph::{Ask, Rows, Source};
use super::nested;
use super::survivors::{Selection, Survivor, survivors};
use super::target::Group;
use crate::base::rng::Stream;
use crate::base::simd::Isa;
use crate::graph::program::{Options, Program, Real};
use crate::graph::{Graph, Var};
use crate::guide::amortized::Amortized;
use crate::vi::convert::round;
use crate::vi::objective::{Estimator, Objective};

/// The programs of a group.
pub struct Programs<T: Real> {
    /// Bounds of the rows, then the derivatives of [`Rows::gradient`].
    gradient: Program<T>,
    /// Where the gradient takes some of the draws only: bounds of the rows and log weights of all draws. `gradient` has then no
    /// bounds, and is that of [`Rows::gradient_of_survivors`].
    bound: Option<(Program<T>, usize)>,
    /// Numbers of noise of a row.
    pub noise: usize,
}

impl<T: Real> Programs<T> {
    /// For `rows` rows at once.
    pub fn new(guide: &Amortized, group: &Group, objective: Objective, rows: usize) -> Programs<T> {
        if let (Objective::Iwae { k, estimator }, Some(inside)) = (objective, &group.inside) {
            let gradient = nested::program(guide, group, inside, k, estimator, rows);
            return Programs { gradient, bound: None, noise: nested::noise(&inside.nest, k) };
        }
        let noise = objective.particles() * group.dim();
        let exact = matches!(objective, Objective::Elbo(_));
        let score = objective.estimator() == Estimator::Path && !(exact && guide.is_gaussian());
        let ask = Ask { source: Source::Encoder, draws: objective.particles(), exact, score };
        let m = survivors(objective);
        if m == ask.draws {
            let mut r = Rows::new(guide, group, ask, rows);
            let bound = r.bound(objective);
            let gradient = r.gradient(objective, bound);
            let (g, outputs) = r.pruned(&[&[bound], &gradient[..]].concat());
            return Programs { gradient: compile(&g, &outputs), bound: None, noise };
        }
        let mut all = Rows::new(guide, group, Ask { score: false, ..ask }, rows);
        let bound = all.bound(objective);
        let log_w = all.log_w(all.log_q);
        let mut few = Rows::new(guide, group, Ask { draws: m, ..ask }, rows);
        let gradient = few.gradient_of_survivors(objective);
        let [bound, gradient] = [(&all, &[bound, log_w][..]), (&few, &gradient[..])].map(|(rows, outputs)| {
            let (g, outputs) = rows.pruned(outputs);
            compile(&g, &outputs)
        });
        Programs { gradient, bound: Some((bound, m)), noise }
    }
}

/// A program for one point, which holds a batch of rows.
pub fn compile<T: Real>(g: &Graph, outputs: &[Var]) -> Program<T> {
    Program::compile(g, outputs, &Options { lanes: 1, isa: Isa::detect() })
}

/// Rows that one task treats: so many places, of which some may be empty.
#[derive(Default)]
pub struct Chunk<T> {
    /// Their group.
    pub group: usize,
    /// The rows in the used places.
    pub rows: Vec<usize>,
    /// Place of its first row in the minibatch.
    pub first: usize,
    /// What the encoder sees.
    pub seen: Vec<T>,
    /// What rows read of the shared values.
    pub reads: Vec<T>,
    /// Data of the rows.
    pub data: Vec<T>,
    /// What the encoders of rows inside see.
    pub inner: Vec<T>,
    /// What all rows read of the shared values.
    pub common: Vec<T>,
    /// Weight of each row, 0 in empty places.
    pub weight: Vec<T>,
    /// Bound of each row.
    pub bound: Vec<T>,
    /// Derivatives in the guide's parameters.
    pub guide_bar: Vec<T>,
    /// Derivatives in `common`.
    pub common_bar: Vec<T>,
    /// Derivatives in the globals.
    pub globals_bar: Vec<T>,
    /// Derivatives in `reads`.
    pub reads_bar: Vec<T>,
    normals: Vec<f64>,
    noise: Vec<T>,
    few: Few<T>,
    ws: Vec<T>,
}

/// The draws that give the gradient, where these are not all.
#[derive(Default)]
struct Few<T> {
    log_w: Vec<T>,
    noise: Vec<T>,
    counts: Vec<T>,
    share: Vec<T>,
    chosen: Vec<Survivor>,
    selection: Selection,
}

/// Derivatives in all params, and in the guide's parameters.
pub type Bars<'a, T> = (&'a mut [T], &'a mut [T]);

/// Parameters of the guide; what all rows read, where it is one run of params; globals; weight of prior and log q.
type Given<'a, T> = (&'a [T], Option<&'a [T]>, &'a [T], &'a [T]);

impl<T: Real> Chunk<T> {
    /// Buffers for `n` rows of a group with `k` draws each.
    pub fn fit(&mut self, at: usize, programs: &Programs<T>, group: &Group, guide: &Amortized, n: usize, k: usize) {
        self.group = at;
        let (Some(row), d) = (group.rows.first(), group.dim()) else { return };
        self.normals.resize(n * programs.noise, 0.0);
        let to = |x: &mut Vec<T>, n: usize| x.resize(n, T::default());
        to(&mut self.seen, n * row.seen.len());
        to(&mut self.noise, n * programs.noise);
        to(&mut self.reads, n * row.reads.len());
        to(&mut self.data, n * row.data.len());
        to(&mut self.inner, n * row.inner.len());
        to(&mut self.common, group.common.len());
        to(&mut self.weight, n);
        to(&mut self.bound, n);
        to(&mut self.guide_bar, guide.len());
        to(&mut self.common_bar, group.common.len());
        to(&mut self.globals_bar, guide.plan().globals);
        to(&mut self.reads_bar, n * row.reads.len());
        if let Some((_, m)) = programs.bound {
            to(&mut self.few.log_w, n * k);
            to(&mut self.few.noise, n * m * d);
            to(&mut self.few.counts, n * m);
            to(&mut self.few.share, n * m);
            self.few.chosen.resize(m, Survivor::default());
        }
    }

    /// Bounds and derivatives of the rows, with noise from place `index` of the streams, in which every row of the minibatch has
    /// `stride` numbers. Derivatives in what all rows read and in the guide's parameters go to `direct` where it is given.
    pub fn run(
        &mut self,
        programs: &Programs<T>,
        (theta, together, x, beta): Given<'_, T>,
        (seed, index, stride): (u64, u64, usize),
        direct: Option<Bars<'_, T>>,
    ) {
        let at = (self.first * stride) as u64;
        Stream::at(seed, "plate/rows", index, at).fill_normal(&mut self.normals);
        round(&self.normals, &mut self.noise);
        let (gradient, few, ws) = (&programs.gradient, &mut self.few, &mut self.ws);
        let common = together.unwrap_or(&self.common);
        let given = [theta, common, &self.seen, x, &self.noise, &self.reads, &self.data, beta, &self.inner];
        let (common_bar, guide_bar) = direct.unwrap_or((&mut self.common_bar, &mut self.guide_bar));
        let [globals_bar, reads_bar] = [&mut self.globals_bar[..], &mut self.reads_bar];
        let mut run = |p: &Program<T>, inputs: &[&[T]], outputs: &mut [&mut [T]]| {
            ws.resize(p.scratch().max(ws.len()), T::default());
            p.run(inputs, outputs, ws);
        };
        let Some((bound, _)) = &programs.bound else {
            let inputs = [&given[..], &[&self.weight]].concat();
            return run(gradient, &inputs, &mut [&mut self.bound, guide_bar, common_bar, globals_bar, reads_bar]);
        };
        run(bound, &given, &mut [&mut self.bound, &mut few.log_w]);
        let uniforms = Stream::at(seed, "plate/survivors", index, self.first as u64);
        few.choose(uniforms, &self.noise, &self.weight);
        let [theta, common, seen, x, _, reads, data, beta, inner] = given;
        let inputs = [theta, common, seen, x, &few.noise, reads, data, beta, inner, &few.counts, &few.share];
        run(gradient, &inputs, &mut [guide_bar, common_bar, globals_bar, reads_bar]);
    }
}

impl<T: Real> Few<T> {
    /// Chooses draws of every row, one uniform number each.
    fn choose(&mut self, mut uniforms: Stream, noise: &[T], weight: &[T]) {
        let (k, m) = (self.log_w.len() / weight.len(), self.chosen.len());
        let d = noise.len() / self.log_w.len();
        for (row, weight) in weight.iter().enumerate() {
            self.selection.choose(&self.log_w[row * k..][..k], uniforms.uniform(), &mut self.chosen);
            for (j, s) in (row * m..).zip(&self.chosen) {
                let from = (row * k + s.at) * d;
                self.noise[j * d..][..d].copy_from_slice(&noise[from..from + d]);
                self.counts[j] = T::from_f64(s.counts) * *weight;
                self.share[j] = T::from_f64(s.share);
            }
        }
    }
}
