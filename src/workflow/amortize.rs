//! Fitting an amortized guide, with the params of the model: from a bound model to a trained guide and its bounds.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use crate::base::rng::Stream;
use crate::base::simd::Isa;
use crate::flow::FlowError;
use crate::graph::program::{Options as Compile, Program, Real};
use crate::graph::{Graph, Spread, Var};
use crate::guide::amortized::{Amortized, Plan};
use crate::guide::encoder::{column, standardise};
use crate::guide::{Base, Batch, Family, Scale, Start};
use crate::model::data::DataFile;
use crate::model::posterior::{Model, Posterior, Settings as Binding};
use crate::vi::plate::{Control, Engine, Evaluator, Settings, State, Target, TrainError, train};
use crate::vi::{Estimator, Objective};
use crate::workflow::gap::Value;
use crate::workflow::guide_file::Fnv;
use crate::workflow::plate::{PlateError, choose, target};

/// Rows and draws of each on which bounds are measured after training.
const ASSESSED: usize = 500;
const PARTICLES: usize = 50;

/// What to fit.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Options {
    /// Plate, by its index or a latent; the first with latents where none is given.
    pub plate: Option<String>,
    /// Flow of a row's guide; none: a normal with independent coordinates.
    pub flow: Option<String>,
    /// Guide of the globals: `mean-field`, `full-rank`, or a flow; by their number where none is given.
    #[serde(default)]
    pub globals: Option<String>,
    /// Units of the encoder's hidden layers; by the number of inputs where none are given.
    pub hidden: Option<Vec<usize>>,
    /// Particles of the bound: 1 for the ELBO.
    pub particles: usize,
    /// Rows of a minibatch.
    pub batch: usize,
    /// Steps.
    pub steps: usize,
    /// Learning rate; by a race where none is given.
    pub rate: Option<f64>,
    /// Steps of KL warm-up.
    pub warm_up: usize,
    /// Share of rows that are held out.
    pub heldout: f64,
    /// Train in single precision; by the number of parameters where it is not said.
    pub single: Option<bool>,
    /// Seed.
    pub seed: u64,
}

/// Parameters from which training is in single precision: networks, where products of matrices take the time.
const SINGLE: usize = 4000;

impl Default for Options {
    fn default() -> Self {
        Options {
            plate: None,
            flow: None,
            globals: None,
            hidden: None,
            particles: 1,
            batch: 100,
            steps: 4000,
            rate: None,
            warm_up: 0,
            heldout: 0.0,
            single: None,
            seed: 0,
        }
    }
}

