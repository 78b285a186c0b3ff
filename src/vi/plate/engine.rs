//! Steps of amortized training: the bound of a minibatch and its gradient, rows shared out to threads in chunks.

use std::sync::{Arc, Mutex};

use rayon::prelude::*;

use super::chunk::{Bars, Chunk, Programs};
use super::globals::Globals;
use super::numbers::{Numbers, repeat};
use super::target::{Group, Target};
use crate::base::rng::Stream;
use crate::graph::program::Real;
use crate::guide::amortized::Amortized;
use crate::guide::{Drawn, Draws, Family};
use crate::vi::convert::{Runs, add, widen};
use crate::vi::objective::{Estimator, Objective};
use crate::vi::step::Trouble;

/// Draws that one task treats at once, and rows at most.
const TASK: usize = 1280;

/// What a step is about.
#[derive(Clone, Copy, Debug)]
pub struct Step<'a> {
    /// Rows of the plate in the minibatch.
    pub rows: &'a [usize],
    /// Rows that the minibatch stands for.
    pub of: usize,
    /// Weight of prior and log q of the rows' latents (KL warm-up); 1 for the bound itself.
    pub beta: f64,
    /// Number of the step: the index of its random stream.
    pub step: usize,
}

/// Everything that gradients of one plate and one guide need, rows in numbers of kind `T`. Parameters lie in one vector: params of the model, the
/// amortized guide, the guide of the globals.
pub struct Engine<'a, T: Real = f64> {
    target: &'a Target,
    guide: Arc<Amortized>,
    global: Option<Draws<f64>>,
    objective: Objective,
    /// Draws of the globals in a step.
    outer: usize,
    programs: Vec<Programs<T>>,
    /// What all rows of a group read of the shared values.
    common: Vec<Runs>,
    numbers: Vec<Numbers<T>>,
    places: Vec<(usize, usize)>,
    globals: Globals,
    chunks: Vec<Chunk<T>>,
    /// Rows that a task treats, for each group.
    sizes: Vec<usize>,
    gradient: Vec<T>,
    /// Params and the guide of the globals as doubles.
    params: Vec<f64>,
    theta: Vec<f64>,
    params_bar: Vec<f64>,
    shared: Vec<f64>,
    shared_bar: Vec<f64>,
}

/// A draw of the globals.
#[derive(Default)]
struct Draw {
    u: Vec<f64>,
    x: Vec<f64>,
    x_bar: Vec<f64>,
    log_q: f64,
    score: Vec<f64>,
    kept: Vec<f64>,
    ws: Vec<f64>,
}

