//! The process: hands the command line and the environment to the library, and its verdict to the system.

use std::process::ExitCode;

use gsgate::cli;
use gsgate::config::Environment;
use mimalloc::MiMalloc;

/// Buffers of some hundred KiB come and go with each request; this keeps their pages.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

fn main() -> ExitCode {
    cli::run(std::env::args_os(), Environment::of_process())
}
