//! Who may ask: address allow-lists, links, or both. Denied unless admitted; deny wins over everything.
//!
//! An address may approach a connection or not ([`Access::approach`]); who approaches is admitted ([`Approach::admit`]).
//! Only here an [`Admitted`] is made, and everything that reads an object demands one, so an unchecked path does not compile.
//! Pure: no I/O and no clock. Files are read by [`ip_filter`] at load; links are verified by [`super::links`].

mod admitted;
pub mod ip_filter;

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::Deserialize;

pub use self::admitted::Admitted;
use self::ip_filter::IpFilter;
use super::client_addr::{ClientAddr, Network, NetworkError};
use super::jwt::Identified;
use super::links::{LinkRefusal, Verified};
use super::vendor::VendorProof;
use super::vouched::Vouched;

/// `[networks]`: names for use in `allow` and `deny`.
pub type Networks = BTreeMap<String, Vec<Network>>;

/// `allow`, `deny` and `ip_filter_file`, by default or of one connection.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Who is admitted.
    pub allow: Option<AllowList>,
    /// Who is not, in spite of `allow`.
    pub deny: Vec<String>,
    /// A file as `gcloud storage buckets update --ip-filter-file` takes it; it must admit the client, too.
    pub ip_filter_file: Option<PathBuf>,
}

/// `"anyone"`, or a list of networks: names, CIDR blocks, addresses.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(untagged, expecting = "expected \"anyone\" or a list of networks")]
pub enum AllowList {
    /// The word.
    Word(String),
    /// The list.
    Networks(Vec<String>),
}

/// `access` of a connection: what it takes to be admitted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Demand {
    /// An address that is allowed.
    #[default]
    Network,
    /// A link, from whatever address.
    Link,
    /// Both.
    NetworkAndLink,
    /// One of the two.
    NetworkOrLink,
}

impl Demand {
    /// The word that stands in the configuration.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Network => "network",
            Self::Link => "link",
            Self::NetworkAndLink => "network-and-link",
            Self::NetworkOrLink => "network-or-link",
        }
    }

    /// Whether links are looked at.
    pub fn takes_links(self) -> bool {
        self != Self::Network
    }
}

/// Why an access list was refused.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum AccessError {
    /// Neither `allow` nor an IP filter.
    #[error("nothing says who is admitted; list networks, or write allow = \"anyone\"")]
    Missing,
    /// `allow = []`.
    #[error("the list is empty, so nobody would be admitted; list networks, or write allow = \"anyone\"")]
    Empty,
    /// `allow = "something"`.
    #[error("expected \"anyone\" or a list of networks, found \"{0}\"")]
    Word(String),
    /// `"anyone"` inside a list.
    #[error("\"anyone\" does not belong into a list; write allow = \"anyone\"")]
    AnyoneInList(List),
    /// Neither a network nor a name of `[networks]`.
    #[error("{problem}, and [networks] has no such name{}", listed(known))]
    Network {
        /// Where it stands.
        list: List,
        /// Why it is no network.
        problem: NetworkError,
        /// The names that there are.
        known: Vec<String>,
    },
    /// A filter that is switched off, and nothing else.
    #[error("the IP filter's mode is Disabled, so it admits nobody by itself; add allow, or set the mode to Enabled")]
    FilterDisabled,
}

/// Which list an error is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum List {
    /// `allow`
    Allow,
    /// `deny`
    Deny,
}

impl AccessError {
    /// The key that the error is about.
    pub fn key(&self) -> &'static str {
        match self {
            Self::AnyoneInList(List::Deny) | Self::Network { list: List::Deny, .. } => "deny",
            Self::FilterDisabled => "ip_filter_file",
            Self::Missing | Self::Empty | Self::Word(_) | Self::AnyoneInList(_) | Self::Network { .. } => "allow",
        }
    }
}

fn listed(names: &[String]) -> String {
    if names.is_empty() { String::new() } else { format!(" (it has {})", names.join(", ")) }
}

/// The access rules of one connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Access {
    demand: Demand,
    token: Token,
    allow: Allow,
    deny: Vec<Network>,
    filter: Option<IpFilter>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Allow {
    Anyone,
    Networks(Vec<Network>),
}

/// A client whose address may learn that the connection exists. It may see its cross-origin rules, and no object yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Approach<'a> {
    access: &'a Access,
    client: ClientAddr,
    standing: Standing,
    who: Option<Identified>,
}

/// Whether a JWT must say who asks, besides all else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Token {
    NotAsked,
    Demanded,
}

/// Whether the allow-list holds the address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standing {
    Inside,
    Outside,
}

/// The client is not admitted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Denied {
    /// On the deny list.
    #[error("the address is on the deny list")]
    Listed,
    /// Not on the allow list.
    #[error("the address is not on the allow list")]
    NotAllowed,
    /// Not admitted by the IP filter file.
    #[error("the IP filter file does not admit the address")]
    Filtered,
    /// By no link.
    #[error(transparent)]
    Link(#[from] LinkRefusal),
    /// No token says who asks.
    #[error("nobody was identified")]
    Unidentified,
}

impl Access {
    /// Admission by address. Resolves names against `networks` and checks that the rules admit somebody.
    pub fn new(config: &Config, networks: &Networks, filter: Option<IpFilter>) -> Result<Self, AccessError> {
        Self::demanding(Demand::Network, config, networks, filter)
    }

