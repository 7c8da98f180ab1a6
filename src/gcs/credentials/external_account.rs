//! Workload and workforce identity federation: a token of somebody else's is exchanged for one of Google's by STS.
//!
//! The subject token is read anew at each exchange. Such a file can read files, call URLs and run commands, so it has
//! to come from the operator; commands also need `GOOGLE_EXTERNAL_ACCOUNT_ALLOW_EXECUTABLES=1`.
//! Follows <https://google.aip.dev/auth/4117> and RFC 8693.

mod aws;
mod executable;
mod sigv4;

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use http::header::{HeaderMap, HeaderValue};
use reqwest::Url;

use super::control_plane::ControlPlane;
use super::{Environment, Error, Secret, oauth};
use crate::gcs::token::Fresh;

pub(crate) use aws::Aws;
pub(crate) use executable::{ALLOW_EXECUTABLES, Executable, split_words};

const SERVICE: &str = "STS";
const EXCHANGE: &str = "urn:ietf:params:oauth:grant-type:token-exchange";
const ACCESS_TOKEN: &str = "urn:ietf:params:oauth:token-type:access_token";
/// Longer subject tokens are none.
const MAX_SUBJECT: u64 = 64 * 1024;

/// An identity at some provider that Google's STS knows.
#[derive(Debug)]
pub(crate) struct ExternalAccount {
    pub(crate) audience: String,
    pub(crate) subject_token_type: String,
    pub(crate) token_url: Url,
    pub(crate) client: Option<(String, Secret)>,
    pub(crate) workforce_project: Option<String>,
    /// For executables, which are told whom they help to act as.
    pub(crate) impersonated: Option<Arc<str>>,
    pub(crate) subject: Subject,
}

/// Where the subject token is.
pub(crate) enum Subject {
    File { path: PathBuf, format: Format },
    Url { url: Url, headers: HeaderMap, format: Format },
    Executable(Executable),
    Aws(Aws),
}

/// How the subject token stands in its file or answer.
#[derive(Clone, Debug)]
pub(crate) enum Format {
    Text,
    Json { field: String },
}

impl ExternalAccount {
    pub(crate) async fn fetch(
        &self,
        scope: &str,
        control: &ControlPlane,
        environment: &Environment,
    ) -> Result<Fresh, Error> {
        let now = environment.now();
        let subject = self.subject_token(control, environment).await?;
        let options =
            self.workforce_project.as_ref().map(|project| serde_json::json!({ "userProject": project }).to_string());
        let mut form = vec![
            ("grant_type", EXCHANGE),
            ("requested_token_type", ACCESS_TOKEN),
            ("audience", &self.audience),
            ("scope", scope),
            ("subject_token_type", &self.subject_token_type),
            ("subject_token", subject.expose()),
        ];
        // A client that authenticates is not asked for its project.
        if let (Some(options), None) = (&options, &self.client) {
            form.push(("options", options));
        }
        let mut request = control.internet().post(self.token_url.clone()).form(&form);
        if let Some((id, secret)) = &self.client {
            request = request.basic_auth(id, Some(secret.expose()));
        }
        oauth::token(&ControlPlane::send(SERVICE, request).await?, now)
    }

    async fn subject_token(&self, control: &ControlPlane, environment: &Environment) -> Result<Secret, Error> {
        match &self.subject {
            Subject::File { path, format } => {
                let bytes = read_bounded(path).await.map_err(|error| Error::Subject {
                    problem: format!("{} cannot be read", path.display()),
                    source: Some(Box::new(error)),
                })?;
                format.extract(&bytes)
            }
            Subject::Url { url, headers, format } => {
                let client = if url.scheme() == "http" { control.instance() } else { control.internet() };
                let request = client.get(url.clone()).headers(headers.clone());
                format.extract(&ControlPlane::send("the subject token's server", request).await?.body)
            }
            Subject::Executable(executable) => executable.run(self, environment).await,
            Subject::Aws(aws) => aws.subject_token(&self.audience, control, environment).await,
        }
    }
}

/// Queries, headers and arguments may hold secrets, so only the kind is shown.
impl fmt::Debug for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::File { .. } => "File",
            Self::Url { .. } => "Url",
            Self::Executable(_) => "Executable",
            Self::Aws(_) => "Aws",
        })
    }
}

impl Format {
    fn extract(&self, bytes: &[u8]) -> Result<Secret, Error> {
        let text = std::str::from_utf8(bytes).map_err(|_| missing("it is not UTF-8"))?;
        let token = match self {
            Self::Text => text.trim().to_owned(),
            Self::Json { field } => {
                let json: serde_json::Value = serde_json::from_str(text).map_err(|_| missing("it is not JSON"))?;
                let token = json.get(field).and_then(serde_json::Value::as_str);
                token.ok_or_else(|| missing(format!("its JSON has no text in {field}")))?.to_owned()
            }
        };
        if token.is_empty() { Err(missing("it is empty")) } else { Ok(Secret::new(token)) }
    }
}

fn missing(problem: impl Into<String>) -> Error {
    Error::Subject { problem: problem.into(), source: None }
}

/// Reads a file that may not be endless.
pub(crate) async fn read_bounded(path: &Path) -> std::io::Result<zeroize::Zeroizing<Vec<u8>>> {
    use tokio::io::AsyncReadExt as _;
    let file = tokio::fs::File::open(path).await?;
    let mut bytes = zeroize::Zeroizing::new(Vec::with_capacity(16 * 1024));
    file.take(MAX_SUBJECT + 1).read_to_end(&mut bytes).await?;
    if bytes.len() as u64 > MAX_SUBJECT {
        return Err(std::io::Error::new(std::io::ErrorKind::FileTooLarge, "it is larger than 64 KiB"));
    }
    Ok(bytes)
}

/// A header for a token request; values from a credential file are secret.
pub(crate) fn sensitive(value: &str) -> Option<HeaderValue> {
    let mut value = HeaderValue::from_str(value).ok()?;
    value.set_sensitive(true);
    Some(value)
}

/// Headers that a credential file may not set for itself.
pub(crate) fn is_own_header(name: &http::HeaderName) -> bool {
    *name == http::header::HOST || *name == http::header::CONTENT_LENGTH || *name == http::header::TRANSFER_ENCODING
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subject_tokens_are_found_in_text_and_json() {
        let json = Format::Json { field: "id_token".into() };
        for (format, bytes, token) in [
            (Format::Text, " a.b.c\n".as_bytes(), Ok("a.b.c")),
            (Format::Text, b"\n", Err("no subject token: it is empty")),
            (json.clone(), br#"{"id_token":"a"}"#, Ok("a")),
            (json.clone(), br#"{"token":"secret"}"#, Err("no subject token: its JSON has no text in id_token")),
            (json, b"secret", Err("no subject token: it is not JSON")),
        ] {
            let found = format.extract(bytes).map(|token| token.expose().to_owned()).map_err(|error| error.to_string());
            assert_eq!(found.as_deref().map_err(String::as_str), token);
        }
    }
}
