//! The PROXY header that a load balancer puts in front of a connection, versions 1 and 2.
//!
//! It reads exactly the header and not a byte more, at most 107 bytes of version 1 and 536 of version 2.
//! Whether the peer may speak for others is decided by the caller.
//! Follows <https://www.haproxy.org/download/3.0/doc/proxy-protocol.txt>.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use tokio::io::{AsyncRead, AsyncReadExt};

const SIGNATURE: [u8; 12] = *b"\r\n\r\n\0\r\nQUIT\n";
const LONGEST_V1: usize = 107;
const LONGEST_V2: usize = 536;
const V2_FIXED: usize = 16;

/// Why there is no usable header.
#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    #[error("the connection ended inside the PROXY header")]
    Io(#[from] io::Error),
    #[error("the connection does not begin with a PROXY header")]
    Missing,
    #[error("the PROXY header is malformed")]
    Malformed,
    #[error("the PROXY header is too long")]
    TooLong,
}

/// Whom the connection belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Source {
    /// The peer itself, such as a health check of the load balancer.
    Peer,
    /// The client behind the peer.
    Client(SocketAddr),
}

/// Reads the header off the front of a stream.
pub(super) async fn read<R: AsyncRead + Unpin>(stream: &mut R) -> Result<Source, Error> {
    // Both versions are longer than the signature.
    let mut header = vec![0; SIGNATURE.len()];
    stream.read_exact(&mut header).await?;
    if header == SIGNATURE {
        read_v2(stream, header).await
    } else if header.starts_with(b"PROXY ") {
        read_v1(stream, header).await
    } else {
        Err(Error::Missing)
    }
}

async fn read_v1<R: AsyncRead + Unpin>(stream: &mut R, mut line: Vec<u8>) -> Result<Source, Error> {
    while !line.ends_with(b"\r\n") {
        if line.len() >= LONGEST_V1 {
            return Err(Error::TooLong);
        }
        line.push(stream.read_u8().await?);
    }
    parse_v1(&line)
}

async fn read_v2<R: AsyncRead + Unpin>(stream: &mut R, mut header: Vec<u8>) -> Result<Source, Error> {
    header.resize(V2_FIXED, 0);
    stream.read_exact(&mut header[SIGNATURE.len()..]).await?;
    let length = V2_FIXED + usize::from(u16::from_be_bytes([header[14], header[15]]));
    if length > LONGEST_V2 {
        return Err(Error::TooLong);
    }
    header.resize(length, 0);
    stream.read_exact(&mut header[V2_FIXED..]).await?;
    parse_v2(&header)
}

/// A whole line, with its end.
fn parse_v1(line: &[u8]) -> Result<Source, Error> {
    let text = std::str::from_utf8(line).ok().and_then(|line| line.strip_suffix("\r\n")).ok_or(Error::Malformed)?;
    let mut words = text.split(' ');
    let (tag, family) = (words.next(), words.next());
    if tag != Some("PROXY") {
        return Err(Error::Malformed);
    }
    let fields: Vec<_> = words.collect();
    match (family, fields[..].try_into()) {
        // Whatever follows UNKNOWN is to be ignored.
        (Some("UNKNOWN"), _) => Ok(Source::Peer),
        (Some("TCP4"), Ok(fields)) => v1_source::<Ipv4Addr>(fields),
        (Some("TCP6"), Ok(fields)) => v1_source::<Ipv6Addr>(fields),
        _ => Err(Error::Malformed),
    }
}

fn v1_source<A: std::str::FromStr + Into<IpAddr>>(fields: [&str; 4]) -> Result<Source, Error> {
    let [source, target, source_port, target_port] = fields;
    let address = |text: &str| text.parse::<A>().map(Into::into).map_err(|_| Error::Malformed);
    let port = |text: &str| {
        let canonical = text == "0" || !text.starts_with('0');
        let digits = text.bytes().all(|b| b.is_ascii_digit());
        text.parse::<u16>().ok().filter(|_| canonical && digits).ok_or(Error::Malformed)
    };
    address(target)?;
    port(target_port)?;
    Ok(Source::Client(SocketAddr::new(address(source)?.to_canonical(), port(source_port)?)))
}

