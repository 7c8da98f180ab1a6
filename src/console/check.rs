//! `POST …/check`: tests a connection, and tells each row as it comes or all of them at the end.
//!
//! A client that goes away ends the check: the rows are asked for by its body, and the place among the checks is free
//! again when the body is dropped.

use bytes::Bytes;
use futures_util::StreamExt as _;
use http::header::ACCEPT;
use http::request::Parts;
use http::{HeaderMap, Response};
use serde::Serialize;

use super::InForce;
use super::answer::{Body, JSON_LINES, Refusal, json, streamed};
use super::slots::Slots;
use crate::check::{Row, State};

/// The plain form: what `gsgate check --json` says of a connection.
#[derive(Serialize)]
struct Report {
    name: String,
    uri: String,
    /// The worst of all.
    state: State,
    rows: Vec<Row>,
}

/// Begins a check.
pub(super) async fn run(
    in_force: &InForce,
    name: &str,
    head: &Parts,
    slots: &Slots,
) -> Result<Response<Body>, Refusal> {
    let connections = in_force.checker.connections();
    let connection = connections.iter().find(|known| &*known.label == name).ok_or(Refusal::NoSuchConnection)?;
    let slot = slots.check(name)?;
    let rows = in_force.checker.run(connection);
    if wants_lines(&head.headers) {
        let lines = rows.map(move |row| {
            let _held = &slot;
            let mut line = serde_json::to_vec(&row)?;
            line.push(b'\n');
            Ok(Bytes::from(line))
        });
        return Ok(streamed(JSON_LINES, lines));
    }
    let rows: Vec<Row> = rows.collect().await;
    drop(slot);
    let state = rows.iter().map(|row| row.state).max().unwrap_or(State::Skipped);
    Ok(json(&Report { name: name.to_owned(), uri: connection.config.uri.to_string(), state, rows }))
}

/// Whether each row is wanted as it comes.
fn wants_lines(headers: &HeaderMap) -> bool {
    let accepted = headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok());
    accepted
        .flat_map(|value| value.split(','))
        .any(|kind| kind.split(';').next().unwrap_or_default().trim() == JSON_LINES)
}
