//! Tokens under a clock that the test turns, signed with keys of its own; whatever was tampered with is refused.

use std::time::UNIX_EPOCH;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::HeaderValue;
use serde_json::json;

use super::*;

const NOW: u64 = 1_800_000_000;

/// A P-256 key and the set that it stands in.
struct Signer {
    id: String,
    pair: EcdsaKeyPair,
}

impl Signer {
    fn new(id: &str) -> Self {
        let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).expect("a key");
        Self { id: id.to_owned(), pair }
    }

    fn jwk(&self) -> Value {
        let point = self.pair.public_key().as_ref();
        let encode = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        json!({"kty": "EC", "crv": "P-256", "kid": self.id, "alg": "ES256", "use": "sig",
               "x": encode(&point[1..33]), "y": encode(&point[33..])})
    }

    fn set(&self) -> KeySet {
        KeySet::parse(json!({"keys": [self.jwk()]}).to_string().as_bytes()).expect("a set")
    }

    fn sign(&self, header: &Value, claims: &Value) -> String {
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let signed = format!("{}.{}", part(header), part(claims));
        let signature = self.pair.sign(&SystemRandom::new(), signed.as_bytes()).expect("signs");
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature.as_ref()))
    }

    fn header(&self) -> Value {
        json!({"alg": "ES256", "typ": "JWT", "kid": self.id})
    }
}

/// A token and the set that it can be checked with.
pub(super) fn ec_token(id: &str) -> (KeySet, Token) {
    let signer = Signer::new(id);
    let token = signer.sign(&signer.header(), &claims());
    (signer.set(), Token::parse(&token).expect("well-formed"))
}

/// A set with one key of this id.
pub(super) fn ec_key_set(id: &str) -> KeySet {
    Signer::new(id).set()
}

fn claims() -> Value {
    json!({"iss": "https://issuer.example", "aud": "gsgate", "sub": "annotator-17", "iat": NOW, "exp": NOW + 60})
}

fn policy() -> Policy {
    Policy {
        carrier: Carrier::Bearer,
        issuer: "https://issuer.example".into(),
        audience: vec!["gsgate".to_owned(), "other".to_owned()],
        algorithms: vec![Algorithm::Rs256, Algorithm::Es256],
        leeway: Duration::from_secs(30),
        subject_claim: "sub".to_owned(),
    }
}

fn at(seconds: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(seconds)
}

fn check(token: &str, keys: &KeySet, now: u64) -> Result<String, JwtError> {
    policy().check(&Token::parse(token)?, keys, at(now)).map(|who| who.subject().to_string())
}

/// The claims with one of them changed; `null` takes it away.
fn but(name: &str, value: Value) -> Value {
    let mut claims = claims();
    let fields = claims.as_object_mut().expect("an object");
    if value.is_null() {
        fields.remove(name)
    } else {
        fields.insert(name.to_owned(), value)
    };
    claims
}

#[test]
fn a_good_token_names_its_subject() {
    let signer = Signer::new("k1");
    let token = signer.sign(&signer.header(), &claims());
    assert_eq!(check(&token, &signer.set(), NOW), Ok("annotator-17".to_owned()));
}

#[test]
fn every_claim_is_held_to_the_policy() {
    let signer = Signer::new("k1");
    for (name, value, expected) in [
        ("iss", json!("https://issuer.example/"), Some(JwtError::Issuer)),
        ("iss", Value::Null, Some(JwtError::Issuer)),
        ("iss", json!(["https://issuer.example"]), Some(JwtError::Issuer)),
        ("aud", json!("somebody"), Some(JwtError::Audience)),
        ("aud", Value::Null, Some(JwtError::Audience)),
        ("aud", json!([]), Some(JwtError::Audience)),
        ("aud", json!({"gsgate": 1}), Some(JwtError::Audience)),
        ("aud", json!(["somebody", "other"]), None),
        ("exp", Value::Null, Some(JwtError::Expired)),
        ("exp", json!("1800000060"), Some(JwtError::Expired)),
        ("exp", json!(-1), Some(JwtError::Expired)),
        ("exp", json!(NOW + 1), None),
        ("exp", json!(1_800_000_000.5), None),
        ("nbf", json!(NOW + 30), None),
        ("nbf", json!(NOW + 31), Some(JwtError::NotYet)),
        ("nbf", json!("soon"), Some(JwtError::NotYet)),
        ("iat", json!(NOW + 31), Some(JwtError::NotYet)),
        ("iat", Value::Null, None),
        ("sub", Value::Null, Some(JwtError::Subject)),
        ("sub", json!(17), Some(JwtError::Subject)),
        ("sub", json!(""), Some(JwtError::Subject)),
        ("sub", json!("two\nlines"), Some(JwtError::Subject)),
        ("sub", json!("x".repeat(256)), Some(JwtError::Subject)),
    ] {
        let token = signer.sign(&signer.header(), &but(name, value.clone()));
        assert_eq!(check(&token, &signer.set(), NOW).err(), expected, "{name}: {value}");
    }
}

