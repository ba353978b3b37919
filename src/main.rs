//! Runs one subcommand; its exit code is the program's.

use std::process::ExitCode;

fn main() -> ExitCode {
    neverdark::cli::main()
}
