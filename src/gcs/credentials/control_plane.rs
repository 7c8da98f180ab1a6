//! The HTTP calls that credentials need: token endpoints, STS, IAM, metadata servers.
//!
//! No object is ever read through here. Redirects are never followed, answers are bounded, every wait has an end,
//! and what may pass by itself (no connection, 408, 429, 5xx) is tried again a few times.

use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use serde::de::DeserializeOwned;
use zeroize::Zeroizing;

use super::Error;
use super::hosts::TrustedHosts;
use crate::gcs;

/// Longer answers are nonsense; STS tokens may have 12 KiB.
const MAX_ANSWER: usize = 64 * 1024;
const TOTAL_TIMEOUT: Duration = Duration::from_secs(10);
/// Instance metadata answers from the same machine.
const INSTANCE_TIMEOUT: Duration = Duration::from_secs(3);
const ATTEMPTS: u32 = 3;
/// Nothing is tried again after this long: somebody waits for the token.
const PATIENCE: Duration = Duration::from_secs(5);
const FIRST_PAUSE: Duration = Duration::from_millis(100);

/// HTTP clients for everything but objects; built once and shared by all credentials.
#[derive(Clone, Debug)]
pub struct ControlPlane {
    internet: reqwest::Client,
    instance: reqwest::Client,
    pub(crate) hosts: TrustedHosts,
}

/// A complete answer of status 200.
pub(crate) struct Answer {
    service: &'static str,
    pub(crate) headers: http::HeaderMap,
    pub(crate) body: Zeroizing<Vec<u8>>,
}

impl ControlPlane {
    /// Clients with the connection timeouts, authorities and trusted hosts of `[gcs]`.
    pub fn new(config: &gcs::Config) -> Result<Self, Error> {
        let tls = tls(config)?;
        let build = |timeout: Duration| {
            reqwest::Client::builder()
                .tls_backend_preconfigured(tls.clone())
                .redirect(reqwest::redirect::Policy::none())
                .referer(false)
                .connect_timeout(config.connect_timeout.min(timeout))
                .timeout(timeout)
                .pool_max_idle_per_host(8)
                .user_agent(concat!("gsgate/", env!("CARGO_PKG_VERSION")))
        };
        let setup = |error: reqwest::Error| Error::Setup(Box::new(error.without_url()));
        Ok(Self {
            internet: build(TOTAL_TIMEOUT).build().map_err(setup)?,
            instance: build(INSTANCE_TIMEOUT).no_proxy().build().map_err(setup)?,
            hosts: TrustedHosts::new(&config.trusted_hosts),
        })
    }

    /// For Google's and other public endpoints.
    pub(crate) fn internet(&self) -> &reqwest::Client {
        &self.internet
    }

    /// For the metadata server of the machine we run on: short timeouts and never through a proxy.
    pub(crate) fn instance(&self) -> &reqwest::Client {
        &self.instance
    }

    /// Sends a request that has a body we can repeat, or none.
    pub(crate) async fn send(service: &'static str, request: reqwest::RequestBuilder) -> Result<Answer, Error> {
        let (mut pause, started) = (FIRST_PAUSE, tokio::time::Instant::now());
        for _ in 1..ATTEMPTS {
            let Some(copy) = request.try_clone() else { break };
            match attempt(service, copy).await {
                Err(error) if may_pass(&error) && started.elapsed() < PATIENCE => {
                    tokio::time::sleep(pause.mul_f64(0.5 + fastrand::f64() / 2.0)).await;
                }
                outcome => return outcome,
            }
            pause *= 2;
        }
        attempt(service, request).await
    }
}

impl Answer {
    pub(crate) fn json<T: DeserializeOwned>(&self, problem: &'static str) -> Result<T, Error> {
        // serde's own message could quote the answer, which holds tokens.
        serde_json::from_slice(&self.body).map_err(|_| self.nonsense(problem))
    }

    pub(crate) fn text(&self) -> Result<&str, Error> {
        std::str::from_utf8(&self.body).map(str::trim).map_err(|_| self.nonsense("not UTF-8"))
    }

    pub(crate) fn nonsense(&self, problem: &'static str) -> Error {
        Error::Nonsense { service: self.service, problem }
    }
}

async fn attempt(service: &'static str, request: reqwest::RequestBuilder) -> Result<Answer, Error> {
    // URLs may carry secrets in their query, so they stay out of errors.
    let unreachable = |error: reqwest::Error| Error::Unreachable { service, source: Box::new(error.without_url()) };
    let mut response = request.send().await.map_err(unreachable)?;
    let status = response.status();
    let headers = std::mem::take(response.headers_mut());
    // The whole capacity at once, so that no grown-out-of buffer keeps a copy of a token.
    let mut body = Zeroizing::new(Vec::with_capacity(MAX_ANSWER));
    while let Some(chunk) = response.chunk().await.map_err(unreachable)? {
        if body.len() + chunk.len() > MAX_ANSWER {
            return Err(Error::Nonsense { service, problem: "more than 64 KiB" });
        }
        body.extend_from_slice(&chunk);
    }
    if status == http::StatusCode::OK {
        Ok(Answer { service, headers, body })
    } else {
        Err(Error::Refused { service, status: status.as_u16(), reason: reason(&body) })
    }
}

fn may_pass(error: &Error) -> bool {
    match error {
        Error::Unreachable { .. } => true,
        Error::Refused { status, .. } => matches!(status, 408 | 429 | 500..=599),
        _ => false,
    }
}

/// What an error answer says in the fields that OAuth and Google's APIs have for it; other content is not repeated.
fn reason(body: &[u8]) -> String {
    let json: serde_json::Value = serde_json::from_slice(body).unwrap_or_default();
    let texts = [&json["error"], &json["error_description"], &json["error"]["status"], &json["error"]["message"]];
    let said = texts.iter().filter_map(|text| text.as_str()).collect::<Vec<_>>().join(": ");
    let shown: String = said.chars().filter(|c| !c.is_control()).take(300).collect();
    if shown.is_empty() { "no reason given".to_owned() } else { shown }
}

fn tls(config: &gcs::Config) -> Result<rustls::ClientConfig, Error> {
    let mut roots = rustls::RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if roots.is_empty() {
        // A container without certificates of its own.
        roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    }
    if let Some(path) = &config.ca_file {
        let pem = std::fs::read(path)
            .map_err(|error| Error::Config(format!("gcs.ca_file {} cannot be read: {error}", path.display())))?;
        for certificate in CertificateDer::pem_slice_iter(&pem) {
            let certificate = certificate.map_err(|error| Error::Setup(Box::new(error)))?;
            roots.add(certificate).map_err(|error| Error::Setup(Box::new(error)))?;
        }
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| Error::Setup(Box::new(error)))?;
    Ok(builder.with_root_certificates(roots).with_no_client_auth())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_fields_meant_for_errors_are_repeated() {
        for (body, shown) in [
            (r#"{"error":"invalid_grant","error_description":"Bad\nRequest"}"#, "invalid_grant: BadRequest"),
            (r#"{"error":{"status":"PERMISSION_DENIED","message":"denied"}}"#, "PERMISSION_DENIED: denied"),
            (r#"{"access_token":"secret"}"#, "no reason given"),
            ("secret", "no reason given"),
        ] {
            assert_eq!(reason(body.as_bytes()), shown);
        }
    }
}
