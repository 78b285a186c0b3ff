//! The leapfrog integrator of Hamilton's equations (Neal 2011, eqs 2.28-2.30).

use crate::density::Gradient;
use crate::mcmc::metric::{Diag, Metric};
use crate::mcmc::state::{Slot, State, Step};
use crate::mcmc::vector::{Block, PAD, axpy, blocks, blocks_mut, dot, total};
use std::array::from_fn;

/// One step of signed size `eps` from point `from` to point `to`; returns the energy there.
///
/// p½ = p + ε/2 g(q), q' = q + ε Σ p½, p' = p½ + ε/2 g(q'). A point outside the support or a numerical failure
/// gives an energy that is not finite.
#[inline]
pub fn leapfrog<T: Gradient + ?Sized>(
    target: &T,
    metric: &Metric,
    state: &mut State,
    from: Slot,
    to: Slot,
    eps: f64,
) -> f64 {
    let step = state.pair(from, to);
    match metric {
        Metric::Diag(m) => diagonal(target, m, step, eps),
        _ => general(target, metric, step, eps),
    }
}

#[inline]
fn diagonal<T: Gradient + ?Sized>(target: &T, metric: &Diag, s: Step<'_>, eps: f64) -> f64 {
    let half = 0.5 * eps;
    let n = s.to.q.len();
    let inv = &metric.inv[..n];
    let (q0, p0, g0) = (&s.from.q[..n], &s.from.p[..n], &s.from.g[..n]);
    let (q, p) = (&mut s.to.q[..n], &mut s.to.p[..n]);
    for j in 0..n {
        let m = p0[j] + half * g0[j];
        p[j] = m;
        q[j] = q0[j] + eps * (inv[j] * m);
    }
    let logp = target.logp_grad(&q[..s.dim], &mut s.to.g[..s.dim], s.ws);
    let kinetic = 0.5 * kick(p, s.to.v, s.to.g, inv, half);
    *s.logp = logp;
    *s.energy = kinetic - logp;
    *s.energy
}

/// `p += half g`, `v = inv p`; returns p'v.
#[inline]
fn kick(p: &mut [f64], v: &mut [f64], g: &[f64], inv: &[f64], half: f64) -> f64 {
    let mut sum = [0.0; PAD];
    let to = blocks_mut(p).iter_mut().zip(blocks_mut(v));
    for ((p, v), (g, inv)) in to.zip(blocks(g).iter().zip(blocks(inv))) {
        let m: Block = from_fn(|k| p[k] + half * g[k]);
        let u: Block = from_fn(|k| inv[k] * m[k]);
        sum = from_fn(|k| sum[k] + m[k] * u[k]);
        *p = m;
        *v = u;
    }
    total(sum)
}

/// The same step when Σ is not diagonal: Σ g is kept with each point, so that a step costs one product with Σ
/// (v½ = v + ε/2 Σ g and v' = v½ + ε/2 Σ g' follow from the momentum's equations by linearity).
fn general<T: Gradient + ?Sized>(target: &T, metric: &Metric, s: Step<'_>, eps: f64) -> f64 {
    let half = 0.5 * eps;
    let n = s.to.q.len();
    for j in 0..n {
        s.to.p[j] = s.from.p[j] + half * s.from.g[j];
        s.to.v[j] = s.from.v[j] + half * s.from.w[j];
        s.to.q[j] = s.from.q[j] + eps * s.to.v[j];
    }
    let logp = target.logp_grad(&s.to.q[..s.dim], &mut s.to.g[..s.dim], s.ws);
    metric.apply(s.to.g, s.to.w);
    axpy(half, s.to.g, s.to.p);
    axpy(half, s.to.w, s.to.v);
    *s.logp = logp;
    *s.energy = 0.5 * dot(s.to.p, s.to.v) - logp;
    *s.energy
}
