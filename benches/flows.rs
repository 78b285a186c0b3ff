//! Flows at width 1: building and compiling a map, value with log-determinant, pull-back of a gradient, both directions.

use criterion::{Criterion, criterion_group, criterion_main};
use thalweg::density::Transport;
use thalweg::flow::{Flow, Map};

const TEXTS: [&str; 5] = ["realnvp", "nsf", "iaf", "maf", "affine(full)"];

fn parameters(flow: &Flow) -> Vec<f64> {
    // Not the identity: the last layers of the networks count.
    flow.initial(1).iter().enumerate().map(|(k, x)| x + 0.02 * (k as f64).sin()).collect()
}

fn flows(c: &mut Criterion) {
    for d in [10, 100] {
        for text in TEXTS {
            let flow = Flow::parse(text, d, 0).expect("a good text");
            let theta = parameters(&flow);
            let mut group = c.benchmark_group(format!("{text}/d={d}"));
            group.sample_size(10).warm_up_time(std::time::Duration::from_millis(200));
            group.measurement_time(std::time::Duration::from_millis(600));
            group.bench_function("build and compile", |b| {
                b.iter(|| Map::new(&Flow::parse(text, d, 0).expect("a good text"), &theta));
            });
            let map = Map::new(&flow, &theta);
            let mut ws = vec![0.0; map.scratch()];
            let u = vec![0.3; d];
            let mut sum = |x: &[f64], g: &mut [f64]| {
                g.fill(1.0);
                x.iter().sum()
            };
            let (mut x, mut back) = (vec![0.0; d], vec![0.0; d]);
            group.bench_function("forward and log-determinant", |b| b.iter(|| map.forward(&u, &mut x, &mut ws)));
            group.bench_function("inverse and log-determinant", |b| b.iter(|| map.inverse(&u, &mut back, &mut ws)));
            group.bench_function("pull", |b| b.iter(|| map.pull(&u, &mut sum, &mut back, &mut ws)));
            group.finish();
        }
    }
}

criterion_group!(benches, flows);
criterion_main!(benches);
