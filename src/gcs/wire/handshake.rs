//! TLS handshakes with GCS: rustls's, until there are keys.
//!
//! Decides nothing: certificates, names and suites are checked by rustls with the configuration given.
//! Follows <https://www.rfc-editor.org/rfc/rfc8446#section-4>.

use std::io;
use std::sync::Arc;

use bytes::{Buf, BytesMut};
use rustls::ClientConfig;
use rustls::client::UnbufferedClientConnection;
use rustls::pki_types::ServerName;
use rustls::unbuffered::{ConnectionState, EncodeError, EncodeTlsData, UnbufferedStatus};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::records::Records;

/// Certificates of a server, with room to spare.
const LONGEST: usize = 128 * 1024;
const READ: usize = 8 * 1024;
/// Flights, tickets and alerts of one handshake, with room to spare.
const MOST_STEPS: u32 = 256;

/// What a handshake wants next.
enum Want {
    Nothing,
    Write,
    Read,
    Done,
}

/// Shakes hands; what was read beyond comes with it.
pub(super) async fn shake(
    stream: &mut TcpStream,
    config: Arc<ClientConfig>,
    name: ServerName<'static>,
) -> io::Result<(Records, BytesMut)> {
    let mut tls = UnbufferedClientConnection::new(config, name).map_err(io::Error::other)?;
    let (mut incoming, mut outgoing) = (BytesMut::new(), Vec::new());
    for _ in 0..MOST_STEPS {
        let UnbufferedStatus { discard, state } = tls.process_tls_records(&mut incoming);
        let (want, failure) = match state {
            Ok(state) => (step(state, &mut outgoing)?, None),
            Err(error) => (Want::Write, Some(error)),
        };
        incoming.advance(discard.min(incoming.len()));
        if let Some(error) = failure {
            return Err(refuse(stream, &mut tls, error).await);
        }
        match want {
            Want::Nothing => {}
            Want::Write => {
                stream.write_all(&outgoing).await?;
                outgoing.clear();
            }
            Want::Read => read(stream, &mut incoming).await?,
            Want::Done => {
                let (secrets, kernel) = tls.dangerous_into_kernel_connection().map_err(io::Error::other)?;
                return Ok((Records::new(secrets, kernel).map_err(io::Error::other)?, incoming));
            }
        }
    }
    Err(io::Error::new(io::ErrorKind::InvalidData, "a TLS handshake without end"))
}

fn step<T>(state: ConnectionState<'_, '_, T>, outgoing: &mut Vec<u8>) -> io::Result<Want> {
    match state {
        ConnectionState::EncodeTlsData(data) => encode(data, outgoing).map(|()| Want::Nothing),
        ConnectionState::TransmitTlsData(transmit) => {
            transmit.done();
            Ok(Want::Write)
        }
        ConnectionState::BlockedHandshake => Ok(Want::Read),
        ConnectionState::WriteTraffic(_) => Ok(Want::Done),
        _ => Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the peer ended the TLS handshake")),
    }
}

fn encode<T>(mut data: EncodeTlsData<'_, T>, outgoing: &mut Vec<u8>) -> io::Result<()> {
    let used = outgoing.len();
    let needed = match data.encode(&mut []) {
        Err(EncodeError::InsufficientSize(size)) => size.required_size,
        Err(EncodeError::AlreadyEncoded) | Ok(_) => return Ok(()),
    };
    outgoing.resize(used + needed, 0);
    let written = data.encode(&mut outgoing[used..]).map_err(io::Error::other)?;
    outgoing.truncate(used + written);
    Ok(())
}

async fn read(stream: &mut TcpStream, incoming: &mut BytesMut) -> io::Result<()> {
    if incoming.len() > LONGEST {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "a TLS handshake is too long"));
    }
    incoming.reserve(READ);
    match stream.read_buf(incoming).await? {
        0 => Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the peer closed during the TLS handshake")),
        _ => Ok(()),
    }
}

/// Tells the peer why, as far as it listens.
async fn refuse(stream: &mut TcpStream, tls: &mut UnbufferedClientConnection, error: rustls::Error) -> io::Error {
    let mut alert = Vec::new();
    if let UnbufferedStatus { state: Ok(state), .. } = tls.process_tls_records(&mut [])
        && step(state, &mut alert).is_ok()
        && !alert.is_empty()
    {
        let _ = stream.write_all(&alert).await;
    }
    io::Error::new(io::ErrorKind::InvalidData, error)
}
