//! The examples run to their end.

#[path = "../examples/from_model.rs"]
mod from_model;
#[path = "../examples/plain_density.rs"]
mod plain_density;

#[test]
fn from_model_runs() {
    from_model::main().unwrap();
}

#[test]
fn plain_density_runs() {
    plain_density::main().unwrap();
}
