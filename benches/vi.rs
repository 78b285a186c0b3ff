//! Gradients and steps a second of training flow guides, on one thread.
//!
//! `cargo bench --bench vi`. Neal's funnel in 100 dimensions with three inverse autoregressive layers and 64 draws a step, then a
//! funnel in 16 dimensions with 256 draws: eight couplings, and five inverse autoregressive layers. Full gradients, with
//! relu. `train` adds Adam and looks at the bound.

use std::sync::Arc;
use std::time::Instant;

use thalweg::graph::program::Real;
use thalweg::guide::{Base, Family, Scale, Start};
use thalweg::testing::targets::Funnel;
use thalweg::vi::{Control, Engine, Estimator, Objective, Settings, train};

fn run<R: Real>(dim: usize, flow: &str, draws: usize) {
    let target = Funnel { dim };
    let family = Arc::new(Family::new(dim, Base::Normal, Some(flow), Scale::Diagonal).expect("a good text"));
    let theta = family.initial(&Start::isotropic(vec![0.0; dim], 1.0), 1);
    let objective = Objective::Elbo(Estimator::Full);
    let mut engine: Engine<'_, _, R> = Engine::new(&target, family.clone(), objective, draws);
    let numbers: Vec<R> = theta.iter().map(|t| R::from_f64(*t)).collect();
    let steps = 60;
    let mut each = |from: usize| {
        let t = Instant::now();
        (from..from + steps).for_each(|k| drop(engine.gradient(&numbers, 1, k)));
        t.elapsed().as_secs_f64() / steps as f64
    };
    let best = (0..7).map(|k| each(k * steps)).fold(f64::INFINITY, f64::min);
    let kind = if R::SINGLE { "f32" } else { "f64" };
    println!(
        "d = {dim}, {flow}, {} parameters, {draws} draws, {kind}: {:.1} gradients/s, {:.0} us each",
        family.flow.len(),
        1.0 / best,
        1e6 * best
    );
    if R::SINGLE {
        let whole = |steps: usize| {
            let t = Instant::now();
            let settings = Settings { objective, draws, steps, rate: Some(1e-3), seed: 1 };
            train(&target, &family, theta.clone(), &settings, &Control::default()).expect("a guide");
            t.elapsed().as_secs_f64()
        };
        let best = (0..3).map(|_| whole(350) - whole(100)).fold(f64::INFINITY, f64::min);
        println!("    train: {:.1} steps/s", 250.0 / best);
    }
}

fn each<R: Real>() {
    run::<R>(100, "iaf(3, hidden=[100,100], activation=relu)", 64);
    run::<R>(16, "realnvp(8, hidden=[64,64], activation=relu)", 256);
    run::<R>(16, "iaf(5, hidden=[64,64], activation=relu)", 256);
}

fn main() {
    rayon::ThreadPoolBuilder::new().num_threads(1).build_global().expect("one thread");
    each::<f32>();
    each::<f64>();
}
