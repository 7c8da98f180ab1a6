//! Labelbox tokenized URLs: `/-/labelbox?token=JWT`, an HS256 token that names a bucket and a key.
//!
//! Decides what a token names; pure, with `now` as an argument. The format is that of
//! <https://github.com/Labelbox/generate-tokenized-urls>: payload `{"key", "bucket"}`, often with an `exp` a century away.
//! Such a token cannot be revoked but by another secret.

use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;

use super::{Secret, VendorRefusal};

/// A key has 1024 bytes; escaped and encoded twice it stays below.
const LONGEST: usize = 8 * 1024;

/// The adapter.
#[derive(Clone, Debug)]
pub struct Labelbox {
    /// What tokens are signed with.
    pub secret: Secret,
    /// The connections whose objects tokens may name.
    pub connections: Vec<String>,
}

/// The object that a good token names.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct Named {
    /// The bucket.
    pub bucket: String,
    /// The object's whole name.
    pub key: String,
    exp: Option<f64>,
    nbf: Option<f64>,
}

#[derive(Deserialize)]
struct Header {
    alg: String,
    crit: Option<serde_json::Value>,
}

impl Labelbox {
    /// What the token names, if it is good at `now`.
    pub fn read(&self, token: &str, now: SystemTime) -> Result<Named, VendorRefusal> {
        self.verified(token, now).ok_or(VendorRefusal::Token)
    }

    fn verified(&self, token: &str, now: SystemTime) -> Option<Named> {
        let (signed, signature) = token.rsplit_once('.').filter(|_| token.len() <= LONGEST)?;
        let (header, payload) = signed.split_once('.')?;
        let header: Header = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(header).ok()?).ok()?;
        if header.alg != "HS256" || header.crit.is_some() {
            return None;
        }
        if !self.secret.verifies(signed.as_bytes(), &URL_SAFE_NO_PAD.decode(signature).ok()?) {
            return None;
        }
        let named: Named = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).ok()?).ok()?;
        let now = now.duration_since(UNIX_EPOCH).ok()?.as_secs_f64();
        let is_over = named.exp.is_some_and(|exp| now >= exp);
        let begins_later = named.nbf.is_some_and(|nbf| now < nbf);
        (!is_over && !begins_later).then_some(named)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use aws_lc_rs::hmac;
    use serde_json::{Value, json};

    use super::*;

    const SECRET: &[u8] = b"0123456789abcdef0123456789abcdef";

    fn adapter() -> Labelbox {
        Labelbox { secret: Secret::new(SECRET.to_vec()).expect("long enough"), connections: Vec::new() }
    }

    fn sign(secret: &[u8], header: &Value, payload: &Value) -> String {
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let signed = format!("{}.{}", part(header), part(payload));
        let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret), signed.as_bytes());
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(tag.as_ref()))
    }

    fn read(token: &str) -> Option<(String, String)> {
        let now = UNIX_EPOCH + Duration::from_hours(500_000);
        adapter().read(token, now).ok().map(|named| (named.bucket, named.key))
    }

    #[test]
    fn tokens_name_an_object_while_they_hold() {
        let header = json!({"typ": "JWT", "alg": "HS256"});
        let payload = |exp: Value| json!({"key": "a/b c.jpg", "bucket": "media", "exp": exp});
        let named = Some(("media".to_owned(), "a/b c.jpg".to_owned()));
        for (exp, good) in
            [(Value::Null, true), (json!(4_900_000_000_u64), true), (json!(1_800_000_000), false), (json!("x"), false)]
        {
            let token = sign(SECRET, &header, &payload(exp.clone()));
            assert_eq!(read(&token), named.clone().filter(|_| good), "{exp}");
        }
        for (header, secret) in [
            (json!({"alg": "none"}), SECRET),
            (json!({"alg": "HS512"}), SECRET),
            (json!({"alg": "HS256", "crit": ["x"]}), SECRET),
            (header.clone(), &b"another secret of thirty-two chars"[..]),
            (header.clone(), b""),
        ] {
            assert_eq!(read(&sign(secret, &header, &payload(Value::Null))), None, "{header}");
        }
    }

    #[test]
    fn no_byte_of_a_token_can_be_changed() {
        let token = sign(SECRET, &json!({"alg": "HS256"}), &json!({"key": "a", "bucket": "media"}));
        assert!(read(&token).is_some());
        for at in 0..token.len() {
            let mut bytes = token.clone().into_bytes();
            bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
            assert_eq!(read(std::str::from_utf8(&bytes).expect("ASCII")), None, "byte {at}");
            assert_eq!(read(&token[..at]), None, "cut at {at}");
        }
        assert_eq!(read(&format!("{token}=")), None);
        assert_eq!(read(&"a".repeat(100_000)), None);
    }
}
