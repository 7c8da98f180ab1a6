//! Which requests ask for media, and for which: `/tasks/{id}/resolve/?fileuri=…` and its three siblings.
//!
//! Pure. It reads `fileuri` as Label Studio does: URL-safe base64 first, and what does not decode is percent-decoded.
//! Follows `io_storages/urls.py` and `io_storages/proxy_api.py` of Label Studio 1.23 (<https://github.com/HumanSignal/label-studio>).

use std::fmt;

use base64::Engine as _;
use base64::alphabet::URL_SAFE;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use http::Uri;
use percent_encoding::percent_decode;

/// Whose media is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Holder {
    /// A task's.
    Task(u64),
    /// A project's, such as what its labelling configuration shows on every task.
    Project(u64),
}

/// A request for media.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Ask {
    pub(super) holder: Holder,
    /// As it stands in the task.
    pub(super) uri: String,
}

const BASE64: GeneralPurpose = GeneralPurpose::new(
    &URL_SAFE,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::RequireCanonical)
        .with_decode_allow_trailing_bits(true),
);

/// What a request is, as far as media goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Asked {
    /// For media.
    Media(Ask),
    /// At such a path, but for nothing that can be read.
    Nothing(Holder),
    /// For something else.
    Other,
}

impl Asked {
    /// Reads a target. Whatever might become one of these paths on the way to Label Studio is taken for one: servers in
    /// front of it decode, join slashes and resolve dots.
    pub(super) fn parse(target: &Uri) -> Self {
        let Some(holder) = holder(&normal(target.path())) else { return Self::Other };
        let mut pairs =
            target.query().unwrap_or_default().split('&').map(|pair| pair.split_once('=').unwrap_or((pair, "")));
        // Of several, the last counts, as in Django.
        let value = pairs.rfind(|(name, _)| form_decoded(name).as_deref() == Some("fileuri"));
        let uri = value.and_then(|(_, value)| decoded(&form_decoded(value)?)).filter(|uri| !uri.is_empty());
        uri.map_or(Self::Nothing(holder), |uri| Self::Media(Ask { holder, uri }))
    }
}

impl Ask {
    /// The same request in the one way that leaves no doubt.
    pub(super) fn path(&self) -> String {
        format!("/{}/resolve/?fileuri={}", self.holder, BASE64.encode(&self.uri))
    }
}

impl Holder {
    /// Where Label Studio tells what it holds, with the URIs as they were imported.
    pub(super) fn api_path(self) -> String {
        match self {
            Self::Task(id) => format!("/api/tasks/{id}/?resolve_uri=false"),
            Self::Project(id) => format!("/api/projects/{id}/"),
        }
    }

    /// A request whose answer tells whether a user may resolve here at all, and which touches no storage.
    pub(super) fn probe_path(self) -> String {
        Ask { holder: self, uri: "gs://no-such-bucket/x".to_owned() }.path()
    }

    /// A request that Label Studio answers with its words for a missing parameter.
    pub(super) fn bare_path(self) -> String {
        format!("/{self}/resolve/")
    }
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Task(id) => write!(f, "tasks/{id}"),
            Self::Project(id) => write!(f, "projects/{id}"),
        }
    }
}

/// Whose media a path asks for.
fn holder(path: &str) -> Option<Holder> {
    let mut segments = path.strip_prefix('/')?.splitn(3, '/');
    let (kind, id, verb) = (segments.next()?, segments.next()?, segments.next()?);
    let digits = !id.is_empty() && id.bytes().all(|byte| byte.is_ascii_digit());
    if !digits || !matches!(verb, "resolve" | "presign") {
        return None;
    }
    match kind {
        "tasks" => id.parse().ok().map(Holder::Task),
        "projects" => id.parse().ok().map(Holder::Project),
        _ => None,
    }
}

/// A path as a server may read it in the end: decoded, without empty segments, with dots resolved.
fn normal(path: &str) -> String {
    let decoded = percent_decode(path.as_bytes()).decode_utf8_lossy();
    let mut segments: Vec<&str> = Vec::new();
    for segment in decoded.split('/') {
        match segment {
            "" | "." => {}
            ".." => {
                segments.pop();
            }
            segment => segments.push(segment),
        }
    }
    segments.iter().fold(String::new(), |path, segment| path + "/" + segment)
}

