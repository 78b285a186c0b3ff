//! `thalweg sample`: posterior draws by NUTS.

pub mod config;
pub mod progress;

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};

use clap::{Args, ValueEnum};

use super::common::{CliError, ModelArgs, positive};
use crate::evidence::run::Settings as Evidence;
use crate::mcmc::config::{Control, Nuts};
use crate::mcmc::metric::MetricKind;
use crate::workflow::ladder::{Choice, Options};
use crate::workflow::method::Method;
use crate::workflow::run::{Check, Job, Run, run};
use crate::workflow::sample::WorkflowError;
use crate::workflow::start::Start;

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

/// How to draw.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum MethodArg {
    /// Chosen from what the guide shows
    Auto,
    /// NUTS in the model's coordinates
    Nuts,
    /// NUTS behind the map of a fitted guide
    Transport,
    /// Weighted draws from a fitted guide
    Importance,
    /// Transport with jumps to draws from the guide
    FlowMh,
}

/// Settings of `sample`.
#[derive(Args, Clone, Debug)]
pub struct SampleArgs {
    #[command(flatten)]
    pub model: ModelArgs,
    /// Number of chains
    #[arg(long, default_value_t = 4, value_parser = positive)]
    pub chains: usize,
    /// Warm-up iterations per chain
    #[arg(long, default_value_t = 1000)]
    pub warmup: usize,
    /// Iterations per chain after warm-up
    #[arg(long, default_value_t = 1000, value_parser = positive)]
    pub draws: usize,
    /// Mean acceptance statistic that warm-up aims at [default: 0.8; behind a map 0.95]
    #[arg(long)]
    pub target_accept: Option<f64>,
    /// Largest number of trajectory doublings
    #[arg(long, default_value_t = 10)]
    pub max_depth: usize,
    /// Form of the inverse mass matrix
    #[arg(long, value_enum, default_value = "diag")]
    pub metric: MetricArg,
    /// Radius of the random starts of plain chains, or a JSON file with values of latents
    #[arg(long, default_value = "2", value_name = "RADIUS|FILE", allow_negative_numbers = true)]
    pub init: String,
    /// How to draw: nuts, transport (NUTS behind the map of a fitted guide), importance (weighted draws from the guide), flow-mh
    /// (transport with jumps to draws from the guide), or auto, which looks at the guide [default: nuts; of `run`: auto]
    #[arg(long, value_enum)]
    pub method: Option<MethodArg>,
    /// The same as --method transport
    #[arg(long)]
    pub transport: bool,
    /// Guide to fit: auto, mean-field, full-rank, or a flow such as 'realnvp(8)' or 'iaf(3)'; or a file of `fit --out`
    #[arg(long, default_value = "auto", value_name = "GUIDE")]
    pub guide: String,
    /// Keep every n-th draw
    #[arg(long, default_value_t = 1, value_parser = positive)]
    pub thin: usize,
    /// Seed of all random numbers
    #[arg(long, default_value_t = 0, allow_negative_numbers = true)]
    pub seed: u64,
    /// Worker threads; the draws do not depend on it
    #[arg(long, value_parser = positive)]
    pub threads: Option<usize>,
    /// Repeat a run with the arguments in its config.json; those on the command line come on top
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
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

impl SampleArgs {
    fn nuts(&self) -> Nuts {
        Nuts {
            chains: self.chains,
            warmup: self.warmup,
            draws: self.draws,
            thin: self.thin,
            target_accept: self.target_accept.unwrap_or(Nuts::default().target_accept),
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

    /// The method, `--transport` included; `otherwise` where none was asked for.
    fn method(&self, otherwise: Method) -> Method {
        match (self.transport, self.method) {
            (true, _) | (_, Some(MethodArg::Transport)) => Method::Transport,
            (_, Some(MethodArg::Auto)) => Method::Auto,
            (_, Some(MethodArg::Nuts)) => Method::Nuts,
            (_, Some(MethodArg::Importance)) => Method::Importance,
            (_, Some(MethodArg::FlowMh)) => Method::FlowMh,
            (_, None) => otherwise,
        }
    }

    /// Binds, checks, samples; `checked` is told what is known before the first draw.
    pub fn sample(
        &self,
        test_gradient: bool,
        evidence: Option<Evidence>,
        checked: &(dyn Fn(&Check) + Sync),
    ) -> Result<Run, CliError> {
        let (model, data) = (self.model.load()?, self.model.load_data()?);
        // Where the evidence asks for a guide anyway, the guide may as well say how to draw.
        let method = self.method(if evidence.is_some() { Method::Auto } else { Method::Nuts });
        let job = Job {
            settings: self.model.settings(self.seed)?,
            nuts: self.nuts(),
            accept_behind: self.target_accept,
            start: Start::read(&self.init).map_err(WorkflowError::from)?,
            method,
            guide: Options { choice: Choice::read(&self.guide), ..Options::default() },
            // No flow is written with a point, so a name that ends in `.json` is a file even where there is none.
            guide_file: Some(PathBuf::from(&self.guide))
                .filter(|p| p.is_file() || p.extension().is_some_and(|e| e == "json")),
            evidence,
            test_gradient,
            folder: self.out.clone(),
            config: config::arguments(self, method),
            ..Job::new(&model, &data)
        };
        let bars = progress::Bars::new(self.chains, self.quiet || self.json);
        let watch = |p: &_| bars.show(p);
        let control =
            Control { progress: bars.active().then_some(&watch as _), cancel: Some(interrupt()), ..Control::default() };
        let done = run(&job, &control, checked);
        bars.end();
        Ok(done?)
    }

    /// Runs the command.
    pub fn run(&self) -> Result<(), CliError> {
        let done = self.sample(false, None, &|_| ())?;
        if self.json {
            super::out(&format!("{:#}\n", done.json()));
            return Ok(());
        }
        let remarks = done.check.description.remarks.iter().filter(|_| !self.quiet);
        let remarks: String = remarks.map(|r| format!("{r}\n")).collect();
        super::out(&format!("{}{remarks}{}", done.text(self.all), self.written()));
        Ok(())
    }

    /// Where the draws are.
    pub fn written(&self) -> String {
        self.out.iter().map(|f| format!("draws: {}\n", f.join("chain_*.csv").display())).collect()
    }
}

/// Set by the first Ctrl-C; the second one ends the program.
pub fn interrupt() -> &'static AtomicBool {
    static STOP: AtomicBool = AtomicBool::new(false);
    // A second handler is refused, and the first one does the same.
    let _ = ctrlc::set_handler(|| {
        if STOP.swap(true, Ordering::Relaxed) {
            std::process::exit(130);
        }
    });
    &STOP
}
