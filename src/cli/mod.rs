//! The command line: one file per command.

mod amortize;
mod bench;
mod check;
mod common;
mod evidence;
mod fit;
mod gap;
mod interpolate;
mod optimize;
mod plates;
mod points;
mod run;
mod sample;
mod simulate;

use std::process::ExitCode;

use clap::{Parser, Subcommand, ValueEnum};

use crate::base::simd::Isa;

pub use common::CliError;

/// Probabilistic programming: a text model in, posterior draws with honest diagnostics out.
#[derive(Parser)]
#[command(name = "thalweg", version, arg_required_else_help = true)]
struct Cli {
    /// Instruction set: results of the lowest differ from those of the others in their last bits [default: the machine's best]
    #[arg(long, global = true, value_enum, value_name = "LEVEL")]
    isa: Option<IsaArg>,
    #[command(subcommand)]
    command: Command,
}

/// Levels by name.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum IsaArg {
    /// What every processor has
    Baseline,
    /// AVX2 with fused multiply-add
    Avx2,
    /// AVX-512, with the same results as AVX2
    Avx512,
}

impl IsaArg {
    /// Makes it the level of this process.
    fn fix(self) -> Result<(), CliError> {
        let (isa, name) = match self {
            IsaArg::Baseline => (Isa::Baseline, "baseline"),
            IsaArg::Avx2 => (Isa::Avx2Fma, "avx2"),
            IsaArg::Avx512 => (Isa::Avx512, "avx512"),
        };
        if isa.fix() {
            return Ok(());
        }
        Err(CliError::Isa(name))
    }
}

#[derive(Subcommand)]
enum Command {
    Check(check::CheckArgs),
    Optimize(optimize::OptimizeArgs),
    /// Posterior draws by NUTS
    #[command(args_override_self = true)]
    Sample(sample::SampleArgs),
    /// Draws from the priors, data from them, or predictions from posterior draws
    Simulate(simulate::SimulateArgs),
    Fit(fit::FitArgs),
    Gap(gap::GapArgs),
    Interpolate(interpolate::InterpolateArgs),
    /// The marginal likelihood as an interval, by several estimators
    #[command(args_override_self = true)]
    Evidence(evidence::EvidenceArgs),
    /// The log Bayes factor of two models with its error
    #[command(args_override_self = true)]
    Compare(evidence::CompareArgs),
    /// Checks the model, fits a guide, samples, estimates the evidence, and says whether the draws can be trusted
    #[command(args_override_self = true)]
    Run(run::RunArgs),
}

/// Runs the command line; 0 on success, 1 where the model, the data or the run is at fault, 2 for
/// wrong arguments.
pub fn main() -> ExitCode {
    let done = sample::config::expand(std::env::args_os().collect()).and_then(|args| dispatch(Cli::parse_from(args)));
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            let text = e.to_string();
            // A message about a place in a model comes with its own headline.
            let headline = if text.starts_with("error: ") { "" } else { "error: " };
            eprintln!("{headline}{}", text.trim_end());
            ExitCode::FAILURE
        }
    }
}

fn dispatch(cli: Cli) -> Result<(), CliError> {
    cli.isa.map_or(Ok(()), IsaArg::fix)?;
    match cli.command {
        Command::Check(args) => check::run(&args),
        Command::Optimize(args) => optimize::run(&args),
        Command::Sample(a) => a.run(),
        Command::Simulate(a) => a.run(),
        Command::Fit(a) => a.run(),
        Command::Gap(a) => a.run(),
        Command::Interpolate(a) => a.run(),
        Command::Evidence(a) => a.run(),
        Command::Compare(a) => a.run(),
        Command::Run(a) => a.run(),
    }
}

/// Prints to standard output; a reader that has gone away ends the program quietly.
fn out(text: &str) {
    use std::io::Write;
    if std::io::stdout().write_all(text.as_bytes()).is_err() {
        std::process::exit(0);
    }
}
