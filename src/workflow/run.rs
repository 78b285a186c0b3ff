//! The whole job: check the model, draw from its posterior, judge the draws.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::base::simd::Isa;
use crate::evidence::bridge::Draws;
use crate::evidence::run::{Evidence, Posterior, Settings as EvidenceSettings};
use crate::mcmc::config::{Control, Nuts};
use crate::mcmc::error::McmcError;
use crate::model::compiled::Compiled;
use crate::model::data::DataFile;
use crate::model::posterior::{Model, Settings};
use crate::workflow::describe::Description;
use crate::workflow::draws::draw;
use crate::workflow::evidence::{estimate, refined};
use crate::workflow::fit::Fit;
use crate::workflow::gradient::{Extent, GradientTest, NoPoint};
use crate::workflow::guide_file;
use crate::workflow::ladder::{self, Fitted};
use crate::workflow::layout::Layout;
use crate::workflow::method::{Method, choose};
use crate::workflow::predict::{Drawable, Predict};
use crate::workflow::sample::WorkflowError;
use crate::workflow::start::Start;
use crate::workflow::verdict::{Finding, Verdict, findings, unmixed};

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
    /// Its `target_accept` behind the map of a guide; by default 0.95.
    pub accept_behind: Option<f64>,
    /// Where chains start.
    pub start: Start,
    /// How to draw.
    pub method: Method,
    /// The guide to fit, where the method or the evidence needs one.
    pub guide: ladder::Options,
    /// A file with a guide for this posterior, instead.
    pub guide_file: Option<PathBuf>,
    /// Whether log p(x) is estimated, and how.
    pub evidence: Option<EvidenceSettings>,
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

/// A fitted guide and the method that follows from it.
pub struct Guided {
    /// How the draws were made.
    pub method: Method,
    /// Why.
    pub reason: String,
    pub(super) fitted: Fitted,
}

impl Guided {
    /// The guide with the way to it.
    pub fn fitted(&self) -> &Fitted {
        &self.fitted
    }
}