#[test]
fn the_leeway_ends_where_it_says() {
    let signer = Signer::new("k1");
    let token = signer.sign(&signer.header(), &claims());
    for (now, expected) in [
        (NOW - 31, Some(JwtError::NotYet)),
        (NOW - 30, None),
        (NOW + 60 + 29, None),
        (NOW + 60 + 30, Some(JwtError::Expired)),
        (u64::from(u32::MAX) * 4, Some(JwtError::Expired)),
    ] {
        assert_eq!(check(&token, &signer.set(), now).err(), expected, "{now}");
    }
}

#[test]
fn the_header_chooses_neither_algorithm_nor_key() {
    let (signer, stranger) = (Signer::new("k1"), Signer::new("k1"));
    let own = stranger.jwk();
    for (header, expected) in [
        (json!({"alg": "none", "kid": "k1"}), JwtError::Algorithm),
        (json!({"alg": "NONE"}), JwtError::Algorithm),
        (json!({"alg": "HS256", "kid": "k1"}), JwtError::Algorithm),
        (json!({"alg": "RS512", "kid": "k1"}), JwtError::Algorithm),
        (json!({"alg": "RS256", "kid": "k1"}), JwtError::UnknownKey),
        (json!({"alg": "ES256", "kid": "k2"}), JwtError::UnknownKey),
        (json!({"alg": "ES256", "kid": "../../k1"}), JwtError::UnknownKey),
        (json!({"alg": "ES256", "kid": "x".repeat(600)}), JwtError::UnknownKey),
        (json!({"alg": "ES256", "kid": 1}), JwtError::Malformed),
        (json!({"kid": "k1"}), JwtError::Malformed),
        (json!([]), JwtError::Malformed),
        (json!({"alg": "ES256", "kid": "k1", "jwk": own}), JwtError::Signature),
        (json!({"alg": "ES256", "kid": "k1", "jku": "https://evil.example/keys"}), JwtError::Signature),
        (json!({"alg": "ES256", "kid": "k1", "x5u": "https://evil.example/cert"}), JwtError::Signature),
        (json!({"alg": "ES256", "kid": "k1", "crit": ["b64"], "b64": false}), JwtError::Kind),
        (json!({"alg": "ES256", "kid": "k1", "typ": "logout+jwt"}), JwtError::Kind),
        (json!({"alg": "ES256"}), JwtError::Signature),
    ] {
        let token = stranger.sign(&header, &claims());
        assert_eq!(check(&token, &signer.set(), NOW), Err(expected), "{header}");
    }
    let twice = format!("{{\"alg\":\"none\",\"alg\":\"ES256\",\"kid\":\"{}\"}}", signer.id);
    let token = signer.sign(&signer.header(), &claims());
    let (_, rest) = token.split_once('.').expect("three parts");
    let token = format!("{}.{rest}", URL_SAFE_NO_PAD.encode(twice));
    assert_eq!(check(&token, &signer.set(), NOW), Err(JwtError::Malformed));
}

#[test]
fn no_byte_of_a_token_can_be_changed() {
    let signer = Signer::new("k1");
    let (token, keys) = (signer.sign(&signer.header(), &claims()), signer.set());
    for at in 0..token.len() {
        let mut bytes = token.clone().into_bytes();
        bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
        let changed = String::from_utf8(bytes).expect("ASCII");
        assert!(check(&changed, &keys, NOW).is_err(), "byte {at}");
    }
    for end in 0..token.len() {
        assert!(check(&token[..end], &keys, NOW).is_err(), "cut at {end}");
    }
    for bad in
        [format!("{token}="), format!("{token}."), format!(".{token}"), format!(" {token}"), token.replace('.', "..")]
    {
        assert!(check(&bad, &keys, NOW).is_err(), "{bad}");
    }
    assert_eq!(check(&format!("{token}{}", "A".repeat(16 * 1024)), &keys, NOW), Err(JwtError::Malformed));
}

#[test]
fn a_policy_without_the_algorithm_refuses_it() {
    let signer = Signer::new("k1");
    let token = Token::parse(&signer.sign(&signer.header(), &claims())).expect("well-formed");
    let policy = Policy { algorithms: vec![Algorithm::Rs256], ..policy() };
    assert_eq!(policy.check(&token, &signer.set(), at(NOW)), Err(JwtError::Algorithm));
}

#[test]
fn a_token_without_a_key_id_is_taken_where_there_is_no_choice() {
    let (one, other) = (Signer::new("k1"), Signer::new("k2"));
    let token = one.sign(&json!({"alg": "ES256"}), &claims());
    assert!(check(&token, &one.set(), NOW).is_ok());
    let both = json!({"keys": [one.jwk(), other.jwk()]}).to_string();
    let both = KeySet::parse(both.as_bytes()).expect("a set");
    assert_eq!(check(&token, &both, NOW), Err(JwtError::UnknownKey));
}

