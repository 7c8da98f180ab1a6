//! `gsgate label-studio export`: every annotation of a project into the bucket, as often as one likes.

use std::time::Instant;

use super::Target;
use crate::cli::Failure;
use crate::cli::tasks::{find, place, told};
use crate::config::{Environment, Resolved};
use crate::label_studio::api::Api;
use crate::label_studio::export::{self, Counts, Exporter, Extent, Status};
use crate::server::signals::Signals;

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    target: Target,
    /// Only annotations that have one of these; without it all, and objects of annotations that are gone are deleted if
    /// `can_delete` is set.
    #[arg(long, value_enum, value_delimiter = ',', value_name = "STATUS,…")]
    statuses: Vec<Status>,
}

pub(super) async fn run(arguments: Arguments, environment: Environment) -> Result<(), Failure> {
    let resolved = arguments.target.load(&environment)?;
    let (project, began) = (arguments.target.project, Instant::now());
    let exporter = exporter(&resolved, super::api(&resolved)?, &environment).await?;
    let mut signals = Signals::install().map_err(|error| Failure::runtime(format!("cannot take signals: {error}")))?;
    let extent = if arguments.statuses.is_empty() { Extent::All } else { Extent::Statuses(&arguments.statuses) };
    let counts = tokio::select! {
        counts = exporter.sweep(project, extent) => counts.map_err(|error| Failure::runtime(told(error)))?,
        _ = signals.next() => return Err(Failure::runtime("ended by a signal; run it again to go on")),
    };
    report(project, &counts, began);
    Ok(())
}

/// What writes annotations where the configuration says.
async fn exporter(resolved: &Resolved, api: Api, environment: &Environment) -> Result<Exporter, Failure> {
    let Some(config) = &resolved.config.label_studio.export else {
        let message = "it is not there; add [label_studio.export] with connection and projects";
        return Err(resolved
            .origin
            .error(["label_studio", "export"].map(str::to_owned).to_vec(), message.to_owned())
            .into());
    };
    let connection = find(resolved, &config.connection)?;
    let place = place::open(resolved, connection, environment).await?;
    let target = export::Target {
        client: place.client,
        credential: place.credential,
        bucket: place.bucket,
        prefix: place.prefix,
        project: place.project,
    };
    Ok(Exporter::new(api, target, config.clone()))
}

fn report(project: u64, counts: &Counts, began: Instant) {
    let elapsed = humantime::format_duration(std::time::Duration::from_secs(began.elapsed().as_secs()));
    let Counts { seen, other, written, same, deleted } = *counts;
    if seen == 0 {
        eprintln!("gsgate: project {project} has no annotations; nothing was written");
    } else if other == seen {
        eprintln!(
            "gsgate: none of the {seen} annotations of project {project} has the wanted status; nothing was written"
        );
    } else {
        eprintln!(
            "gsgate: {written} annotations written, {same} were there already, {other} have another status; {elapsed}"
        );
    }
    if deleted > 0 {
        eprintln!("gsgate: {deleted} objects deleted, whose annotations are gone");
    }
}
