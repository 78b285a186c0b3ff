//! `thalweg sample`: posterior draws by NUTS.

mod init;
mod progress;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use clap::{Args, ValueEnum};

use super::common::{CliError, ModelArgs};
use crate::mcmc::config::{Control, Nuts};
use crate::mcmc::metric::MetricKind;
use crate::model::compiled::Compiled;
use crate::model::data::DataFile;
use crate::model::posterior::{Model, Settings};
use crate::model::site::NoteKind;
use crate::workflow::fit::Fit;
use crate::workflow::layout::Layout;
use crate::workflow::predict::{Drawable, Predict};
use crate::workflow::sample::{Output, WorkflowError, sample};
use crate::workflow::verdict::{Finding, findings};

impl From<WorkflowError> for CliError {
    fn from(e: WorkflowError) -> CliError {
        match e {
            WorkflowError::Model(m) => CliError::Model(m),
            e => CliError::Other(e.to_string().trim_start_matches("error: ").to_string()),
        }
    }
}

/// Form of the inverse mass matrix.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum MetricArg {
    /// The identity
    Unit,
    /// A diagonal
    Diag,
    /// A full matrix
    Dense,
    /// A diagonal and a few directions
    LowRank,
}

/// Settings of `sample`.
#[derive(Args, Clone, Debug)]
pub struct SampleArgs {
    #[command(flatten)]
    pub model: ModelArgs,
    /// Number of chains
    #[arg(long, default_value_t = 4)]
    pub chains: usize,
    /// Warm-up iterations per chain
    #[arg(long, default_value_t = 1000)]
    pub warmup: usize,
    /// Iterations per chain after warm-up
    #[arg(long, default_value_t = 1000)]
    pub draws: usize,
    /// Mean acceptance statistic that warm-up aims at
    #[arg(long, default_value_t = 0.8)]
    pub target_accept: f64,
    /// Largest number of trajectory doublings
    #[arg(long, default_value_t = 10)]
    pub max_depth: usize,
    /// Form of the inverse mass matrix
    #[arg(long, value_enum, default_value = "diag")]
    pub metric: MetricArg,
    /// Radius of the random starts, or a JSON file with values of latents
    #[arg(long, default_value = "2", value_name = "RADIUS|FILE")]
    pub init: String,
    /// Keep every n-th draw
    #[arg(long, default_value_t = 1)]
    pub thin: usize,
    /// Seed of all random numbers
    #[arg(long, default_value_t = 0)]
    pub seed: u64,
    /// Worker threads; the draws do not depend on it
    #[arg(long)]
    pub threads: Option<usize>,
    /// Folder for chain_1.csv, …, summary.json and config.json
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Show every element of long arrays
    #[arg(long)]
    pub all: bool,
    /// No progress, no remarks
    #[arg(long)]
    pub quiet: bool,
    /// Print the summary as JSON
    #[arg(long)]
    pub json: bool,
}

/// A finished run with what was found.
pub struct Done {
    /// The model.
    pub model: Model,
    /// Its programs.
    pub compiled: Compiled,
    /// The draws.
    pub fit: Fit,
    /// Remarks on them.
    pub findings: Vec<Finding>,
    /// Remarks on the model.
    pub notes: Vec<String>,
}

impl SampleArgs {
    fn nuts(&self) -> Nuts {
        Nuts {
            chains: self.chains,
            warmup: self.warmup,
            draws: self.draws,
            thin: self.thin,
            target_accept: self.target_accept,
            max_depth: self.max_depth,
            metric: match self.metric {
                MetricArg::Unit => MetricKind::Unit,
                MetricArg::Diag => MetricKind::Diag,
                MetricArg::Dense => MetricKind::Dense,
                MetricArg::LowRank => MetricKind::low_rank(),
            },
            seed: self.seed,
            threads: self.threads,
            ..Nuts::default()
        }
    }

    /// Binds and samples.
    pub fn sample(&self) -> Result<Done, CliError> {
        let nuts = self.nuts();
        nuts.check().map_err(|e| CliError::Other(e.to_string()))?;
        let (model, data) = (self.model.load()?, self.model.load_data()?);
        let settings = self.model.settings(self.seed)?;
        let compiled = Compiled::new(model.bind_with(&data, &settings)?);
        if let Some(folder) = &self.out {
            self.prepare(folder, &nuts)?;
        }
        let mut notes = remarks(&model, &compiled);
        let predict = self.predict(&model, &data, &settings, &compiled, &mut notes);
        let init = init::read(&self.init, &compiled, self.chains, self.seed)?;
        let bars = progress::Bars::new(self.chains, self.quiet || self.json);
        let watch = |p: &_| bars.show(p);
        let control =
            Control { progress: bars.active().then_some(&watch as _), cancel: Some(interrupt()), ..Control::default() };
        let output = Output { folder: self.out.clone(), header: self.header(&model) };
        let fit = sample(&model, &compiled, &nuts, &init, predict.as_deref(), &output, &control);
        bars.end();
        let fit = fit?;
        if let Some(folder) = &self.out {
            write(&folder.join("summary.json"), &fit.json())?;
        }
        let findings = findings(&model, &compiled, &fit);
        Ok(Done { findings, notes, model, compiled, fit })
    }

