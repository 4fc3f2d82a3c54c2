//! The `argon` command. Each command is a file of `cli`; what they share beside the library lives there too.

mod cli;

use std::process::ExitCode;

fn main() -> ExitCode {
    cli::main()
}
