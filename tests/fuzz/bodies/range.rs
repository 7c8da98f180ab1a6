//! `Range`, with the conditions beside it; and `Content-Range`, which comes from GCS.

use gsgate::gateway::fetch::Fetch;
use gsgate::object::ContentRange;
use http::header::{ACCEPT_ENCODING, HeaderMap, HeaderValue, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_RANGE, RANGE};

/// A line for each header; the last is a `Content-Range`.
pub fn range(bytes: &[u8]) {
    let mut lines = bytes.split(|byte| *byte == b'\n');
    let mut headers = HeaderMap::new();
    for name in [RANGE, IF_RANGE, IF_NONE_MATCH, IF_MODIFIED_SINCE, ACCEPT_ENCODING] {
        if let Some(Ok(value)) = lines.next().map(HeaderValue::from_bytes) {
            headers.append(name, value);
        }
    }
    let fetch = Fetch::parse(&http::Method::GET, &headers).expect("GET with these headers is always legal");
    for size in [0, 1, 1000, u64::MAX] {
        if let Some(span) = fetch.range.and_then(|range| range.resolve(size)) {
            assert!(span.first <= span.last && span.last < size, "{span:?} of {size}");
            assert!(span.len() <= size);
        }
    }
    if let Some(part) = lines.next().and_then(|line| std::str::from_utf8(line).ok()).and_then(ContentRange::parse) {
        assert!(part.span.first <= part.span.last && part.span.last < part.total, "{part}");
        assert_eq!(ContentRange::parse(&part.to_string()), Some(part));
    }
}
