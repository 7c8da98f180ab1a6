//! Listening sockets: binding them with errors that say what to do, and accepting without ever spinning.
//!
//! Where the process has no descriptor left, accepting pauses with back-off and resumes by itself.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::{TcpListener, TcpSocket, TcpStream};

/// Connections that the kernel holds for us.
const BACKLOG: u32 = 1024;
const SHORTEST_PAUSE: Duration = Duration::from_millis(10);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// Why an address cannot be listened on.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Another process has it.
    #[error("cannot listen on {0}: the port is in use; stop what uses it, or choose another address in `listen`")]
    InUse(SocketAddr),
    /// A port that needs a privilege.
    #[error("cannot listen on {0}: not permitted; choose a port from 1024 on in `listen`")]
    NotPermitted(SocketAddr),
    /// An address of another machine.
    #[error("cannot listen on {0}: this machine has no such address; use one that it has, or 0.0.0.0, in `listen`")]
    NotOurs(SocketAddr),
    /// Anything else.
    #[error("cannot listen on {address}")]
    Other {
        /// The address.
        address: SocketAddr,
        /// What the system says.
        #[source]
        source: io::Error,
    },
}

/// A bound socket and its address, with the port that the system chose for port 0.
#[derive(Debug)]
pub(super) struct Listener {
    socket: TcpListener,
    pub(super) address: SocketAddr,
}

impl Listener {
    pub(super) fn bind(address: SocketAddr) -> Result<Self, Error> {
        let bound = || {
            let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
            // Without this a restart would wait for the old connections' TIME_WAIT.
            socket.set_reuseaddr(true)?;
            socket.bind(address)?;
            let socket = socket.listen(BACKLOG)?;
            Ok(Self { address: socket.local_addr()?, socket })
        };
        bound().map_err(|source: io::Error| match source.kind() {
            io::ErrorKind::AddrInUse => Error::InUse(address),
            io::ErrorKind::PermissionDenied => Error::NotPermitted(address),
            io::ErrorKind::AddrNotAvailable => Error::NotOurs(address),
            _ => Error::Other { address, source },
        })
    }

    pub(super) async fn accept(&self) -> io::Result<(TcpStream, SocketAddr)> {
        self.socket.accept().await
    }

    /// Stops listening; gives what the kernel had accepted for us already, so that nobody is turned away.
    pub(super) fn close(self) -> Vec<(TcpStream, SocketAddr)> {
        let Ok(socket) = self.socket.into_std() else { return Vec::new() };
        let mut waiting = Vec::new();
        while waiting.len() < BACKLOG as usize {
            let Ok((stream, peer)) = socket.accept() else { break };
            let stream = stream.set_nonblocking(true).and_then(|()| TcpStream::from_std(stream));
            waiting.extend(stream.map(|stream| (stream, peer)));
        }
        waiting
    }
}

/// How long to wait after an error of `accept`.
#[derive(Debug)]
pub(super) struct Pause {
    next: Duration,
}

impl Pause {
    pub(super) fn new() -> Self {
        Self { next: SHORTEST_PAUSE }
    }

    /// Nothing for an error of that one connection; else a time that doubles with every error in a row.
    pub(super) fn after(&mut self, error: &io::Error) -> Option<Duration> {
        if matches!(
            error.kind(),
            io::ErrorKind::ConnectionAborted
                | io::ErrorKind::ConnectionReset
                | io::ErrorKind::ConnectionRefused
                | io::ErrorKind::Interrupted
        ) {
            return None;
        }
        let pause = self.next;
        self.next = (pause * 2).min(LONGEST_PAUSE);
        Some(pause)
    }

    /// An accepted connection: the trouble is over.
    pub(super) fn reset(&mut self) {
        self.next = SHORTEST_PAUSE;
    }

    /// Whether the next error is the first of its row, so that a row is logged once.
    pub(super) fn is_first(&self) -> bool {
        self.next == SHORTEST_PAUSE
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_port_in_use_names_the_address_and_the_cure() {
        let first = Listener::bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let error = Listener::bind(first.address).unwrap_err().to_string();
        assert!(error.contains(&first.address.to_string()) && error.contains("in use; stop"), "{error}");
        let foreign = Listener::bind("192.0.2.1:0".parse().unwrap()).unwrap_err().to_string();
        assert!(foreign.contains("no such address"), "{foreign}");
    }

    #[test]
    fn running_out_of_descriptors_pauses_longer_and_longer() {
        let mut pause = Pause::new();
        let exhausted = io::Error::from_raw_os_error(24);
        let pauses: Vec<_> = (0..9).filter_map(|_| pause.after(&exhausted)).map(|pause| pause.as_millis()).collect();
        assert_eq!(pauses, [10, 20, 40, 80, 160, 320, 640, 1000, 1000]);
        assert!(!pause.is_first());
        pause.reset();
        assert!(pause.is_first());
        assert_eq!(pause.after(&io::ErrorKind::ConnectionAborted.into()), None);
    }
}
