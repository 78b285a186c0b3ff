//! The command line: one file per command.

mod common;

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
enum Command {}

/// Runs the command line; 0 on success, 1 where the model, the data or the run is at fault, 2 for
/// wrong arguments.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    let done: Result<(), CliError> = match cli.command {};
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            eprintln!("{e}");
            ExitCode::FAILURE
        }
    }
}
