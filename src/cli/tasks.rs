//! `gsgate tasks`: a manifest of a connection's objects, for an annotation tool to import.

pub(super) mod place;
mod preview;
mod progress;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use super::link::terms::TermsArguments;
use super::{ConfigArgument, Failure};
use crate::app::Source;
use crate::config::{ConfigError, Environment, Resolved, ResolvedConnection};
use crate::server::signals::Signals;
use crate::tasks::format::Format;
use crate::tasks::selection::Selection;
use crate::tasks::{
    Conflict, Counts, Cover, DataType, Import, Links, Manifest, Output, Place, Recipe, Since, Troubles,
};
use crate::telemetry;

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// The connection whose objects become tasks.
    #[arg(value_name = "CONNECTION")]
    connection: String,
    #[command(flatten)]
    config: ConfigArgument,
    /// What the annotation tool reads.
    #[arg(long, value_enum, default_value_t = Format::LabelStudio)]
    format: Format,
    /// Field that gets the URL; may be given several times. Without it: the kind of data (image, video, …) for
    /// label-studio, and url for jsonl and csv.
    #[arg(long, value_name = "KEY", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    data_key: Vec<String>,
    /// Keep gs:// URIs in place of the gateway's URLs.
    #[arg(long)]
    gs_uri: bool,
    /// Put a link into each URL: whoever has the manifest may read its objects.
    #[arg(long, conflicts_with = "gs_uri")]
    link: bool,
    #[command(flatten)]
    terms: TermsArguments,
    /// Whether each object is a task, or defines tasks.
    #[arg(long, value_enum, default_value_t = Import::Files)]
    import: Import,
    /// Only objects of this kind, by content type and extension.
    #[arg(long, value_enum)]
    data_type: Option<DataType>,
    /// Only what is newer than a time (RFC 3339), or not in an earlier manifest of the same format.
    #[arg(long, value_name = "TIME|MANIFEST")]
    since: Option<String>,
    /// Only names after this one: goes on where an interrupted run says that it ended.
    #[arg(long, value_name = "NAME")]
    start_after: Option<String>,
    /// File to write; it appears when it is complete. Without it: standard output.
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Show the first N objects as a table, and write no manifest.
    #[arg(long, value_name = "N", conflicts_with = "output")]
    preview: Option<usize>,
    /// How browsers reach the gateway, in place of `server.public_url`.
    #[arg(long, value_name = "URL")]
    public_url: Option<String>,
}

impl Arguments {
    fn recipe(&self) -> Recipe {
        let data_keys = self.data_key.clone();
        Recipe { format: self.format, data_keys, import: self.import, data_type: self.data_type }
    }

    /// What clap cannot know.
    fn check(&self) -> Result<(), Failure> {
        if self.terms.is_given() && !self.link {
            return Err(Failure::usage("--expires, --not-before, --network and --subject are about links; add --link"));
        }
        self.recipe().check().map_err(|conflict| {
            Failure::usage(match conflict {
                Conflict::NoRoomForTasks => {
                    "--import json: only --format label-studio and jsonl have room for whole tasks"
                }
                Conflict::TasksHaveNoKind => "--data-type: files of task definitions have no kind; use filter instead",
                Conflict::OnlyImages => "--format cvat: its manifest lists images; leave --data-type out",
            })
        })
    }

    fn links(&self) -> Links {
        if self.gs_uri { Links::GsUri } else { Links::Gateway }
    }
}

