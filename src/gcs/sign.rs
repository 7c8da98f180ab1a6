//! V4 signing: from typed parts and a time to the canonical request, the string to sign and the URL.
//!
//! Pure: no clock, no key, no I/O; whoever signs is in [`signer`]. Only the XML API takes signed URLs.
//! The host is signed without its port, every byte but RFC 3986's unreserved is percent-encoded, and pairs are
//! sorted as encoded, because that is how GCS recomputes them.
//! Follows <https://cloud.google.com/storage/docs/authentication/canonical-requests>.

pub mod signer;

mod desk;
mod key;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aws_lc_rs::digest;
use percent_encoding::utf8_percent_encode;

use crate::gcs::Endpoint;
use crate::object::{BucketName, ObjectName, RESERVED};

pub(crate) use desk::Desk;
pub(crate) use key::RsaKey;

/// The longest life of any signed URL.
pub const LONGEST_LIFE: Duration = Duration::from_hours(7 * 24);

const ALGORITHM: &str = "GOOG4-RSA-SHA256";

/// Where bucket and object stand in the URL.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Style {
    /// `endpoint/bucket/object`.
    Path,
    /// `bucket.endpoint/object`.
    VirtualHosted,
    /// `domain/object`, where the domain (a CNAME or a load balancer) stands for the bucket.
    BucketBound(Endpoint),
}

/// What a URL shall allow, and for how long.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Request {
    /// The one method that the URL allows; HEAD needs a URL of its own.
    pub method: http::Method,
    /// Where GCS's XML API answers.
    pub endpoint: Endpoint,
    /// How the URL is put together.
    pub style: Style,
    /// The bucket.
    pub bucket: BucketName,
    /// The object; `None` for the bucket itself.
    pub object: Option<ObjectName>,
    /// Further query parameters, such as `response-content-disposition` or `generation`, not encoded.
    pub query: Vec<(String, String)>,
    /// Headers that whoever uses the URL must send with it.
    pub headers: Vec<(String, String)>,
    /// How long after the signing time the URL works, in whole seconds.
    pub expires: Duration,
}

/// Why a request cannot be signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SignError {
    /// Under a second, or beyond what GCS or the key allows.
    #[error("a signed URL lives from 1 second to {0:?}")]
    Expiry(Duration),
    /// Before 1970 or after 9999.
    #[error("the signing time cannot be written as a date")]
    Time,
    /// A parameter that signing itself sets.
    #[error("X-Goog-Algorithm, -Credential, -Date, -Expires, -SignedHeaders and -Signature are set by signing")]
    ReservedParameter,
    /// Would break out of its line in the canonical request.
    #[error("a header has a control character")]
    ControlCharacter,
}

/// A request all but signed.
#[derive(Clone, PartialEq, Eq)]
pub struct Draft {
    canonical_request: String,
    string_to_sign: String,
    unsigned_url: String,
}

impl std::fmt::Debug for Draft {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Draft").finish_non_exhaustive()
    }
}

impl Request {
    /// A request for an object in the style that GCS itself prefers, without further parameters.
    pub fn object(
        method: http::Method,
        endpoint: Endpoint,
        bucket: BucketName,
        object: ObjectName,
        expires: Duration,
    ) -> Self {
        let (query, headers) = (Vec::new(), Vec::new());
        Self { method, endpoint, style: Style::Path, bucket, object: Some(object), query, headers, expires }
    }

    /// Puts everything together for a signature by `email`, as of `now`.
    pub fn draft(&self, email: &str, now: SystemTime) -> Result<Draft, SignError> {
        if self.expires.as_secs() == 0 || self.expires > LONGEST_LIFE {
            return Err(SignError::Expiry(LONGEST_LIFE));
        }
        let date = timestamp(now)?;
        let scope = credential_scope(&date);
        let (scheme, authority) = self.place();
        let headers = self.canonical_headers(host_without_port(&authority))?;
        let names = headers.keys().map(String::as_str).collect::<Vec<_>>().join(";");
        let query = self.canonical_query(&format!("{email}/{scope}"), &date, &names)?;
        let path = self.path();
        let canonical_request = self.canonical_request(&path, &query, &headers, &names);
        let string_to_sign = string_to_sign(&date, &scope, &canonical_request);
        Ok(Draft { canonical_request, string_to_sign, unsigned_url: format!("{scheme}://{authority}{path}?{query}") })
    }

    fn place(&self) -> (&http::uri::Scheme, String) {
        match &self.style {
            Style::Path => (self.endpoint.scheme(), self.endpoint.authority().to_string()),
            Style::VirtualHosted => (self.endpoint.scheme(), format!("{}.{}", self.bucket, self.endpoint.authority())),
            Style::BucketBound(domain) => (domain.scheme(), domain.authority().to_string()),
        }
    }