/// A whole header, of exactly the length that it announces.
fn parse_v2(header: &[u8]) -> Result<Source, Error> {
    let (fixed, block) = header.split_at_checked(V2_FIXED).ok_or(Error::Malformed)?;
    match (fixed[12], fixed[13]) {
        (0x20, _) | (0x21, 0x00) => Ok(Source::Peer),
        (0x21, 0x11) => {
            let addresses = block.first_chunk::<12>().ok_or(Error::Malformed)?;
            let [a, b, c, d, .., high, low, _, _] = *addresses;
            Ok(Source::Client((Ipv4Addr::new(a, b, c, d), u16::from_be_bytes([high, low])).into()))
        }
        (0x21, 0x21) => {
            let addresses = block.first_chunk::<36>().ok_or(Error::Malformed)?;
            let source = addresses.first_chunk::<16>().ok_or(Error::Malformed)?;
            let port = u16::from_be_bytes([addresses[32], addresses[33]]);
            Ok(Source::Client(SocketAddr::new(IpAddr::from(*source).to_canonical(), port)))
        }
        // Datagrams and local sockets cannot be what came here over TCP.
        _ => Err(Error::Malformed),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn v2(command: u8, family: u8, block: &[u8]) -> Vec<u8> {
        let length = u16::try_from(block.len()).unwrap().to_be_bytes();
        [&SIGNATURE[..], &[command, family], &length, block].concat()
    }

    async fn parsed(bytes: &[u8]) -> Option<Source> {
        let mut stream = [bytes, b"GET / HTTP/1.1\r\n"].concat();
        stream.resize(stream.len() + 2000, b'x');
        let mut reader = &stream[..];
        let source = read(&mut reader).await.ok()?;
        assert_eq!(stream.len() - reader.len(), bytes.len(), "not a byte more is read");
        Some(source)
    }

    #[tokio::test]
    async fn version_1_is_read_strictly() {
        let client = |text: &str| Some(Source::Client(text.parse().unwrap()));
        for (line, expected) in [
            ("PROXY TCP4 203.0.113.7 10.0.0.1 56324 443\r\n", client("203.0.113.7:56324")),
            ("PROXY TCP6 2001:db8::7 ::1 0 65535\r\n", client("[2001:db8::7]:0")),
            ("PROXY TCP6 ::ffff:203.0.113.7 ::1 1 2\r\n", client("203.0.113.7:1")),
            ("PROXY UNKNOWN\r\n", Some(Source::Peer)),
            ("PROXY UNKNOWN ff:ff ff:ff 1 1\r\n", Some(Source::Peer)),
            ("PROXY TCP4 203.0.113.7 10.0.0.1 56324\r\n", None),
            ("PROXY TCP4 203.0.113.7 10.0.0.1 56324 443 1\r\n", None),
            ("PROXY TCP4  203.0.113.7 10.0.0.1 56324 443\r\n", None),
            ("PROXY TCP4 2001:db8::7 ::1 1 2\r\n", None),
            ("PROXY TCP6 203.0.113.7 10.0.0.1 1 2\r\n", None),
            ("PROXY TCP4 203.0.113.7 10.0.0.1 65536 443\r\n", None),
            ("PROXY TCP4 203.0.113.7 10.0.0.1 +1 443\r\n", None),
            ("PROXY TCP4 203.0.113.7 10.0.0.1 01 443\r\n", None),
            ("PROXY TCP4 203.0.113.7 10.0.0.1 1 443\n", None),
            ("PROXY TCP5 203.0.113.7 10.0.0.1 1 443\r\n", None),
            ("proxy TCP4 203.0.113.7 10.0.0.1 1 443\r\n", None),
            ("GET / HTTP/1.1\r\n", None),
        ] {
            assert_eq!(parsed(line.as_bytes()).await, expected, "{line}");
        }
        let long = format!("PROXY UNKNOWN {}\r\n", "a".repeat(100));
        assert!(matches!(read(&mut long.as_bytes()).await, Err(Error::TooLong)));
    }

    #[tokio::test]
    async fn version_2_is_read_strictly() {
        let v4 = [203, 0, 113, 7, 10, 0, 0, 1, 0xdc, 0x04, 0x01, 0xbb];
        let mut v6 = [0; 36];
        v6[..16].copy_from_slice(&"2001:db8::7".parse::<Ipv6Addr>().unwrap().octets());
        v6[32..34].copy_from_slice(&[0x01, 0x02]);
        let with_extras = [&v4[..], &[0x04, 0, 2, 0, 0]].concat();
        for (header, expected) in [
            (v2(0x21, 0x11, &v4), Some(Source::Client("203.0.113.7:56324".parse().unwrap()))),
            (v2(0x21, 0x11, &with_extras), Some(Source::Client("203.0.113.7:56324".parse().unwrap()))),
            (v2(0x21, 0x21, &v6), Some(Source::Client("[2001:db8::7]:258".parse().unwrap()))),
            (v2(0x20, 0x00, &[]), Some(Source::Peer)),
            (v2(0x20, 0x11, &v4), Some(Source::Peer)),
            (v2(0x21, 0x00, &[]), Some(Source::Peer)),
            (v2(0x21, 0x11, &[0; 520]), Some(Source::Client("0.0.0.0:0".parse().unwrap()))),
            (v2(0x21, 0x11, &v4[..11]), None),
            (v2(0x21, 0x21, &v6[..35]), None),
            (v2(0x21, 0x12, &v4), None),
            (v2(0x21, 0x31, &[0; 216]), None),
            (v2(0x22, 0x11, &v4), None),
            (v2(0x11, 0x11, &v4), None),
            (v2(0x21, 0x11, &[0; 521]), None),
        ] {
            assert_eq!(parsed(&header).await, expected, "{header:?}");
        }
        assert!(matches!(read(&mut &v2(0x21, 0x11, &v4)[..20]).await, Err(Error::Io(_))));
    }
}