pub(super) async fn run(arguments: Arguments, environment: Environment) -> Result<(), Failure> {
    arguments.check()?;
    telemetry::init(&telemetry::Config::quiet(), None).map_err(Failure::runtime)?;
    let environment = match &arguments.public_url {
        Some(url) => environment.with_flag("--public-url", "server.public_url", url.as_str()),
        None => environment,
    };
    let resolved = Source::file(&arguments.config.config, environment.clone()).load()?;
    let connection = find(&resolved, &arguments.connection)?;
    let mut cover = cover(&resolved, arguments.links())?;
    if arguments.link {
        takes_links(&resolved, connection)?;
        cover = cover.signed(arguments.terms.signer(&resolved)?);
    }
    let cover = Arc::new(cover);
    let keys = arguments.recipe().keys();
    let since = arguments.since.as_deref().map(|since| Since::read(since, arguments.format, &keys[0]));
    let since = since.transpose().map_err(|error| Failure::usage(format!("--since: {}", told(error))))?;
    let (newer_than, known) = match since {
        Some(Since::Time(time)) => (Some(time), None),
        Some(Since::Manifest(known)) => (None, Some(Arc::new(known))),
        None => (None, None),
    };
    let place = place::open(&resolved, connection, &environment).await?;
    let selection = Selection { connection: &connection.config, data_type: arguments.recipe().data_type(), newer_than };
    if let Some(rows) = arguments.preview {
        return preview::show(place, &selection, (&cover, &connection.label), rows).await;
    }
    let manifest = Manifest {
        place,
        label: &connection.label,
        selection,
        cover,
        format: arguments.format,
        keys,
        import: arguments.import,
        known,
        start_after: arguments.start_after,
    };
    write(manifest, arguments.output).await
}

/// Writes the manifest, unless a signal ends it; then a file is left as it was.
async fn write(manifest: Manifest<'_>, path: Option<PathBuf>) -> Result<(), Failure> {
    let mut output = match &path {
        Some(path) => Output::file(path).map_err(|error| Failure::runtime(told(error)))?,
        None => Output::standard(),
    };
    let (counts, mut troubles, began) = (Arc::new(Counts::default()), Troubles::default(), Instant::now());
    let progress = progress::show(Arc::clone(&counts), began);
    let mut signals = Signals::install().map_err(|error| Failure::runtime(format!("cannot take signals: {error}")))?;
    let outcome = tokio::select! {
        outcome = manifest.write(&mut output, &counts, &mut troubles) => outcome,
        _ = signals.next() => {
            let left = if path.is_some() { "no file was written" } else { "the manifest is not complete" };
            return Err(Failure::runtime(format!("ended by a signal; {left}")));
        }
    };
    drop(progress);
    outcome.map_err(|error| Failure::runtime(told(error)))?;
    output.finish().map_err(|error| Failure::runtime(told(error)))?;
    progress::report(&counts, &troubles, began);
    match troubles.bad.count {
        0 => Ok(()),
        1 => Err(Failure::runtime("1 fault in the files named above; everything else is in the manifest")),
        count => Err(Failure::runtime(format!(
            "{count} faults in the files named above; everything else is in the manifest"
        ))),
    }
}

pub(super) fn find<'a>(resolved: &'a Resolved, name: &str) -> Result<&'a ResolvedConnection, Failure> {
    resolved.connections.iter().find(|connection| &*connection.label == name).ok_or_else(|| {
        let known: Vec<&str> = resolved.connections.iter().map(|connection| &*connection.label).collect();
        Failure::usage(format!("there is no connection {name:?}; there is {}", known.join(", ")))
    })
}

/// A manifest whose URLs should have links, and have none, would be found out by the annotators.
fn takes_links(resolved: &Resolved, connection: &ResolvedConnection) -> Result<(), ConfigError> {
    if connection.config.access.takes_links() {
        return Ok(());
    }
    let cure = "--link: this connection takes no links; set access to \"link\", \"network-and-link\" or \
                \"network-or-link\"";
    let key = ["connections", &*connection.label, "access"].map(str::to_owned).to_vec();
    Err(resolved.origin.error(key, cure.to_owned()))
}

/// All connections behind the public URL, which `gs://` links do without.
pub(super) fn cover(resolved: &Resolved, links: Links) -> Result<Cover, ConfigError> {
    let url = match (&resolved.config.server.public_url, links) {
        (Some(url), _) => url.as_str(),
        (None, Links::GsUri) => "",
        (None, Links::Gateway) => {
            let cure = "it is not set, but the manifest's URLs begin with it; add public_url = \
                        \"https://media.example.com\" to [server] or give --public-url, or keep gs:// with --gs-uri";
            let key = ["server", "public_url"].map(str::to_owned).to_vec();
            return Err(resolved.origin.error(key, cure.to_owned()));
        }
    };
    let connections = resolved.connections.iter().map(|connection| (&connection.label, &connection.config));
    Ok(Cover::new(links, url, connections))
}

/// An error and its causes, in one line.
pub(super) fn told(error: impl std::error::Error + Send + Sync + 'static) -> String {
    format!("{:#}", anyhow::Error::new(error))
}
