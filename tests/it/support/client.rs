//! A client that sends what it is told, one connection a request, and keeps what it gets.

use std::net::SocketAddr;

use bytes::Bytes;
use gsgate::gcs::Source;
use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::{BodyExt, Empty};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Sends requests to one address.
#[derive(Clone, Copy, Debug)]
pub struct Client {
    pub address: SocketAddr,
}

/// An answer; `body` is an error if it broke before its end.
#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Result<Bytes, Source>,
}

impl Answer {
    /// The body, which must be whole.
    pub fn bytes(&self) -> &[u8] {
        self.body.as_ref().unwrap_or_else(|error| panic!("the body broke: {error}"))
    }

    /// The body as text.
    pub fn text(&self) -> &str {
        std::str::from_utf8(self.bytes()).unwrap()
    }

    /// The error code of the gateway's JSON.
    pub fn code(&self) -> String {
        let json: serde_json::Value = serde_json::from_slice(self.bytes()).unwrap();
        json["error"]["code"].as_str().unwrap().to_owned()
    }

    /// A header as text; empty if it is not there. Several lines are joined.
    pub fn header(&self, name: &str) -> String {
        let values: Vec<&str> = self.headers.get_all(name).iter().map(|value| value.to_str().unwrap()).collect();
        values.join(", ")
    }
}

impl Client {
    /// GET with headers.
    pub async fn get(self, target: &str, headers: &[(&str, &str)]) -> Answer {
        self.send(Method::GET, target, headers).await
    }

    /// HEAD with headers.
    pub async fn head(self, target: &str, headers: &[(&str, &str)]) -> Answer {
        self.send(Method::HEAD, target, headers).await
    }

    /// Any method; the target goes out as it stands.
    pub async fn send(self, method: Method, target: &str, headers: &[(&str, &str)]) -> Answer {
        let (status, headers, body) = self.open(method, target, headers).await;
        let body = body.collect().await.map(http_body_util::Collected::to_bytes).map_err(Into::into);
        Answer { status, headers, body }
    }

    /// The same, with the body still to be read.
    pub async fn open(
        self,
        method: Method,
        target: &str,
        headers: &[(&str, &str)],
    ) -> (StatusCode, HeaderMap, hyper::body::Incoming) {
        let stream = TcpStream::connect(self.address).await.unwrap();
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection);
        let mut request = Request::builder().method(method).uri(target);
        if headers.iter().all(|(name, _)| *name != "host") {
            request = request.header("host", "gateway.test");
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let response = sender.send_request(request.body(Empty::<Bytes>::new()).unwrap()).await.unwrap();
        let (head, body) = response.into_parts();
        (head.status, head.headers, body)
    }

    /// Writes bytes as they are and reads until the other side closes.
    pub async fn raw(self, bytes: impl AsRef<[u8]>) -> Vec<u8> {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        stream.write_all(bytes.as_ref()).await.unwrap();
        let mut answer = Vec::new();
        // A reset after the answer is an end, too.
        let _ = stream.read_to_end(&mut answer).await;
        answer
    }
}
