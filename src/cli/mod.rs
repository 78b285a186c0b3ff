//! The command line: one file per command.

mod bench;
mod check;
mod common;
mod optimize;
mod points;

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
}

/// Runs the command line; 0 on success, 1 where the model, the data or the run is at fault, 2 for
/// wrong arguments.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    let done: Result<(), CliError> = match &cli.command {
        Command::Check(args) => check::run(args),
        Command::Optimize(args) => optimize::run(args),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            eprintln!("{e}");
            ExitCode::FAILURE
        }
    }
}