impl<'a, T: Real> Engine<'a, T> {
    /// For minibatches of about `batch` rows. `global` is the family of the globals, needed where there are coordinates.
    ///
    /// # Panics
    /// Where the target has coordinates and there is no family of their dimension.
    pub fn new(
        target: &'a Target,
        guide: Arc<Amortized>,
        global: Option<Arc<Family>>,
        objective: Objective,
        batch: usize,
    ) -> Engine<'a, T> {
        assert_eq!(global.as_ref().map_or(0, |f| f.dim()), target.coordinates, "a family for the globals");
        let k = objective.particles();
        let size = (TASK / k).clamp(1, batch.max(1));
        let sizes: Vec<usize> = target.groups.iter().map(|g| size.min(g.rows.len())).collect();
        let made = |(g, n): (&Group, &usize)| Programs::new(&guide, g, objective, *n);
        let programs = target.groups.iter().zip(&sizes).map(made).collect();
        let globals = Globals::new(target);
        let len = target.params.len() + guide.len() + global.as_ref().map_or(0, |f| f.flow.len());
        Engine {
            places: target.places(),
            programs,
            common: target.groups.iter().map(|g| Runs::new(&g.common, target.params.len())).collect(),
            numbers: target.groups.iter().map(Numbers::new).collect(),
            params: vec![0.0; target.params.len()],
            theta: vec![0.0; global.as_ref().map_or(0, |f| f.flow.len())],
            outer: if global.is_some() { 4 } else { 1 },
            global: global.map(|f| {
                let path = objective.estimator() == Estimator::Path && !f.is_autoregressive();
                Draws::new(&f, 1, path)
            }),
            shared: vec![0.0; globals.shared],
            shared_bar: vec![0.0; globals.shared],
            globals,
            chunks: vec![],
            sizes,
            gradient: vec![T::default(); len],
            params_bar: vec![0.0; target.params.len()],
            target,
            guide,
            objective,
        }
    }

    /// Number of parameters.
    pub fn len(&self) -> usize {
        self.gradient.len()
    }

    /// Whether there is nothing to train.
    pub fn is_empty(&self) -> bool {
        self.gradient.is_empty()
    }

    /// An unbiased estimate of the bound on log p(x) of all rows that the minibatch stands for, and its gradient:
    /// E_q(g) [log p(g) - log q(g) + N/B Σ_n L_n], noise from the streams (seed, "plate/globals",
    /// "plate/rows" and, where IWAE has many draws, "plate/survivors", step).
    ///
    /// # Errors
    /// Where a bound is not finite, with the row.
    pub fn gradient(&mut self, theta: &[T], s: &Step<'_>, seed: u64) -> Result<(f64, &[T]), Trouble> {
        let (p, l) = (self.target.params.len(), self.guide.len());
        if self.globals.reads_params {
            widen(&theta[..p], &mut self.params);
        }
        widen(&theta[p + l..], &mut self.theta);
        self.share_out(s);
        let mut gradient = std::mem::take(&mut self.gradient);
        // The first chunk of the first draw writes, and all others add.
        let added = if self.chunks.is_empty() { p } else { p + l };
        if !self.first_is_all() {
            gradient[..p].fill(T::default());
        }
        gradient[added..].fill(T::default());
        if self.globals.reads_params {
            self.params_bar.fill(0.0);
        }
        let mut total = 0.0;
        for draw in 0..self.outer {
            let index = (s.step * self.outer + draw) as u64;
            let mut d = self.draw_globals(seed, index);
            let lp = self.globals.forward(&self.params, &d.x, &mut self.shared);
            // Where the first chunk has derivatives of all params, it writes to their place at once.
            let direct = (draw == 0 && self.first_is_all()).then(|| gradient[..p + l].split_at_mut(p));
            let written = direct.is_some();
            total += lp - d.log_q + self.rows(&theta[..p + l], s, &d.x, (seed, index), direct);
            self.add(&mut gradient[..p + l], (draw == 0, written), &mut d);
            self.globals.backward(&self.params, &d.x, &self.shared_bar, &mut self.params_bar, &mut d.x_bar);
            self.add_globals(&mut d, &mut gradient[p + l..]);
        }
        if self.globals.reads_params {
            add(&self.params_bar, &mut gradient[..p]);
        }
        let n = self.outer as f64;
        if self.outer > 1 {
            gradient.iter_mut().for_each(|g| *g /= T::from_f64(n));
        }
        self.gradient = gradient;
        self.check(s, total / n)?;
        Ok((total / n, &self.gradient))
    }

    /// Fills chunks with the rows of the minibatch, group by group.
    fn share_out(&mut self, s: &Step<'_>) {
        let mut lists: Vec<Vec<usize>> = vec![vec![]; self.target.groups.len()];
        s.rows.iter().for_each(|r| lists[self.places[*r].0].push(*r));
        let sizes = &self.sizes;
        let parts = lists.iter().enumerate().flat_map(|(g, rows)| rows.chunks(sizes[g].max(1)).map(move |c| (g, c)));
        let scale = s.of as f64 / s.rows.len().max(1) as f64;
        let (mut used, mut first) = (0, 0);
        for (group, rows) in parts {
            if self.chunks.len() == used {
                self.chunks.push(Chunk::default());
            }
            let chunk = &mut self.chunks[used];
            let (programs, k) = (&self.programs[group], self.objective.particles());
            chunk.fit(group, programs, &self.target.groups[group], &self.guide, sizes[group], k);
            chunk.rows = rows.to_vec();
            chunk.first = first;
            chunk.weight.fill(T::default());
            chunk.weight[..rows.len()].fill(T::from_f64(scale));
            let places = rows.iter().map(|r| self.places[*r].1);
            self.numbers[group].gather(places, [&mut chunk.seen, &mut chunk.data, &mut chunk.inner]);
            used += 1;
            first += rows.len();
        }
        self.chunks.truncate(used);
    }

    fn draw_globals(&self, seed: u64, index: u64) -> Draw {
        let Some(draws) = &self.global else { return Draw::default() };
        let (base, dim) = (draws.family().base, draws.family().dim());
        let mut noise = vec![0.0; base.noise(dim)];
        Stream::new(seed, "plate/globals", index).fill_normal(&mut noise);
        let zeros = || vec![0.0; dim];
        let mut d = Draw { u: zeros(), x: zeros(), x_bar: zeros(), score: zeros(), ..Draw::default() };
        base.draw(&noise, &mut d.u);
        let mut log_q = [0.0];
        let to = Drawn { x: &mut d.x, log_q: &mut log_q, score: &mut d.score, kept: &mut d.kept };
        draws.draw(&self.theta, &d.u, to, &mut d.ws);
        d.log_q = log_q[0];
        d
    }

    /// Runs all chunks; the sum of the weighted bounds.
    fn rows(
        &mut self,
        theta: &[T],
        s: &Step<'_>,
        x: &[f64],
        (seed, index): (u64, u64),
        direct: Option<Bars<'_, T>>,
    ) -> f64 {
        let (programs, target, shared, places) = (&self.programs, self.target, &self.shared, &self.places);
        let (common, params) = (&self.common, &self.params);
        let stride = programs.iter().map(|p| p.noise).max().unwrap_or(0);
        let (own, theta) = theta.split_at(params.len());
        let x = if self.guide.plan().globals > 0 { x } else { &[] };
        let beta = [T::from_f64(s.beta)];
        let one = |k: usize| match k.checked_sub(own.len()) {
            None => own[k],
            Some(k) => T::from_f64(shared[k]),
        };
        let x: Vec<T> = x.iter().map(|x| T::from_f64(*x)).collect();
        let direct = Mutex::new(direct);
        self.chunks.par_iter_mut().enumerate().for_each(|(k, c)| {
            let direct = if k == 0 { direct.lock().ok().and_then(|mut d| d.take()) } else { None };
            let group = &target.groups[c.group];
            let together = common[c.group].one(own);
            if together.is_none() {
                common[c.group].read(own, shared, &mut c.common);
            }
            let width = c.reads.len() / c.weight.len();
            for (k, r) in c.rows.iter().enumerate() {
                let reads = &group.rows[places[*r].1].reads;
                let to = c.reads[k * width..(k + 1) * width].iter_mut().zip(reads);
                to.for_each(|(to, k)| *to = one(*k as usize));
            }
            let used = c.rows.len();
            repeat(&mut c.reads, used, width);
            c.run(&programs[c.group], (theta, together, &x, &beta), (seed, index, stride), direct);
        });
        let all = self.chunks.iter().flat_map(|c| c.bound.iter().zip(&c.weight));
        all.map(|(b, w)| (b.to_f64(), w.to_f64())).filter(|w| w.1 > 0.0).map(|(b, w)| b * w).sum()
    }

    /// Whether the first chunk has derivatives of all params.
    fn first_is_all(&self) -> bool {
        self.chunks.first().is_some_and(|c| self.common[c.group].is_all())
    }

    /// Adds up what the chunks say of guide, shared values and globals; `first`: of the first draw; `written`: the first chunk has
    /// left what it says of guide and params where it belongs.
    fn add(&mut self, gradient: &mut [T], (first, written): (bool, bool), d: &mut Draw) {
        let (params_bar, guide_bar) = gradient.split_at_mut(self.params.len());
        self.shared_bar.fill(0.0);
        for (k, c) in self.chunks.iter().enumerate() {
            let group = &self.target.groups[c.group];
            if !(written && k == 0) {
                match first && k == 0 {
                    true => guide_bar.copy_from_slice(&c.guide_bar),
                    false => add(&c.guide_bar, guide_bar),
                }
                self.common[c.group].add(&c.common_bar, params_bar, &mut self.shared_bar);
            }
            let width = c.reads.len() / c.weight.len();
            for (k, r) in c.rows.iter().enumerate() {
                let reads = &group.rows[self.places[*r].1].reads;
                let bar = &c.reads_bar[k * width..(k + 1) * width];
                for (k, b) in reads.iter().zip(bar) {
                    match (*k as usize).checked_sub(params_bar.len()) {
                        None => params_bar[*k as usize] += *b,
                        Some(k) => self.shared_bar[k] += b.to_f64(),
                    }
                }
            }
            add(&c.globals_bar, &mut d.x_bar);
        }
    }

    /// Hands the derivative in the globals on to the parameters of their guide.
    fn add_globals(&self, d: &mut Draw, out: &mut [T]) {
        let Some(draws) = &self.global else { return };
        // Zero where log q is differentiated in full.
        d.x_bar.iter_mut().zip(&d.score).for_each(|(x, s)| *x -= s);
        let mut own = vec![0.0; out.len()];
        draws.back(&self.theta, &d.u, [&d.x_bar, &[-1.0]], &d.kept, &mut own, &mut d.ws);
        add(&own, out);
    }

    /// Finds what is not finite, and in which row.
    fn check(&self, s: &Step<'_>, total: f64) -> Result<(), Trouble> {
        let trouble = |draw: usize, quantity: &str, value: f64| {
            let quantity = quantity.to_string();
            Err(Trouble { step: s.step, draw, quantity, value: value.to_string(), point: vec![] })
        };
        for c in &self.chunks {
            if let Some(k) = (0..c.rows.len()).find(|k| !c.bound[*k].to_f64().is_finite()) {
                return trouble(c.rows[k], "the bound of a row", c.bound[k].to_f64());
            }
        }
        if !total.is_finite() {
            return trouble(0, "the bound of the globals", total);
        }
        Ok(())
    }
}
