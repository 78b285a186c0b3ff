//! Exact draws of summed-out latents given all others: elimination forwards, sampling backwards.
//!
//! The joint mass of the discrete latents is a product of tables. Summing them out one by one leaves, at each
//! step, the table from which the latent follows given those that are summed out later; drawing them in reverse order
//! is exact. In a chain this is forward filtering and backward sampling (Frühwirth-Schnatter 1994; Chib 1996).

use std::collections::{BTreeMap, BTreeSet};

use crate::base::rng::Stream;
use crate::base::simd::Isa;
use crate::graph::program::{Options, Program};
use crate::graph::{Graph, Var};
use crate::model::simulate::Latents;
use crate::model::site::Site;

/// Joint states of one step of the elimination beyond which no draws are made.
const MAX_JOINT: usize = 1_000_000;

/// A summed-out latent.
#[derive(Clone, Debug)]
pub struct HiddenSite {
    /// Name.
    pub name: String,
    /// Smallest state.
    pub lower: i64,
    /// Number of states.
    pub states: usize,
    /// Number of elements, those without a law included.
    pub elements: usize,
}

/// Which elements the rows of a table are about.
#[derive(Clone, Debug)]
pub struct Table {
    /// Sites of the axes of a row, the last fastest.
    pub sites: Vec<usize>,
    /// Elements of these sites, row by row.
    pub tuples: Vec<u32>,
    /// Numbers in a row.
    pub block: usize,
}

/// Why no draws can be made.
#[derive(Debug, thiserror::Error, PartialEq)]
pub enum HiddenError {
    /// Too many joint states.
    #[error(
        "drawing `{0}` would need a table of more than {MAX_JOINT} states; let its elements depend on fewer others"
    )]
    TooWide(String),
    /// The draws do not belong to the model.
    #[error(
        "the draws have no values of `{0}` of the size that the model has; they belong to another model or other data"
    )]
    Missing(String),
    /// No state has positive mass.
    #[error("no state of `{0}` has positive probability given this draw")]
    Impossible(String),
}

/// A log-mass over a scope: part of a table of the model, or what an earlier step has left.
struct Mass {
    /// Latents by number, the last fastest.
    scope: Vec<usize>,
    source: Source,
}

enum Source {
    /// Output of the program, first number.
    Table(usize, usize),
    /// Sum over the states of the latent of a step.
    Step(usize),
}

/// One latent is summed out.
struct Step {
    /// Those summed out later that it meets, then the latent itself.
    scope: Vec<usize>,
    /// Masses that are added.
    masses: Vec<usize>,
}

/// Draws of the summed-out latents of a model given its other latents.
pub struct Hidden {
    sites: Vec<HiddenSite>,
    /// The latents with coordinates: name, elements that exist where not all do, count.
    given: Vec<(String, Option<Vec<u32>>, usize)>,
    program: Program,
    outputs: Vec<usize>,
    /// Site and element of each latent.
    latents: Vec<(usize, u32)>,
    masses: Vec<Mass>,
    steps: Vec<Step>,
}

impl Hidden {
    /// Compiles the tables, which are functions of the constrained values of `given`, and plans the elimination.
    pub fn new(
        g: &Graph,
        given: &[Site],
        sites: Vec<HiddenSite>,
        tables: &[Table],
        nodes: &[Var],
    ) -> Result<Hidden, HiddenError> {
        let mut numbers: BTreeMap<(usize, u32), usize> = BTreeMap::new();
        let mut masses = vec![];
        for (k, t) in tables.iter().enumerate() {
            for (r, tuple) in t.tuples.chunks(t.sites.len()).enumerate() {
                let mut scope = vec![];
                for e in t.sites.iter().copied().zip(tuple.iter().copied()) {
                    let next = numbers.len();
                    scope.push(*numbers.entry(e).or_insert(next));
                }
                masses.push(Mass { scope, source: Source::Table(k, r * t.block) });
            }
        }
        let mut latents = vec![(0, 0); numbers.len()];
        numbers.iter().for_each(|(e, i)| latents[*i] = *e);
        let mut h = Hidden {
            given: given.iter().map(|s| (s.name.clone(), s.filled.clone(), s.free)).collect(),
            program: Program::compile(g, nodes, &Options { lanes: 1, isa: Isa::detect() }),
            outputs: nodes.iter().map(|v| g.shape(*v).count()).collect(),
            sites,
            latents,
            masses,
            steps: vec![],
        };
        h.plan()?;
        Ok(h)
    }

    fn states(&self, latent: usize) -> usize {
        self.sites[self.latents[latent].0].states
    }

    fn joint(&self, scope: &[usize]) -> usize {
        scope.iter().fold(1, |n: usize, v| n.saturating_mul(self.states(*v)))
    }

    fn name(&self, latent: usize) -> String {
        self.sites[self.latents[latent].0].name.clone()
    }

