//! Reports that are drawn for each posterior draw: `report n ~ law`, and those that read a summed-out latent.

use crate::base::rng::Stream;
use crate::dsl::ast::{Block, ReportKind, StmtKind};
use crate::model::compiled::Compiled;
use crate::model::data::DataFile;
use crate::model::hidden::Hidden;
use crate::model::lower::element;
use crate::model::posterior::{Model, ModelError, Settings};
use crate::model::simulate::{Drawn, Latents};
use crate::workflow::layout::{Elements, Layout};

/// Draws the drawn reports of a model given its latents.
pub struct Predict<'a> {
    model: &'a Model,
    data: &'a DataFile,
    settings: &'a Settings,
    latents: Vec<Elements>,
    hidden: Option<Hidden>,
    /// Names of reports that the density computes.
    computed: Vec<String>,
    /// Drawn reports with their element names.
    pub reports: Vec<(String, Vec<String>)>,
}

/// What can be done about drawn reports.
pub enum Drawable<'a> {
    /// There are none.
    Nothing,
    /// They are drawn.
    Yes(Box<Predict<'a>>),
    /// They are left out, and why.
    No(String),
}

impl<'a> Predict<'a> {
    /// Finds the drawn reports of a model by running it forwards once, at the origin.
    pub fn find(
        model: &'a Model,
        data: &'a DataFile,
        settings: &'a Settings,
        compiled: &Compiled,
        layout: &Layout,
    ) -> Drawable<'a> {
        if !draws_reports(&model.tree) && compiled.posterior.hidden_reports.is_empty() {
            return Drawable::Nothing;
        }
        let latents = match Elements::group(&layout.names[..layout.latents]) {
            Ok(latents) => Elements::declared(latents, &compiled.posterior),
            Err(name) => return Drawable::No(format!("drawn reports are left out: `{name}` is too large")),
        };
        let hidden = match model.hidden(data, settings) {
            Ok(hidden) => hidden,
            Err(why) => return Drawable::No(format!("drawn reports are left out: {why}")),
        };
        let computed = compiled.posterior.reports.iter().map(|r| r.0.clone()).collect();
        let mut predict = Predict { model, data, settings, latents, hidden, computed, reports: vec![] };
        let mut values = vec![0.0; layout.width];
        compiled.values(&vec![0.0; compiled.posterior.dim], &mut values, &mut vec![]);
        let row: Vec<f64> = layout.positions.iter().map(|&p| values[p]).collect();
        let reports = match predict.reports_at(&row, &mut Stream::new(0, "probe", 0)) {
            Ok(reports) => reports,
            Err(why) => return Drawable::No(format!("drawn reports are left out: {why}")),
        };
        let names = |r: &Drawn| (0..r.values.len()).map(|j| element(&r.name, &r.dims, j)).collect();
        predict.reports = reports.iter().map(|r| (r.name.clone(), names(r))).collect();
        Drawable::Yes(Box::new(predict))
    }

    fn reports_at(&self, known: &[f64], rng: &mut Stream) -> Result<Vec<Drawn>, String> {
        let mut given: Latents = self.latents.iter().map(|e| (e.name.clone(), e.collect(known))).collect();
        if let Some(h) = &self.hidden {
            h.draw(&mut given, rng).map_err(|e| e.to_string())?;
        }
        let s = self.model.predict_reports(self.data, self.settings, rng, &given).map_err(text)?;
        Ok(s.reports.into_iter().filter(|r| !self.computed.contains(&r.name)).collect())
    }

    /// Draws the reports for one row of kept values; stream ("report", `index`) of the seed.
    pub fn draw(&self, seed: u64, index: u64, known: &[f64], out: &mut [f64]) -> Result<(), String> {
        let reports = self.reports_at(known, &mut Stream::new(seed, "report", index))?;
        for (o, v) in out.iter_mut().zip(reports.iter().flat_map(|r| &r.values)) {
            *o = *v;
        }
        Ok(())
    }
}

fn text(e: ModelError) -> String {
    e.to_string()
}

/// Whether any report of the block is drawn.
fn draws_reports(b: &Block) -> bool {
    b.stmts.iter().any(|s| match &s.kind {
        StmtKind::Report { value, .. } => matches!(value, ReportKind::Draw(_)),
        StmtKind::Plate { body, .. } | StmtKind::For { body, .. } => draws_reports(body),
        StmtKind::If { then, otherwise, .. } => draws_reports(then) || otherwise.as_ref().is_some_and(draws_reports),
        _ => false,
    })
}
