//! AWS's signature, version 4, as far as one request needs it. Pure.
//!
//! Follows <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html>.

use std::collections::BTreeMap;
use std::time::SystemTime;

use aws_lc_rs::{digest, hmac};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::Url;

use crate::gcs::credentials::Secret;
use crate::gcs::sign::{SignError, hex, timestamp};

/// AWS access keys.
pub(super) struct Keys {
    pub(super) id: String,
    pub(super) secret: Secret,
    pub(super) session: Option<Secret>,
}

/// The request that proves to Google's STS who we are on AWS, as the JSON that STS takes, percent-encoded.
pub(super) fn get_caller_identity(
    url: &Url,
    region: &str,
    audience: &str,
    (keys, now): (&Keys, SystemTime),
) -> Result<Secret, SignError> {
    let date = timestamp(now)?;
    let mut headers = BTreeMap::from([
        ("host", url.host_str().unwrap_or_default().to_owned()),
        ("x-amz-date", date.clone()),
        ("x-goog-cloud-target-resource", audience.to_owned()),
    ]);
    if let Some(session) = &keys.session {
        headers.insert("x-amz-security-token", session.expose().to_owned());
    }
    let authorization = authorization(("POST", url), &headers, (region, "sts"), &date, keys);
    headers.insert("Authorization", authorization);
    let headers: Vec<_> =
        headers.iter().map(|(key, value)| serde_json::json!({ "key": key, "value": value })).collect();
    let request = serde_json::json!({ "url": url.as_str(), "method": "POST", "headers": headers });
    Ok(Secret::new(utf8_percent_encode(&request.to_string(), NON_ALPHANUMERIC).to_string()))
}

/// The `Authorization` header of a request without a body.
fn authorization(
    (method, url): (&str, &Url),
    headers: &BTreeMap<&str, String>,
    (region, service): (&str, &str),
    date: &str,
    keys: &Keys,
) -> String {
    let mut query: Vec<&str> = url.query().unwrap_or_default().split('&').filter(|pair| !pair.is_empty()).collect();
    query.sort_unstable();
    let names = headers.keys().copied().collect::<Vec<_>>().join(";");
    let lines: String = headers.iter().flat_map(|(name, value)| [*name, ":", value.as_str(), "\n"]).collect();
    let (path, query, empty) = (url.path(), query.join("&"), sha256(b""));
    let canonical = format!("{method}\n{path}\n{query}\n{lines}\n{names}\n{empty}");
    let day = date.split('T').next().unwrap_or_default();
    let scope = format!("{day}/{region}/{service}/aws4_request");
    let to_sign = format!("AWS4-HMAC-SHA256\n{date}\n{scope}\n{}", sha256(canonical.as_bytes()));
    let first = Secret::new(format!("AWS4{}", keys.secret.expose()));
    let day_key = mac(first.expose().as_bytes(), day);
    let key = [region, service, "aws4_request"].into_iter().fold(day_key, |key, part| mac(key.as_ref(), part));
    let signature = hex(mac(key.as_ref(), &to_sign).as_ref());
    format!("AWS4-HMAC-SHA256 Credential={}/{scope}, SignedHeaders={names}, Signature={signature}", keys.id)
}

fn mac(key: &[u8], message: &str) -> hmac::Tag {
    hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), message.as_bytes())
}

fn sha256(bytes: &[u8]) -> String {
    hex(digest::digest(&digest::SHA256, bytes).as_ref())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys() -> Keys {
        let secret = Secret::new("wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY".to_owned());
        Keys { id: "AKIDEXAMPLE".to_owned(), secret, session: None }
    }

    #[test]
    fn the_example_of_aws_is_reproduced() {
        // "get-vanilla" of AWS's published test suite.
        let url = Url::parse("https://example.amazonaws.com/").expect("a URL");
        let date = "20150830T123600Z";
        let headers = BTreeMap::from([("host", "example.amazonaws.com".to_owned()), ("x-amz-date", date.to_owned())]);
        let signed = authorization(("GET", &url), &headers, ("us-east-1", "service"), date, &keys());
        assert_eq!(
            signed,
            "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, \
             SignedHeaders=host;x-amz-date, Signature=5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"
        );
    }

    #[test]
    fn the_subject_token_names_its_receiver_and_hides_the_secret() {
        let url = Url::parse("https://sts.eu-west-1.amazonaws.com?Action=GetCallerIdentity&Version=2011-06-15")
            .expect("a URL");
        let now = SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(1_800_000_007);
        let token = get_caller_identity(&url, "eu-west-1", "//iam.googleapis.com/x", (&keys(), now)).expect("signed");
        let text = percent_encoding::percent_decode_str(token.expose()).decode_utf8().expect("UTF-8").into_owned();
        let json: serde_json::Value = serde_json::from_str(&text).expect("JSON");
        assert_eq!(json["method"], "POST");
        assert!(text.contains("x-goog-cloud-target-resource") && text.contains("SignedHeaders=host;x-amz-date;x-goog"));
        assert!(!text.contains("wJalr"));
    }
}
