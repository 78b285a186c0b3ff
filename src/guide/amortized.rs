//! Amortized guides: an encoder gives each row of a plate the base and the context of a conditional flow.
//!
//! q(z_n | x_n, g): e_n = encoder(x_n, g) holds a location and a log scale for each coordinate and a context;
//! z_n = T(location + exp(log scale) ε; context), T a flow whose weights all rows share (Kingma & Welling 2014;
//! Rezende & Mohamed 2015). Without a flow the guide is a normal with a scale for each coordinate.

use std::f64::consts::PI;

use serde::{Deserialize, Serialize};

use super::encoder::{Encoder, Reads};
use crate::base::rng::Stream;
use crate::flow::{Flow, FlowError};
use crate::graph::{Graph, Index, Shape, Var};

/// Numbers that a flow is told of a row.
pub const CONTEXT: usize = 16;

/// What an amortized guide is made of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// Latent coordinates of a row.
    pub dim: usize,
    /// Numbers of a row as a whole that the encoder reads.
    pub inputs: usize,
    /// Numbers of a member, for each set of members that it reads ([`Encoder`]).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sets: Vec<usize>,
    /// Coordinates of the globals, which the encoder reads too.
    pub globals: usize,
    /// Units of the encoder's hidden layers; none: a linear encoder.
    pub hidden: Vec<usize>,
    /// Flow in the grammar of [`Flow::parse`]; none: a normal with independent coordinates.
    pub flow: Option<String>,
    /// Levels of rows inside ([`super::nested`]); what is `globals` to them are the globals and the coordinates around them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub inner: Vec<Plan>,
}

impl Plan {
    /// What the encoder reads.
    pub fn reads(&self) -> Reads<'_> {
        Reads { inputs: self.inputs, sets: &self.sets, globals: self.globals }
    }

    /// Columns that the encoder reads: numbers of a row, then of a member of each set.
    pub fn columns(&self) -> usize {
        self.inputs + self.sets.iter().sum::<usize>()
    }
}

/// An amortized guide without values of its parameters.
#[derive(Clone, Debug)]
pub struct Amortized {
    plan: Plan,
    encoder: Encoder,
    flow: Option<Flow>,
    context: usize,
    /// Number of the encoder's parameters; those of the flow follow, then those of the levels inside.
    split: usize,
    inner: Vec<Amortized>,
}

/// What an encoder says of a row, in a graph.
#[derive(Clone, Copy, Debug)]
pub struct Encoded {
    /// `[dim]`
    pub location: Var,
    /// `[dim]`
    pub log_scale: Var,
    /// `[CONTEXT]` where the flow reads one.
    pub context: Option<Var>,
}

impl Amortized {
    /// `standard`: centre and scale of each column that the encoder reads, as [`super::encoder::standardise`] measures it; then
    /// those of the levels inside.
    ///
    /// # Errors
    /// Where the text of the flow is wrong.
    pub fn new(plan: Plan, standard: Vec<(f64, f64)>) -> Result<Amortized, FlowError> {
        let (own, mut rest) = standard.split_at(plan.columns().min(standard.len()));
        let inner = plan.inner.iter().map(|p| {
            let (mine, tail) = rest.split_at(p.columns().min(rest.len()));
            rest = tail;
            Amortized::new(p.clone(), mine.to_vec())
        });
        let inner = inner.collect::<Result<Vec<_>, _>>()?;
        let mut context = 0;
        let flow = match &plan.flow {
            Some(text) => {
                let flow = Flow::parse(text, plan.dim, CONTEXT)?;
                context = flow.context();
                Some(flow)
            }
            None => None,
        };
        let encoder = Encoder::new(plan.reads(), &plan.hidden, 2 * plan.dim + context, own.to_vec());
        let split = encoder.weights();
        Ok(Amortized { plan, encoder, flow, context, split, inner })
    }

    /// What it is made of.
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// Centre and scale of each column that the encoder reads, then of those of the levels inside.
    pub fn standard(&self) -> Vec<(f64, f64)> {
        let inner = self.inner.iter().flat_map(|i| i.standard());
        self.encoder.standard().iter().copied().chain(inner).collect()
    }

    /// The levels of rows inside.
    pub fn inner(&self) -> &[Amortized] {
        &self.inner
    }

    /// Number of parameters.
    pub fn len(&self) -> usize {
        self.own_len() + self.inner.iter().map(Amortized::len).sum::<usize>()
    }

    /// Number of parameters of the first level.
    pub(super) fn own_len(&self) -> usize {
        self.split + self.flow.as_ref().map_or(0, |f| f.len())
    }

    /// Whether it has no parameters, which no guide has.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many of the parameters, the last ones, are the flow's; 0 where levels inside have flows of their own.
    pub fn flow_len(&self) -> usize {
        if self.inner.is_empty() { self.len() - self.split } else { 0 }
    }