    fn path(&self) -> String {
        match (&self.style, &self.object) {
            (Style::Path, None) => format!("/{}", self.bucket),
            (Style::Path, Some(object)) => format!("/{}/{}", self.bucket, object.as_path()),
            (_, None) => "/".to_owned(),
            (_, Some(object)) => format!("/{}", object.as_path()),
        }
    }

    fn canonical_headers(&self, host: &str) -> Result<BTreeMap<String, String>, SignError> {
        let mut headers = BTreeMap::from([("host".to_owned(), host.to_ascii_lowercase())]);
        for (name, value) in &self.headers {
            if name.chars().any(char::is_control) || value.chars().any(|c| c.is_control() && c != '\t') {
                return Err(SignError::ControlCharacter);
            }
            let value = value.split_ascii_whitespace().collect::<Vec<_>>().join(" ");
            headers
                .entry(name.trim().to_ascii_lowercase())
                .and_modify(|present| {
                    present.push(',');
                    present.push_str(&value);
                })
                .or_insert(value);
        }
        Ok(headers)
    }

    fn canonical_query(&self, credential: &str, date: &str, signed_headers: &str) -> Result<String, SignError> {
        let expires = self.expires.as_secs().to_string();
        let own = [
            ("X-Goog-Algorithm", ALGORITHM),
            ("X-Goog-Credential", credential),
            ("X-Goog-Date", date),
            ("X-Goog-Expires", &expires),
            ("X-Goog-SignedHeaders", signed_headers),
        ];
        let reserved = |name: &str| own.iter().any(|(own, _)| own.eq_ignore_ascii_case(name));
        if self.query.iter().any(|(name, _)| reserved(name) || name.eq_ignore_ascii_case("X-Goog-Signature")) {
            return Err(SignError::ReservedParameter);
        }
        let given = self.query.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        let mut pairs: Vec<_> =
            own.into_iter().chain(given).map(|(name, value)| (strict(name), strict(value))).collect();
        pairs.sort_unstable();
        Ok(pairs.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("&"))
    }

    fn canonical_request(
        &self,
        path: &str,
        query: &str,
        headers: &BTreeMap<String, String>,
        signed_headers: &str,
    ) -> String {
        let payload = headers.get("x-goog-content-sha256").map_or("UNSIGNED-PAYLOAD", String::as_str);
        let mut text = format!("{}\n{path}\n{query}\n", self.method);
        for (name, value) in headers {
            // Writing into a String cannot fail.
            let _ = writeln!(text, "{name}:{value}");
        }
        let _ = write!(text, "\n{signed_headers}\n{payload}");
        text
    }
}

impl Draft {
    /// The request in GCS's canonical form.
    pub fn canonical_request(&self) -> &str {
        &self.canonical_request
    }

    /// What the signature is made of.
    pub fn string_to_sign(&self) -> &str {
        &self.string_to_sign
    }

    /// The URL as far as its signature.
    pub fn unsigned_url(&self) -> &str {
        &self.unsigned_url
    }

    /// The finished URL.
    pub fn into_url(self, signature: &[u8]) -> String {
        let mut url = self.unsigned_url;
        url.push_str("&X-Goog-Signature=");
        url.push_str(&hex(signature));
        url
    }
}

/// `date/auto/storage/goog4_request`, from a date such as `20260101T000000Z`.
fn credential_scope(date: &str) -> String {
    let day = date.split('T').next().unwrap_or_default();
    format!("{day}/auto/storage/goog4_request")
}

fn string_to_sign(date: &str, scope: &str, canonical_request: &str) -> String {
    let hash = digest::digest(&digest::SHA256, canonical_request.as_bytes());
    format!("{ALGORITHM}\n{date}\n{scope}\n{}", hex(hash.as_ref()))
}

/// `YYYYMMDD'T'HHMMSS'Z'`, in whole seconds.
pub(crate) fn timestamp(now: SystemTime) -> Result<String, SignError> {
    // Later dates have five-digit years; earlier ones have no date in humantime.
    const END_OF_9999: u64 = 253_402_300_799;
    let since = now.duration_since(UNIX_EPOCH).map_err(|_| SignError::Time)?;
    if since.as_secs() > END_OF_9999 {
        return Err(SignError::Time);
    }
    Ok(humantime::format_rfc3339_seconds(now).to_string().replace(['-', ':'], ""))
}

fn host_without_port(authority: &str) -> &str {
    match authority.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => host,
        _ => authority,
    }
}

fn strict(text: &str) -> String {
    utf8_percent_encode(text, RESERVED).to_string()
}

/// Lower-case hexadecimal.
pub(crate) fn hex(bytes: &[u8]) -> String {
    const DIGITS: [char; 16] = ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'a', 'b', 'c', 'd', 'e', 'f'];
    let digits = |byte: &u8| [DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]];
    let mut text = String::with_capacity(bytes.len() * 2);
    text.extend(bytes.iter().flat_map(digits));
    text
}

#[cfg(test)]
mod tests;
