//! HTTP/1.1 to GCS, byte by byte: connections, TLS, heads and the framing of bodies.
//!
//! Decides which connection carries a request, what counts as an answer's head and where its body ends. Never decides
//! what is asked, whether it is asked again or what an answer means. Bodies come as they were read, in large pieces and
//! uncopied: nothing but the task that reads a body is woken for it, and buffers are held only while bytes flow.
//! Follows <https://www.rfc-editor.org/rfc/rfc9112>; HTTP/1.1 only, since one HTTP/2 connection to GCS is slower than
//! several of HTTP/1.1.

mod buffers;
mod chunked;
mod connect;
mod connection;
mod fields;
mod handshake;
mod head;
mod incoming;
mod lines;
mod link;
mod pool;
mod records;
mod request;

use std::io;
use std::sync::Arc;

use bytes::Bytes;
use http_body::Body;

use self::connect::Connector;
use self::connection::{Connection, Unsent};
use self::pool::Pools;
use super::Config;

pub use self::connect::{ConnectorError, client_tls};
pub(super) use self::fields::{Answer, Field, Fields};
pub(super) use self::incoming::Incoming;
pub(super) use self::request::{Escaped, RequestHead, RequestLine};

/// Idle connections that each runtime keeps.
const MAX_IDLE: usize = 4096;

/// Where requests go, and the connections that are kept for the next.
#[derive(Debug)]
pub(super) struct Http {
    connector: Connector,
    pools: Pools,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    /// No connection came about.
    #[error("not connected")]
    Connect(#[source] super::Source),
    /// The connection broke.
    #[error("the connection broke before the answer")]
    Broken {
        /// What happened.
        #[source]
        source: io::Error,
        /// It had carried answers before and ended without a byte of this one: perhaps it was only closed as idle.
        worn: bool,
    },
    /// What came is no answer.
    #[error(transparent)]
    Malformed(#[from] head::Malformed),
}

impl Http {
    /// Connections to the configured endpoint.
    pub(super) fn new(config: &Config) -> Result<Self, ConnectorError> {
        let most_idle = config.max_in_flight.clamp(1, MAX_IDLE);
        Ok(Self { connector: Connector::new(config)?, pools: Pools::new(most_idle) })
    }

    /// Sends a request to the endpoint once, and reads the head of its answer.
    pub(super) async fn request<B>(&self, head: RequestHead, body: B) -> Result<Answer<Incoming>, Error>
    where
        B: Body<Data = Bytes, Error: Into<super::Source>> + Unpin,
    {
        let pool = self.pools.here();
        let mut connection = match pool.take() {
            Some(connection) => connection,
            // Rare, and large enough to weigh on every request.
            None => Box::pin(self.connect(pool)).await?,
        };
        let method = head.method().clone();
        let worn = connection.is_worn();
        let broken = |source| Error::Broken { source, worn };
        // What GCS says before it stops listening says more than that it did.
        let cut = match connection.send(head, body).await {
            Ok(()) => None,
            Err(Unsent::Link(error)) => Some(error),
            Err(Unsent::Source(source)) => return Err(broken(io::Error::other(source))),
        };
        let (status, fields, framing) = match (connection.answer(&method).await, cut) {
            (Ok(answer), None) => answer,
            (Ok(answer), Some(_)) => {
                connection.retire();
                answer
            }
            (Err(connection::Error::Malformed(malformed)), _) => return Err(malformed.into()),
            (Err(connection::Error::Begun(source)), _) => return Err(Error::Broken { source, worn: false }),
            (Err(connection::Error::Io(_)), Some(error)) | (Err(connection::Error::Io(error)), None) => {
                return Err(broken(error));
            }
        };
        Ok(Answer { status, fields, body: Incoming::new(connection, framing) })
    }

    async fn connect(&self, pool: Arc<pool::Pool>) -> Result<Box<Connection>, Error> {
        let link = self.connector.connect(pool.buffers()).await.map_err(Error::Connect)?;
        Ok(Box::new(Connection::new(link, pool)))
    }
}
