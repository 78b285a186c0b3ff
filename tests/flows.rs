//! Every layer of the registry, and every named architecture, against the laws of flows.

#[path = "flows/batches.rs"]
mod batches;
#[path = "flows/bench.rs"]
mod bench;
#[path = "flows/laws.rs"]
mod laws;
#[path = "flows/mutants.rs"]
mod mutants;
#[path = "flows/text.rs"]
mod text;
#[path = "flows/trained.rs"]
mod trained_flows;

use bench::{Bench, spread, trained};
use laws::{LAWS, all_transformed};
use thalweg::flow::{Flow, registry};

const DIMS: [usize; 5] = [1, 2, 3, 8, 17];

/// Named architectures, small. At the random parameters of these tests the Jacobian of couplings with elu has condition
/// numbers around 1e13, too many for its determinant to be compared with; tanh keeps them lower.
const CHAINS: [&str; 5] = [
    "realnvp(3, hidden=[5], activation=tanh) -> affine(full)",
    "realnvp(2, hidden=[])",
    "nsf(2, bins=4, hidden=[6], activation=tanh) -> householder(2) -> affine(diagonal)",
    "iaf(2, hidden=[9], activation=gelu) -> affine(lu)",
    "maf(2, hidden=[9], activation=elu)",
];

/// What is broken at the start, at three random parameter draws and after training.
fn broken(name: &str, flow: Flow) -> Vec<String> {
    let bench = Bench::new(flow);
    let mut draws = vec![("at the start", bench.flow.initial(1))];
    for seed in 1..=3 {
        draws.push(("at random parameters", spread(&bench.flow, seed)));
    }
    draws.push(("after training", trained(&bench)));
    let mut failures = Vec::new();
    for (when, theta) in &draws {
        for (law, holds) in LAWS {
            if let Err(why) = holds(&bench, theta) {
                failures.push(format!("{name}, d = {}, context {}: {law}, {when}: {why}", bench.d, bench.c));
            }
        }
    }
    failures
}

/// Every second layer of the registry, from `first` on.
fn layers_obey(first: usize) {
    let mut failures = Vec::new();
    for entry in registry().iter().skip(first).step_by(2) {
        for d in DIMS {
            for context in [0, 3].into_iter().take(1 + usize::from(entry.conditional)) {
                failures.extend(broken(entry.name, Flow::new(vec![(entry.new)(d, context)])));
            }
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn layers_obey_the_laws() {
    layers_obey(0);
}

#[test]
fn other_layers_obey_the_laws() {
    layers_obey(1);
}

#[test]
fn chains_obey_the_laws() {
    let mut failures = Vec::new();
    for text in CHAINS {
        for (d, context) in [(1, 0), (2, 3), (3, 0), (8, 3)] {
            let flow = Flow::parse(text, d, context).expect("a good text");
            failures.extend(broken(text, flow.clone()));
            let theta = spread(&flow, 1);
            if let Err(why) = all_transformed(&Bench::new(flow), &theta) {
                failures.push(format!("{text}, d = {d}: {why}"));
            }
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}
