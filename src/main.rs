//! The program `sealos`.

use std::process::ExitCode;

fn main() -> ExitCode {
    sealos::cli::main()
}
