//! Steps per second of training a variational autoencoder, in double and in single precision.
//!
//! `cargo bench --bench training [-- K [profile]]`: encoder 64-128-128-16 and decoder 8-128-128-64 with tanh, a batch of
//! 100 images of 64 binary pixels, the importance-weighted bound with K draws, and Adam. The noise is drawn in
//! the time that is measured; the step is one program that leaves new weights and new moments. In front of that the same
//! training by the library, on the model `vae_digits`.

use std::collections::BTreeMap;
use std::time::Instant;

use thalweg::base::rng::Stream;
use thalweg::base::simd::Isa;
use thalweg::graph::batch::batch;
use thalweg::graph::program::{Options as Compile, Program, Real};
use thalweg::graph::reverse::gradient;
use thalweg::graph::{Fold, Graph, Index, Shape, Spread, Unary, Var};
use thalweg::model::data::DataFile;
use thalweg::model::posterior::{Model, Settings};
use thalweg::vi::plate::Control;
use thalweg::workflow::amortize::{Options, bind, fit};

const PIXELS: usize = 64;
const HIDDEN: usize = 128;
const LATENT: usize = 8;
const BATCH: usize = 100;

/// Weights that are taken from one flat vector.
struct Weights {
    theta: Var,
    used: usize,
}

impl Weights {
    fn take(&mut self, g: &mut Graph, shape: Shape) -> Var {
        let len = shape.count();
        let index = Index::Stride { start: self.used, stride: 1, len };
        self.used += len;
        g.gather(self.theta, index, shape)
    }

    /// A network with tanh between its layers, on the rows of `x`.
    fn network(&mut self, g: &mut Graph, mut x: Var, sizes: &[usize]) -> Var {
        for (k, pair) in sizes.windows(2).enumerate() {
            let w = self.take(g, Shape::new(pair));
            let b = self.take(g, Shape::new(&pair[1..]));
            let y = g.matmul(x, w, false, false);
            let b = g.broadcast(b, g.shape(y));
            x = g.add(y, b);
            if k + 2 < sizes.len() {
                x = g.unary(Unary::Tanh, x);
            }
        }
        x
    }
}

fn weights() -> usize {
    let layer = |i, o| i * o + o;
    let encoder = layer(PIXELS, HIDDEN) + layer(HIDDEN, HIDDEN) + layer(HIDDEN, 2 * LATENT);
    encoder + layer(LATENT, HIDDEN) + layer(HIDDEN, HIDDEN) + layer(HIDDEN, PIXELS)
}

fn last_sums(g: &mut Graph, x: Var) -> Var {
    let axis = g.shape(x).rank() - 1;
    g.fold(Fold::Sum, x, axis)
}

/// The bound for one image: inputs weights, pixels, noise of `k` draws.
fn bound(k: usize) -> (Graph, Var) {
    let mut g = Graph::new();
    let theta = g.input("theta", Shape::new(&[weights()]), Spread::Shared);
    let x = g.input("x", Shape::new(&[1, PIXELS]), Spread::Shared);
    let eps = g.input("eps", Shape::new(&[k, LATENT]), Spread::Shared);
    let mut w = Weights { theta, used: 0 };
    let code = w.network(&mut g, x, &[PIXELS, HIDDEN, HIDDEN, 2 * LATENT]);
    let half = |g: &mut Graph, start| {
        let index = Index::Stride { start, stride: 1, len: LATENT };
        g.gather(code, index, Shape::new(&[LATENT]))
    };
    let (mean, log_scale) = (half(&mut g, 0), half(&mut g, LATENT));
    let shape = Shape::new(&[k, LATENT]);
    let scale = g.exp(log_scale);
    let (scale, mean) = (g.broadcast(scale, shape), g.broadcast(mean, shape));
    let z = g.mul(scale, eps);
    let z = g.add(mean, z);
    let logits = w.network(&mut g, z, &[LATENT, HIDDEN, HIDDEN, PIXELS]);
    let row = g.reshape(x, Shape::new(&[PIXELS]));
    let row = g.broadcast(row, g.shape(logits));
    let hit = g.mul(row, logits);
    let soft = g.unary(Unary::Softplus, logits);
    let fit = g.sub(hit, soft);
    let fit = last_sums(&mut g, fit);
    let (zz, ee) = (g.square(z), g.square(eps));
    let prior = g.sub(ee, zz);
    let prior = g.scale(0.5, prior);
    let prior = last_sums(&mut g, prior);
    let scales = g.sum(log_scale);
    let scales = g.broadcast(scales, Shape::new(&[k]));
    let weight = g.add(fit, prior);
    let weight = g.add(weight, scales);
    let total = g.fold_all(Fold::LogSumExp, weight);
    (g, total)
}

/// One step of Adam. Inputs: weights, pixels, noise, two moments, rate and second-moment correction of the step.
/// Outputs: loss, weights, moments.
fn step(k: usize) -> (Graph, Vec<Var>) {
    let (one, total) = bound(k);
    let (mut g, out) = batch(&one, &[total], &[false, true, true], BATCH);
    let sum = g.sum(out[0]);
    let loss = g.scale(-1.0 / BATCH as f64, sum);
    let loss = g.shift(loss, (k as f64).ln());
    let theta = g.inputs()[0].var;
    let slope = gradient(&mut g, loss, &[theta])[0];
    let shape = g.shape(theta);
    let mut input = |name: &str, shape| g.input(name, shape, Spread::Shared);
    let (m, v) = (input("m", shape), input("v", shape));
    let (rate, correction) = (input("rate", Shape::SCALAR), input("correction", Shape::SCALAR));
    let (old, new) = (g.scale(0.9, m), g.scale(0.1, slope));
    let m = g.add(old, new);
    let square = g.square(slope);
    let (old, new) = (g.scale(0.999, v), g.scale(0.001, square));
    let v = g.add(old, new);
    let spread = g.mul(v, correction);
    let spread = g.unary(Unary::Sqrt, spread);
    let spread = g.shift(spread, 1e-8);
    let change = g.div(m, spread);
    let change = g.mul(change, rate);
    let theta = g.sub(theta, change);
    (g, vec![loss, theta, m, v])
}

