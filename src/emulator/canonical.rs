//! V4 signed URLs: what was presented, and the canonical request and string-to-sign that it stands for.
//!
//! Works on the request as it came over the wire; signs nothing and knows no keys. Each part is decoded and encoded
//! again by Google's rules, so that a signer with an encoding of its own is found out.
//! Follows <https://cloud.google.com/storage/docs/authentication/canonical-requests> and
//! <https://cloud.google.com/storage/docs/authentication/signatures>.

use std::time::{Duration, SystemTime};

use http::{HeaderMap, header::HOST};
use percent_encoding::AsciiSet;

use super::key::{hex_sha256, unhex};
use super::query::{Query, STRICT, pairs, reencode};
use super::refusal::Refusal;

const ALGORITHM: &str = "GOOG4-RSA-SHA256";
/// Seven days.
const LONGEST: u64 = 604_800;
/// A path keeps its slashes.
const PATH: &AsciiSet = &STRICT.remove(b'/');

/// What the query of a signed URL says.
#[derive(Clone, Debug)]
pub(super) struct Presented {
    /// Who signed.
    pub(super) email: String,
    /// `YYYYMMDD/location/storage/goog4_request`
    pub(super) scope: String,
    /// `YYYYMMDD'T'HHMMSS'Z'`
    pub(super) date: String,
    /// The same as a time.
    pub(super) signed_at: SystemTime,
    /// How long the URL lives.
    pub(super) life: Duration,
    /// The names of the signed headers, as listed.
    pub(super) headers: Vec<String>,
    /// The signature.
    pub(super) signature: Vec<u8>,
}

/// Whether a query is that of a signed URL.
pub(super) fn is_signed(query: &str) -> bool {
    pairs(query).any(|(name, _)| {
        ["x-goog-signature", "x-goog-algorithm", "x-goog-credential"].iter().any(|own| name.eq_ignore_ascii_case(own))
    })
}

/// Reads the query of a signed URL.
pub(super) fn parse(raw: &str) -> Result<Presented, Refusal> {
    let query = Query::literal(raw).ok_or_else(|| Refusal::invalid("Invalid query encoding."))?;
    let one = |name: &str| {
        let mut values = query.all(name).map(str::to_owned);
        match (values.next(), values.next()) {
            (Some(value), None) => Ok(value),
            _ => Err(Refusal::invalid(format!("Missing or repeated query parameter: {name}"))),
        }
    };
    let wrong = |name: &str| Refusal::invalid(format!("Invalid query parameter: {name}"));
    if one("X-Goog-Algorithm")? != ALGORITHM {
        return Err(wrong("X-Goog-Algorithm"));
    }
    let credential = one("X-Goog-Credential")?;
    let (email, scope) = credential.split_once('/').ok_or_else(|| wrong("X-Goog-Credential"))?;
    let date = one("X-Goog-Date")?;
    let signed_at = timestamp(&date).ok_or_else(|| wrong("X-Goog-Date"))?;
    let parts: Vec<&str> = scope.split('/').collect();
    if !matches!(parts[..], [day, location, "storage", "goog4_request"] if day == &date[..8] && !location.is_empty()) {
        return Err(wrong("X-Goog-Credential"));
    }
    let expires = one("X-Goog-Expires")?;
    let digits = expires.bytes().all(|byte| byte.is_ascii_digit());
    let seconds = expires.parse().ok().filter(|seconds| digits && (1..=LONGEST).contains(seconds));
    let headers: Vec<String> = one("X-Goog-SignedHeaders")?.split(';').map(str::to_owned).collect();
    let sorted = headers.is_sorted() && headers.iter().all(|name| *name == name.to_ascii_lowercase());
    if !sorted || !headers.iter().any(|name| name == "host") {
        return Err(wrong("X-Goog-SignedHeaders"));
    }
    Ok(Presented {
        email: email.to_owned(),
        scope: scope.to_owned(),
        signed_at,
        life: Duration::from_secs(seconds.ok_or_else(|| wrong("X-Goog-Expires"))?),
        headers,
        signature: unhex(&one("X-Goog-Signature")?).ok_or_else(|| wrong("X-Goog-Signature"))?,
        date,
    })
}

/// The canonical request; `None` if a signed header is missing or an escape is broken.
pub(super) fn canonical_request(
    method: &str,
    target: (&str, &str),
    headers: &HeaderMap,
    host: &str,
    signed: &[String],
) -> Option<String> {
    let (path, query) = target;
    let mut params: Vec<(String, String)> = pairs(query)
        .filter(|(name, _)| *name != "X-Goog-Signature")
        .map(|(name, value)| Some((reencode(name, STRICT)?, reencode(value, STRICT)?)))
        .collect::<Option<_>>()?;
    params.sort();
    let params: Vec<String> = params.iter().map(|(name, value)| format!("{name}={value}")).collect();
    let mut lines = String::new();
    for name in signed {
        let value = if name == HOST.as_str() { host.to_owned() } else { joined(headers, name)? };
        lines.extend([name, ":", &value, "\n"]);
    }
    let payload = signed
        .iter()
        .any(|name| name == "x-goog-content-sha256")
        .then(|| joined(headers, "x-goog-content-sha256"))
        .flatten();
    Some(format!(
        "{method}\n{}\n{}\n{lines}\n{}\n{}",
        reencode(path, PATH)?,
        params.join("&"),
        signed.join(";"),
        payload.as_deref().unwrap_or("UNSIGNED-PAYLOAD")
    ))
}

