//! The `thalweg` command.

fn main() -> std::process::ExitCode {
    thalweg::cli::main()
}
