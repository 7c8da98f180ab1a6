//! Who is asking: the client's address, taken from the socket or, behind trusted proxies, from what they say.
//!
//! A header is believed only when the peer that sent it is trusted, and is then read from the right, hop by hop, until the first hop that is not trusted.
//! A hop that cannot be read denies the request: an address that nobody knows must not be admitted.
//! Follows RFC 7239 (<https://www.rfc-editor.org/rfc/rfc7239>) and the de-facto X-Forwarded-For.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;

use http::HeaderMap;
use http::header::{FORWARDED, HeaderName};
use ipnet::IpNet;
use serde::Deserialize;

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
/// More hops than this are nobody's real deployment.
const MAX_HOPS: usize = 64;

/// A range of addresses: CIDR notation or one bare address. An IPv4 network never contains an IPv6 address or the other way round.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Deserialize)]
#[serde(try_from = "String")]
pub struct Network(IpNet);

/// Why a network was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NetworkError {
    /// Neither an address nor a CIDR block.
    #[error("'{0}' is not an address or a CIDR block such as 203.0.113.0/24 or 2001:db8::/32")]
    Malformed(String),
    /// Bits set to the right of the prefix.
    #[error("'{given}' has bits set beyond its prefix; did you mean '{network}'?")]
    HostBits {
        /// As written.
        given: String,
        /// The network it lies in.
        network: IpNet,
    },
}

impl Network {
    /// The network of so many leading bits; `None` if there are not as many, or if any bit behind them is set.
    pub fn new(address: IpAddr, prefix: u8) -> Option<Self> {
        let net = IpNet::new(address, prefix).ok()?;
        (net.trunc() == net).then(|| Self(canonical(net)))
    }

    /// Its first address and how many leading bits count.
    pub fn parts(&self) -> (IpAddr, u8) {
        (self.0.network(), self.0.prefix_len())
    }

    /// Whether `address` (in canonical form, see [`ClientAddr`]) lies in this network.
    pub fn contains(&self, address: IpAddr) -> bool {
        self.0.contains(&address)
    }
}

impl FromStr for Network {
    type Err = NetworkError;

    fn from_str(text: &str) -> Result<Self, NetworkError> {
        if let Ok(address) = text.parse::<IpAddr>() {
            return Ok(Self(address.to_canonical().into()));
        }
        let net: IpNet = text.parse().map_err(|_| NetworkError::Malformed(text.to_owned()))?;
        if net.trunc() != net {
            return Err(NetworkError::HostBits { given: text.to_owned(), network: net.trunc() });
        }
        Ok(Self(canonical(net)))
    }
}

/// `::ffff:a.b.c.d/n` is the IPv4 network `a.b.c.d/(n-96)`, since addresses are compared in canonical form.
fn canonical(net: IpNet) -> IpNet {
    match (net.network().to_canonical(), net.prefix_len().checked_sub(96)) {
        (address @ IpAddr::V4(_), Some(prefix)) if net.network().is_ipv6() => {
            IpNet::new(address, prefix).unwrap_or(net)
        }
        _ => net,
    }
}

impl TryFrom<String> for Network {
    type Error = NetworkError;

