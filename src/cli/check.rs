//! `gsgate check`: does everything work that serving needs? A table, row by row as the answers come.
//!
//! `--config-only` asks nobody; `--grant` prints the `gcloud` script that grants what is needed; `--json` prints one
//! document. Exit code 1 if anything fails, 64 for a bad configuration.

use std::fmt::Write as _;
use std::io::{self, IsTerminal as _, Write as _};
use std::pin::pin;

use futures_util::StreamExt as _;
use serde::Serialize;

use super::{ConfigArgument, Failure};
use crate::app::Source;
use crate::check::{Checker, Row, State};
use crate::config::{Environment, Resolved, ResolvedConnection};
use crate::metrics::Metrics;

/// Findings begin in this column.
const COLUMN: usize = 28;

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    config: ConfigArgument,
    /// Connections to check; all, if none is named.
    #[arg(value_name = "CONNECTION")]
    connections: Vec<String>,
    /// Check the file alone, without asking Google.
    #[arg(long, conflicts_with_all = ["json", "grant", "connections"])]
    config_only: bool,
    /// Print one JSON document, at the end.
    #[arg(long)]
    json: bool,
    /// Print the gcloud script that grants what the connections need, and nothing more.
    #[arg(long, conflicts_with = "json")]
    grant: bool,
}

/// What `--json` prints.
#[derive(Serialize)]
struct Report<'a> {
    /// The worst of all.
    state: State,
    connections: Vec<Checked<'a>>,
}

#[derive(Serialize)]
struct Checked<'a> {
    name: &'a str,
    uri: String,
    state: State,
    rows: Vec<Row>,
}

pub(super) async fn run(arguments: Arguments, environment: Environment) -> Result<(), Failure> {
    let path = &arguments.config.config;
    let resolved = Source::file(path, environment.clone()).load()?;
    if arguments.config_only {
        let names: Vec<&str> = resolved.connections.iter().map(|connection| &*connection.label).collect();
        return print(&format!("{}: good; connections: {}\n", path.display(), names.join(", ")));
    }
    let chosen = chosen(&resolved, &arguments.connections)?;
    let ready = Checker::new(resolved, &environment, Metrics::new());
    let checker = ready.map_err(|error| Failure::configuration(format!("{:#}", anyhow::Error::new(error))))?;
    if arguments.grant {
        return print(&checker.grant(&chosen).await);
    }
    let mut report = Report { state: State::Skipped, connections: Vec::new() };
    let paint = Paint::new(&environment);
    for connection in &chosen {
        let outcome = check(&checker, connection, (!arguments.json).then_some(&paint)).await?;
        report.state = report.state.max(outcome.state);
        report.connections.push(outcome);
    }
    if arguments.json {
        print(&format!("{}\n", serde_json::to_string_pretty(&report).map_err(Failure::runtime)?))?;
    }
    let failed: Vec<&str> =
        report.connections.iter().filter(|checked| checked.state == State::Fail).map(|checked| checked.name).collect();
    if failed.is_empty() { Ok(()) } else { Err(Failure::runtime(format!("the check fails for {}", failed.join(", ")))) }
}

/// The connections that are named, in the order of their names; all, if none is.
fn chosen(resolved: &Resolved, names: &[String]) -> Result<Vec<ResolvedConnection>, Failure> {
    let known = |name: &String| resolved.connections.iter().find(|connection| *connection.label == **name);
    if names.is_empty() {
        return Ok(resolved.connections.clone());
    }
    let unknown = |name: &String| {
        let all: Vec<&str> = resolved.connections.iter().map(|connection| &*connection.label).collect();
        Failure::configuration(format!("there is no connection {name:?}; there is {}", all.join(", ")))
    };
    names.iter().map(|name| known(name).cloned().ok_or_else(|| unknown(name))).collect()
}

/// Checks one connection; prints rows as they come, if there is a table to print.
async fn check<'a>(
    checker: &Checker,
    connection: &'a ResolvedConnection,
    table: Option<&Paint>,
) -> Result<Checked<'a>, Failure> {
    let uri = connection.config.uri.to_string();
    if let Some(paint) = table {
        print(&paint.heading(&connection.label, &uri))?;
    }
    let mut rows = pin!(checker.run(connection));
    let mut outcome = Checked { name: &connection.label, uri, state: State::Skipped, rows: Vec::new() };
    while let Some(row) = rows.next().await {
        if let Some(paint) = table {
            print(&paint.row(&row))?;
        }
        outcome.state = outcome.state.max(row.state);
        outcome.rows.push(row);
    }
    Ok(outcome)
}

/// How the table looks: plain, but for a state's colour on a terminal.
struct Paint {
    coloured: bool,
}

impl Paint {
    fn new(environment: &Environment) -> Self {
        // https://no-color.org
        let wanted = environment.var("NO_COLOR").is_none() && environment.var("TERM") != Some("dumb");
        Self { coloured: wanted && io::stdout().is_terminal() }
    }

    fn heading(&self, name: &str, uri: &str) -> String {
        if self.coloured { format!("\x1b[1m{name}\x1b[0m  {uri}\n") } else { format!("{name}  {uri}\n") }
    }

    fn row(&self, row: &Row) -> String {
        let state = self.state(row.state);
        let mut text = format!("  {state} {:17} {}\n", row.name, row.finding);
        let Some(diagnosis) = &row.diagnosis else { return text };
        let indent = " ".repeat(COLUMN - 7);
        // Writing to a String cannot fail.
        let mut line = |mark: &str, words: &str| _ = writeln!(text, "{indent}{mark:7}{words}");
        line("cause", &diagnosis.cause);
        for (at, step) in diagnosis.remedy.iter().enumerate() {
            line(if at == 0 { "cure" } else { "" }, step);
        }
        for command in &diagnosis.commands {
            line("     $", command);
        }
        text
    }

    fn state(&self, state: State) -> String {
        let word = format!("{state:8}");
        let colour = match state {
            _ if !self.coloured => return word,
            State::Skipped => "2",
            State::Ok => "32",
            State::Warn => "33",
            State::Fail => "31",
        };
        format!("\x1b[{colour}m{word}\x1b[0m")
    }
}

/// Prints at once; a reader that has gone away ends the command.
fn print(text: &str) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    let printed = out.write_all(text.as_bytes()).and_then(|()| out.flush());
    printed.map_err(|error| Failure::runtime(format!("cannot write: {error}")))
}
