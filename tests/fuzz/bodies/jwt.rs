//! Tokens and key sets of strangers: whatever they are, nobody is let in who has no key.

use std::time::{Duration, SystemTime};

use gsgate::gateway::jwt::{Algorithm, Carrier, KeySet, Policy, Token};
use gsgate::gateway::vendor::Secret;
use gsgate::gateway::vendor::labelbox::Labelbox;
use http::HeaderMap;
use http::header::{AUTHORIZATION, HeaderValue};

/// A real key, whose private half nobody has kept.
const KEYS: &[u8] = br#"{"keys":[{"kty":"EC","crv":"P-256","kid":"k","alg":"ES256","use":"sig","x":"MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4","y":"4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM"}]}"#;

/// The first line is an `Authorization` header, the rest a key set.
pub fn jwt(bytes: &[u8]) {
    let (line, set) = bytes.iter().position(|byte| *byte == b'\n').map_or((bytes, &[][..]), |at| bytes.split_at(at));
    let keys = KeySet::parse(KEYS).expect("a good set");
    let strange = KeySet::parse(set);
    let mut headers = HeaderMap::new();
    if let Ok(value) = HeaderValue::from_bytes(line) {
        headers.append(AUTHORIZATION, value);
    }
    let policy = Policy {
        carrier: Carrier::Bearer,
        issuer: "https://issuer.example".into(),
        audience: vec!["gsgate".to_owned()],
        algorithms: vec![Algorithm::Rs256, Algorithm::Es256],
        leeway: Duration::from_secs(30),
        subject_claim: "sub".to_owned(),
    };
    let now = SystemTime::UNIX_EPOCH + Duration::from_hours(500_000);
    let text = std::str::from_utf8(line).unwrap_or_default();
    for token in [policy.carrier.token(&headers).unwrap_or_default(), text] {
        if let Ok(token) = Token::parse(token) {
            assert!(policy.check(&token, &keys, now).is_err(), "nobody has the key");
            if let Ok(strange) = &strange {
                let _ = policy.check(&token, strange, now);
            }
        }
    }
    let secret = Secret::new(b"0123456789abcdef0123456789abcdef".to_vec()).expect("long enough");
    let labelbox = Labelbox { secret, connections: Vec::new() };
    let _ = labelbox.read(text, now);
}
