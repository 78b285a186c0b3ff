//! The command line: one file per command.

mod bench;
mod check;
mod common;
mod optimize;
mod points;
mod run;
mod sample;
mod simulate;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

pub use common::CliError;

/// Probabilistic programming: a text model in, posterior draws with honest diagnostics out.
#[derive(Parser)]
#[command(name = "thalweg", version, arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
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
    /// Checks the model, samples, and says whether the draws can be trusted
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
    match cli.command {
        Command::Check(args) => check::run(&args),
        Command::Optimize(args) => optimize::run(&args),
        Command::Sample(a) => a.run(),
        Command::Simulate(a) => a.run(),
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
