//! Clients of HTTP/1.1 and h2c that keep what they got, up to where it broke.

use std::net::SocketAddr;

use bytes::Bytes;
use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::{BodyExt, Empty};
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpStream;

use crate::support::{Client, TestGateway};

/// The protocol that a client speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wire {
    Http1,
    H2c,
}

/// What came back; `None` for a connection that gave no answer at all.
pub struct Got {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Vec<u8>,
    /// Whether the body ended as a complete one does.
    pub neat: bool,
}

impl Wire {
    /// Sends one request over a connection of its own and reads all there is.
    pub async fn send(self, at: SocketAddr, method: Method, path: &str, headers: &[(&str, &str)]) -> Option<Got> {
        let response = self.open(at, method, path, headers).await?;
        let (head, mut incoming) = response.into_parts();
        let (mut body, mut neat) = (Vec::new(), true);
        while let Some(frame) = incoming.frame().await {
            let Ok(frame) = frame else {
                neat = false;
                break;
            };
            body.extend_from_slice(frame.data_ref().map_or(&[], |data| data));
        }
        Some(Got { status: head.status, headers: head.headers, body, neat })
    }

    /// The head, with the body still to be read.
    pub async fn open(
        self,
        at: SocketAddr,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
    ) -> Option<http::Response<Incoming>> {
        let io = TokioIo::new(TcpStream::connect(at).await.ok()?);
        let target = if self == Self::H2c { format!("http://gateway.test{path}") } else { path.to_owned() };
        let mut request = Request::builder().method(method).uri(target);
        if self == Self::Http1 {
            request = request.header("host", "gateway.test");
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Empty::<Bytes>::new()).unwrap();
        match self {
            Self::Http1 => {
                let (mut sender, connection) = http1::handshake(io).await.ok()?;
                tokio::spawn(connection);
                sender.send_request(request).await.ok()
            }
            Self::H2c => {
                let (mut sender, connection) = http2::handshake(TokioExecutor::new(), io).await.ok()?;
                tokio::spawn(connection);
                sender.send_request(request).await.ok()
            }
        }
    }
}

/// The value of one series on a gateway's metrics page; 0 if it is not there.
pub async fn metric(admin: Client, series: &str) -> u64 {
    let page = admin.get("/metrics", &[]).await;
    let line = page.text().lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
    line.map_or(0, |value| value.parse().unwrap())
}

/// The sum of all series of one family.
pub async fn family(admin: Client, name: &str) -> u64 {
    let page = admin.get("/metrics", &[]).await;
    let series =
        page.text().lines().filter(|line| line.starts_with(name) && line[name.len()..].starts_with(['{', ' ']));
    series.map(|line| line.rsplit_once(' ').unwrap().1.parse::<u64>().unwrap()).sum()
}

/// Waits until nothing is in flight or queued any more.
pub async fn at_rest(gateway: &TestGateway) {
    for gauge in ["gsgate_requests_in_flight", "gsgate_upstream_in_flight", "gsgate_upstream_queued"] {
        until(gauge, async || metric(gateway.admin, gauge).await == 0).await;
    }
}

/// Waits until a condition holds, for a minute at most.
pub async fn until(what: &str, mut condition: impl AsyncFnMut() -> bool) {
    let wait = async {
        while !condition().await {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_mins(1), wait).await.unwrap_or_else(|_| panic!("never: {what}"));
}
