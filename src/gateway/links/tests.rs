//! A link proves what it was made for, and nothing near it.

use std::net::IpAddr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use proptest::prelude::*;

use super::*;
use crate::object::ObjectPrefix;

const NOW: u64 = 1_800_000_000;

fn at(seconds: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(seconds)
}

fn key(id: &str, digit: char) -> Key {
    Key::read(id.parse().expect("an id"), &digit.to_string().repeat(64), None).expect("a key")
}

fn links() -> Links {
    Links::new(Keyring::new([key("k1", 'a'), key("k2", 'b')]), Duration::ZERO)
}

fn client(address: &str) -> ClientAddr {
    ClientAddr::from(address.parse::<IpAddr>().expect("an address"))
}

fn bucket(name: &str) -> BucketName {
    BucketName::new(name).expect("a bucket")
}

fn object(name: &str) -> ObjectName {
    ObjectName::new(name).expect("a name")
}

fn terms() -> Terms {
    Terms { expires: Expiry::In(Duration::from_secs(100)), not_before: None, networks: Vec::new(), subject: None }
}

fn for_object(links: &Links, terms: &Terms) -> String {
    let (bucket, object) = (bucket("media"), object("d/a.jpg"));
    let scope = Scope { connection: "street", bucket: &bucket, target: Target::Object(&object) };
    links.signer(terms, at(NOW)).expect("a signer").sign(scope).token().to_owned()
}

fn for_prefix(links: &Links, prefix: &str) -> String {
    let (bucket, prefix) = (bucket("media"), ObjectPrefix::new(prefix).expect("a prefix"));
    let scope = Scope { connection: "street", bucket: &bucket, target: Target::Prefix(&prefix) };
    links.signer(&terms(), at(NOW)).expect("a signer").sign(scope).token().to_owned()
}

fn shown(links: &Links, token: &str, name: &str) -> Result<Verified, LinkRefusal> {
    let (bucket, object) = (bucket("media"), object(name));
    let wanted = Wanted { connection: "street", bucket: &bucket, object: Some(&object) };
    links.verify(Shown::Token(token), wanted, client("203.0.113.9"), at(NOW))
}

#[test]
fn a_link_covers_its_object_or_prefix_of_its_connection_and_bucket() {
    let links = links();
    let (one, tree) = (for_object(&links, &terms()), for_prefix(&links, "d/"));
    let all = for_prefix(&links, "");
    let long = for_prefix(&links, "d/a.jp");
    for (token, connection, bucket_name, name, good) in [
        (&one, "street", "media", "d/a.jpg", true),
        (&one, "street", "media", "d/a.jpg2", false),
        (&one, "street", "media", "d/a.jp", false),
        (&one, "street", "media", "a.jpg", false),
        (&one, "other", "media", "d/a.jpg", false),
        (&one, "street", "other", "d/a.jpg", false),
        (&one, "streetmedia", "med", "d/a.jpg", false),
        (&tree, "street", "media", "d/a.jpg", true),
        (&tree, "street", "media", "d/deep/er/x", true),
        (&tree, "street", "media", "d", false),
        (&tree, "street", "media", "dd/a.jpg", false),
        (&tree, "street", "media", "e/d/a.jpg", false),
        (&tree, "other", "media", "d/a.jpg", false),
        (&tree, "street", "other", "d/a.jpg", false),
        (&all, "street", "media", "anything", true),
        (&all, "other", "media", "anything", false),
        (&all, "street", "other", "anything", false),
        (&long, "street", "media", "d/a.jpg", true),
        (&long, "street", "media", "d/b.jpg", false),
    ] {
        let (bucket, object) = (bucket(bucket_name), object(name));
        let wanted = Wanted { connection, bucket: &bucket, object: Some(&object) };
        let outcome = links.verify(Shown::Token(token), wanted, client("::1"), at(NOW));
        let expected = if good { Ok(()) } else { Err(LinkRefusal::Mismatch) };
        assert_eq!(outcome.map(|_| ()), expected, "{connection} {bucket_name} {name}");
        let nothing = Wanted { object: None, ..wanted };
        let outcome = links.verify(Shown::Token(token), nothing, client("::1"), at(NOW));
        assert_eq!(outcome.map(|_| ()), Err(LinkRefusal::Mismatch), "a path that names nothing");
    }
}

#[test]
fn the_same_inputs_give_the_same_link_with_the_same_id() {
    let (one, other) = (links(), links());
    let terms = Terms {
        networks: vec!["2001:db8::/32".parse().expect("legal"), "203.0.113.0/24".parse().expect("legal")],
        subject: Subject::new("annotator-17").ok(),
        ..terms()
    };
    let mut turned = terms.clone();
    turned.networks.reverse();
    let token = for_object(&one, &terms);
    assert_eq!(token, for_object(&other, &turned));
    let verified = shown(&one, &token, "d/a.jpg").expect("a good link");
    assert_eq!(verified.subject().map(Subject::as_str), Some("annotator-17"));
    assert_eq!(verified.id(), shown(&other, &token, "d/a.jpg").expect("a good link").id());
    // A fixed vector: links that were given out must stay good over releases.
    assert_eq!(for_object(&one, &self::terms()), VECTOR);
    assert_eq!(VECTOR_ID, shown(&one, VECTOR, "d/a.jpg").expect("a good link").id().to_string());
}

