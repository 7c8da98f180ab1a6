//! Signed URLs that Label Studio has made with its key: whether one is good for a request, here and now.
//!
//! Pure: no clock and no I/O. Works on the request as it came; path and query are decoded and spelled anew, so that the
//! object that is served is the one that was signed. Whatever would change the answer has to be known here, or it is
//! refused. Each parameter stands once.
//! Follows <https://cloud.google.com/storage/docs/authentication/canonical-requests> and
//! <https://cloud.google.com/storage/docs/authentication/signatures>.

use std::time::{Duration, SystemTime};

use aws_lc_rs::digest::{SHA256, digest};
use http::HeaderMap;

use super::query::{PATH, STRICT, decoded, respelled};
use super::refusal::Refusal;
use super::token::Keyring;
use crate::gcs::sign::{LONGEST_LIFE, hex};

const ALGORITHM: &str = "GOOG4-RSA-SHA256";
/// How far ahead the signer's clock may be, as with Google.
const SKEW: Duration = Duration::from_mins(15);
/// An RSA signature of 8192 bits.
const LONGEST_SIGNATURE: usize = 1024;
const OWN: [&str; 6] = [
    "X-Goog-Algorithm",
    "X-Goog-Credential",
    "X-Goog-Date",
    "X-Goog-Expires",
    "X-Goog-SignedHeaders",
    "X-Goog-Signature",
];

/// A request, as far as it is signed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Signed<'a> {
    /// As sent.
    pub(super) method: &'a str,
    /// Below the endpoint, as it stands on the wire.
    pub(super) path: &'a str,
    /// As it stands on the wire.
    pub(super) query: &'a str,
    /// All of them.
    pub(super) headers: &'a HeaderMap,
    /// Whom the request is for, perhaps with a port.
    pub(super) host: &'a str,
}

/// What the query says.
struct Presented {
    email: String,
    scope: String,
    date: String,
    begins: SystemTime,
    life: Duration,
    headers: Vec<String>,
    signature: Vec<u8>,
}

impl Signed<'_> {
    /// Whether one of the keys has signed this request, and it is the time for it.
    pub(super) fn verify(&self, keys: &Keyring, now: SystemTime) -> Result<(), Refusal> {
        if pairs(self.query).any(|(name, _)| !OWN.contains(&name)) {
            return Err(Refusal::Invalid("Only what belongs to the signature may stand in the query here.".to_owned()));
        }
        self.authenticate(keys, now)
    }

    fn authenticate(&self, keys: &Keyring, now: SystemTime) -> Result<(), Refusal> {
        let presented = Presented::read(self.query)?;
        if presented.begins > now + SKEW {
            return Err(Refusal::Signature);
        }
        // Google's library signs the port, its other ones do not.
        let bare = without_port(self.host);
        let hosts = [Some(self.host), Some(bare).filter(|bare| *bare != self.host)];
        let good = hosts.into_iter().flatten().any(|host| {
            let text = self.canonical(&presented, &host.to_ascii_lowercase()).map(|text| presented.to_sign(&text));
            text.is_some_and(|text| keys.verifies(&presented.email, text.as_bytes(), &presented.signature))
        });
        // Only who has signed it learns that a URL was good once.
        match good {
            false => Err(Refusal::Signature),
            true if now > presented.begins + presented.life => Err(Refusal::Expired),
            true => Ok(()),
        }
    }

    /// The canonical request; `None` if a signed header is missing or an escape is broken.
    fn canonical(&self, presented: &Presented, host: &str) -> Option<String> {
        let mut pairs: Vec<(String, String)> = pairs(self.query)
            .filter(|(name, _)| *name != "X-Goog-Signature")
            .map(|(name, value)| Some((respelled(name, STRICT)?, respelled(value, STRICT)?)))
            .collect::<Option<_>>()?;
        pairs.sort();
        let query: Vec<String> = pairs.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let mut lines = String::new();
        for name in &presented.headers {
            let value = if name == "host" { host.to_owned() } else { folded(self.headers, name)? };
            lines.extend([name, ":", &value, "\n"]);
        }
        let payload = presented.headers.iter().find(|name| *name == "x-goog-content-sha256");
        let payload = payload.and_then(|name| folded(self.headers, name));
        Some(format!(
            "{}\n{}\n{}\n{lines}\n{}\n{}",
            self.method,
            respelled(self.path, PATH)?,
            query.join("&"),
            presented.headers.join(";"),
            payload.as_deref().unwrap_or("UNSIGNED-PAYLOAD"),
        ))
    }
}

