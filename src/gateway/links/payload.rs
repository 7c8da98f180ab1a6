//! What a token says, as bytes. One spelling for each content: whatever else comes is refused, whoever made it.
//!
//! ```text
//! version and flags  1   0x1F: F has 1 prefix, 2 not before, 4 networks, 8 subject
//! key's id           1 + its bytes
//! issued             5   seconds since 1970, big-endian
//! expires            5
//! prefix's length    2   only with flag 1; without it the link is for one object
//! not before         5   only with flag 2
//! networks           1 + each 1 (IPv4 prefix length, or 33 + IPv6 prefix length) + 4 or 16; only with flag 4
//! subject            1 + its bytes; only with flag 8
//! ```

use std::net::IpAddr;

use super::moment::{self, Moment};
use crate::gateway::client_addr::Network;

/// Networks of one link.
pub(super) const MOST_NETWORKS: usize = 16;
/// The longest payload: a key's id of 32, a subject of 255 and 16 IPv6 networks.
pub(super) const LONGEST: usize = 1 + 33 + 3 * moment::LENGTH + 2 + 1 + 17 * MOST_NETWORKS + 256;

const VERSION: u8 = 0x10;
const PREFIX: u8 = 1;
const NOT_BEFORE: u8 = 2;
const NETWORKS: u8 = 4;
const SUBJECT: u8 = 8;
/// From here on a network's first byte stands for IPv6.
const V6: u8 = 33;

/// What a token says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Payload<'a> {
    pub(super) key: &'a str,
    pub(super) issued: Moment,
    pub(super) expires: Moment,
    pub(super) reach: Reach,
    pub(super) not_before: Option<Moment>,
    /// From anywhere, if there are none.
    pub(super) networks: Vec<Network>,
    pub(super) subject: Option<&'a str>,
}

/// How far a link reaches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reach {
    /// One object.
    Object,
    /// Every object whose full name has the same first bytes, so many.
    Prefix(u16),
}

impl<'a> Payload<'a> {
    /// The bytes. Too long texts and too many networks are cut: whoever signs has looked at that.
    pub(super) fn write(&self, bytes: &mut Vec<u8>) {
        let prefix = matches!(self.reach, Reach::Prefix(_));
        let flags = [
            (prefix, PREFIX),
            (self.not_before.is_some(), NOT_BEFORE),
            (!self.networks.is_empty(), NETWORKS),
            (self.subject.is_some(), SUBJECT),
        ];
        bytes.push(flags.iter().filter(|(set, _)| *set).fold(VERSION, |byte, (_, flag)| byte | flag));
        text(bytes, self.key);
        bytes.extend(self.issued.to_bytes());
        bytes.extend(self.expires.to_bytes());
        if let Reach::Prefix(length) = self.reach {
            bytes.extend(length.to_be_bytes());
        }
        bytes.extend(self.not_before.into_iter().flat_map(Moment::to_bytes));
        if !self.networks.is_empty() {
            let networks = &self.networks[..self.networks.len().min(MOST_NETWORKS)];
            bytes.push(u8::try_from(networks.len()).unwrap_or(u8::MAX));
            for network in networks {
                write_network(bytes, *network);
            }
        }
        if let Some(subject) = self.subject {
            text(bytes, subject);
        }
    }

    /// Reads all of the bytes; `None` for anything that [`Payload::write`] would not have written.
    pub(super) fn read(bytes: &'a [u8]) -> Option<Self> {
        let mut rest = Rest(bytes);
        let first = rest.byte()?;
        let has = |flag| first & flag != 0;
        if first & 0xf0 != VERSION {
            return None;
        }
        let payload = Self {
            key: rest.text()?,
            issued: rest.moment()?,
            expires: rest.moment()?,
            reach: if has(PREFIX) { Reach::Prefix(u16::from_be_bytes(rest.array()?)) } else { Reach::Object },
            not_before: if has(NOT_BEFORE) { Some(rest.moment()?) } else { None },
            networks: if has(NETWORKS) { rest.networks()? } else { Vec::new() },
            subject: if has(SUBJECT) { Some(rest.text()?) } else { None },
        };
        rest.0.is_empty().then_some(payload)
    }
}