    /// Admission by whatever is demanded. By link alone, no list of allowed networks is looked at or needed.
    pub fn demanding(
        demand: Demand,
        config: &Config,
        networks: &Networks,
        filter: Option<IpFilter>,
    ) -> Result<Self, AccessError> {
        let deny = resolve(List::Deny, &config.deny, networks)?;
        if demand == Demand::Link {
            return Ok(Self { demand, token: Token::NotAsked, allow: Allow::Networks(Vec::new()), deny, filter: None });
        }
        let filter = filter.filter(IpFilter::is_enabled);
        let allow = match &config.allow {
            Some(AllowList::Word(word)) if word == "anyone" => Allow::Anyone,
            Some(AllowList::Word(word)) => return Err(AccessError::Word(word.clone())),
            Some(AllowList::Networks(list)) if list.is_empty() => return Err(AccessError::Empty),
            Some(AllowList::Networks(list)) => Allow::Networks(resolve(List::Allow, list, networks)?),
            None if filter.is_some() => Allow::Anyone,
            None if config.ip_filter_file.is_some() => return Err(AccessError::FilterDisabled),
            None => return Err(AccessError::Missing),
        };
        Ok(Self { demand, token: Token::NotAsked, allow, deny, filter })
    }

    /// The same, and a token besides.
    pub fn with_token(self) -> Self {
        Self { token: Token::Demanded, ..self }
    }

    /// Lets the address come near or says why not. `listener_network` is the VPC network that the listener stands in.
    pub fn approach(&self, client: ClientAddr, listener_network: Option<&str>) -> Result<Approach<'_>, Denied> {
        if self.deny.iter().any(|network| network.contains(client.ip())) {
            return Err(Denied::Listed);
        }
        let standing = match (self.demand, self.network(client, listener_network)) {
            (Demand::Network | Demand::NetworkAndLink, Err(denied)) => return Err(denied),
            (_, Ok(())) => Standing::Inside,
            (Demand::Link | Demand::NetworkOrLink, Err(_)) => Standing::Outside,
        };
        Ok(Approach { access: self, client, standing, who: None })
    }

    /// Admits a client that shows no link, or says why not.
    pub fn admit(&self, client: ClientAddr, listener_network: Option<&str>) -> Result<Admitted, Denied> {
        self.approach(client, listener_network)?.admit(|| Err(LinkRefusal::Missing))
    }

    fn network(&self, client: ClientAddr, listener_network: Option<&str>) -> Result<(), Denied> {
        let address = client.ip();
        let allowed = match &self.allow {
            Allow::Anyone => true,
            Allow::Networks(networks) => networks.iter().any(|network| network.contains(address)),
        };
        if !allowed {
            return Err(Denied::NotAllowed);
        }
        if self.filter.as_ref().is_some_and(|filter| !filter.admits(address, listener_network)) {
            return Err(Denied::Filtered);
        }
        Ok(())
    }

    /// What it takes to be admitted.
    pub fn demand(&self) -> Demand {
        self.demand
    }

    /// Whether nobody at all is kept out, so that a URL that works from anywhere gives nothing away.
    pub fn is_anyone(&self) -> bool {
        let unasked = self.demand == Demand::Network && self.token == Token::NotAsked;
        unasked && self.allow == Allow::Anyone && self.deny.is_empty() && self.filter.is_none()
    }
}

impl Approach<'_> {
    /// A token said who asks.
    pub fn identified(self, who: Identified) -> Self {
        Self { who: Some(who), ..self }
    }

    /// Admits a client for whom the tool has vouched that the gateway stands in front of. That counts as a link does:
    /// who has to come from an allowed network has come from there, and who has to show a token has shown it.
    pub fn admit_vouched(self, _word: &Vouched) -> Result<Admitted, Denied> {
        self.check_token()?;
        Ok(Admitted::by_word(self.client, self.who))
    }

    /// Admits the client or says why not. `link` verifies what the request shows; it is asked only where links count.
    pub fn admit(self, link: impl FnOnce() -> Result<Verified, LinkRefusal>) -> Result<Admitted, Denied> {
        self.check_token()?;
        let link = match (self.access.demand, self.standing) {
            (Demand::Network, _) => None,
            // The address is enough, but a good link still says who asks.
            (Demand::NetworkOrLink, Standing::Inside) => link().ok(),
            (Demand::Link | Demand::NetworkAndLink | Demand::NetworkOrLink, _) => Some(link()?),
        };
        Ok(Admitted::new(self.client, link, self.who))
    }

    /// Admits a client with a vendor's proof in the place of a link; the address counts as ever.
    pub fn admit_by_vendor(self, proof: VendorProof) -> Result<Admitted, Denied> {
        self.check_token()?;
        Ok(Admitted::by_vendor(self.client, proof))
    }

    fn check_token(&self) -> Result<(), Denied> {
        let missing = self.access.token == Token::Demanded && self.who.is_none();
        if missing { Err(Denied::Unidentified) } else { Ok(()) }
    }
}

fn resolve(list: List, entries: &[String], networks: &Networks) -> Result<Vec<Network>, AccessError> {
    let mut resolved = Vec::new();
    for entry in entries {
        match networks.get(entry) {
            Some(named) => resolved.extend(named),
            None if entry == "anyone" => return Err(AccessError::AnyoneInList(list)),
            None => {
                let known = || networks.keys().cloned().collect();
                resolved.push(entry.parse().map_err(|problem| AccessError::Network {
                    list,
                    problem,
                    known: known(),
                })?);
            }
        }
    }
    Ok(resolved)
}

#[cfg(test)]
mod tests;