impl Presented {
    fn read(query: &str) -> Result<Self, Refusal> {
        let wrong =
            |name: &str| Refusal::Invalid(format!("{name} is missing, stands twice, or is not as it should be."));
        let one = |name: &str| {
            let mut values = pairs(query).filter(|(known, _)| *known == name);
            let value = values.next().filter(|_| values.next().is_none()).map(|(_, value)| value);
            let text = value.and_then(decoded).and_then(|bytes| String::from_utf8(bytes).ok());
            text.ok_or_else(|| wrong(name))
        };
        if one("X-Goog-Algorithm")? != ALGORITHM {
            return Err(wrong("X-Goog-Algorithm"));
        }
        let (credential, date) = (one("X-Goog-Credential")?, one("X-Goog-Date")?);
        let begins = time(&date).ok_or_else(|| wrong("X-Goog-Date"))?;
        let (email, scope) = credential.split_once('/').ok_or_else(|| wrong("X-Goog-Credential"))?;
        let day = date.get(..8).unwrap_or_default();
        let of_storage = scope.strip_suffix("/storage/goog4_request").and_then(|rest| rest.split_once('/'));
        if !of_storage.is_some_and(|(its, place)| its == day && !place.is_empty() && !place.contains('/')) {
            return Err(wrong("X-Goog-Credential"));
        }
        let expires = one("X-Goog-Expires")?;
        let seconds = expires.parse().ok().filter(|_| expires.bytes().all(|byte| byte.is_ascii_digit()));
        let life = seconds.map(Duration::from_secs).filter(|life| !life.is_zero() && *life <= LONGEST_LIFE);
        let headers: Vec<String> = one("X-Goog-SignedHeaders")?.split(';').map(str::to_owned).collect();
        let lower = headers.iter().all(|name| !name.is_empty() && *name == name.to_ascii_lowercase());
        // A name that stands twice would have its value written as often.
        let ascending = headers.is_sorted_by(|a, b| a < b);
        if !lower || !ascending || !headers.iter().any(|name| name == "host") {
            return Err(wrong("X-Goog-SignedHeaders"));
        }
        Ok(Self {
            email: email.to_owned(),
            scope: scope.to_owned(),
            begins,
            life: life.ok_or_else(|| wrong("X-Goog-Expires"))?,
            headers,
            signature: unhex(&one("X-Goog-Signature")?).ok_or_else(|| wrong("X-Goog-Signature"))?,
            date,
        })
    }

    fn to_sign(&self, canonical: &str) -> String {
        let Self { date, scope, .. } = self;
        format!("{ALGORITHM}\n{date}\n{scope}\n{}", hex(digest(&SHA256, canonical.as_bytes()).as_ref()))
    }
}

fn pairs(query: &str) -> impl Iterator<Item = (&str, &str)> {
    query.split('&').filter(|pair| !pair.is_empty()).map(|pair| pair.split_once('=').unwrap_or((pair, "")))
}

/// A header's values in one line, white space folded.
fn folded(headers: &HeaderMap, name: &str) -> Option<String> {
    let fold = |value: &http::HeaderValue| {
        value.to_str().ok().map(|text| text.split_ascii_whitespace().collect::<Vec<_>>().join(" "))
    };
    let values: Vec<String> = headers.get_all(name).iter().map(fold).collect::<Option<_>>()?;
    if values.is_empty() { None } else { Some(values.join(",")) }
}

fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((bare, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => bare,
        _ => host,
    }
}

/// Reads `20190201T090000Z`.
fn time(text: &str) -> Option<SystemTime> {
    let shape = |(at, byte): (usize, u8)| match at {
        8 => byte == b'T',
        15 => byte == b'Z',
        _ => byte.is_ascii_digit(),
    };
    if text.len() != 16 || !text.bytes().enumerate().all(shape) {
        return None;
    }
    let part = |range: std::ops::Range<usize>| text.get(range).unwrap_or_default();
    let (day, hour) =
        ([part(0..4), part(4..6), part(6..8)].join("-"), [part(9..11), part(11..13), part(13..15)].join(":"));
    humantime::parse_rfc3339(&format!("{day}T{hour}Z")).ok()
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    if !rest.is_empty() || pairs.len() > LONGEST_SIGNATURE {
        return None;
    }
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    pairs.iter().map(|&[high, low]| Some(digit(high)? << 4 | digit(low)?)).collect()
}

#[cfg(test)]
mod tests;
