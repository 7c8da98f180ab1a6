//! What is signed: one line where there should be one, and a URL that addresses exactly the object.

use std::time::{Duration, SystemTime};

use gsgate::gcs::Endpoint;
use gsgate::gcs::sign::{Request, Style};
use gsgate::object::{BucketName, ObjectName};
use percent_encoding::percent_decode_str;

/// Lines: the object's name, then names and values of query parameters (`name=value`), those that begin with `H` of headers.
pub fn sign(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let mut lines = text.split('\n');
    let Some(Ok(object)) = lines.next().map(ObjectName::new) else { return };
    let (headers, query): (Vec<_>, Vec<_>) =
        lines.filter_map(|line| line.split_once('=')).partition(|(name, _)| name.starts_with('H'));
    let owned = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
    let request = Request {
        method: http::Method::GET,
        endpoint: Endpoint::default(),
        style: Style::Path,
        bucket: BucketName::new("my-bucket").expect("a legal bucket"),
        object: Some(object.clone()),
        query: query.into_iter().map(owned).collect(),
        headers: headers.into_iter().map(|(name, value)| (name[1..].to_owned(), value.to_owned())).collect(),
        expires: Duration::from_mins(15),
    };
    let Ok(draft) =
        request.draft("a@b.iam.gserviceaccount.com", SystemTime::UNIX_EPOCH + Duration::from_hours(480_000))
    else {
        return;
    };
    let signed_headers = draft.canonical_request().lines().filter(|line| line.contains(':')).count();
    assert!(signed_headers >= 1, "host at least: {}", draft.canonical_request());
    assert_eq!(draft.string_to_sign().lines().count(), 4);
    let url = draft.into_url(&[1, 2, 3]);
    let uri: http::Uri = url.parse().unwrap_or_else(|error| panic!("{error}: {url}"));
    let path = uri.path().strip_prefix("/my-bucket/").unwrap_or_else(|| panic!("another bucket: {url}"));
    assert_eq!(percent_decode_str(path).collect::<Vec<u8>>(), object.as_str().as_bytes(), "{url}");
    assert!(url.bytes().all(|byte| byte.is_ascii_graphic()), "{url}");
}
