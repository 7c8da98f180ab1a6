//! `gsgate label-studio`: a project in step with a bucket.

mod export;
mod import;
mod key;
mod progress;
mod setup;

use clap::Subcommand;

use super::{ConfigArgument, Failure};
use crate::app::Source;
use crate::config::{Environment, Resolved};
use crate::gcs::credentials::ControlPlane;
use crate::label_studio::api::Api;
use crate::telemetry;

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Make a task for each object of a connection that has none yet.
    Import(import::Arguments),
    /// Write every annotation of a project to the bucket; what is there already stays.
    Export(export::Arguments),
    /// Make a key for Label Studio's own storage client, which only gsgate trusts.
    Key(key::Arguments),
    /// Say what is missing between Label Studio and the gateway, and the cure.
    Setup(setup::Arguments),
}

pub(super) async fn run(arguments: Arguments, environment: Environment) -> Result<(), Failure> {
    telemetry::init(&telemetry::Config::quiet(), None).map_err(Failure::runtime)?;
    match arguments.command {
        Command::Import(arguments) => import::run(arguments, environment).await,
        Command::Export(arguments) => export::run(arguments, environment).await,
        Command::Key(arguments) => key::run(arguments, environment),
        Command::Setup(arguments) => setup::run(arguments, environment).await,
    }
}

/// Which project, and where the configuration is.
#[derive(Debug, clap::Args)]
struct Target {
    /// The project's id: the number in its URL.
    #[arg(long, value_name = "ID")]
    project: u64,
    #[command(flatten)]
    config: ConfigArgument,
}

impl Target {
    fn load(&self, environment: &Environment) -> Result<Resolved, Failure> {
        Ok(Source::file(&self.config.config, environment.clone()).load()?)
    }
}

/// Label Studio's API, as the configuration has it.
fn api(resolved: &Resolved) -> Result<Api, Failure> {
    let config = &resolved.config.label_studio;
    let refused = |key: &str, message: &str| {
        resolved.origin.error(["label_studio", key].map(str::to_owned).to_vec(), message.to_owned())
    };
    let server = config.server().cloned().ok_or_else(|| {
        refused("url", "it is not set; name Label Studio's own address, such as \"http://label-studio:8080\"")
    })?;
    let token = config.token_file.clone().ok_or_else(|| {
        refused("token_file", "it is not set; name a file that holds a personal access token of Label Studio")
    })?;
    let control = ControlPlane::new(&resolved.config.gcs).map_err(Failure::runtime)?;
    Ok(Api::new(server, token, &control))
}