#[test]
fn sets_keep_only_keys_for_signatures_that_are_strong() {
    let good = Signer::new("k1").jwk();
    let with = |name: &str, value: Value| {
        let mut key = good.clone();
        key.as_object_mut().expect("an object").insert(name.to_owned(), value);
        key
    };
    let weak = URL_SAFE_NO_PAD.encode([0xFF; 128]);
    for bad in [
        json!({"kty": "oct", "k": "c2VjcmV0", "alg": "HS256"}),
        json!({"kty": "RSA", "n": weak, "e": "AQAB"}),
        with("use", json!("enc")),
        with("key_ops", json!(["sign"])),
        with("alg", json!("ES384")),
        with("crv", json!("P-384")),
        with("x", json!("AAAA")),
        json!(1),
    ] {
        let alone = KeySet::parse(json!({"keys": [bad]}).to_string().as_bytes());
        assert!(matches!(alone, Err(KeySetError::NoneUsable)), "{bad}");
        let beside = KeySet::parse(json!({"keys": [bad, good]}).to_string().as_bytes());
        assert_eq!(
            beside.map(|set| set == KeySet::parse(json!({"keys": [good]}).to_string().as_bytes()).expect("one")).ok(),
            Some(true)
        );
    }
    assert!(matches!(KeySet::parse(b"<html>"), Err(KeySetError::Json(_))));
    let many = json!({"keys": vec![good; 101]}).to_string();
    assert!(matches!(KeySet::parse(many.as_bytes()), Err(KeySetError::TooMany)));
}

#[test]
fn one_header_carries_one_token() {
    let token = |carrier: Carrier, lines: &[(&'static str, &str)]| {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(*name, HeaderValue::from_bytes(value.as_bytes()).expect("legal"));
        }
        carrier.token(&headers).map(str::to_owned)
    };
    let bearer = |lines: &[(&'static str, &str)]| token(Carrier::Bearer, lines);
    for good in ["Bearer a.b.c", "bearer a.b.c", "BEARER  a.b.c"] {
        assert_eq!(bearer(&[("authorization", good)]), Ok("a.b.c".to_owned()), "{good}");
    }
    for missing in ["Basic a.b.c", "Bearer", "a.b.c", ""] {
        assert_eq!(bearer(&[("authorization", missing)]), Err(JwtError::Missing), "{missing}");
    }
    assert_eq!(bearer(&[]), Err(JwtError::Missing));
    let twice = [("authorization", "Bearer a"), ("authorization", "Bearer a")];
    assert_eq!(bearer(&twice), Err(JwtError::Repeated));
    assert_eq!(bearer(&[("authorization", "Bearer \u{FC}")]), Err(JwtError::Malformed));
    let iap = ("x-goog-iap-jwt-assertion", "a.b.c");
    assert_eq!(token(Carrier::Iap, &[iap, ("authorization", "Bearer other")]), Ok("a.b.c".to_owned()));
    assert_eq!(token(Carrier::Iap, &[("authorization", "Bearer a.b.c")]), Err(JwtError::Missing));
    assert_eq!(bearer(&[iap]), Err(JwtError::Missing));
}

#[test]
fn the_configuration_says_what_is_missing() {
    let policy = |text: &str| {
        toml::from_str::<Config>(text).map_err(|error| error.to_string()).and_then(|config| {
            config.policy().map(|(policy, _)| policy).map_err(|error| format!("{}: {error}", error.key()))
        })
    };
    let full = "issuer = \"i\"\naudience = \"a\"\njwks = \"keys.json\"\n";
    assert!(policy(full).is_ok());
    let iap = policy("iap = { audience = [\"a\", \"b\"] }").expect("legal");
    assert_eq!((iap.carrier, &*iap.issuer), (Carrier::Iap, "https://cloud.google.com/iap"));
    assert_eq!(iap.algorithms, [Algorithm::Es256]);
    for (bad, word) in [
        ("issuer = \"i\"\naudience = \"a\"", "jwks is missing"),
        ("", "issuer is missing"),
        ("issuer = \"i\"\njwks = \"k\"", "audience is missing"),
        (&format!("{full}algorithms = []"), "algorithms is empty"),
        (&format!("{full}algorithms = [\"HS256\"]"), "unknown variant `HS256`"),
        (&format!("{full}algorithms = [\"none\"]"), "unknown variant `none`"),
        (&format!("{full}leeway = \"6m\""), "leeway is 5m at most"),
        (&format!("{full}iap = {{ audience = \"a\" }}"), "iap stands in place of issuer"),
        (&full.replace("\"a\"", "[]"), "audience is empty"),
        (&full.replace("keys.json", "http://keys.example/"), "https only"),
        (&full.replace("keys.json", "ftp://keys.example/"), "https only"),
        (&full.replace("keys.json", "https://user@keys.example/"), "without user name"),
    ] {
        let error = policy(bad).expect_err(bad);
        assert!(error.contains(word), "{bad}: {error}");
    }
    for good in ["https://keys.example/x?y=z", "http://127.0.0.1:1/", "http://[::1]:1/", "http://localhost/"] {
        assert!(policy(&full.replace("keys.json", good)).is_ok(), "{good}");
    }
}