/// Made with another implementation, from the description in `docs/links.md`.
const VECTOR: &str = "EAJrMQBrSdIAAGtJ0mR9F3YG2X6h_IxC_z_cAiXX";
const VECTOR_ID: &str = "5b81a698a1043697";

#[test]
fn a_window_makes_links_the_same_and_none_shorter() {
    let hour = Duration::from_hours(1);
    let links = Links::new(Keyring::new([key("k1", 'a')]), hour);
    let begin = NOW - NOW % 3600;
    let signer = |now| links.signer(&terms(), at(now)).expect("a signer");
    let (first, last) = (signer(begin), signer(begin + 3599));
    assert_eq!(first.expires(), last.expires());
    assert_eq!(last.expires(), at(begin + 3600 + 100));
    assert_ne!(signer(begin + 3600).expires(), last.expires());
    let exact = Terms { expires: Expiry::At(at(NOW + 7)), ..terms() };
    assert_eq!(links.signer(&exact, at(NOW)).expect("a signer").expires(), at(NOW + 7));
}

#[test]
fn time_network_and_key_confine_a_link() {
    let (bucket, object) = (bucket("media"), object("d/a.jpg"));
    let wanted = Wanted { connection: "street", bucket: &bucket, object: Some(&object) };
    let networks = ["203.0.113.0/24", "2001:db8::/32"].map(|net| net.parse().expect("legal")).to_vec();
    let terms = Terms { not_before: Some(at(NOW + 10)), networks, ..terms() };
    let ring = Keyring::new([key("k1", 'a')]);
    let links = Links::new(ring, Duration::ZERO);
    let token = for_object(&links, &terms);
    let check = |now, address| links.verify(Shown::Token(&token), wanted, client(address), at(now)).map(|_| ());
    for (now, address, expected) in [
        (NOW + 9, "203.0.113.9", Err(LinkRefusal::NotYetValid)),
        (NOW + 10, "203.0.113.9", Ok(())),
        (NOW + 99, "203.0.113.9", Ok(())),
        (NOW + 100, "203.0.113.9", Err(LinkRefusal::Expired)),
        (u64::from(u32::MAX) * 4, "203.0.113.9", Err(LinkRefusal::Expired)),
        (NOW + 50, "::ffff:203.0.113.9", Ok(())),
        (NOW + 50, "2001:db8::9", Ok(())),
        (NOW + 50, "203.0.114.9", Err(LinkRefusal::Network)),
        (NOW + 50, "::ffff:203.0.114.9", Err(LinkRefusal::Network)),
        (NOW + 50, "::203.0.113.9", Err(LinkRefusal::Network)),
        (NOW + 50, "2001:db9::9", Err(LinkRefusal::Network)),
    ] {
        assert_eq!(check(now, address), expected, "{now} {address}");
    }
    let ended = Key::read("k1".parse().expect("an id"), &"a".repeat(64), Moment::of(at(NOW + 20)).into());
    let ended = Links::new(Keyring::new([ended.expect("a key")]), Duration::ZERO);
    let outcome = ended.verify(Shown::Token(&token), wanted, client("203.0.113.9"), at(NOW + 20));
    assert_eq!(outcome, Err(LinkRefusal::KeyEnded));
    for (ring, refusal) in [
        (Keyring::new([key("k1", 'b')]), LinkRefusal::Mismatch),
        (Keyring::new([key("k2", 'a')]), LinkRefusal::UnknownKey),
        (Keyring::default(), LinkRefusal::UnknownKey),
    ] {
        let other = Links::new(ring, Duration::ZERO);
        assert_eq!(other.verify(Shown::Token(&token), wanted, client("203.0.113.9"), at(NOW + 50)), Err(refusal));
    }
}

#[test]
fn what_is_revoked_neither_admits_nor_is_made() {
    let terms = Terms { subject: Subject::new("annotator-17").ok(), ..terms() };
    let token = for_object(&links(), &terms);
    let id = shown(&links(), &token, "d/a.jpg").expect("a good link").id();
    for (list, expected, made) in [
        ("key k1".to_owned(), Some(LinkRefusal::RevokedKey), false),
        ("subject annotator-17".to_owned(), Some(LinkRefusal::RevokedSubject), false),
        (format!("link {id}"), Some(LinkRefusal::RevokedLink), true),
        ("all before 2027-01-15T08:00:01Z".to_owned(), Some(LinkRefusal::RevokedTime), false),
        ("all before 2027-01-15T08:00:00Z\nkey k2\nsubject annotator-1\nlink 0000000000000000".to_owned(), None, true),
    ] {
        let links = links();
        links.revoke(Revoked::parse(&list).expect("a list"));
        assert_eq!(shown(&links, &token, "d/a.jpg").err(), expected, "{list}");
        assert_eq!(links.signer(&terms, at(NOW)).is_ok(), made, "{list}");
    }
}

