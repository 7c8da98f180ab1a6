//! What links are good for: how long, from where, for whom; as the API is asked for them.
//!
//! Decides who gets links here: only who has shown the token, even on loopback. A link carries a right that its owner may
//! hand on, and not every process of this machine has that right.

use std::time::{Duration, SystemTime};

use serde::Deserialize;

use super::InForce;
use super::answer::Refusal;
use super::query::Query;
use crate::gateway::client_addr::Network;
use crate::gateway::links::{Expiry, Moment, Signer, Terms};
use crate::gateway::subject::Subject;

/// How long links live unless it is said; as `gsgate link` has it.
const USUAL_LIFE: Duration = Duration::from_hours(30 * 24);
/// How long the links of a preview live.
const PREVIEW: Duration = Duration::from_mins(15);
/// For whom they are, so that the audit log tells a preview from an annotator.
const PREVIEWER: &str = "console-preview";

/// The parameters of a query that are about links.
pub(super) const PARAMETERS: [&str; 4] = ["expires", "not_before", "network", "subject"];

/// What is asked for.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Asked {
    /// How long they work, such as `30days`.
    expires: Option<String>,
    /// When they begin to work.
    not_before: Option<Moment>,
    /// From where they work: names of `[networks]`, CIDR blocks or addresses.
    networks: Vec<String>,
    /// For whom they are.
    subject: Option<Subject>,
}

impl Asked {
    /// Reads them of a query.
    pub(super) fn read(query: &Query) -> Result<Self, Refusal> {
        let not_before = query.one("not_before")?.map(str::parse).transpose();
        let subject = query.one("subject")?.map(str::parse).transpose();
        Ok(Self {
            expires: query.one("expires")?.map(str::to_owned),
            not_before: not_before.map_err(|error| Refusal::Query(format!("not_before: {error}")))?,
            networks: query.all("network").map(str::to_owned).collect(),
            subject: subject.map_err(|error| Refusal::Query(format!("subject: {error}")))?,
        })
    }

    /// What signs links under these terms.
    pub(super) fn signer(self, in_force: &InForce) -> Result<Signer, Refusal> {
        let expires = match &self.expires {
            None => USUAL_LIFE,
            Some(text) => humantime::parse_duration(text)
                .map_err(|error| Refusal::Query(format!("expires is a time such as 30days: {error}")))?,
        };
        let networks = self.networks(in_force)?;
        let not_before = self.not_before.map(SystemTime::from);
        sign(in_force, &Terms { expires: Expiry::In(expires), not_before, networks, subject: self.subject })
    }

    fn networks(&self, in_force: &InForce) -> Result<Vec<Network>, Refusal> {
        let mut networks = Vec::new();
        for given in &self.networks {
            match in_force.resolved.config.networks.get(given) {
                // A name without a network would mean a link from anywhere.
                Some(named) if named.is_empty() => {
                    return Err(Refusal::Query(format!("network: [networks] {given} is empty")));
                }
                Some(named) => networks.extend(named),
                None => networks.push(given.parse().map_err(|problem| {
                    Refusal::Query(format!("network: {problem}, and [networks] has no such name"))
                })?),
            }
        }
        Ok(networks)
    }
}

/// What signs the links of a preview, where links are given out at all.
pub(super) fn for_preview(in_force: &InForce) -> Option<Signer> {
    let subject = Subject::new(PREVIEWER).ok();
    let terms = Terms { expires: Expiry::In(PREVIEW), not_before: None, networks: Vec::new(), subject };
    sign(in_force, &terms).ok()
}

fn sign(in_force: &InForce, terms: &Terms) -> Result<Signer, Refusal> {
    if !in_force.guard.asks_for_a_token() {
        return Err(Refusal::TokenNeeded);
    }
    in_force.gateway.links.signer(terms, SystemTime::now()).map_err(|error| Refusal::NoLinks(error.to_string()))
}