    /// Names and shapes of the parameters, in order.
    pub fn segments(&self) -> Vec<(String, Vec<usize>)> {
        let encoder = self.encoder.parameters().into_iter().map(|(n, s)| (format!("encoder/{n}"), s));
        let flow = self.flow.iter().flat_map(|f| f.segments());
        let own = encoder.chain(flow.map(|s| (format!("flow/{}", s.name), s.shape.clone())));
        let level = |(k, i): (usize, &Amortized)| {
            i.segments().into_iter().map(move |(n, s)| (format!("inner{}/{n}", k + 1), s))
        };
        own.chain(self.inner.iter().enumerate().flat_map(level)).collect()
    }

    /// Numbers that the encoder gives for a row, those inside it aside.
    pub fn encoded_len(&self) -> usize {
        2 * self.plan.dim + self.context
    }

    /// Whether q(z_n | x_n) is normal with independent coordinates.
    pub fn is_gaussian(&self) -> bool {
        self.flow.is_none() && self.inner.is_empty()
    }

    /// Whether its flow leaves the normal law of a row's only latent normal, as it is without a flow.
    pub fn flow_is_idle(&self) -> bool {
        let idle = |text: &String| Flow::only_stretches(text, self.plan.dim).unwrap_or(false);
        self.plan.flow.as_ref().is_some_and(idle) || self.inner.iter().any(Amortized::flow_is_idle)
    }

    /// Whether log q at given points is sequential, so that path gradients are dear.
    pub fn is_autoregressive(&self) -> bool {
        self.flow.as_ref().is_some_and(|f| f.to_string().contains("iaf"))
    }

    /// The flow, where there is one.
    pub fn flow(&self) -> Option<&Flow> {
        self.flow.as_ref()
    }

    /// Initial parameters: every row's normal is standard and the flow near the identity.
    pub fn initial(&self, seed: u64) -> Vec<f64> {
        let mut theta = vec![0.0; self.split];
        self.encoder.initial(&mut Stream::new(seed, "encoder", 0), &mut theta);
        if let Some(flow) = &self.flow {
            theta.extend(flow.initial(seed));
        }
        self.inner.iter().zip(1..).for_each(|(i, k)| theta.extend(i.initial(seed ^ (k << 48))));
        theta
    }

    /// Writes what the encoder says of a row: `theta` is `[len]`, `x` and `members` as [`Encoder::apply`] takes them, `globals`
    /// `[globals]`. One vector: location, log scale, context.
    pub fn encode(&self, g: &mut Graph, theta: Var, x: Var, members: &[usize], globals: Option<Var>) -> Var {
        self.encoder.apply(g, theta, x, members, globals)
    }

    /// The parts of what the encoder says.
    pub fn split(&self, g: &mut Graph, e: Var) -> Encoded {
        let d = self.plan.dim;
        let mut part =
            |start: usize, len: usize| g.gather(e, Index::Stride { start, stride: 1, len }, Shape::new(&[len]));
        let (location, log_scale) = (part(0, d), part(d, d));
        let context = (self.context > 0).then(|| part(2 * d, self.context));
        Encoded { location, log_scale, context }
    }

    /// Writes z and log q(z | x) from noise `eps` `[dim]`.
    pub fn push(&self, g: &mut Graph, theta: Var, e: &Encoded, eps: Var) -> (Var, Var) {
        let s = g.exp(e.log_scale);
        let scaled = g.mul(s, eps);
        let z0 = g.add(e.location, scaled);
        let base = self.base(g, e, eps);
        match &self.flow {
            None => (z0, base),
            Some(flow) => {
                let own = self.flow_theta(g, theta, flow);
                let (z, log_det) = flow.forward(g, own, z0, e.context);
                (z, g.sub(base, log_det))
            }
        }
    }

    /// Writes log q(z | x) at a point.
    pub fn score(&self, g: &mut Graph, theta: Var, e: &Encoded, z: Var) -> Var {
        let (z0, log_det) = match &self.flow {
            None => (z, None),
            Some(flow) => {
                let own = self.flow_theta(g, theta, flow);
                let (z0, log_det) = flow.inverse(g, own, z, e.context);
                (z0, Some(log_det))
            }
        };
        let off = g.sub(z0, e.location);
        let down = g.neg(e.log_scale);
        let down = g.exp(down);
        let eps = g.mul(off, down);
        let base = self.base(g, e, eps);
        log_det.map_or(base, |l| g.add(base, l))
    }

    /// log N(z0; location, scale) of the point with noise `eps`.
    fn base(&self, g: &mut Graph, e: &Encoded, eps: Var) -> Var {
        let squares = g.square(eps);
        let squares = g.sum(squares);
        let half = g.scale(-0.5, squares);
        let scales = g.sum(e.log_scale);
        let value = g.sub(half, scales);
        g.shift(value, -0.5 * self.plan.dim as f64 * (2.0 * PI).ln())
    }

    fn flow_theta(&self, g: &mut Graph, theta: Var, flow: &Flow) -> Var {
        let index = Index::Stride { start: self.split, stride: 1, len: flow.len() };
        g.gather(theta, index, Shape::new(&[flow.len()]))
    }
}
