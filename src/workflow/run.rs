//! The whole job: check the model, draw from its posterior, judge the draws.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::base::simd::Isa;
use crate::mcmc::config::{Control, Nuts};
use crate::model::compiled::Compiled;
use crate::model::data::DataFile;
use crate::model::posterior::{Model, Settings};
use crate::workflow::describe::Description;
use crate::workflow::fit::Fit;
use crate::workflow::gradient::{Extent, GradientTest, NoPoint};
use crate::workflow::layout::Layout;
use crate::workflow::predict::{Drawable, Predict};
use crate::workflow::sample::{Output, WorkflowError, sample};
use crate::workflow::start::Start;
use crate::workflow::verdict::{Finding, Verdict, findings};

/// A model with its data, and how to draw from its posterior.
pub struct Job<'a> {
    /// The model.
    pub model: &'a Model,
    /// Its data.
    pub data: &'a DataFile,
    /// Values of consts and params.
    pub settings: Settings,
    /// Settings of the sampler.
    pub nuts: Nuts,
    /// Where chains start.
    pub start: Start,
    /// Whether the gradient is tested before.
    pub test_gradient: bool,
    /// Folder for draws, `config.json` and `summary.json`; nothing is written without.
    pub folder: Option<PathBuf>,
    /// What `config.json` says beside the settings of the sampler: whatever makes the run again.
    pub config: Value,
    /// Instruction set of the programs.
    pub isa: Isa,
}

/// What is known before the first draw.
#[derive(Clone, Debug)]
pub struct Check {
    /// The model in words.
    pub description: Description,
    /// Its gradient against finite differences, where that was asked for.
    pub gradient: Option<Result<GradientTest, NoPoint>>,
}

/// A finished run.
pub struct Run {
    /// The programs of the posterior.
    pub compiled: Compiled,
    /// What was known before.
    pub check: Check,
    /// Draws, summaries, accounts.
    pub fit: Fit,
    /// What was left out, and why.
    pub notes: Vec<String>,
    /// What the diagnostics say.
    pub findings: Vec<Finding>,
    /// Whether the draws can be trusted.
    pub verdict: Verdict,
}

impl<'a> Job<'a> {
    /// The job with the defaults of everything but model and data.
    pub fn new(model: &'a Model, data: &'a DataFile) -> Job<'a> {
        Job {
            model,
            data,
            settings: Settings::default(),
            nuts: Nuts::default(),
            start: Start::default(),
            test_gradient: true,
            folder: None,
            config: Value::Null,
            isa: Isa::detect(),
        }
    }

    /// Nothing here may depend on the machine or the time: equal seeds give equal files.
    fn header(&self) -> Vec<(String, String)> {
        let pairs = [
            ("program", format!("thalweg {}", env!("CARGO_PKG_VERSION"))),
            ("model", self.model.file.clone()),
            ("method", "nuts".into()),
            ("seed", self.nuts.seed.to_string()),
            ("num_warmup", self.nuts.warmup.to_string()),
            ("num_samples", self.nuts.draws.to_string()),
            ("thin", self.nuts.thin.to_string()),
        ];
        pairs.map(|(k, v)| (k.to_string(), v)).into()
    }

    fn prepare(&self, folder: &Path) -> Result<(), WorkflowError> {
        std::fs::create_dir_all(folder).map_err(|source| WorkflowError::Folder { path: folder.into(), source })?;
        let version = env!("CARGO_PKG_VERSION");
        write(&folder.join("config.json"), &json!({ "version": version, "arguments": self.config, "nuts": self.nuts }))
    }

    fn check(&self, compiled: &Compiled) -> Check {
        let test = || GradientTest::new(compiled, self.nuts.seed, Extent::QUICK);
        Check {
            description: Description::new(self.model, &compiled.posterior, self.data.keys()),
            gradient: self.test_gradient.then(test),
        }
    }
}

/// Does a job; `checked` is told what is known before the first draw.
pub fn run(job: &Job<'_>, control: &Control<'_>, checked: &dyn Fn(&Check)) -> Result<Run, WorkflowError> {
    job.nuts.check()?;
    let compiled = Compiled::with_isa(job.model.bind_with(job.data, &job.settings)?, job.isa);
    let check = job.check(&compiled);
    checked(&check);
    let init = job.start.init(&compiled, job.nuts.chains, job.nuts.seed)?;
    let mut notes = vec![];
    let predict = match Predict::find(job.model, job.data, &job.settings, &compiled, &Layout::new(&compiled)) {
        Drawable::Nothing => None,
        Drawable::Yes(p) => Some(p),
        Drawable::No(why) => {
            notes.push(why);
            None
        }
    };
    if let Some(folder) = &job.folder {
        job.prepare(folder)?;
    }
    let output = Output { folder: job.folder.clone(), header: job.header() };
    let fit = sample(job.model, &compiled, &job.nuts, &init, predict.as_deref(), &output, control)?;
    let mut findings = findings(job.model, &compiled, &fit);
    findings.splice(0..0, check.finding());
    let done = Run { verdict: Verdict::of(&findings), check, fit, notes, findings, compiled };
    if let Some(folder) = &job.folder {
        let mut json = done.json();
        // The one number that is not the same for equal settings and seeds.
        json.as_object_mut().map(|o| o.remove("seconds"));
        write(&folder.join("summary.json"), &json)?;
    }
    Ok(done)
}

impl Check {
    /// The check as text.
    pub fn text(&self) -> String {
        let test = match &self.gradient {
            None => String::new(),
            Some(Ok(test)) => format!("gradient: {}\n", test.sentence()),
            Some(Err(e)) => format!("gradient: not tested: {e}\n"),
        };
        self.description.text() + &test
    }

    /// The check as JSON.
    pub fn json(&self) -> Value {
        let mut json = self.description.json();
        match &self.gradient {
            None => {}
            Some(Ok(test)) => json["gradient"] = test.json(),
            Some(Err(e)) => json["gradient"] = json!({ "tested": 0, "message": e.to_string() }),
        }
        json
    }

    /// A wrong gradient.
    fn finding(&self) -> Option<Finding> {
        let test = self.gradient.as_ref()?.as_ref().ok().filter(|t| t.failed() > 0)?;
        Some(Finding {
            serious: true,
            text: format!("gradient: {}", test.sentence()),
            next: "look at them with `thalweg check --gradient`: a density with steps or kinks cannot be sampled by gradients".into(),
        })
    }
}

impl Run {
    /// Everything but the draws, as JSON.
    pub fn json(&self) -> Value {
        let mut json = self.fit.json();
        json["check"] = self.check.json();
        json["warnings"] = self.findings.iter().map(|f| format!("{}; {}", f.text, f.next)).collect();
        let remarks = self.check.description.remarks.iter().map(|r| r.to_string());
        json["notes"] = remarks.chain(self.notes.iter().cloned()).collect();
        json["verdict"] = self.verdict.name().into();
        json
    }

    /// Table, accounts and warnings.
    pub fn text(&self, all: bool) -> String {
        let mut text = format!("{}\n{}\n", self.fit.table(all), self.fit.accounts());
        self.notes.iter().for_each(|n| text.push_str(&format!("note: {n}\n")));
        for f in &self.findings {
            text.push_str(&format!("warning: {}\n  next: {}\n", f.text, f.next));
        }
        text
    }
}

fn write(path: &Path, value: &Value) -> Result<(), WorkflowError> {
    let done = std::fs::write(path, format!("{value:#}\n"));
    Ok(done.map_err(|source| crate::io::IoError::Write { path: path.into(), source })?)
}
