//! The demo's page, served from an origin of its own.
//!
//! An annotation tool and the gateway are two origins to a browser; so are this server and the gateway.
//! It serves five fixed files and nothing else: no path of the client's ever reaches a file system.
//! Its Content-Security-Policy names the only origins that the page may talk to
//! (<https://www.w3.org/TR/CSP3/>; a redirect's target counts, hence the storage origin).

use std::convert::Infallible;
use std::fmt::Write as _;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::digest;
use bytes::Bytes;
use http::header::{ALLOW, CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, X_CONTENT_TYPE_OPTIONS};
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use serde::Serialize;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::samples::SAMPLES;

const CONNECTIONS_AT_ONCE: usize = 64;
const HEADER_TIMEOUT: Duration = Duration::from_secs(10);

const INDEX: &[u8] = include_bytes!("page/index.html");
const SCRIPT: &[u8] = include_bytes!("page/page.js");
const STYLE: &[u8] = include_bytes!("page/page.css");
const ICON: &[u8] = include_bytes!("page/icon.svg");

/// What the page talks to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origins {
    /// The gateway, such as `http://127.0.0.1:8080`; no slash at the end.
    pub gateway: String,
    /// Where signed URLs lead, such as `http://127.0.0.1:9000`.
    pub storage: String,
}

/// The bound page server; [`PageServer::run`] serves until it is dropped.
#[derive(Debug)]
pub struct PageServer {
    listener: TcpListener,
    site: Site,
}

impl PageServer {
    /// Binds the page's address. `connections` are the names that the page shows, in this order.
    pub async fn bind(address: SocketAddr, origins: &Origins, connections: &[&str]) -> io::Result<Self> {
        let site = Site::new(origins, connections)?;
        Ok(Self { listener: TcpListener::bind(address).await?, site })
    }

    /// Serves the page on a listener that is already bound, for when the page's origin had to be known first.
    pub fn on(listener: TcpListener, origins: &Origins, connections: &[&str]) -> io::Result<Self> {
        Ok(Self { listener, site: Site::new(origins, connections)? })
    }

    /// Where the page is.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Serves until dropped, which also closes the connections.
    pub async fn run(self) -> Infallible {
        let site = Arc::new(self.site);
        let places = Arc::new(Semaphore::new(CONNECTIONS_AT_ONCE));
        let mut connections = JoinSet::new();
        loop {
            let place = Arc::clone(&places).acquire_owned().await;
            while connections.try_join_next().is_some() {}
            match self.listener.accept().await {
                Ok((stream, _)) => {
                    let site = Arc::clone(&site);
                    connections.spawn(async move {
                        serve(stream, site).await;
                        drop(place);
                    });
                }
                // Out of descriptors, most likely: wait for one to come back instead of spinning.
                Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
            }
        }
    }
}

async fn serve(stream: TcpStream, site: Arc<Site>) {
    let answer = service_fn(move |request| {
        let response = site.answer(&request);
        async move { Ok::<_, Infallible>(response) }
    });
    // A client that breaks off is no event on a page of one user.
    let _closed = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIMEOUT)
        .serve_connection(TokioIo::new(stream), answer)
        .await;
}

/// The files of the page, made once.
#[derive(Debug)]
struct Site {
    policy: HeaderValue,
    facts: Bytes,
}

impl Site {
    fn new(origins: &Origins, connections: &[&str]) -> io::Result<Self> {
        let Origins { gateway, storage } = origins;
        let policy = format!(
            "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' {gateway} {storage}; \
             media-src {gateway} {storage}; connect-src 'self' {gateway} {storage}; frame-src {gateway}; \
             base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
        );
        let facts = Facts { gateway, connections, samples: SAMPLES.iter().map(Shown::new).collect() };
        Ok(Self {
            policy: HeaderValue::try_from(policy).map_err(io::Error::other)?,
            facts: serde_json::to_vec(&facts)?.into(),
        })
    }