    fn predict<'a>(
        &self,
        model: &'a Model,
        data: &'a DataFile,
        settings: &'a Settings,
        compiled: &Compiled,
        notes: &mut Vec<String>,
    ) -> Option<Box<Predict<'a>>> {
        match Predict::find(model, data, settings, compiled, &Layout::new(compiled)) {
            Drawable::Nothing => None,
            Drawable::Yes(p) => Some(p),
            Drawable::No(why) => {
                notes.push(why);
                None
            }
        }
    }

    /// Nothing here may depend on the machine or the time: equal seeds give equal files.
    fn header(&self, model: &Model) -> Vec<(String, String)> {
        let pairs = [
            ("program", format!("thalweg {}", env!("CARGO_PKG_VERSION"))),
            ("model", model.file.clone()),
            ("method", "nuts".into()),
            ("seed", self.seed.to_string()),
            ("num_warmup", self.warmup.to_string()),
            ("num_samples", self.draws.to_string()),
            ("thin", self.thin.to_string()),
        ];
        pairs.map(|(k, v)| (k.to_string(), v)).into()
    }

    fn prepare(&self, folder: &Path, nuts: &Nuts) -> Result<(), CliError> {
        std::fs::create_dir_all(folder)
            .map_err(|e| CliError::Other(format!("cannot make the folder {}: {e}", folder.display())))?;
        let config = serde_json::json!({
            "command": "sample",
            "version": env!("CARGO_PKG_VERSION"),
            "model": self.model.model,
            "data": self.model.data,
            "set": self.model.set,
            "params": self.model.params,
            "init": self.init,
            "nuts": nuts,
        });
        write(&folder.join("config.json"), &config)
    }

    /// Runs the command.
    pub fn run(&self) -> Result<(), CliError> {
        let done = self.sample()?;
        self.print(&done);
        Ok(())
    }

    /// Summary, warnings and notes.
    pub fn summary(&self, done: &Done) -> serde_json::Value {
        let mut json = done.fit.json();
        json["warnings"] = done.findings.iter().map(|f| format!("{}; {}", f.text, f.next)).collect();
        json["notes"] = done.notes.clone().into();
        json
    }

    /// Table, accounts, remarks; or JSON.
    pub fn print(&self, done: &Done) {
        if self.json {
            super::out(&format!("{:#}\n", self.summary(done)));
            return;
        }
        let mut text = format!("{}\n{}\n", done.fit.table(self.all), done.fit.accounts());
        if !self.quiet {
            done.notes.iter().for_each(|n| text.push_str(&format!("note: {n}\n")));
        }
        for f in &done.findings {
            text.push_str(&format!("warning: {}\n  next: {}\n", f.text, f.next));
        }
        if let Some(folder) = &self.out {
            text.push_str(&format!("draws: {}\n", folder.join("chain_*.csv").display()));
        }
        super::out(&text);
    }
}

/// What the binding remarked, with line numbers.
fn remarks(model: &Model, compiled: &Compiled) -> Vec<String> {
    let p = &compiled.posterior;
    let line = |at: u32| model.source.as_bytes().iter().take(at as usize).filter(|b| **b == b'\n').count() + 1;
    let shown = |k| matches!(k, NoteKind::Info | NoteKind::Warning);
    let notes = p.notes.iter().filter(|n| shown(n.kind)).map(|n| format!("line {}: {}", line(n.span.start), n.text));
    let unused = p.unused.iter().map(|k| format!("the model does not use `{k}` of the data file"));
    notes.chain(unused).collect()
}

fn write(path: &Path, value: &serde_json::Value) -> Result<(), CliError> {
    std::fs::write(path, format!("{value:#}\n"))
        .map_err(|e| CliError::Other(format!("cannot write {}: {e}", path.display())))
}

/// Set by the first Ctrl-C; the second one ends the program.
fn interrupt() -> &'static AtomicBool {
    static STOP: AtomicBool = AtomicBool::new(false);
    // A second handler is refused, and the first one does the same.
    let _ = ctrlc::set_handler(|| {
        if STOP.swap(true, Ordering::Relaxed) {
            std::process::exit(130);
        }
    });
    &STOP
}
