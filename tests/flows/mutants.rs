//! Flows that are wrong on purpose, and the law that each one breaks.

use super::bench::{Bench, spread};
use super::laws::{LAWS, Law, all_transformed};
use thalweg::flow::{Flow, Layer, airworthiness, registry};
use thalweg::testing::broken_flow::{DroppedContext, LostBend, SwappedMask, WrongSign, missing_permutation};

fn layer(name: &str, d: usize, context: usize) -> Box<dyn Layer> {
    let entry = registry().into_iter().find(|e| e.name == name).expect("a layer of the registry");
    (entry.new)(d, context)
}

/// The laws that a flow breaks at random parameters.
fn breaks(flow: Flow) -> Vec<&'static str> {
    let b = Bench::new(flow);
    let theta = spread(&b.flow, 1);
    let named: &[(&str, Law)] = &[("every coordinate is transformed", all_transformed)];
    LAWS.iter().chain(named).filter(|(_, holds)| holds(&b, &theta).is_err()).map(|(name, _)| *name).collect()
}

#[test]
fn mutants_are_killed() {
    for name in ["diagonal", "coupling", "spline coupling", "autoregressive"] {
        let killed = breaks(Flow::new(vec![Box::new(WrongSign(layer(name, 3, 0)))]));
        assert!(killed.contains(&"log-determinant is that of the Jacobian"), "{name}: {killed:?}");
        let killed = breaks(Flow::new(vec![Box::new(DroppedContext(layer(name, 3, 2)))]));
        assert!(killed.contains(&"the context counts"), "{name}: {killed:?}");
    }
    for mutant in [SwappedMask::coupling(4), SwappedMask::autoregressive(4)] {
        let killed = breaks(Flow::new(vec![Box::new(mutant)]));
        assert!(killed.contains(&"inverse of forward is the identity"), "{killed:?}");
    }
    let killed = breaks(Flow::new(vec![Box::new(LostBend(layer("coupling", 4, 0)))]));
    assert_eq!(killed, ["the score comes along", "every coordinate is transformed"]);
    let killed = breaks(missing_permutation(5, 4));
    assert_eq!(killed, ["every coordinate is transformed"]);
}

#[test]
fn mutants_are_not_airworthy() {
    let flows = [
        Flow::new(vec![Box::new(WrongSign(layer("coupling", 4, 0)))]),
        Flow::new(vec![Box::new(SwappedMask::coupling(4))]),
    ];
    for flow in flows {
        let report = airworthiness(&flow, &spread(&flow, 1));
        assert!(!report.passed(), "{report}");
        assert!(report.to_string().starts_with("NOT airworthy"));
    }
    // At the identity a sign cannot be seen: why laws are tried at random parameters too.
    let flow = Flow::new(vec![Box::new(WrongSign(layer("coupling", 4, 0)))]);
    assert!(airworthiness(&flow, &flow.initial(1)).passed());
}
