//! The admin listener's own pages: health and metrics, for the orchestrator and for Prometheus.
//!
//! They change nothing and tell no secret, so that whoever reaches the listener may ask for them. The listener stands apart
//! from the public one so that a crowd there does not hide it; what else it answers is the console's.
//! `/healthz` and `/livez` say that the process lives; `/readyz` whether it should get requests.

use std::future::ready;

use bytes::Bytes;
use http::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, X_CONTENT_TYPE_OPTIONS};
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;

use crate::metrics::{self, Metrics};
use crate::server::readiness::Readiness;
use crate::server::{Peer, Service};

const TEXT: &str = "text/plain; charset=utf-8";

/// Answers on the admin listener.
#[derive(Clone, Debug)]
pub struct Admin {
    metrics: Metrics,
    readiness: Readiness,
}

impl Admin {
    /// What they tell of.
    pub fn new(metrics: Metrics, readiness: Readiness) -> Self {
        Self { metrics, readiness }
    }

    /// Answers by method and path alone.
    pub fn answer(&self, method: &Method, path: &str) -> Response<Full<Bytes>> {
        let known = ["/healthz", "/livez", "/readyz", "/metrics"].contains(&path);
        if known && method != Method::GET && method != Method::HEAD {
            let mut response = page(StatusCode::METHOD_NOT_ALLOWED, TEXT, "method not allowed\n");
            response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
            return response;
        }
        match path {
            "/healthz" | "/livez" => page(StatusCode::OK, TEXT, "ok\n"),
            "/readyz" => {
                let ready = self.readiness.state();
                let status = if self.readiness.is_ready() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
                page(status, TEXT, format!("{ready}\n"))
            }
            "/metrics" => page(StatusCode::OK, metrics::CONTENT_TYPE, self.metrics.encode()),
            _ => page(StatusCode::NOT_FOUND, TEXT, "not found\n"),
        }
    }
}

impl Service for Admin {
    type Body = Full<Bytes>;

    fn handle(
        &self,
        request: Request<Incoming>,
        _: Peer,
    ) -> impl Future<Output = Response<Full<Bytes>>> + Send + use<> {
        ready(self.answer(request.method(), request.uri().path()))
    }
}

fn page(status: StatusCode, content_type: &'static str, text: impl Into<Bytes>) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(text.into()));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::readiness::Observation;

    #[test]
    fn every_page_has_its_answer() {
        let readiness = Readiness::new();
        let admin = Admin::new(Metrics::new(), readiness.clone());
        for (method, path, status) in [
            (Method::GET, "/healthz", 200),
            (Method::HEAD, "/livez", 200),
            (Method::GET, "/readyz", 503),
            (Method::GET, "/metrics", 200),
            (Method::POST, "/metrics", 405),
            (Method::GET, "/", 404),
            (Method::POST, "/nothing", 404),
        ] {
            assert_eq!(admin.answer(&method, path).status(), status, "{method} {path}");
        }
        readiness.observe(Observation::Usable);
        assert_eq!(admin.answer(&Method::GET, "/readyz").status(), 200);
        readiness.drain();
        assert_eq!(admin.answer(&Method::GET, "/readyz").status(), 503);
    }
}
