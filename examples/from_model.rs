//! Eight schools from its model file: bind data, sample, print the summary.

use std::error::Error;
use std::path::Path;

use thalweg::mcmc::config::Nuts;
use thalweg::model::compiled::Compiled;
use thalweg::model::data::DataFile;
use thalweg::model::posterior::Model;
use thalweg::workflow::sample::sample_model;
use thalweg::workflow::verdict::{Verdict, findings};

/// Samples and prints.
pub fn main() -> Result<(), Box<dyn Error>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("models/eight_schools");
    let model = Model::load(&folder)?;
    let data = DataFile::load(&folder.join("data.json"))?;
    let compiled = Compiled::new(model.bind(&data)?);

    let nuts = Nuts { seed: 1, target_accept: 0.95, ..Nuts::default() };
    let fit = sample_model(&model, &compiled, &nuts)?;
    println!("{}\n{}", fit.table(false), fit.accounts());

    let remarks = findings(&model, &compiled, &fit);
    for f in &remarks {
        println!("warning: {}\n  next: {}", f.text, f.next);
    }
    println!("{}", Verdict::of(&remarks).text());
    if let Some(tau) = fit.get("tau") {
        println!("tau is {:.1}, give or take {:.2}", tau.mean, tau.mcse_mean);
    }
    Ok(())
}