/// A name or a value of a query, as a form sends it.
fn form_decoded(value: &str) -> Option<String> {
    let spaced = value.replace('+', " ");
    percent_decode(spaced.as_bytes()).decode_utf8().ok().map(std::borrow::Cow::into_owned)
}

fn decoded(value: &str) -> Option<String> {
    let bytes = BASE64.decode(value).ok().and_then(|bytes| String::from_utf8(bytes).ok());
    bytes.or_else(|| percent_decode(value.as_bytes()).decode_utf8().ok().map(std::borrow::Cow::into_owned))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(target: &str) -> Option<(Holder, String)> {
        match Asked::parse(&target.parse().expect("legal")) {
            Asked::Media(ask) => Some((ask.holder, ask.uri)),
            Asked::Nothing(holder) => Some((holder, String::new())),
            Asked::Other => None,
        }
    }

    #[test]
    fn media_is_asked_for_in_four_ways_and_their_disguises() {
        let encoded = BASE64.encode("gs://b/ä+b#.jpg");
        for (path, holder) in [
            ("/tasks/7/resolve/", Holder::Task(7)),
            ("/tasks/7/resolve", Holder::Task(7)),
            ("/tasks/7/presign/", Holder::Task(7)),
            ("/projects/12/resolve/", Holder::Project(12)),
            ("/projects/12/presign", Holder::Project(12)),
            ("/tasks/%37/resolve/", Holder::Task(7)),
            ("/%74asks/07/res%6Flve/", Holder::Task(7)),
            ("//tasks//7/resolve//", Holder::Task(7)),
            ("/x/../tasks/./7/resolve/", Holder::Task(7)),
            ("/x%2F..%2Ftasks/7/resolve/", Holder::Task(7)),
        ] {
            let expected = Some((holder, "gs://b/ä+b#.jpg".to_owned()));
            assert_eq!(parsed(&format!("{path}?fileuri={encoded}")), expected, "{path}");
            assert_eq!(parsed(&format!("{path}?lsref=1&fileuri=x&fileuri={encoded}&y")), expected, "{path}");
            assert_eq!(parsed(&format!("{path}?fileuri=x&%66ileuri={encoded}")), expected, "{path}");
        }
    }

    #[test]
    fn what_is_no_base64_is_percent_encoded() {
        for (value, uri) in [
            ("gs://b/a.jpg", "gs://b/a.jpg"),
            ("gs%3A%2F%2Fb%2Fa%20b.jpg", "gs://b/a b.jpg"),
            ("gs%253A%252F%252Fb%252Fa.jpg", "gs://b/a.jpg"),
            ("Z3M6Ly9iL2E=", "gs://b/a"),
            ("Z3M6Ly9iL2E%3D", "gs://b/a"),
        ] {
            assert_eq!(parsed(&format!("/tasks/1/resolve/?fileuri={value}")).map(|(_, uri)| uri).as_deref(), Some(uri));
        }
    }

    #[test]
    fn a_path_without_a_readable_uri_is_still_one() {
        for target in [
            "/tasks/7/resolve/",
            "/tasks/7/resolve/?fileuri=",
            "/tasks/7/resolve/?file=x",
            "/tasks/7/resolve/?fileuri=%ff",
        ] {
            assert_eq!(parsed(target), Some((Holder::Task(7), String::new())), "{target}");
        }
    }

    #[test]
    fn all_else_is_label_studios() {
        for target in [
            "/tasks/7/resolve/x?fileuri=Z3M6Ly9iL2E=",
            "/tasks/x/resolve/?fileuri=Z3M6Ly9iL2E=",
            "/tasks/99999999999999999999/resolve/?fileuri=Z3M6Ly9iL2E=",
            "/api/tasks/7/resolve/?fileuri=Z3M6Ly9iL2E=",
            "/tasks/7/?fileuri=Z3M6Ly9iL2E=",
            "/tasks/7/resolve/../?fileuri=Z3M6Ly9iL2E=",
            "/",
        ] {
            assert_eq!(parsed(target), None, "{target}");
        }
    }
}
