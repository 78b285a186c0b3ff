//! Errors that only Rust programs meet, or that another message takes the place of in the program.

use std::path::PathBuf;

use thalweg::cli::CliError;
use thalweg::dsl::diagnostic::Diagnostic;
use thalweg::dsl::span::Span;
use thalweg::evidence::error::EvidenceError;
use thalweg::flow::FlowError;
use thalweg::graph::Spread;
use thalweg::graph::check::CheckError;
use thalweg::graph::shape::Shape;
use thalweg::guide::GuideFileError;
use thalweg::io::IoError;
use thalweg::mcmc::error::McmcError;
use thalweg::model::hidden::HiddenError;
use thalweg::model::posterior::ModelError;
use thalweg::model::separable::Coupled;
use thalweg::optimize::OptimizeError;
use thalweg::vi::plate::train::TrainError as RowsError;
use thalweg::vi::{RefineError, TrainError};
use thalweg::workflow::amortize::AmortizeError;
use thalweg::workflow::amortized_file::AmortizedFileError;
use thalweg::workflow::interpolate::WayError;
use thalweg::workflow::plate::PlateError;
use thalweg::workflow::sample::WorkflowError;

/// The kinds of [`messages`].
pub const SHOWN: [&str; 45] = [
    "AmortizedFileError::Settings",
    "CliError::OtherRows",
    "WorkflowError::Weights",
    "WorkflowError::Report",
    "AmortizedFileError::Model",
    "CliError::Way",
    "WayError::Row",
    "WayError::Sizes",
    "WayError::Model",
    "WayError::Amortize",
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
    "GuideFileError::Architecture",
    "GuideFileError::Weights",
    "GuideFileError::NotFinite",
    "GuideFileError::Layout",
    "GuideFileError::Data",
    "TrainError::OtherFamily",
    "TrainError::Flow",
    "TrainError::NoRows",
    "TrainError::Other",
    "RefineError::Shape",
    "RefineError::Few",
    "RefineError::NotFinite",
    "FlowError::NoCoordinates",
];

/// The kinds of [`evidence`].
pub const EVIDENCE: [&str; 5] = [
    "EvidenceError::Dimension",
    "EvidenceError::TooFew",
    "EvidenceError::Ragged",
    "EvidenceError::Scale",
    "EvidenceError::MixtureWeights",
];

/// What estimators of the evidence refuse: proposals, points and draws that a program hands over.
fn evidence() -> Vec<(&'static str, String)> {
    let few = EvidenceError::TooFew { what: "draws", found: 3, needed: 8 };
    let scale = EvidenceError::Scale { expected: 3, problem: "a diagonal element is 0".into() };
    vec![
        ("evidence_dimension", EvidenceError::Dimension { what: "the proposal", found: 2, expected: 3 }.to_string()),
        ("evidence_too_few", few.to_string()),
        ("evidence_ragged", EvidenceError::Ragged { first: 1000, other: 999 }.to_string()),
        ("evidence_scale", scale.to_string()),
        ("evidence_mixture_weights", EvidenceError::MixtureWeights { weights: vec![0.5, 0.6] }.to_string()),
    ]
}

/// What guides, their files, their training and its refinement refuse.
fn guides() -> Vec<(&'static str, String)> {
    let text = || "realnvp(4)".to_string();
    let family = TrainError::OtherFamily { found: 20, wanted: 24, flow: text() };
    let architecture = GuideFileError::Architecture { text: "realnvp(0)".into(), message: "no layers".into() };
    let data = GuideFileError::Data { found: "91ab".into(), expected: "07cd".into() };
    vec![
        ("guide_file_architecture", architecture.to_string()),
        ("guide_file_weights", GuideFileError::Weights { text: text(), found: 20, expected: 24 }.to_string()),
        ("guide_file_not_finite", GuideFileError::NotFinite { index: 7, value: f64::NAN }.to_string()),
        (
            "guide_file_layout",
            GuideFileError::Layout { difference: "it has `a: real`, here is `b: real`".into() }.to_string(),
        ),
        ("guide_file_data", data.to_string()),
        ("train_other_family", family.to_string()),
        ("train_flow", TrainError::from(FlowError::NoCoordinates).to_string()),
        ("train_no_rows", RowsError::NoRows.to_string()),
        ("train_other", RowsError::Other { found: 20, wanted: 24 }.to_string()),
        (
            "amortized_of_another_model",
            AmortizedFileError::Model { difference: "it has 64 numbers a row, here is 4".into() }.to_string(),
        ),
        (
            "resume_other_settings",
            AmortizedFileError::Settings {
                path: "rows.json".into(),
                what: "--seed",
                stored: "1".into(),
                asked: "7".into(),
            }
            .to_string(),
        ),
        ("gap_other_rows", CliError::OtherRows.to_string()),
        ("way_row", CliError::from(WayError::Row { row: 9, rows: 4 }).to_string()),
        ("way_sizes", WayError::Sizes { from: 3, to: 4 }.to_string()),
        ("way_plate", WayError::from(AmortizeError::from(PlateError::NoPlate)).to_string()),
        ("way_model", WayError::from(ModelError::from(HiddenError::Missing("z".into()))).to_string()),
        ("refine_shape", RefineError::Shape { found: 7, dim: 2 }.to_string()),
        ("refine_few", RefineError::Few { what: "training", found: 3, least: 50 }.to_string()),
        ("refine_not_finite", RefineError::NotFinite { draw: 3, coordinate: 1, value: f64::INFINITY }.to_string()),
    ]
}

/// Names of golden files with the messages.
pub fn messages() -> Vec<(&'static str, String)> {
    let path = PathBuf::from("chain_1.csv");
    let (x, op) = ("x".to_string(), "add".to_string());
    let full = std::io::Error::from_raw_os_error(28);
    let order = CheckError::Order { node: 3, op: op.clone(), arg: 5 };
    let mut all = vec![
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
        (
            "importance_heavy_tail",
            WorkflowError::Weights("k-hat 0.83 is above 0.70: a few particles carry the estimate".into()).to_string(),
        ),
        ("library_report", WorkflowError::Report("the report `r` cannot be drawn".into()).to_string()),
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
    ];
    all.extend(evidence());
    all.extend(guides());
    all
}