#[test]
fn links_that_make_no_sense_are_not_made() {
    let ending = Key::read("k1".parse().expect("an id"), &"a".repeat(64), Some(Moment::of(at(NOW + 50))));
    let ending = Links::new(Keyring::new([ending.expect("a key")]), Duration::ZERO);
    let networks = (0..17).map(|n| format!("10.0.{n}.0/24").parse().expect("legal")).collect();
    for (links, terms, told) in [
        (Links::new(Keyring::default(), Duration::ZERO), terms(), "no key signs"),
        (links(), Terms { expires: Expiry::In(Duration::ZERO), ..terms() }, "never be good"),
        (links(), Terms { expires: Expiry::At(at(NOW)), ..terms() }, "never be good"),
        (links(), Terms { not_before: Some(at(NOW + 100)), ..terms() }, "never be good"),
        (links(), Terms { networks, ..terms() }, "16 networks at most, not 17"),
        (ending, terms(), "its key \"k1\" ends at"),
    ] {
        let error = links.signer(&terms, at(NOW)).expect_err("must be refused").to_string();
        assert!(error.contains(told), "{error}");
    }
}

#[test]
fn every_changed_or_respelled_token_is_refused() {
    let links = links();
    let terms = Terms {
        networks: vec!["203.0.113.0/24".parse().expect("legal")],
        not_before: Some(at(NOW - 1)),
        subject: Subject::new("annotator-17").ok(),
        ..terms()
    };
    let token = for_object(&links, &terms);
    assert!(shown(&links, &token, "d/a.jpg").is_ok());
    for other in respelled(&token) {
        assert!(shown(&links, &other, "d/a.jpg").is_err(), "{other}");
    }
    for length in 0..token.len() {
        assert!(shown(&links, &token[..length], "d/a.jpg").is_err(), "cut at {length}");
    }
}

/// The same bytes, or nearly the same, in other words.
fn respelled(token: &str) -> Vec<String> {
    let mut others = ["=", "==", "A", "AAAA", " ", "%20", "\n", "&", "."].map(|tail| format!("{token}{tail}")).to_vec();
    others.extend([" ", "+", "~"].map(|head| format!("{head}{token}")));
    others.push(token.replace('-', "+").replace('_', "/") + if token.contains(['-', '_']) { "" } else { "=" });
    others.push(format!("%{:02X}{}", token.as_bytes()[0], &token[1..]));
    others.push(token.to_lowercase());
    others.push(token.to_uppercase());
    let last = token.chars().next_back().expect("a character");
    let letters = ('a'..='z').chain('A'..='Z').chain('0'..='9').chain(['-', '_']);
    others.extend(
        letters.filter(|letter| *letter != last).map(|letter| format!("{}{letter}", &token[..token.len() - 1])),
    );
    others.push("x".repeat(100_000));
    others.push(String::new());
    others
}

proptest! {
    #[test]
    fn any_flipped_bit_is_noticed(at in 0_usize..400, bit in 0_u8..8, prefix in any::<bool>()) {
        let links = links();
        let token = if prefix { for_prefix(&links, "d/") } else { for_object(&links, &terms()) };
        let mut bytes = token.clone().into_bytes();
        let at = at % bytes.len();
        bytes[at] ^= 1 << bit;
        if let Ok(changed) = String::from_utf8(bytes) {
            prop_assert!(shown(&links, &changed, "d/a.jpg").is_err(), "{changed}");
        }
    }

    #[test]
    fn nobody_guesses_a_token(text in "[A-Za-z0-9_-]{0,120}", any in "\\PC{0,60}") {
        prop_assert!(shown(&links(), &text, "d/a.jpg").is_err());
        prop_assert!(shown(&links(), &any, "d/a.jpg").is_err());
    }

    #[test]
    fn a_link_for_one_object_is_none_for_another(one in "[a-c/]{1,6}", other in "[a-c/]{1,6}", prefix in any::<bool>()) {
        let links = links();
        let (bucket, one, other) = (bucket("media"), object(&one), object(&other));
        let start = ObjectPrefix::new(one.as_str()).expect("a prefix");
        let target = if prefix { Target::Prefix(&start) } else { Target::Object(&one) };
        let scope = Scope { connection: "street", bucket: &bucket, target };
        let link = links.signer(&terms(), at(NOW)).expect("a signer").sign(scope);
        let covered = one == other || prefix && other.as_str().starts_with(one.as_str());
        prop_assert_eq!(shown(&links, link.token(), other.as_str()).is_ok(), covered);
    }
}