/// Why nothing was fitted.
#[derive(Debug, thiserror::Error)]
pub enum AmortizeError {
    /// The model or its data.
    #[error(transparent)]
    Model(#[from] crate::model::posterior::ModelError),
    /// The plate.
    #[error(transparent)]
    Plate(#[from] PlateError),
    /// The text of the flow.
    #[error("--guide: {0}")]
    Flow(#[from] FlowError),
    /// Training.
    #[error(transparent)]
    Train(#[from] TrainError),
    /// Held-out rows.
    #[error("--heldout {0} is no share of the rows; give a number from 0 to less than 1")]
    Heldout(f64),
}

/// A plate bound for training.
pub struct Bound {
    /// The posterior, params being inputs.
    pub posterior: Posterior,
    /// The plate as training sees it.
    pub target: Target,
}

/// Binds a model with its params as inputs and cuts the plate into rows.
///
/// # Errors
/// Where the model does not bind, or the plate cannot be amortized.
pub fn bind(model: &Model, data: &DataFile, binding: &Binding, plate: Option<&str>) -> Result<Bound, AmortizeError> {
    let posterior = model.bind_with(data, &Binding { trainable: true, ..binding.clone() })?;
    let chosen = choose(model, &posterior, plate)?;
    let target = target(&posterior, &chosen)?;
    Ok(Bound { posterior, target })
}

/// A trained guide with everything that its use needs.
pub struct Trained {
    /// What was asked for.
    pub options: Options,
    /// The amortized guide.
    pub guide: Arc<Amortized>,
    /// The family of the globals.
    pub global: Option<Arc<Family>>,
    /// Where training ended; its parameters are params, guide, guide of the globals.
    pub state: State,
    /// Columns that the encoder reads and that are the same in every training row, from 1.
    pub constant: Vec<usize>,
    /// [`fingerprint`] of what it was trained on.
    pub data: String,
}

/// What is done with a training on its way, so that one that is killed can go on ([`Control::resume`]) to the same bits.
pub struct Keep<'a> {
    /// Least time between two calls.
    pub every: Duration,
    /// Is given the training as it stands.
    pub to: &'a (dyn Fn(&Trained) + Sync),
}

/// A hash (FNV-1a) of the numbers of all rows: whether two plates have the same data.
pub fn fingerprint(t: &Target) -> String {
    let mut hash = Fnv::default();
    for (group, at) in t.places() {
        let row = &t.groups[group].rows[at];
        row.seen.iter().chain(&row.data).for_each(|x| hash.eat(&x.to_bits().to_le_bytes()));
    }
    hash.text()
}

/// What a stored training differs in from what is asked for, beside the number of steps: the setting, its stored value, and the
/// one asked for.
pub fn differs(stored: &Trained, t: &Target, asked: &Options) -> Option<(&'static str, String, String)> {
    let (a, b) = (&stored.options, asked);
    let flow = |o: &Options| o.flow.clone().unwrap_or_else(|| "mean-field".into());
    let globals = |o: &Options| o.globals.clone().unwrap_or_else(|| "auto".into());
    let hidden = |h: &[usize]| h.iter().map(|h| h.to_string()).collect::<Vec<_>>().join(",");
    let own = &stored.guide.plan().hidden;
    let all = [
        ("the data", stored.data.clone(), fingerprint(t)),
        ("--guide", flow(a), flow(b)),
        ("--globals", globals(a), globals(b)),
        ("--encoder", hidden(own), hidden(b.hidden.as_ref().unwrap_or(own))),
        ("--particles", a.particles.to_string(), b.particles.to_string()),
        ("--batch", a.batch.to_string(), b.batch.to_string()),
        ("--kl-warmup", a.warm_up.to_string(), b.warm_up.to_string()),
        ("--heldout", a.heldout.to_string(), b.heldout.to_string()),
        ("--seed", a.seed.to_string(), b.seed.to_string()),
        ("--rate", stored.state.rate.to_string(), asked.rate.unwrap_or(stored.state.rate).to_string()),
    ];
    all.into_iter().find(|(_, a, b)| a != b)
}

/// Rows to train on and rows held out, both in order: a share drawn from the stream (seed, "plate/heldout").
pub fn split(rows: usize, share: f64, seed: u64) -> (Vec<usize>, Vec<usize>) {
    let out = (share * rows as f64).round() as usize;
    let mut order: Vec<usize> = (0..rows).collect();
    let mut rng = Stream::new(seed, "plate/heldout", 0);
    for k in (1..rows).rev() {
        order.swap(k, ((k + 1) as f64 * rng.uniform()) as usize);
    }
    let mut held = order.split_off(rows - out);
    order.sort_unstable();
    held.sort_unstable();
    (order, held)
}

/// The guide and the family of the globals for a plate.
fn build(t: &Target, o: &Options, rows: &[usize]) -> Result<(Arc<Amortized>, Option<Arc<Family>>), AmortizeError> {
    let (seen, inputs) = (t.seen(), t.own_inputs());
    let hidden = o.hidden.clone().unwrap_or_else(|| if inputs < 32 { vec![64, 64] } else { vec![128, 128] });
    let trained: Vec<_> = rows.iter().map(|r| seen[*r]).collect();
    let mut standard = standardise(&trained, inputs, &t.sets);
    for (level, i) in t.inner.iter().enumerate() {
        let values: Vec<(&[f64], &[usize])> = t.inner_seen(level, rows).iter().map(|v| (*v, &[][..])).collect();
        standard.extend(standardise(&values, i.inputs, &[]));
    }
    let plan = plan(t, &hidden, o.flow.as_ref());
    let guide = Amortized::new(plan, standard)?;
    let global = match t.coordinates {
        0 => {
            // A wrong text is wrong even where there is nothing to be a guide of.
            o.globals.as_deref().map(|text| globals_family(1, Some(text))).transpose()?;
            None
        }
        d => Some(Arc::new(globals_family(d, o.globals.as_deref())?)),
    };
    Ok((Arc::new(guide), global))
}

/// What a guide of the plate is made of, its networks with these hidden layers, every level with this flow.
pub fn plan(t: &Target, hidden: &[usize], flow: Option<&String>) -> Plan {
    let one = |dim, inputs, globals| Plan {
        dim,
        inputs,
        sets: vec![],
        globals,
        hidden: hidden.to_vec(),
        flow: flow.cloned(),
        inner: vec![],
    };
    // What the rows of a level read of those around them.
    let mut around = vec![t.coordinates + t.dim];
    let mut inner = vec![];
    for i in &t.inner {
        inner.push(one(i.dim, i.inputs, around[i.parent]));
        around.push(around[i.parent] + i.dim);
    }
    Plan { sets: t.sets.clone(), inner, ..one(t.dim, t.own_inputs(), t.coordinates) }
}

/// The family of `d` globals: full rank up to 100 coordinates, else mean field; or what is asked for, where a flow ends in the
/// scale that the number of coordinates asks for.
pub fn globals_family(d: usize, asked: Option<&str>) -> Result<Family, FlowError> {
    let auto = if d > 100 { Scale::Diagonal } else { Scale::Full };
    let (flow, scale) = match asked {
        None => (None, auto),
        Some("mean-field") => (None, Scale::Diagonal),
        Some("full-rank") => (None, Scale::Full),
        Some(text) => (Some(text), auto),
    };
    Family::new(d, Base::Normal, flow, scale)
}

impl Options {
    /// The objective: path gradients unless log q is sequential.
    pub(super) fn objective(&self, guide: &Amortized) -> Objective {
        let estimator = if guide.is_autoregressive() { Estimator::Full } else { Estimator::Path };
        match self.particles {
            0 | 1 => Objective::Elbo(estimator),
            k => Objective::Iwae { k, estimator },
        }
    }
}

type Made<'a> = (&'a Arc<Amortized>, &'a Option<Arc<Family>>);

fn engine<'a, T: Real>(t: &'a Target, (guide, global): Made<'_>, objective: Objective, batch: usize) -> Engine<'a, T> {
    Engine::new(t, guide.clone(), global.clone(), objective, batch)
}

/// Trains guide and params.
///
/// # Errors
/// Where the options do not fit the plate, or training fails.
pub fn fit(t: &Target, o: &Options, control: &Control<'_>, keep: Option<&Keep<'_>>) -> Result<Trained, AmortizeError> {
    if !(0.0..1.0).contains(&o.heldout) {
        return Err(AmortizeError::Heldout(o.heldout));
    }
    let (rows, _) = split(t.rows(), o.heldout, o.seed);
    if rows.is_empty() {
        return Err(TrainError::NoRows.into());
    }
    let (guide, global) = build(t, o, &rows)?;
    let objective = o.objective(&guide);
    let settings =
        Settings { objective, batch: o.batch, steps: o.steps, rate: o.rate, warm_up: o.warm_up, seed: o.seed };
    let mut theta = t.params.clone();
    theta.extend(guide.initial(o.seed));
    if let Some(f) = &global {
        theta.extend(f.initial(&Start::isotropic(vec![0.0; f.dim()], 0.3), o.seed));
    }
    let (made, batch) = ((&guide, &global), o.batch.min(rows.len()));
    let seen = t.seen();
    let trained: Vec<_> = rows.iter().map(|r| seen[*r]).collect();
    let same = |j: &usize| column(&trained, t.own_inputs(), &t.sets, *j).windows(2).all(|x| x[0] == x[1]);
    let constant: Vec<usize> = (0..guide.plan().columns()).filter(same).map(|j| j + 1).collect();
    let data = fingerprint(t);
    let trained = |state: State| Trained {
        options: o.clone(),
        guide: guide.clone(),
        global: global.clone(),
        state,
        constant: constant.clone(),
        data: data.clone(),
    };
    let last = Mutex::new(Instant::now());
    let progress = |s: &State| {
        control.progress.iter().for_each(|p| p(s));
        if let (Some(k), Ok(mut last)) = (keep, last.lock())
            && last.elapsed() >= k.every
        {
            (k.to)(&trained(s.clone()));
            *last = Instant::now();
        }
    };
    let control = Control { progress: Some(&progress), cancel: control.cancel, resume: control.resume.clone() };
    let state = if o.single.unwrap_or(theta.len() >= SINGLE) {
        train(&mut engine::<f32>(t, made, objective, batch), theta, &rows, &settings, &control)?
    } else {
        train(&mut engine::<f64>(t, made, objective, batch), theta, &rows, &settings, &control)?
    };
    Ok(trained(state))
}

impl Trained {
    /// Where the guide of the globals puts the centre of its base: there rows are looked at.
    pub fn globals(&self, t: &Target) -> Vec<f64> {
        let own = &self.state.theta[t.params.len() + self.guide.len()..];
        let Some(family) = &self.global else { return vec![] };
        let (mut x, mut log_q) = (vec![0.0; family.dim()], [0.0]);
        let centre = x.clone();
        Batch::new(family.clone(), 1).draw(own, &centre, &mut x, &mut log_q, &mut vec![]);
        x
    }

    /// Bounds of rows at this guide.
    pub fn evaluator<'a>(&'a self, t: &'a Target) -> Evaluator<'a> {
        Evaluator::new(t, &self.guide, &self.state.theta, &self.globals(t))
    }

    /// Values of the params inside their constraints, by name.
    pub fn params(&self, bound: &Bound) -> HashMap<String, Vec<f64>> {
        let (post, t) = (&bound.posterior, &bound.target);
        let mut g = Graph::new();
        let inputs: Vec<Var> =
            post.graph.inputs().iter().map(|i| g.input(&i.name, post.graph.shape(i.var), Spread::Shared)).collect();
        let trained: Vec<_> = post.params.iter().filter_map(|p| Some((p, p.input.as_ref()?))).collect();
        let wanted: Vec<Var> = trained.iter().map(|(_, i)| i.value).collect();
        let wanted = g.inline(&post.graph, &inputs, &wanted);
        let program = Program::compile(&g, &wanted, &Compile { lanes: 1, isa: Isa::detect() });
        let zeros: Vec<Vec<f64>> = inputs.iter().map(|i| vec![0.0; g.shape(*i).count()]).collect();
        let feed = |(f, z): (&crate::vi::plate::Feed, &'_ Vec<f64>)| match f {
            crate::vi::plate::Feed::Params(r) => self.state.theta[r.clone()].to_vec(),
            _ => z.clone(),
        };
        let fed: Vec<Vec<f64>> = t.feeds.iter().zip(&zeros).map(feed).collect();
        let fed: Vec<&[f64]> = fed.iter().map(|v| &v[..]).collect();
        let mut values: Vec<Vec<f64>> = trained.iter().map(|(p, _)| vec![0.0; p.value.len()]).collect();
        let mut outputs: Vec<&mut [f64]> = values.iter_mut().map(|v| &mut v[..]).collect();
        program.run(&fed, &mut outputs, &mut vec![0.0; program.scratch()]);
        trained.iter().map(|(p, _)| p.name.clone()).zip(values).collect()
    }

    /// How many nats the ELBO of the training's rows is above that of the rows held out, where it is by more than 3 errors.
    pub fn lead(&self, t: &Target) -> Option<f64> {
        let (own, held) = split(t.rows(), self.options.heldout, self.options.seed);
        if held.len() < 2 {
            return None;
        }
        let [own, held] = [own, held].map(|rows| self.bounds(t, &rows)[0]);
        let lead = own.value - held.value;
        (lead > 3.0 * own.se.hypot(held.se)).then_some(lead)
    }

    /// Mean bounds per row on up to 500 of the given rows: ELBO, and L_50, fresh draws.
    pub fn bounds(&self, t: &Target, rows: &[usize]) -> [Value; 2] {
        use rayon::prelude::*;
        let ev = self.evaluator(t);
        let every = rows.len().div_ceil(ASSESSED).max(1);
        let chosen: Vec<usize> = rows.iter().copied().step_by(every).collect();
        let one = |r: &usize| {
            let mut noise = vec![0.0; PARTICLES * ev.dim(*r)];
            Stream::new(self.options.seed, "plate/assess", *r as u64).fill_normal(&mut noise);
            let e = ev.encode(*r);
            let w = ev.weights(*r, &e, &noise).log_w;
            [ev.elbo(*r, &e, &noise).value, crate::base::stats::log_mean_exp(&w)]
        };
        let all: Vec<[f64; 2]> = chosen.par_iter().map(one).collect();
        [0, 1].map(|k| {
            let x: Vec<f64> = all.iter().map(|a| a[k]).collect();
            let n = x.len() as f64;
            Value { value: crate::base::stats::mean(&x), se: (crate::base::stats::variance(&x) / n).sqrt() }
        })
    }
}
