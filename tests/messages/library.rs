//! Errors that only Rust programs meet, or that another message takes the place of in the program.

use std::path::PathBuf;

use thalweg::cli::CliError;
use thalweg::dsl::diagnostic::Diagnostic;
use thalweg::dsl::span::Span;
use thalweg::graph::Spread;
use thalweg::graph::check::CheckError;
use thalweg::graph::shape::Shape;
use thalweg::io::IoError;
use thalweg::mcmc::error::McmcError;
use thalweg::model::hidden::HiddenError;
use thalweg::model::posterior::ModelError;
use thalweg::model::separable::Coupled;
use thalweg::optimize::OptimizeError;

/// The kinds of [`messages`].
pub const SHOWN: [&str; 22] = [
    "CliError::Isa",
    "HiddenError::TooWide",
    "HiddenError::Missing",
    "HiddenError::Impossible",
    "ModelError::Hidden",
    "Coupled",
    "McmcError::Length",
    "McmcError::Init",
    "McmcError::Sink",
    "McmcError::Threads",
    "IoError::Row",
    "IoError::Name",
    "OptimizeError::NotDefinite",
    "OptimizeError::AtEdge",
    "OptimizeError::TooLarge",
    "OptimizeError::NotWanted",
    "CheckError::Order",
    "CheckError::Arity",
    "CheckError::Shape",
    "CheckError::Spread",
    "CheckError::Bounds",
    "CheckError::Body",
];

/// Names of golden files with the messages.
pub fn messages() -> Vec<(&'static str, String)> {
    let path = PathBuf::from("chain_1.csv");
    let (x, op) = ("x".to_string(), "add".to_string());
    let full = std::io::Error::from_raw_os_error(28);
    let order = CheckError::Order { node: 3, op: op.clone(), arg: 5 };
    vec![
        ("library_isa", CliError::Isa("avx2").to_string()),
        ("hidden_too_wide", ModelError::from(HiddenError::TooWide("z".into())).to_string()),
        ("hidden_missing", HiddenError::Missing("z".into()).to_string()),
        ("hidden_impossible", HiddenError::Impossible("z".into()).to_string()),
        ("library_length", McmcError::Length { what: "the starting point".into(), found: 2, expected: 3 }.to_string()),
        ("library_init", McmcError::Init { chain: 0, tries: 100, logp: f64::NAN, coordinates: vec![0, 2] }.to_string()),
        ("library_sink", McmcError::Sink { chain: 0, iteration: 7, source: full }.to_string()),
        ("library_threads", McmcError::Threads { threads: 9000, message: "no more".into() }.to_string()),
        ("library_row", IoError::Row { path: path.clone(), expected: 3, found: 2 }.to_string()),
        ("library_name", IoError::Name { path, name: "a,b".into() }.to_string()),
        ("library_not_definite", OptimizeError::NotDefinite { coordinate: x.clone() }.to_string()),
        ("library_at_edge", OptimizeError::AtEdge { coordinate: x }.to_string()),
        ("library_hessian", OptimizeError::TooLarge { dim: 5000, limit: 2000 }.to_string()),
        (
            "library_coupled",
            Coupled { diagnostic: Diagnostic::new(Span::new(0, 1), "this factor reads other rows") }.to_string(),
        ),
        ("library_not_wanted", OptimizeError::NotWanted.to_string()),
        ("graph_order", order.to_string()),
        ("graph_arity", CheckError::Arity { node: 3, op: op.clone(), expected: 2, found: 1 }.to_string()),
        (
            "graph_shape",
            CheckError::Shape { node: 3, op: op.clone(), found: Shape::new(&[]), rule: "it should be [2]".into() }
                .to_string(),
        ),
        (
            "graph_spread",
            CheckError::Spread { node: 3, op: op.clone(), expected: Spread::Particle, found: Spread::Shared }
                .to_string(),
        ),
        ("graph_bounds", CheckError::Bounds { node: 3, op, position: 1, target: 9, count: 4 }.to_string()),
        ("graph_body", CheckError::Body { node: 8, error: Box::new(order) }.to_string()),
    ]
}
