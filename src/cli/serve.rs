//! `gsgate serve`: runs until a signal ends it.

use tokio_util::sync::CancellationToken;

use super::{ConfigArgument, Failure};
use crate::app::{App, Source};
use crate::config::Environment;
use crate::server::Drained;
use crate::server::signals::Signals;
use crate::telemetry;

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    config: ConfigArgument,
    /// Address to listen on, in place of server.listen.
    #[arg(long, value_name = "ADDRESS:PORT")]
    listen: Option<String>,
    /// Address of the admin listener, in place of admin.listen.
    #[arg(long, value_name = "ADDRESS:PORT")]
    admin_listen: Option<String>,
    /// Least severe events to log, in place of log.level.
    #[arg(long, value_name = "LEVEL")]
    log_level: Option<String>,
}

pub(super) async fn run(arguments: Arguments, environment: Environment) -> Result<(), Failure> {
    let flags = [
        ("--listen", "server.listen", arguments.listen),
        ("--admin-listen", "admin.listen", arguments.admin_listen),
        ("--log-level", "log.level", arguments.log_level),
    ];
    let environment = flags.into_iter().fold(environment, |environment, (flag, key, value)| match value {
        Some(value) => environment.with_flag(flag, key, value),
        None => environment,
    });
    let project = environment.var("GOOGLE_CLOUD_PROJECT").map(str::to_owned);
    let source = Source::file(arguments.config.config, environment);
    let log = source.load()?.config.log;
    telemetry::init(&log, project).map_err(Failure::runtime)?;
    // Before anybody is told that the gateway is there: a signal that nobody takes ends the process.
    let signals = signals()?;
    let app = App::build(source).await?.on_all_cores().map_err(Failure::runtime)?;
    for address in app.public_addrs() {
        tracing::info!(%address, "serving");
    }
    for address in app.admin_addrs() {
        tracing::info!(%address, "admin listener");
    }
    until_signalled(app, signals).await
}

/// Takes over the signals.
pub(super) fn signals() -> Result<Signals, Failure> {
    Signals::install().map_err(|error| Failure::runtime(format!("cannot take signals: {error}")))
}

/// The first SIGTERM or SIGINT drains, the second ends at once; SIGHUP reloads.
pub(super) async fn until_signalled(app: App, signals: Signals) -> Result<(), Failure> {
    let shutdown = CancellationToken::new();
    let reload = app.reload_handle();
    let conductor = signals.conduct(shutdown.clone(), move || reload.reload());
    tokio::select! {
        Drained { aborted } = app.run(shutdown) => {
            if aborted > 0 {
                tracing::warn!(aborted, "drain_timeout passed; connections were broken off");
            }
            tracing::info!("drained");
            Ok(())
        }
        () = conductor => Err(Failure::runtime("ended at once by a second signal")),
    }
}
