//! The identity globals + Σ_n row_n = whole, by the reference evaluator.

use thalweg::base::rng::Stream;
use thalweg::graph::eval::evaluate;
use thalweg::graph::reverse::{grad, gradient};
use thalweg::graph::{Graph, Shape, Spread, Var};
use thalweg::model::posterior::Posterior;
use thalweg::model::row::{RowGroup, RowModel};
use thalweg::model::separable::{Inside, Plate};

/// Value and gradient of a scalar at inputs.
fn value_and_gradient(g: &Graph, lp: Var, inputs: &[&[f64]]) -> (f64, Vec<Vec<f64>>) {
    let mut g = g.clone();
    let wrt: Vec<Var> = g.inputs().iter().map(|i| i.var).collect();
    let grads = gradient(&mut g, lp, &wrt);
    let mut out = evaluate(&g, inputs, &[&[lp], &grads[..]].concat());
    let gradients = out.split_off(1);
    (out[0][0], gradients)
}

fn by_site<'a>(post: &Posterior, x: &'a [f64]) -> Vec<&'a [f64]> {
    let mut rest = x;
    post.sites.iter().map(|s| rest.split_off(..s.free).expect("one coordinate each")).collect()
}

/// Adds the rows of a group; their gradients go to the coordinates and to the shared values.
fn add_group(group: &RowGroup, x: &[f64], shared: &[f64], grad: &mut [f64], cotangent: &mut [f64]) -> (f64, f64) {
    let pick = |places: &[u32], from: &[f64]| places.iter().map(|p| from[*p as usize]).collect::<Vec<_>>();
    let common = pick(&group.common, shared);
    let (mut total, mut size) = (0.0, 0.0);
    for row in &group.rows {
        let (u, reads) = (pick(&row.coordinates, x), pick(&row.reads, shared));
        let (lp, g) = value_and_gradient(&group.graph, group.lp, &[&u, &common, &reads, &row.data]);
        total += lp;
        size += lp.abs();
        let add = |places: &[u32], g: &[f64], to: &mut [f64]| {
            places.iter().zip(g).for_each(|(p, d)| to[*p as usize] += d);
        };
        add(&row.coordinates, &g[0], grad);
        add(&group.common, &g[1], cotangent);
        add(&row.reads, &g[2], cotangent);
    }
    (total, size)
}

/// Globals + Σ rows, its gradient, and the sum of the sizes of the addends.
fn by_rows(post: &Posterior, rows: &RowModel, x: &[f64]) -> (f64, Vec<f64>, f64) {
    let inputs = by_site(post, x);
    let out = evaluate(&rows.globals, &inputs, &[rows.globals_lp, rows.shared]);
    let (mut total, shared) = (out[0][0], &out[1]);
    let mut size = total.abs();
    let mut gradient = vec![0.0; x.len()];
    let mut cotangent = vec![0.0; shared.len()];
    for group in &rows.groups {
        thalweg::graph::check::check(&group.graph).unwrap_or_else(|e| panic!("{e:?}"));
        let (lp, n) = add_group(group, x, shared, &mut gradient, &mut cotangent);
        total += lp;
        size += n;
    }
    let mut g = rows.globals.clone();
    let one = g.scalar(1.0);
    let seed = g.input("cotangent", Shape::new(&[shared.len()]), Spread::Particle);
    let wrt: Vec<Var> = g.inputs()[..inputs.len()].iter().map(|i| i.var).collect();
    let grads = grad(&mut g, &[rows.globals_lp, rows.shared], &[one, seed], &wrt);
    let inputs = [inputs, vec![&cotangent[..]]].concat();
    let back = evaluate(&g, &inputs, &grads);
    gradient.iter_mut().zip(back.concat()).for_each(|(g, b)| *g += b);
    (total, gradient, size)
}

/// The largest relative error of value and gradient at random points.
pub fn error(post: &Posterior, plate: &Plate) -> f64 {
    let rows = post.rows(plate, &post.assign(plate).unwrap_or_else(|e| panic!("{e}")));
    let mut own: Vec<u32> = rows.groups.iter().flat_map(|g| &g.rows).flat_map(|r| r.coordinates.clone()).collect();
    own.sort_unstable();
    let starts = post.sites.iter().scan(0, |at, s| Some(std::mem::replace(at, *at + s.free)));
    let starts: Vec<usize> = starts.collect();
    let range = |i: &Inside| starts[i.at]..starts[i.at] + post.sites[i.at].free;
    assert_eq!(own, plate.sites.iter().flat_map(range).map(|c| c as u32).collect::<Vec<_>>());
    let mut worst: f64 = 0.0;
    for k in 0..2 {
        let mut rng = Stream::new(7, "rows", k);
        let x: Vec<f64> = (0..post.dim).map(|_| 0.6 * rng.normal()).collect();
        let (lp, grad) = value_and_gradient(&post.graph, post.lp, &by_site(post, &x));
        let (sum, gradient, size) = by_rows(post, &rows, &x);
        assert!(lp.is_finite(), "the point has a density");
        worst = worst.max((lp - sum).abs() / size.max(1.0));
        let largest = grad.iter().flatten().fold(1.0, |m: f64, g| m.max(g.abs()));
        for (a, b) in grad.concat().iter().zip(&gradient) {
            worst = worst.max((a - b).abs() / largest);
        }
    }
    worst
}

/// Globals + Σ rows = whole to 1e-12.
pub fn holds(post: &Posterior, plate: &str) {
    let p = post.plate(plate).unwrap_or_else(|| panic!("no plate {plate}"));
    let e = error(post, p);
    assert!(e < 1e-12, "plate {plate}: {e:e}");
}
