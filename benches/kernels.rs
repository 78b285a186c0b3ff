//! Elementary functions: time of 1024 elements in the first-level cache, by instruction set and against std.

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use std::hint::black_box;
use thalweg::base::rng::Stream;
use thalweg::base::simd::{Isa, Kernels, Unary, kernels};
use thalweg::base::stats;

const N: usize = 1024;

/// One function: its name, the kernel, the scalar reference if std has it, and the range of arguments.
type Case = (&'static str, fn(&Kernels) -> Unary, Option<fn(f64) -> f64>, [f64; 2]);

const CASES: [Case; 17] = [
    ("exp", |k| k.exp, Some(f64::exp), [-20.0, 20.0]),
    ("log", |k| k.log, Some(f64::ln), [0.01, 100.0]),
    ("log1p", |k| k.log1p, Some(f64::ln_1p), [-0.9, 10.0]),
    ("expm1", |k| k.expm1, Some(f64::exp_m1), [-5.0, 5.0]),
    ("tanh", |k| k.tanh, Some(f64::tanh), [-5.0, 5.0]),
    ("sigmoid", |k| k.sigmoid, None, [-20.0, 20.0]),
    ("softplus", |k| k.softplus, None, [-20.0, 20.0]),
    ("sin", |k| k.sin, Some(f64::sin), [-20.0, 20.0]),
    ("cos", |k| k.cos, Some(f64::cos), [-20.0, 20.0]),
    ("atan", |k| k.atan, Some(f64::atan), [-5.0, 5.0]),
    ("sqrt", |k| k.sqrt, Some(f64::sqrt), [0.0, 100.0]),
    ("recip", |k| k.recip, Some(f64::recip), [0.1, 100.0]),
    ("lgamma", |k| k.lgamma, Some(libm::lgamma), [0.1, 20.0]),
    ("digamma", |k| k.digamma, None, [0.1, 20.0]),
    ("erf", |k| k.erf, Some(libm::erf), [-3.0, 3.0]),
    ("erfc", |k| k.erfc, Some(libm::erfc), [-5.0, 10.0]),
    ("normal_cdf", |k| k.normal_cdf, None, [-8.0, 8.0]),
];

/// Numbers spread over `[low, high]` in no regular order.
fn spread([low, high]: [f64; 2]) -> Vec<f64> {
    (0..N).map(|i| low + (high - low) * ((i as f64 * 0.618_033_988_749_895).fract())).collect()
}

fn unary(c: &mut Criterion) {
    for (name, pick, reference, range) in CASES {
        let (x, mut y) = (spread(range), vec![0.0; N]);
        let mut group = c.benchmark_group(name);
        group.throughput(Throughput::Elements(N as u64));
        for isa in [Isa::Baseline, Isa::Avx2Fma].into_iter().filter(|isa| isa.is_supported()) {
            let kernel = pick(kernels(isa));
            group.bench_function(BenchmarkId::from_parameter(format!("{isa:?}")), |b| {
                // SAFETY: both vectors hold N values and are disjoint.
                b.iter(|| unsafe { kernel(black_box(x.as_ptr()), black_box(y.as_mut_ptr()), N) });
            });
        }
        if let Some(f) = reference {
            group.bench_function("scalar", |b| {
                b.iter(|| {
                    black_box(&x).iter().zip(black_box(&mut y).iter_mut()).for_each(|(x, y)| *y = f(*x));
                });
            });
        }
    }
}

fn several_arguments(c: &mut Criterion) {
    let (x, y) = (spread([0.1, 10.0]), spread([-5.0, 5.0]));
    let (mut a, mut b) = (vec![0.0; N], vec![0.0; N]);
    for isa in [Isa::Baseline, Isa::Avx2Fma].into_iter().filter(|isa| isa.is_supported()) {
        let k = kernels(isa);
        let mut group = c.benchmark_group(format!("{isa:?}"));
        group.throughput(Throughput::Elements(N as u64));
        group.bench_function("pow", |bench| {
            // SAFETY: all vectors hold N values and are disjoint.
            bench.iter(|| unsafe { (k.pow)(black_box(x.as_ptr()), y.as_ptr(), a.as_mut_ptr(), N) });
        });
        group.bench_function("softplus_sigmoid", |bench| {
            // SAFETY: all vectors hold N values and are disjoint.
            bench.iter(|| unsafe {
                (k.softplus_sigmoid)(black_box(y.as_ptr()), a.as_mut_ptr(), b.as_mut_ptr(), N);
            });
        });
    }
    c.bench_function("pow/scalar", |bench| {
        bench.iter(|| {
            for i in 0..N {
                a[i] = black_box(x[i]).powf(y[i]);
            }
        });
    });
}

/// The fixed cost of a call: few elements.
fn short(c: &mut Criterion) {
    let (x, mut y) = (spread([-5.0, 5.0]), vec![0.0; N]);
    let k = kernels(Isa::detect());
    for n in [1, 2, 3, 4, 8, 16, 64] {
        for (name, kernel) in [("exp", k.exp), ("erfc", k.erfc)] {
            c.bench_function(&format!("short/{name}/{n}"), |b| {
                // SAFETY: both vectors hold at least n values and are disjoint.
                b.iter(|| unsafe { kernel(black_box(x.as_ptr()), black_box(y.as_mut_ptr()), n) });
            });
        }
    }
}

/// Random numbers and reductions, 1024 at a time.
fn streams_and_sums(c: &mut Criterion) {
    let mut x = vec![0.0; N];
    let mut stream = Stream::new(1, "bench", 0);
    let mut group = c.benchmark_group("slices");
    group.throughput(Throughput::Elements(N as u64));
    group.bench_function("fill_uniform", |b| b.iter(|| stream.fill_uniform(black_box(&mut x))));
    group.bench_function("fill_normal", |b| b.iter(|| stream.fill_normal(black_box(&mut x))));
    group.bench_function("sum", |b| b.iter(|| stats::sum(black_box(&x))));
    group.bench_function("log_sum_exp", |b| b.iter(|| stats::log_sum_exp(black_box(&x))));
}

fn quick() -> Criterion {
    Criterion::default()
        .sample_size(30)
        .warm_up_time(std::time::Duration::from_millis(100))
        .measurement_time(std::time::Duration::from_millis(300))
}

criterion_group! { name = benches; config = quick(); targets = unary, several_arguments, short, streams_and_sums }
criterion_main!(benches);
