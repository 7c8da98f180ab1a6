//! `gsgate check --config-only`: reads and checks the configuration and the files that it names, and asks nobody.

use super::{ConfigArgument, Failure};
use crate::app::Source;
use crate::config::Environment;

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    config: ConfigArgument,
    /// Check the file alone, without asking Google.
    #[arg(long, required = true)]
    config_only: bool,
}

pub(super) fn run(arguments: &Arguments, environment: &Environment) -> Result<(), Failure> {
    let path = &arguments.config.config;
    let resolved = Source::file(path, environment.clone()).load()?;
    let names: Vec<&str> = resolved.connections.iter().map(|connection| &*connection.label).collect();
    println!("{}: good; connections: {}", path.display(), names.join(", "));
    Ok(())
}