    fn answer<B>(&self, request: &Request<B>) -> Response<Full<Bytes>> {
        let (status, content_type, body) = match request.uri().path() {
            "/" | "/index.html" => (StatusCode::OK, "text/html; charset=utf-8", Bytes::from_static(INDEX)),
            "/page.js" => (StatusCode::OK, "text/javascript; charset=utf-8", Bytes::from_static(SCRIPT)),
            "/page.css" => (StatusCode::OK, "text/css; charset=utf-8", Bytes::from_static(STYLE)),
            "/icon.svg" => (StatusCode::OK, "image/svg+xml", Bytes::from_static(ICON)),
            "/demo.json" => (StatusCode::OK, "application/json", self.facts.clone()),
            _ => (StatusCode::NOT_FOUND, "text/plain; charset=utf-8", Bytes::from_static(b"not found\n")),
        };
        let mut response = Response::new(Full::new(body));
        *response.status_mut() = status;
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
        headers.insert(CONTENT_SECURITY_POLICY, self.policy.clone());
        headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if !matches!(*request.method(), Method::GET | Method::HEAD) {
            *response.status_mut() = StatusCode::METHOD_NOT_ALLOWED;
            response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
            *response.body_mut() = Full::default();
        }
        response
    }
}

/// What `demo.json` tells the page.
#[derive(Serialize)]
struct Facts<'a> {
    gateway: &'a str,
    connections: &'a [&'a str],
    samples: Vec<Shown>,
}

#[derive(Serialize)]
struct Shown {
    name: &'static str,
    #[serde(rename = "type")]
    content_type: &'static str,
    encoding: Option<&'static str>,
    size: usize,
    sha256: String,
}

impl Shown {
    fn new(sample: &super::samples::Sample) -> Self {
        let sha256 =
            digest::digest(&digest::SHA256, sample.bytes).as_ref().iter().fold(String::new(), |mut text, byte| {
                // Writing to a String cannot fail.
                let _ = write!(text, "{byte:02x}");
                text
            });
        Self {
            name: sample.name,
            content_type: sample.content_type,
            encoding: sample.content_encoding,
            size: sample.bytes.len(),
            sha256,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn site() -> Site {
        let origins = Origins { gateway: "http://127.0.0.1:1".to_owned(), storage: "http://127.0.0.1:2".to_owned() };
        Site::new(&origins, &["proxy"]).expect("the origins are header values")
    }

    fn ask(method: Method, path: &str) -> Response<Full<Bytes>> {
        site().answer(&Request::builder().method(method).uri(path).body(()).expect("a request"))
    }

    #[test]
    fn the_page_may_talk_to_the_gateway_and_to_storage_only() {
        let response = ask(Method::GET, "/");
        let policy = response.headers()[CONTENT_SECURITY_POLICY].to_str().expect("plain text");
        assert!(policy.starts_with("default-src 'none'"));
        assert!(policy.contains("connect-src 'self' http://127.0.0.1:1 http://127.0.0.1:2;"));
        assert!(!policy.contains("unsafe"));
    }

    #[test]
    fn only_five_files_and_two_methods_exist() {
        for path in ["/", "/page.js", "/page.css", "/icon.svg", "/demo.json"] {
            assert_eq!(ask(Method::GET, path).status(), StatusCode::OK, "{path}");
        }
        assert_eq!(ask(Method::GET, "/../Cargo.toml").status(), StatusCode::NOT_FOUND);
        assert_eq!(ask(Method::POST, "/").status(), StatusCode::METHOD_NOT_ALLOWED);
    }

    #[test]
    fn the_page_is_told_every_sample_with_its_digest() {
        let facts: serde_json::Value = serde_json::from_slice(&site().facts).expect("JSON");
        assert_eq!(facts["samples"].as_array().map(Vec::len), Some(SAMPLES.len()));
        assert_eq!(facts["samples"][0]["sha256"].as_str().map(str::len), Some(64));
    }
}