fn text(bytes: &mut Vec<u8>, text: &str) {
    let text = &text.as_bytes()[..text.len().min(255)];
    bytes.push(u8::try_from(text.len()).unwrap_or(u8::MAX));
    bytes.extend(text);
}

fn write_network(bytes: &mut Vec<u8>, network: Network) {
    match network.parts() {
        (IpAddr::V4(address), length) => {
            bytes.push(length);
            bytes.extend(address.octets());
        }
        (IpAddr::V6(address), length) => {
            bytes.push(V6 + length);
            bytes.extend(address.octets());
        }
    }
}

/// What is still to be read.
struct Rest<'a>(&'a [u8]);

impl<'a> Rest<'a> {
    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.try_into().ok()
    }

    fn byte(&mut self) -> Option<u8> {
        self.array().map(|[byte]| byte)
    }

    fn text(&mut self) -> Option<&'a str> {
        let length = self.byte().filter(|length| *length > 0)?;
        std::str::from_utf8(self.take(length.into())?).ok()
    }

    fn moment(&mut self) -> Option<Moment> {
        self.array().map(Moment::from_bytes)
    }

    fn networks(&mut self) -> Option<Vec<Network>> {
        let count = usize::from(self.byte()?);
        (1..=MOST_NETWORKS).contains(&count).then_some(())?;
        (0..count).map(|_| self.network()).collect()
    }

    fn network(&mut self) -> Option<Network> {
        let first = self.byte()?;
        let (address, length) = match first.checked_sub(V6) {
            None => (IpAddr::from(self.array::<4>()?), first),
            Some(length) => (IpAddr::from(self.array::<16>()?), length),
        };
        // A network of IPv4 in IPv6's clothes is another spelling.
        Network::new(address, length).filter(|network| network.parts() == (address, length))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn full() -> Payload<'static> {
        Payload {
            key: "k1",
            issued: "2026-11-01".parse().expect("a time"),
            expires: "2026-12-01".parse().expect("a time"),
            reach: Reach::Prefix(300),
            not_before: Some("2026-11-02".parse().expect("a time")),
            networks: ["0.0.0.0/0", "203.0.113.0/24", "::/0", "2001:db8::1"]
                .map(|net| net.parse().expect("legal"))
                .into(),
            subject: Some("annotator-17"),
        }
    }

    fn bytes(payload: &Payload<'_>) -> Vec<u8> {
        let mut bytes = Vec::new();
        payload.write(&mut bytes);
        bytes
    }

    #[test]
    fn what_is_written_is_read() {
        let least = Payload { reach: Reach::Object, not_before: None, networks: Vec::new(), subject: None, ..full() };
        for payload in [full(), least.clone()] {
            assert_eq!(Payload::read(&bytes(&payload)), Some(payload));
        }
        assert_eq!(bytes(&least).len(), 14, "short links for short key ids");
        let name = "x".repeat(32);
        let subject = "x".repeat(255);
        let networks = vec!["2001:db8::1".parse().expect("legal"); MOST_NETWORKS];
        let longest = Payload { key: &name, subject: Some(&subject), networks, ..full() };
        assert_eq!(bytes(&longest).len(), LONGEST);
    }

    #[test]
    fn every_other_spelling_is_refused() {
        let good = bytes(&full());
        for length in 0..good.len() {
            assert_eq!(Payload::read(&good[..length]), None, "cut at {length}");
        }
        assert_eq!(Payload::read(&[&good[..], &[0]].concat()), None, "more than there is");
        for version in [0x00, 0x20, 0xf0] {
            let mut other = good.clone();
            other[0] = version | other[0] & 0x0f;
            assert_eq!(Payload::read(&other), None, "version {version:#x}");
        }
        let networks = |networks: &[u8]| {
            let head = [&[VERSION | NETWORKS, 1, b'k'][..], &[0; 10]].concat();
            Payload::read(&[&head[..], networks].concat()).is_some()
        };
        assert!(networks(&[1, 24, 203, 0, 113, 0]));
        for bad in [
            &[0][..],
            &[17],
            &[1, 24, 203, 0, 113, 1],
            &[1, 33, 203, 0, 113, 1],
            &[1, 162, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
            &[1, 33 + 128, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 203, 0, 113, 1],
        ] {
            assert!(!networks(bad), "{bad:?}");
        }
        assert_eq!(Payload::read(&[VERSION, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]), None, "a key without a name");
    }
}