    fn try_from(text: String) -> Result<Self, NetworkError> {
        text.parse()
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The address that access is decided by, in canonical form (`::ffff:a.b.c.d` is `a.b.c.d`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ClientAddr(IpAddr);

/// A trusted proxy sent something that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ClientAddrError {
    /// A hop is not an address.
    #[error("a trusted proxy sent a forwarding header with an unreadable hop")]
    Malformed,
    /// `Forwarded` and `X-Forwarded-For` name different clients, so one of them is forged.
    #[error("a trusted proxy sent Forwarded and X-Forwarded-For that disagree")]
    Disagreement,
}

impl ClientAddr {
    /// The address, IPv4 wherever it can be.
    pub fn ip(self) -> IpAddr {
        self.0
    }

    /// Decides who is asking, from the socket's peer and, if that is one of `trusted`, from its forwarding headers.
    pub fn derive(peer: SocketAddr, headers: &HeaderMap, trusted: &[Network]) -> Result<Self, ClientAddrError> {
        let peer = peer.ip().to_canonical();
        if !is_trusted(peer, trusted) {
            return Ok(Self(peer));
        }
        let forwarded = walk(elements(headers, &FORWARDED).map(forwarded_for), trusted)?;
        let x_forwarded = walk(elements(headers, &X_FORWARDED_FOR).map(node), trusted)?;
        match (forwarded, x_forwarded) {
            (Some(one), Some(other)) if one != other => Err(ClientAddrError::Disagreement),
            (Some(address), _) | (None, Some(address)) => Ok(Self(address)),
            (None, None) => Ok(Self(peer)),
        }
    }
}

impl From<IpAddr> for ClientAddr {
    fn from(address: IpAddr) -> Self {
        Self(address.to_canonical())
    }
}

impl fmt::Display for ClientAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

fn is_trusted(address: IpAddr, trusted: &[Network]) -> bool {
    trusted.iter().any(|network| network.contains(address))
}

/// From the right, the first address that is not trusted; the left-most one if all are; `None` without any hop.
fn walk(
    hops: impl DoubleEndedIterator<Item = Option<IpAddr>>,
    trusted: &[Network],
) -> Result<Option<IpAddr>, ClientAddrError> {
    let mut last = None;
    for (count, hop) in hops.rev().enumerate() {
        let address = hop.filter(|_| count < MAX_HOPS).ok_or(ClientAddrError::Malformed)?;
        last = Some(address);
        if !is_trusted(address, trusted) {
            break;
        }
    }
    Ok(last)
}

/// The comma-separated elements of all lines of a header, in order; a line that is not text is one unreadable element.
fn elements<'a>(headers: &'a HeaderMap, name: &HeaderName) -> impl DoubleEndedIterator<Item = &'a str> {
    headers.get_all(name).iter().flat_map(|value| {
        // A quoted string cannot hold a comma here: addresses and ports have none, so anything else fails as a hop.
        let text = value.to_str().unwrap_or("\u{FFFD}");
        text.split(',').map(|element| element.trim_matches([' ', '\t']))
    })
}

/// The `for` parameter of one `Forwarded` element.
fn forwarded_for(element: &str) -> Option<IpAddr> {
    let mut found = None;
    for pair in element.split(';') {
        let (name, value) = pair.trim_matches([' ', '\t']).split_once('=')?;
        if name.eq_ignore_ascii_case("for") {
            if found.is_some() {
                return None;
            }
            let bare = value.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or(value);
            found = Some(node(bare)?);
        }
    }
    found
}