    /// The order of the elimination: always the latent with the smallest joint table.
    fn plan(&mut self) -> Result<(), HiddenError> {
        let n = self.latents.len();
        let mut touching: Vec<BTreeSet<usize>> = vec![BTreeSet::new(); n];
        for (m, mass) in self.masses.iter().enumerate() {
            for &v in &mass.scope {
                touching[v].insert(m);
            }
        }
        let near = |h: &Hidden, touching: &[BTreeSet<usize>], v: usize| -> Vec<usize> {
            let all = touching[v].iter().flat_map(|&m| h.masses[m].scope.iter().copied());
            let mut out: Vec<usize> = all.filter(|w| *w != v).collect::<BTreeSet<_>>().into_iter().collect();
            out.push(v);
            out
        };
        let mut cost: Vec<usize> = (0..n).map(|v| self.joint(&near(self, &touching, v))).collect();
        let mut queue: BTreeSet<(usize, usize)> = cost.iter().copied().zip(0..n).collect();
        while let Some((joint, v)) = queue.pop_first() {
            if joint > MAX_JOINT {
                return Err(HiddenError::TooWide(self.name(v)));
            }
            let scope = near(self, &touching, v);
            let rest = scope[..scope.len() - 1].to_vec();
            let used = std::mem::take(&mut touching[v]);
            let left = self.masses.len();
            for &w in &rest {
                touching[w].retain(|m| !used.contains(m));
                touching[w].insert(left);
            }
            self.masses.push(Mass { scope: rest.clone(), source: Source::Step(self.steps.len()) });
            self.steps.push(Step { scope, masses: used.into_iter().collect() });
            for w in rest {
                queue.remove(&(cost[w], w));
                cost[w] = self.joint(&near(self, &touching, w));
                queue.insert((cost[w], w));
            }
        }
        Ok(())
    }

    /// Draws every summed-out latent given the constrained values of the others; adds them to `latents`. Elements
    /// without a law are NaN.
    pub fn draw(&self, latents: &mut Latents, rng: &mut Stream) -> Result<(), HiddenError> {
        let values = self.evaluate(latents)?;
        let mut tables: Vec<Vec<f64>> = Vec::with_capacity(self.steps.len());
        let mut left: Vec<Vec<f64>> = Vec::with_capacity(self.steps.len());
        for step in &self.steps {
            let table = self.table(step, &values, &left);
            let own = self.states(step.scope[step.scope.len() - 1]);
            left.push(table.chunks(own).map(log_sum_exp).collect());
            tables.push(table);
        }
        let mut state = vec![0; self.latents.len()];
        for (step, table) in self.steps.iter().zip(&tables).rev() {
            let (&own, rest) = step.scope.split_last().expect("a step is about a latent");
            let row = rest.iter().fold(0, |at, &v| at * self.states(v) + state[v]);
            let n = self.states(own);
            let logs = &table[row * n..(row + 1) * n];
            state[own] = choose(logs, rng.uniform()).ok_or_else(|| HiddenError::Impossible(self.name(own)))?;
        }
        let mut out: Vec<Vec<f64>> = self.sites.iter().map(|s| vec![f64::NAN; s.elements]).collect();
        for (&(site, element), s) in self.latents.iter().zip(&state) {
            out[site][element as usize] = (self.sites[site].lower + *s as i64) as f64;
        }
        latents.extend(self.sites.iter().map(|s| s.name.clone()).zip(out));
        Ok(())
    }

    /// The tables at the given values.
    fn evaluate(&self, latents: &Latents) -> Result<Vec<Vec<f64>>, HiddenError> {
        let mut inputs = vec![];
        for (name, filled, count) in &self.given {
            let all = latents.get(name).map_or(&[][..], |v| v);
            let x: Vec<f64> = match filled {
                Some(e) => e.iter().filter_map(|&e| all.get(e as usize)).copied().collect(),
                None => all.to_vec(),
            };
            if x.len() != *count {
                return Err(HiddenError::Missing(name.clone()));
            }
            inputs.push(x);
        }
        let mut values: Vec<Vec<f64>> = self.outputs.iter().map(|n| vec![0.0; *n]).collect();
        let inputs: Vec<&[f64]> = inputs.iter().map(|x| &x[..]).collect();
        let mut outputs: Vec<&mut [f64]> = values.iter_mut().map(|v| &mut v[..]).collect();
        self.program.run(&inputs, &mut outputs, &mut vec![0.0; self.program.scratch()]);
        Ok(values)
    }

    /// The joint log-mass of a step.
    fn table(&self, step: &Step, values: &[Vec<f64>], left: &[Vec<f64>]) -> Vec<f64> {
        let sizes: Vec<usize> = step.scope.iter().map(|v| self.states(*v)).collect();
        let mut table = vec![0.0; self.joint(&step.scope)];
        for &m in &step.masses {
            let mass = &self.masses[m];
            let numbers = match mass.source {
                Source::Table(k, start) => &values[k][start..],
                Source::Step(s) => &left[s][..],
            };
            let mut strides = vec![0; sizes.len()];
            let mut stride = 1;
            for v in mass.scope.iter().rev() {
                strides[step.scope.iter().position(|w| w == v).expect("within the scope")] = stride;
                stride *= self.states(*v);
            }
            let (mut digits, mut at) = (vec![0; sizes.len()], 0);
            for t in &mut table {
                *t += numbers[at];
                for k in (0..sizes.len()).rev() {
                    digits[k] += 1;
                    at += strides[k];
                    if digits[k] < sizes[k] {
                        break;
                    }
                    at -= strides[k] * sizes[k];
                    digits[k] = 0;
                }
            }
        }
        table
    }
}

fn log_sum_exp(x: &[f64]) -> f64 {
    let m = x.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    if m.is_finite() { m + x.iter().map(|v| (v - m).exp()).sum::<f64>().ln() } else { m }
}

/// The state at probability `u` of a mass on logs; `None` where nothing has mass.
fn choose(logs: &[f64], u: f64) -> Option<usize> {
    let total = log_sum_exp(logs);
    if !total.is_finite() {
        return None;
    }
    let mut sum = 0.0;
    let mut last = None;
    for (k, l) in logs.iter().enumerate() {
        let p = (l - total).exp();
        if p > 0.0 {
            sum += p;
            last = Some(k);
            if u < sum {
                break;
            }
        }
    }
    last
}
