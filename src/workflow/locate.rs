//! Where a density stops being a number: the first operation that makes one, and its line.

use crate::base::rng::Stream;
use crate::dsl::diagnostic::Diagnostic;
use crate::dsl::span::Span;
use crate::graph::eval::evaluate;
use crate::graph::{Op, Var};
use crate::model::posterior::{Model, Posterior};

/// The place in the model where the log density first becomes NaN or infinite near the origin.
pub fn failure(model: &Model, posterior: &Posterior, seed: u64) -> Option<Diagnostic> {
    let mut rng = Stream::new(seed, "locate", 0);
    (0..4).find_map(|_| {
        let x: Vec<f64> = (0..posterior.dim).map(|_| 4.0 * rng.uniform() - 2.0).collect();
        at_point(model, posterior, &x)
    })
}

/// The first node without a finite value that the density needs, all of whose arguments have one.
fn at_point(model: &Model, posterior: &Posterior, x: &[f64]) -> Option<Diagnostic> {
    let g = &posterior.graph;
    let mut rest = x;
    let mut inputs = vec![];
    for s in &posterior.sites {
        let (a, b) = rest.split_at(s.free);
        inputs.push(a);
        rest = b;
    }
    if evaluate(g, &inputs, &[posterior.lp])[0][0].is_finite() {
        return None;
    }
    let plain: Vec<usize> = (0..=posterior.lp.index()).filter(|&i| !matches!(g.nodes()[i].op, Op::Scan(_))).collect();
    let vars: Vec<Var> = plain.iter().map(|&i| Var(i as u32)).collect();
    let values = evaluate(g, &inputs, &vars);
    let mut bad = vec![None; g.nodes().len()];
    for (&i, v) in plain.iter().zip(&values) {
        bad[i] = v.iter().position(|v| !v.is_finite()).map(|k| v[k]);
    }
    // Only what the density needs: walk down from it to a node that is bad on its own.
    let mut at = posterior.lp.index();
    while let Some(a) = g.nodes()[at].args.iter().find(|a| bad[a.index()].is_some()) {
        at = a.index();
    }
    let origin = g.nodes()[at].origin.checked_sub(1)?;
    let start = (origin as usize).min(model.source.len());
    let end = model.source[start..].find('\n').map_or(model.source.len(), |n| start + n);
    let found = bad[at].map_or("not finite".to_string(), |v| v.to_string());
    Some(
        Diagnostic::new(Span::new(start, end), format!("a value computed here is {found}"))
            .label("the log density is not finite because of this line")
            .help("keep arguments inside their domain: a bound on the latent (`real<lower=0>`), a proper law, or other initial values (--init)"),
    )
}
