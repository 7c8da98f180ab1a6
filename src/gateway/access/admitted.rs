//! Proof of admission. Only [`Access`](super::Access) makes one, and everything that reads an object demands one.

use crate::gateway::client_addr::ClientAddr;
use crate::gateway::jwt::Identified;
use crate::gateway::links::{LinkId, Verified};
use crate::gateway::subject::Subject;
use crate::gateway::vendor::VendorProof;

/// Proof that a client was admitted to a connection, and by what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Admitted {
    client: ClientAddr,
    subject: Option<Subject>,
    link: Option<LinkId>,
    vouched_for: bool,
}

impl Admitted {
    /// For [`Access`](super::Access) alone. A token is a person's own; a link may be many people's.
    pub(super) fn new(client: ClientAddr, link: Option<Verified>, who: Option<Identified>) -> Self {
        let linked = link.as_ref().and_then(|link| link.subject().cloned());
        let subject = who.map(|who| who.subject().clone()).or(linked);
        Self { client, subject, link: link.map(|link| link.id()), vouched_for: false }
    }

    /// For [`Access`](super::Access) alone.
    pub(super) fn by_vendor(client: ClientAddr, proof: VendorProof) -> Self {
        Self { client, subject: proof.into_subject(), link: None, vouched_for: false }
    }

    /// For [`Access`](super::Access) alone: upon the word of the tool that the gateway stands in front of.
    pub(super) fn by_word(client: ClientAddr, who: Option<Identified>) -> Self {
        Self { vouched_for: true, ..Self::new(client, None, who) }
    }

    /// Whether a tool's word was needed, which is good for one user and one object.
    pub fn is_vouched_for(&self) -> bool {
        self.vouched_for
    }

    /// The address that was admitted.
    pub fn client(&self) -> ClientAddr {
        self.client
    }

    /// Who asks, as far as it was verified.
    pub fn subject(&self) -> Option<&Subject> {
        self.subject.as_ref()
    }

    /// The link that was verified, if one was.
    pub fn link(&self) -> Option<LinkId> {
        self.link
    }
}