/// Weights at the start: uniform in Glorot's interval of the first layer.
fn start<T: Real>() -> Vec<T> {
    let mut stream = Stream::new(1, "weights", 0);
    (0..weights()).map(|_| T::from_f64(0.17 * (2.0 * stream.uniform() - 1.0))).collect()
}

fn run<T: Real>(k: usize, name: &str, profile: bool) {
    let (g, outputs) = step(k);
    let compiled = Instant::now();
    let p = Program::<T>::compile(&g, &outputs, &Compile { lanes: 1, isa: Isa::detect() });
    let compiled = compiled.elapsed().as_secs_f64();
    let mut ws = vec![T::default(); p.scratch()];
    let mut images = Stream::new(1, "images", 0);
    let x: Vec<T> = (0..BATCH * PIXELS).map(|_| T::from_f64((images.uniform() < 0.3) as u8 as f64)).collect();
    let mut stream = Stream::new(1, "noise", 0);
    let mut normal = vec![0.0; BATCH * k * LATENT];
    let mut noise = vec![T::default(); normal.len()];
    let zero = || vec![T::default(); weights()];
    let (mut old, mut new) = ([start::<T>(), zero(), zero()], [zero(), zero(), zero()]);
    let mut loss = [T::default()];
    let mut t = 0;
    let mut best = f64::INFINITY;
    let per = if k == 1 { 100 } else { 4 };
    for batch in 0..12 {
        let started = Instant::now();
        for _ in 0..per {
            t += 1;
            stream.fill_normal(&mut normal);
            noise.iter_mut().zip(&normal).for_each(|(a, b)| *a = T::from_f64(*b));
            let rate = [T::from_f64(1e-3 / (1.0 - 0.9f64.powi(t)))];
            let correction = [T::from_f64(1.0 / (1.0 - 0.999f64.powi(t)))];
            let inputs: [&[T]; 7] = [&old[0], &x, &noise, &old[1], &old[2], &rate, &correction];
            let [a, b, c] = &mut new;
            p.run(&inputs, &mut [&mut loss, a, b, c], &mut ws);
            std::mem::swap(&mut old, &mut new);
        }
        if batch > 1 {
            best = best.min(started.elapsed().as_secs_f64() / f64::from(per));
        }
    }
    println!(
        "K = {k:2}, {name}: {:8.1} steps/s, {:9.1} us a step, compiled in {:.3} s, loss {:.3} after {t} steps",
        1.0 / best,
        1e6 * best,
        compiled,
        loss[0].to_f64()
    );
    if profile {
        let (rate, correction) = ([T::from_f64(1e-3)], [T::from_f64(1.0)]);
        let inputs: [&[T]; 7] = [&old[0], &x, &noise, &old[1], &old[2], &rate, &correction];
        let [a, b, c] = &mut new;
        print!("{}", p.describe());
        let timings = p.profile(&inputs, &mut [&mut loss, a, b, c], &mut ws);
        let mut by_name: BTreeMap<String, (usize, f64)> = BTreeMap::new();
        for t in &timings {
            println!("{:3} {:16} {:10.1} us", t.stage, t.name, t.nanoseconds / 1e3);
            let entry = by_name.entry(t.name.clone()).or_default();
            *entry = (entry.0 + 1, entry.1 + t.nanoseconds / 1e3);
        }
        by_name.iter().for_each(|(name, (n, us))| println!("{name:16} {n:4} times {us:10.1} us"));
    }
}

/// The same through the library, on images: from the text of the model to the first step, and steps a second.
fn library(k: usize) {
    let started = Instant::now();
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/models/vae_digits");
    let model = Model::load(format!("{folder}/model.thal")).expect("the model");
    let data = DataFile::load(format!("{folder}/data.json").as_ref()).expect("its data");
    let bound = bind(&model, &data, &Settings::default(), None).expect("a plate");
    let steps = if k == 1 { 2000 } else { 60 };
    let fitted = |steps: usize| {
        let from = Instant::now();
        let o = Options { particles: k, steps, rate: Some(1e-3), heldout: 0.2, ..Options::default() };
        fit(&bound.target, &o, &Control::default(), None).expect("a trained guide");
        from.elapsed().as_secs_f64()
    };
    let bound_after = started.elapsed().as_secs_f64();
    let first = fitted(1);
    let best = (0..5).map(|_| fitted(steps + 1) - fitted(1)).fold(f64::INFINITY, f64::min);
    println!(
        "K = {k:2}, thalweg: {:8.1} steps/s, first step {:.0} ms after the start, {:.0} of them for binding",
        steps as f64 / best,
        1e3 * (bound_after + first),
        1e3 * bound_after
    );
}

fn main() {
    let args: Vec<String> = std::env::args().skip(1).filter(|a| a != "--bench").collect();
    let only: Option<usize> = args.first().and_then(|a| a.parse().ok());
    for k in [1, 50].into_iter().filter(|k| only.is_none_or(|o| o == *k)) {
        library(k);
        run::<f64>(k, "f64", false);
        run::<f32>(k, "f32", args.get(1).is_some());
    }
}
