//! A request's path: the exact object or a refusal, never another object.

use std::borrow::Cow;

use gsgate::gateway::route::Route;
use gsgate::object::{ObjectName, ObjectPrefix};
use percent_encoding::percent_decode_str;

/// The path as it stands on the wire.
pub fn path(bytes: &[u8]) {
    let Ok(path) = std::str::from_utf8(bytes) else { return };
    let Route::Media { token, connection, object } = Route::parse(path) else { return };
    assert!(!connection.contains('/') && !connection.is_empty());
    let Ok(decoded) = object.decode().map(Cow::into_owned) else { return };
    // The link's segment has its mark, which is one byte or three, and its slash.
    let mark = if path.starts_with("/~") { 1 } else { 3 };
    let link = token.map_or(0, |token| token.len() + mark + 1);
    let tail = &path[link + connection.len() + 2..];
    assert_eq!(decoded, percent_decode_str(tail).collect::<Vec<u8>>(), "decoded once, and nothing else");
    let prefix = ObjectPrefix::new("team/a/").expect("a legal prefix");
    if let Ok(joined) = prefix.join(&decoded) {
        assert_eq!(joined.as_str().as_bytes(), [b"team/a/", &decoded[..]].concat(), "never outside the prefix");
    }
    let Ok(name) = ObjectName::from_bytes(&decoded) else { return };
    assert_eq!(name.as_str().as_bytes(), decoded, "nothing is normalised");
    assert!(!name.as_str().split('/').any(|segment| segment == "." || segment == ".."));
    assert!(!name.as_str().chars().any(char::is_control));
    let segment = name.as_segment().to_string();
    assert!(!segment.contains(['/', '?', '#', ' ', '\\']), "{segment}");
    assert_eq!(percent_decode_str(&segment).collect::<Vec<u8>>(), decoded);
    assert_eq!(percent_decode_str(&name.as_path().to_string()).collect::<Vec<u8>>(), decoded);
}
