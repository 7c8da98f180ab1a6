//! `gsgate label-studio import`: a task for each object that has none yet.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::time::sleep;

use super::Target;
use super::progress;
use crate::cli::Failure;
use crate::cli::tasks::{cover, find, place, told};
use crate::config::Environment;
use crate::label_studio::api::Api;
use crate::label_studio::fields;
use crate::server::PublicUrl;
use crate::server::signals::Signals;
use crate::tasks::label_studio::{ImportCounts, Importer, Known, Names, Summary};
use crate::tasks::selection::Selection;
use crate::tasks::{DataType, Links};

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// The connection whose objects become tasks.
    #[arg(value_name = "CONNECTION")]
    connection: String,
    #[command(flatten)]
    target: Target,
    /// Goes on, and looks for new objects this often.
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration)]
    watch: Option<Duration>,
    /// Field that gets the URL; without it: the one that the project's labelling configuration shows.
    #[arg(long, value_name = "KEY", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    data_key: Option<String>,
    /// gs:// URIs in place of the gateway's URLs: for a gateway in front of Label Studio, or as its GCS endpoint.
    #[arg(long)]
    gs_uri: bool,
    /// Only objects of this kind, by content type and extension.
    #[arg(long, value_enum)]
    data_type: Option<DataType>,
    /// How browsers reach the gateway, in place of `server.public_url`.
    #[arg(long, value_name = "URL")]
    public_url: Option<String>,
}

pub(super) async fn run(arguments: Arguments, environment: Environment) -> Result<(), Failure> {
    if arguments.watch.is_some_and(|every| every < Duration::from_secs(1)) {
        return Err(Failure::usage("--watch: expected 1s or longer"));
    }
    let environment = match &arguments.public_url {
        Some(url) => environment.with_flag("--public-url", "server.public_url", url.as_str()),
        None => environment,
    };
    let resolved = arguments.target.load(&environment)?;
    let connection = find(&resolved, &arguments.connection)?;
    let links = if arguments.gs_uri { Links::GsUri } else { Links::Gateway };
    let cover = Arc::new(cover(&resolved, links)?);
    let api = super::api(&resolved)?;
    let place = place::open(&resolved, connection, &environment).await?;
    let uri = &connection.config.uri;
    let public_url = resolved.config.server.public_url.as_ref().map(PublicUrl::as_str);
    let importer = Importer {
        key: key(&api, arguments.target.project, arguments.data_key).await?,
        api: &api,
        project: arguments.target.project,
        place,
        label: &connection.label,
        selection: Selection { connection: &connection.config, data_type: arguments.data_type, newer_than: None },
        cover,
        names: Names::new(&uri.bucket, uri.path.as_str(), public_url, &connection.label),
    };
    let mut signals = Signals::install().map_err(|error| Failure::runtime(format!("cannot take signals: {error}")))?;
    tokio::select! {
        outcome = again(&importer, arguments.watch) => outcome,
        _ = signals.next() => match arguments.watch {
            Some(_) => Ok(()),
            None => Err(Failure::runtime("ended by a signal; run it again to go on")),
        }
    }
}

/// Once, or until somebody ends it; a watch outlives troubles.
async fn again(importer: &Importer<'_>, watch: Option<Duration>) -> Result<(), Failure> {
    let mut known = Known::default();
    loop {
        let (counts, began) = (Arc::new(ImportCounts::default()), Instant::now());
        let progress = progress::show(Arc::clone(&counts), began);
        let outcome = importer.run(&mut known, &counts).await;
        drop(progress);
        let Some(every) = watch else {
            report(&outcome.map_err(|error| Failure::runtime(told(error)))?, began.elapsed());
            return Ok(());
        };
        match outcome {
            Ok(summary) => report(&summary, began.elapsed()),
            Err(error) => eprintln!("gsgate: {}; trying again in {}", told(error), humantime::format_duration(every)),
        }
        sleep(every).await;
    }
}

/// The field that gets the link.
async fn key(api: &Api, project: u64, asked: Option<String>) -> Result<String, Failure> {
    let config = api.project(project).await.map_err(|error| Failure::runtime(told(error)))?.label_config;
    let fields = fields::media(&config);
    let shown: Vec<&str> = fields.iter().map(|field| field.key.as_str()).collect();
    match (asked, shown.as_slice()) {
        (Some(key), []) => Ok(key),
        (Some(key), shown) if shown.contains(&key.as_str()) => Ok(key),
        (Some(key), shown) => Err(Failure::usage(format!(
            "--data-key {key}: the labelling configuration of project {project} shows {}",
            shown.join(", ")
        ))),
        (None, [key]) => Ok((*key).to_owned()),
        (None, []) => Err(Failure::usage(format!(
            "the labelling configuration of project {project} shows no media yet; set it up, or give --data-key"
        ))),
        (None, shown) => Err(Failure::usage(format!(
            "the labelling configuration of project {project} shows {}; choose one with --data-key",
            shown.join(", ")
        ))),
    }
}

fn report(summary: &Summary, elapsed: Duration) {
    let elapsed = humantime::format_duration(Duration::from_millis(
        u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX) / 100 * 100,
    ));
    let Summary { selected, already, made, .. } = summary;
    eprintln!("gsgate: {made} tasks made; {already} of {selected} objects had one; {elapsed}");
    if summary.taken_back > 0 {
        eprintln!("gsgate: {} tasks that were there twice were taken back", summary.taken_back);
    }
    if summary.doubles > 0 {
        eprintln!("gsgate: {} tasks are there twice and stay, because somebody has worked on both", summary.doubles);
    }
    for trouble in &summary.unservable {
        eprintln!("gsgate: cannot be served: {trouble}");
    }
    more("cannot be served", summary.unservable_count, summary.unservable.len());
    for (task, name) in &summary.vanished {
        eprintln!("gsgate: the object of task {task} is gone: {name:?}");
    }
    more("tasks whose object is gone", summary.vanished_count, summary.vanished.len());
}

fn more(what: &str, all: u64, told: usize) {
    let more = all.saturating_sub(told as u64);
    if more > 0 {
        eprintln!("gsgate: {what}: {more} more");
    }
}