/// A finished run.
pub struct Run {
    /// The programs of the posterior.
    pub compiled: Compiled,
    /// What was known before.
    pub check: Check,
    /// Draws, summaries, accounts.
    pub fit: Fit,
    /// The guide, where one was fitted.
    pub guided: Option<Guided>,
    /// log p(x), where it was asked for and can be had.
    pub evidence: Option<Evidence>,
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
            accept_behind: None,
            start: Start::default(),
            method: Method::default(),
            guide: ladder::Options::default(),
            guide_file: None,
            evidence: None,
            test_gradient: true,
            folder: None,
            config: Value::Null,
            isa: Isa::detect(),
        }
    }

    /// Nothing here may depend on the machine or the time: equal seeds give equal files.
    pub(super) fn header(&self, method: Method) -> Vec<(String, String)> {
        let pairs = [
            ("program", format!("thalweg {}", env!("CARGO_PKG_VERSION"))),
            ("model", self.model.file.clone()),
            ("method", method.name().into()),
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

    /// The guide and what follows from it; `None` where neither method nor evidence needs one.
    fn guided(
        &self,
        compiled: &Compiled,
        check: &Check,
        control: &Control<'_>,
    ) -> Result<(Option<Guided>, Vec<String>), WorkflowError> {
        let mut notes = vec![];
        let normalised = check.description.up_to_constant.is_empty();
        if self.evidence.is_some() && !normalised {
            notes.push("the evidence is not estimated: the density is known up to a constant only".into());
        }
        let evidence = self.evidence.is_some() && normalised;
        if compiled.posterior.dim == 0 || (self.method == Method::Nuts && !evidence) {
            return Ok((None, notes));
        }
        let map = self.method == Method::Transport;
        let options = ladder::Options { seed: self.nuts.seed, map, ..self.guide.clone() };
        let fitted = match &self.guide_file {
            Some(path) => Ok(guide_file::load(path, compiled, self.data, self.nuts.seed)?),
            None => ladder::fit(compiled, &options, control.cancel),
        };
        let fitted = match fitted {
            Ok(fitted) => fitted,
            Err(e) if self.method.needs_guide() => return Err(e.into()),
            Err(e) => {
                notes.push(format!("no guide, so no evidence: {e}"));
                return Ok((None, notes));
            }
        };
        let (method, reason) = match self.method {
            Method::Auto => choose(&fitted, evidence),
            asked => (asked, asked.asked().into()),
        };
        Ok((Some(Guided { method, reason, fitted }), notes))
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
///
/// ```
/// use thalweg::mcmc::config::Control;
/// use thalweg::model::{data::DataFile, posterior::Model};
/// use thalweg::workflow::run::{Job, run};
///
/// let model = Model::from_text("coin", "data y: int\nlatent p ~ beta(1, 1)\nobserve y ~ binomial(10, p)\n")?;
/// let data = DataFile::from_json("{\"y\": 7}")?;
/// let done = run(&Job::new(&model, &data), &Control::default(), &|check| println!("{}", check.text()))?;
/// println!("{}verdict: {}", done.text(false), done.verdict.text());
/// assert!((done.fit.get("p").map_or(0.0, |s| s.mean) - 8.0 / 12.0).abs() < 0.05);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn run(job: &Job<'_>, control: &Control<'_>, checked: &(dyn Fn(&Check) + Sync)) -> Result<Run, WorkflowError> {
    job.nuts.check()?;
    let Some(threads) = job.nuts.threads else {
        return steps(job, control, checked);
    };
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
    let pool = pool.map_err(|e| McmcError::Threads { threads, message: e.to_string() })?;
    pool.install(|| steps(job, control, checked))
}

fn steps(job: &Job<'_>, control: &Control<'_>, checked: &(dyn Fn(&Check) + Sync)) -> Result<Run, WorkflowError> {
    let compiled = Compiled::with_isa(job.model.bind_with(job.data, &job.settings)?, job.isa);
    let check = job.check(&compiled);
    checked(&check);
    let (mut guided, mut notes) = job.guided(&compiled, &check, control)?;
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
    let fit = match draw(job, &compiled, guided.as_mut(), predict.as_deref(), control, &mut notes) {
        Err(WorkflowError::Weights(why)) if job.method == Method::Auto => {
            // The draws themselves have the last word on their weights.
            if let Some(g) = &mut guided {
                (g.method, g.reason) =
                    (Method::Transport, format!("NUTS behind the guide: importance sampling: {why}"));
            }
            draw(job, &compiled, guided.as_mut(), predict.as_deref(), control, &mut notes)
        }
        done => done,
    }?;
    let mut findings = findings(job.model, &compiled, &fit);
    findings.splice(0..0, check.finding());
    let evidence = match (&guided, job.evidence) {
        (Some(g), Some(settings)) if !fit.interrupted() => {
            // Resampled draws are no chains, and bound nothing from above.
            let used = fit.used.iter().filter(|_| fit.weighting.is_none());
            let chains: Vec<Vec<f64>> = used.map(|&c| fit.chains[c].positions.clone()).collect();
            let settings = EvidenceSettings { seed: job.nuts.seed, ..settings };
            let fault = unmixed(&fit);
            // Chains that do not agree would teach the guide where they are stuck.
            let teach = !chains.is_empty() && fault.is_none();
            let refined = if teach { refined(g.fitted(), &chains, job.nuts.seed) } else { None };
            notes.extend(refined.as_ref().map(|r| r.1.clone()));
            let (guide, draws) = match &refined {
                Some((guide, _)) => (guide, Draws::SecondHalf),
                None => (&g.fitted().guide, Draws::All),
            };
            let posterior =
                (!chains.is_empty()).then_some(Posterior { chains: &chains, draws, fault: fault.as_deref() });
            match estimate(&compiled, guide, posterior, &settings) {
                Ok(found) => Some(found),
                Err(e) => {
                    notes.push(format!("the evidence is not estimated: {e}"));
                    None
                }
            }
        }
        _ => None,
    };
    findings.extend(evidence.as_ref().and_then(doubt));
    let done = Run { verdict: Verdict::of(&findings), check, fit, guided, evidence, notes, findings, compiled };
    if let Some(folder) = &job.folder {
        let mut json = done.json();
        // What is not the same for equal settings and seeds.
        json.as_object_mut().map(|o| o.remove("seconds"));
        json["guide"]["rungs"].as_array_mut().into_iter().flatten().for_each(|r| {
            r.as_object_mut().map(|o| o.remove("seconds"));
        });
        write(&folder.join("summary.json"), &json)?;
    }
    Ok(done)
}

/// A verdict on the evidence that a reader has to know of.
fn doubt(e: &Evidence) -> Option<Finding> {
    use crate::evidence::sandwich::Verdict as Word;
    let next = match e.sandwich.verdict {
        Word::Agree => return None,
        Word::Wide => "more particles (--particles), or a freer guide (--guide 'realnvp(8)')",
        Word::Contradiction => "look at the posterior draws first (R-hat, several modes), then at the guide",
        Word::NotTrusted => "fit a freer guide (--guide 'realnvp(8)'), or draw more particles (--particles)",
    };
    let text = format!("evidence: {}: {}", e.sandwich.verdict.word(), e.sandwich.reason);
    Some(Finding { serious: false, text, next: next.into() })
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
        if let Some(g) = &self.guided {
            json["method"] = json!({ "name": g.method, "reason": g.reason });
            json["guide"] = g.fitted.json();
            let points = self.fit.used.iter().flat_map(|&c| &self.fit.chains[c].divergent);
            json["divergent_base_points"] = points.cloned().collect();
        }
        if let Some(e) = &self.evidence {
            json["evidence"] = crate::workflow::evidence::json(e);
        }
        json
    }

    /// Table, accounts and warnings.
    pub fn text(&self, all: bool) -> String {
        let mut text = String::new();
        if let Some(g) = &self.guided {
            text.push_str(&format!("{}method: {}\n\n", g.fitted.text(), g.reason));
        }
        text.push_str(&format!("{}\n{}\n", self.fit.table(all), self.fit.accounts()));
        if let Some(e) = &self.evidence {
            text.push_str(&crate::workflow::evidence::text(e));
        }
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
