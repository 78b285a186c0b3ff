//! Every layer of the registry, and every named architecture, against the laws of flows.

#[path = "flows/bench.rs"]
mod bench;
#[path = "flows/laws.rs"]
mod laws;

use bench::{Bench, spread, trained};
use laws::LAWS;
use thalweg::flow::{Flow, registry};

const DIMS: [usize; 5] = [1, 2, 3, 8, 17];

/// Every law at the start, at three random parameter draws and after training.
fn check(name: &str, flow: Flow) -> Vec<String> {
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
                failures.push(format!("{name}, d = {}, context {}: {law} {when}: {why}", bench.d, bench.c));
            }
        }
    }
    failures
}

#[test]
fn every_layer_obeys_the_laws() {
    let mut failures = Vec::new();
    for entry in registry() {
        for d in DIMS {
            for context in [0, 3] {
                if context == 0 || entry.conditional {
                    let t = std::time::Instant::now();
                    failures.extend(check(entry.name, Flow::new(vec![(entry.new)(d, context)])));
                    eprintln!("{} {d} {context} {:?}", entry.name, t.elapsed());
                }
            }
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}