/// The string to sign.
pub(super) fn string_to_sign(date: &str, scope: &str, canonical_request: &str) -> String {
    format!("{ALGORITHM}\n{date}\n{scope}\n{}", hex_sha256(canonical_request.as_bytes()))
}

/// A header's values, trimmed, with inner white space folded.
fn joined(headers: &HeaderMap, name: &str) -> Option<String> {
    let values: Vec<String> = headers
        .get_all(name)
        .iter()
        .map(|value| value.to_str().map(|text| text.split_ascii_whitespace().collect::<Vec<_>>().join(" ")))
        .collect::<Result<_, _>>()
        .ok()?;
    if values.is_empty() { None } else { Some(values.join(",")) }
}

/// Reads `20190201T090000Z`.
fn timestamp(text: &str) -> Option<SystemTime> {
    let shape = text.len() == 16
        && text.bytes().enumerate().all(|(place, byte)| match place {
            8 => byte == b'T',
            15 => byte == b'Z',
            _ => byte.is_ascii_digit(),
        });
    if !shape {
        return None;
    }
    let part = |range| text.get(range).unwrap_or_default();
    let iso =
        format!("{}-{}-{}T{}:{}:{}Z", part(0..4), part(4..6), part(6..8), part(9..11), part(11..13), part(13..15));
    humantime::parse_rfc3339(&iso).ok()
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    const CREDENTIAL: &str =
        "test-iam-credentials%40dummy-project-id.iam.gserviceaccount.com%2F20190201%2Fauto%2Fstorage%2Fgoog4_request";

    fn query(signed: &str, more: &str) -> String {
        format!(
            "X-Goog-Algorithm=GOOG4-RSA-SHA256&X-Goog-Credential={CREDENTIAL}&X-Goog-Date=20190201T090000Z\
             &X-Goog-Expires=10&X-Goog-SignedHeaders={signed}{more}&X-Goog-Signature=00ff"
        )
    }

    fn hash(method: &str, path: &str, query: &str, headers: &HeaderMap) -> String {
        let presented = parse(query).expect("a signed query");
        let host = "storage.googleapis.com";
        let canonical = canonical_request(method, (path, query), headers, host, &presented.headers).expect("canonical");
        let text = string_to_sign(&presented.date, &presented.scope, &canonical);
        assert!(text.starts_with("GOOG4-RSA-SHA256\n20190201T090000Z\n20190201/auto/storage/goog4_request\n"));
        text.rsplit('\n').next().expect("a last line").to_owned()
    }

    #[test]
    fn googles_simple_get_gives_googles_hash() {
        let query = query("host", "");
        assert!(is_signed(&query) && !is_signed("generation=1"));
        assert_eq!(
            hash("GET", "/test-bucket/test-object", &query, &HeaderMap::new()),
            "00e2fb794ea93d7adb703edaebdd509821fcc7d4f1a79ac5c8d2b394df109320"
        );
    }

    #[test]
    fn canonical_requests_follow_googles_rules() {
        let mut headers = HeaderMap::new();
        headers.append("x-goog-a", HeaderValue::from_static("  1 \t 2  "));
        headers.append("x-goog-a", HeaderValue::from_static("3"));
        let signed = ["host".to_owned(), "x-goog-a".to_owned()];
        let target = ("/b//a%20*%2bü", "b=*&a=%7e&B&X-Goog-Signature=1&a=+");
        let text = canonical_request("GET", target, &headers, "h", &signed).expect("canonical");
        let expected =
            "GET\n/b//a%20%2A%2B%C3%BC\nB=&a=%2B&a=~&b=%2A\nhost:h\nx-goog-a:1 2,3\n\nhost;x-goog-a\nUNSIGNED-PAYLOAD";
        assert_eq!(text, expected);
        assert_eq!(canonical_request("GET", ("/%", ""), &headers, "h", &signed), None);
        assert_eq!(canonical_request("GET", ("/", ""), &HeaderMap::new(), "h", &signed), None);
    }

    #[test]
    fn malformed_parameters_are_refused() {
        let good = query("host", "");
        for (from, to) in [
            ("X-Goog-Expires=10", "X-Goog-Expires=604801"),
            ("X-Goog-Expires=10", "X-Goog-Expires=0"),
            ("X-Goog-Expires=10", "X-Goog-Expires=%2B9"),
            ("Headers=host", "Headers=range"),
            ("Date=20190201T", "Date=20190202T"),
            ("Date=20190201T09", "Date=20190201T99"),
            ("RSA-SHA256", "RSA-SHA1"),
            ("Signature=00ff", "Signature=zz"),
            ("X-Goog-Date", "x-goog-date"),
        ] {
            assert!(parse(&good.replacen(from, to, 1)).is_err(), "{to}");
        }
        assert!(parse(&format!("{good}&X-Goog-Expires=10")).is_err());
    }
}
