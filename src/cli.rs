//! The command line: one file a command.
//!
//! Exit codes: 0 good, 1 failed at run time, 2 usage, 64 bad configuration. An error is one line on standard error.
//! Secrets never stand in arguments: credentials are named by file.

mod check;
mod demo;
mod health;
mod label_studio;
mod link;
mod progress;
mod serve;
mod sign;
mod tasks;

use std::ffi::OsString;
use std::future::Future;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

use crate::app::StartError;
use crate::config::{ConfigError, Environment};

/// A gateway for private Google Cloud Storage media: annotation UIs get images, audio and video by streaming or by signed URL, without CORS on the bucket.
#[derive(Debug, Parser)]
#[command(name = "gsgate", version, max_term_width = 100)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve the configured connections.
    Serve(serve::Arguments),
    /// Try everything out: sample media, a gateway and a page, on this machine alone.
    Demo(demo::Arguments),
    /// Check configuration, credentials, buckets and objects: what works, what does not, and why.
    Check(check::Arguments),
    /// Print a V4 signed URL for an object.
    Sign(sign::Arguments),
    /// Print URLs that carry the right to read, or make a key for them.
    Link(link::Arguments),
    /// Write a manifest of a connection's objects for an annotation tool.
    Tasks(tasks::Arguments),
    /// Keep a Label Studio project in step with a bucket.
    LabelStudio(label_studio::Arguments),
    /// Ask a running gateway whether it is healthy; for container health checks.
    Health(health::Arguments),
}

/// Where the configuration is.
#[derive(Debug, Args)]
struct ConfigArgument {
    /// Configuration file.
    #[arg(long, value_name = "FILE", env = "GSGATE_CONFIG", default_value = "gsgate.toml")]
    config: PathBuf,
}

/// What ends a command badly.
#[derive(Debug)]
struct Failure {
    code: u8,
    message: String,
}

/// Exit code for trouble at run time.
const RUNTIME: u8 = 1;
/// Exit code for arguments that make no sense.
const USAGE: u8 = 2;
/// Exit code for a bad configuration.
const CONFIGURATION: u8 = 64;

impl Failure {
    fn runtime(message: impl std::fmt::Display) -> Self {
        Self { code: RUNTIME, message: message.to_string() }
    }

    fn usage(message: impl std::fmt::Display) -> Self {
        Self { code: USAGE, message: message.to_string() }
    }

    fn configuration(message: impl std::fmt::Display) -> Self {
        Self { code: CONFIGURATION, message: message.to_string() }
    }
}

impl From<ConfigError> for Failure {
    fn from(error: ConfigError) -> Self {
        Self::configuration(error)
    }
}

impl From<StartError> for Failure {
    fn from(error: StartError) -> Self {
        match error {
            StartError::Config(error) => error.into(),
            StartError::Runtime(error) => Self::runtime(format!("{error:#}")),
        }
    }
}

/// Runs the command that the arguments name.
pub fn run(arguments: impl IntoIterator<Item = OsString>, environment: Environment) -> ExitCode {
    let arguments = match Arguments::try_parse_from(arguments) {
        Ok(arguments) => arguments,
        Err(error) => {
            // Help and version are no errors; clap knows which stream and code each has.
            let printed = error.print();
            let code = u8::try_from(error.exit_code()).unwrap_or(2);
            return ExitCode::from(if printed.is_ok() { code } else { RUNTIME });
        }
    };
    let outcome = match arguments.command {
        Command::Serve(arguments) => block_on(serve::run(arguments, environment)),
        Command::Demo(arguments) => block_on(demo::run(arguments)),
        Command::Check(arguments) => block_on(check::run(arguments, environment)),
        Command::Sign(arguments) => block_on(sign::run(arguments, environment)),
        Command::Link(arguments) => block_on(link::run(arguments, environment)),
        Command::Tasks(arguments) => block_on(tasks::run(arguments, environment)),
        Command::LabelStudio(arguments) => block_on(label_studio::run(arguments, environment)),
        Command::Health(arguments) => block_on(health::run(arguments, environment)),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure { code, message }) => {
            eprintln!("gsgate: {}", message.split_whitespace().collect::<Vec<_>>().join(" "));
            ExitCode::from(code)
        }
    }
}

fn block_on(command: impl Future<Output = Result<(), Failure>>) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Failure::runtime(format!("cannot start threads: {error}")))?;
    let outcome = runtime.block_on(command);
    runtime.shutdown_background();
    outcome
}
