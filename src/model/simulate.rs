//! Draws from a model by running it forwards: latents, reports, data.

use std::collections::HashMap;

use super::data::{DataFile, Raw};
use super::lower::{Lower, Mode};
use super::posterior::{Model, ModelError, Settings, wrong};
use super::site::NoteKind;
use crate::base::rng::Stream;
use crate::dsl::diagnostic::Diagnostic;
use crate::dsl::span::Span;

/// A simulated value.
#[derive(Clone, Debug, PartialEq)]
pub struct Drawn {
    /// Name.
    pub name: String,
    /// Shape, plate axes in front (under a ragged plate: flat).
    pub dims: Vec<usize>,
    /// Elements, row-major; NaN for elements without a law.
    pub values: Vec<f64>,
    /// Drawn from a law rather than computed.
    pub drawn: bool,
}

/// One draw from a model.
#[derive(Clone, Debug)]
pub struct Simulated {
    /// Latents in order of declaration, those that statements fill last.
    pub latents: Vec<Drawn>,
    /// Reports.
    pub reports: Vec<Drawn>,
    /// The data file it was run with, completed by the simulated data: it binds to the same model.
    pub data: DataFile,
    /// Keys of `data` that were simulated.
    pub observed: Vec<String>,
}

/// Values of latents by name, row-major.
pub type Latents = HashMap<String, Vec<f64>>;

impl Model {
    /// Draws latents from their laws, then data and reports given them. `data` must hold what is not
    /// observed: sizes and covariates; observed data in it are replaced.
    pub fn simulate(&self, data: &DataFile, settings: &Settings, rng: &mut Stream) -> Result<Simulated, ModelError> {
        self.forwards(data, settings, rng, None, false)
    }

    /// The data file without what `observe` statements simulate: a model that reads such data before
    /// it simulates them is then refused rather than mixed with the file's values.
    pub fn without_observed(
        &self,
        data: &DataFile,
        settings: &Settings,
        rng: &mut Stream,
    ) -> Result<DataFile, ModelError> {
        let mut l = Lower::new(Mode::Simulate { rng, given: None }, data, settings);
        l.run(&self.tree).map_err(|d| wrong(&self.file, &self.source, d))?;
        let mut out = DataFile::default();
        for key in data.keys() {
            let Some(raw) = data.get(key) else { continue };
            let var = l.asked.iter().position(|a| a == key).map(|i| &l.data[i]);
            let observed = |e: &usize| var.is_some_and(|v| v.observed[*e]);
            let blank: Vec<usize> = (0..raw.values.len()).filter(observed).collect();
            if !blank.is_empty() && blank.len() == raw.values.len() {
                continue;
            }
            let mut raw = raw.clone();
            blank.iter().for_each(|&e| raw.values[e] = f64::NAN);
            raw.nulls.extend(blank);
            raw.nulls.sort_unstable();
            raw.nulls.dedup();
            out.insert(key, raw);
        }
        Ok(out)
    }

    /// Draws data and reports given values of latents; latents that are not among them are drawn.
    pub fn predict(
        &self,
        data: &DataFile,
        settings: &Settings,
        rng: &mut Stream,
        latents: &Latents,
    ) -> Result<Simulated, ModelError> {
        self.forwards(data, settings, rng, Some(latents), false)
    }

    /// Draws reports given values of latents and the data as they are.
    pub fn predict_reports(
        &self,
        data: &DataFile,
        settings: &Settings,
        rng: &mut Stream,
        latents: &Latents,
    ) -> Result<Simulated, ModelError> {
        self.forwards(data, settings, rng, Some(latents), true)
    }

    fn forwards(
        &self,
        data: &DataFile,
        settings: &Settings,
        rng: &mut Stream,
        given: Option<&Latents>,
        keep_data: bool,
    ) -> Result<Simulated, ModelError> {
        let wrap = |d| wrong(&self.file, &self.source, d);
        let mut l = Lower::new(Mode::Simulate { rng, given }, data, settings);
        l.keep_data = keep_data;
        l.run(&self.tree).map_err(wrap)?;
        l.keep_filled_latents();
        if given.is_none()
            && let Some(n) = l.notes.iter().find(|n| n.kind == NoteKind::NoSimulator)
        {
            let help = "observe with a law instead, or predict from posterior draws";
            return Err(wrap(Diagnostic::new(n.span, n.text.clone()).help(help)));
        }
        finish(&l, data, given).map_err(wrap)
    }
}

fn finish(l: &Lower<'_>, file: &DataFile, given: Option<&Latents>) -> Result<Simulated, Diagnostic> {
    let mut out = Simulated { latents: vec![], reports: vec![], data: file.clone(), observed: vec![] };
    for (from, to) in [(&l.latents, &mut out.latents), (&l.reports, &mut out.reports)] {
        for r in from {
            let Some(values) = r.value.known() else {
                return Err(Diagnostic::new(
                    Span::default(),
                    format!("`{}` could not be computed in simulation", r.name),
                ));
            };
            let (name, dims) = (r.name.clone(), r.value.dims.clone());
            to.push(Drawn { name, dims, values: values.to_vec(), drawn: r.drawn });
        }
    }
    for d in &out.latents {
        let Some(values) = given.and_then(|g| g.get(&d.name)) else {
            continue;
        };
        if values.len() != d.values.len() {
            let (n, m) = (values.len(), d.values.len());
            return Err(Diagnostic::new(
                Span::default(),
                format!("`{}` has {n} elements in the draws, {m} with these data", d.name),
            )
            .help("new data may have other covariates and observations, but the same groups"));
        }
    }
    for (key, d) in l.asked.iter().zip(&l.data) {
        if l.keep_data || !d.observed.iter().any(|o| *o) {
            if !l.keep_data && d.available.iter().any(|a| !a) && !d.has_nulls {
                return Err(Diagnostic::new(
                    d.span,
                    format!("`{key}` is not observed, so it cannot be simulated, and the data file does not have it"),
                )
                .help("give it with --data"));
            }
            continue;
        }
        let nulls = (0..d.available.len()).filter(|&e| !d.available[e]).collect::<Vec<_>>();
        out.observed.push(key.clone());
        let raw = Raw { nulls, ..Raw::new(&d.value.dims, d.simulated.clone()) };
        out.data.insert(key.clone(), raw);
    }
    Ok(out)
}
