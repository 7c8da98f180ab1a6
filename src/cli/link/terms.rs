//! What links are good for, as flags: how long, from where, for whom.

use std::time::{Duration, SystemTime};

use crate::cli::Failure;
use crate::config::Resolved;
use crate::gateway::access::Networks;
use crate::gateway::client_addr::Network;
use crate::gateway::links::{Expiry, Links, Moment, Signer, Terms};
use crate::gateway::subject::Subject;
use crate::telemetry::Causes;

/// How long links live unless it is said.
const USUAL_LIFE: Duration = Duration::from_hours(30 * 24);

#[derive(Clone, Debug, Default, clap::Args)]
pub(in crate::cli) struct TermsArguments {
    /// How long the links work; 30days if it is not said.
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration)]
    expires: Option<Duration>,
    /// When they begin to work: a date, or UTC as in 2027-01-31T18:00:00Z.
    #[arg(long, value_name = "TIME")]
    not_before: Option<Moment>,
    /// From where they work: a name that the networks section has, a CIDR block or an address; may be given several times.
    #[arg(long, value_name = "NETWORK")]
    network: Vec<String>,
    /// For whom they are, for the audit log and for revocation.
    #[arg(long, value_name = "NAME")]
    subject: Option<Subject>,
}

impl TermsArguments {
    /// Whether any is given.
    pub(in crate::cli) fn is_given(&self) -> bool {
        self.expires.is_some() || self.not_before.is_some() || self.subject.is_some() || !self.network.is_empty()
    }

    /// What signs links under these terms, with the keys of the configuration.
    pub(in crate::cli) fn signer(&self, resolved: &Resolved) -> Result<Signer, Failure> {
        let links = Links::load(&resolved.config.links).map_err(|error| {
            let key = ["links", error.key()].map(str::to_owned).to_vec();
            Failure::from(resolved.origin.error(key, Causes(&error).to_string()))
        })?;
        let terms = Terms {
            expires: Expiry::In(self.expires.unwrap_or(USUAL_LIFE)),
            not_before: self.not_before.map(SystemTime::from),
            networks: self.networks(&resolved.config.networks)?,
            subject: self.subject.clone(),
        };
        links.signer(&terms, SystemTime::now()).map_err(Failure::configuration)
    }

    fn networks(&self, known: &Networks) -> Result<Vec<Network>, Failure> {
        let mut networks = Vec::new();
        for given in &self.network {
            match known.get(given) {
                // A name without a network would mean a link from anywhere.
                Some(named) if named.is_empty() => {
                    return Err(Failure::configuration(format!("--network: [networks] {given} is empty")));
                }
                Some(named) => networks.extend(named),
                None => networks.push(given.parse().map_err(|problem| {
                    Failure::usage(format!("--network: {problem}, and [networks] has no such name"))
                })?),
            }
        }
        Ok(networks)
    }
}
