//! The shim alone, for tests and figures: `wharf shim` is the same behind more words.

use std::process::ExitCode;

fn main() -> ExitCode {
    host_runtime::shim::main(std::env::args_os().skip(1))
}
