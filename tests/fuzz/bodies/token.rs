//! A link's token, in a request's target: no good one but those that were made, and no other spelling of these.

use std::net::IpAddr;
use std::time::{Duration, SystemTime};

use gsgate::gateway::client_addr::ClientAddr;
use gsgate::gateway::links::{Key, Keyring, Links, Revoked, Shown, Wanted};
use gsgate::gateway::route::Route;
use gsgate::object::{BucketName, ObjectName};

/// For `d/a.jpg`, and for everything under `d/`, of the connection `street` to the bucket `media`.
const GOOD: [&str; 2] = ["EAJrMQBrSdIAAGtJ0mR9F3YG2X6h_IxC_z_cAiXX", "EQJrMQBrSdIAAGtJ0mQAAjPI2GkGI8xPoR4uBRR1Efc"];

/// A request's target; the same bytes as a revocation list, too.
pub fn token(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    list(text);
    let (path, query) = text.split_once('?').map_or((text, None), |(path, query)| (path, Some(query)));
    let Route::Media { token, connection, object } = Route::parse(path) else { return };
    let shown = Shown::of(token, query);
    assert!(!format!("{shown:?}").contains("EAJ"));
    let object = object.decode().ok().and_then(|name| ObjectName::from_bytes(&name).ok());
    let bucket = BucketName::new("media").expect("a legal name");
    let wanted = Wanted { connection, bucket: &bucket, object: object.as_ref() };
    let key = Key::read("k1".parse().expect("an id"), &"a".repeat(64), None).expect("a key");
    let links = Links::new(Keyring::new([key]), Duration::ZERO);
    let now = SystemTime::UNIX_EPOCH + Duration::from_hours(500_000);
    let client = ClientAddr::from(IpAddr::from([203, 0, 113, 9]));
    if links.verify(shown, wanted, client, now).is_ok() {
        let Shown::Token(token) = shown else { panic!("admitted without a token") };
        let name = object.expect("admitted to nothing").to_string();
        assert_eq!(connection, "street");
        assert!(token == GOOD[0] && name == "d/a.jpg" || token == GOOD[1] && name.starts_with("d/"), "{name}");
    }
}

/// A list is read as a whole or not at all, and never has more entries than lines.
fn list(text: &str) {
    if let Ok(list) = Revoked::parse(text) {
        assert!(list.len() <= text.lines().count());
    }
}