/// `address`, `address:port`, `[v6]` or `[v6]:port`. `unknown` and obfuscated names are no addresses.
fn node(text: &str) -> Option<IpAddr> {
    let bracketed = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    let address = match bracketed {
        Some(inner) => IpAddr::V6(inner.parse().ok()?),
        None => text.parse().or_else(|_| text.parse::<SocketAddr>().map(|socket| socket.ip())).ok()?,
    };
    Some(address.to_canonical())
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn derive(peer: &str, headers: &[(&'static str, &str)]) -> Result<String, ClientAddrError> {
        let trusted: Vec<Network> = ["10.0.0.0/8", "fd00::/8"].iter().map(|net| net.parse().expect("legal")).collect();
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(*name, HeaderValue::from_bytes(value.as_bytes()).expect("legal"));
        }
        let peer = SocketAddr::new(peer.parse().expect("legal"), 1);
        ClientAddr::derive(peer, &map, &trusted).map(|address| address.to_string())
    }

    #[test]
    fn only_trusted_peers_are_believed_and_hops_are_read_from_the_right() {
        let xff = "x-forwarded-for";
        for (peer, headers, expected) in [
            ("192.0.2.1", &[][..], "192.0.2.1"),
            ("192.0.2.1", &[(xff, "10.0.0.1")][..], "192.0.2.1"),
            ("192.0.2.1", &[(xff, "garbage")][..], "192.0.2.1"),
            ("::ffff:192.0.2.1", &[][..], "192.0.2.1"),
            ("10.0.0.1", &[][..], "10.0.0.1"),
            ("10.0.0.1", &[(xff, "198.51.100.7")][..], "198.51.100.7"),
            ("::ffff:10.0.0.1", &[(xff, "198.51.100.7")][..], "198.51.100.7"),
            ("10.0.0.1", &[(xff, "203.0.113.1, 198.51.100.7")][..], "198.51.100.7"),
            ("10.0.0.1", &[(xff, "203.0.113.1, 198.51.100.7, 10.9.9.9")][..], "198.51.100.7"),
            ("10.0.0.1", &[(xff, "nonsense, 198.51.100.7")][..], "198.51.100.7"),
            ("10.0.0.1", &[(xff, "203.0.113.1"), (xff, "198.51.100.7")][..], "198.51.100.7"),
            ("10.0.0.1", &[(xff, "10.1.1.1, 10.2.2.2")][..], "10.1.1.1"),
            ("10.0.0.1", &[(xff, "198.51.100.7:4711")][..], "198.51.100.7"),
            ("10.0.0.1", &[(xff, "[2001:db8::1]:4711")][..], "2001:db8::1"),
            ("10.0.0.1", &[(xff, "2001:db8::1")][..], "2001:db8::1"),
            ("10.0.0.1", &[(xff, "::ffff:198.51.100.7")][..], "198.51.100.7"),
            ("fd00::1", &[("forwarded", "for=198.51.100.7;proto=https")][..], "198.51.100.7"),
            ("10.0.0.1", &[("forwarded", "For=\"[2001:db8::1]:4711\"")][..], "2001:db8::1"),
            ("10.0.0.1", &[("forwarded", "for=203.0.113.1, for=198.51.100.7;by=10.0.0.1")][..], "198.51.100.7"),
            ("10.0.0.1", &[("forwarded", "for=198.51.100.7"), (xff, "198.51.100.7")][..], "198.51.100.7"),
        ] {
            assert_eq!(derive(peer, headers).as_deref(), Ok(expected), "{peer} {headers:?}");
        }
    }

    #[test]
    fn an_unreadable_hop_denies() {
        let xff = "x-forwarded-for";
        for headers in [
            &[(xff, "")][..],
            &[(xff, "198.51.100.7,")][..],
            &[(xff, "unknown")][..],
            &[(xff, "198.51.100.7, garbage, 10.0.0.2")][..],
            &[(xff, "198.51.100.7 10.0.0.2")][..],
            &[(xff, "010.0.0.1")][..],
            &[(xff, "[198.51.100.7]")][..],
            &[(xff, "fe80::1%eth0")][..],
            &[(xff, "198.51.100.\u{FC}")][..],
            &[("forwarded", "for=unknown")][..],
            &[("forwarded", "for=_hidden")][..],
            &[("forwarded", "proto=https")][..],
            &[("forwarded", "for=198.51.100.7;for=198.51.100.8")][..],
        ] {
            assert_eq!(derive("10.0.0.1", headers), Err(ClientAddrError::Malformed), "{headers:?}");
        }
        assert_eq!(derive("10.0.0.1", &[(xff, &["10.0.0.1"; 65].join(","))]), Err(ClientAddrError::Malformed));
        let both = [("forwarded", "for=10.0.0.9"), (xff, "198.51.100.7")];
        assert_eq!(derive("10.0.0.1", &both), Err(ClientAddrError::Disagreement));
    }

    #[test]
    fn networks_are_read_strictly_and_families_never_mix() {
        let network = |text: &str| text.parse::<Network>();
        assert_eq!(network("198.51.100.7").map(|net| net.to_string()), Ok("198.51.100.7/32".to_owned()));
        assert_eq!(network("::ffff:198.51.100.0/120").map(|net| net.to_string()), Ok("198.51.100.0/24".to_owned()));
        let everything_v4 = network("0.0.0.0/0").expect("legal");
        assert!(everything_v4.contains("1.2.3.4".parse().expect("legal")));
        assert!(!everything_v4.contains("::1".parse().expect("legal")));
        assert!(!network("::/0").expect("legal").contains("1.2.3.4".parse().expect("legal")));
        assert!(matches!(network("10.0.0.1/8"), Err(NetworkError::HostBits { .. })));
        for bad in ["", "10.0.0.0/33", "10.0.0/8", "office", "10.0.0.0/8 ", "fe80::1%1"] {
            assert!(matches!(network(bad), Err(NetworkError::Malformed(_))), "{bad}");
        }
    }
}
