//! Which API a request speaks to and what it names, from the raw path.
//!
//! Decides the meaning of a path; each part is decoded exactly once and nothing is normalised.

use http::Method;

use super::query::{Query, text};
use super::record::Operation;

/// What a request is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Route {
    /// JSON API: a bucket.
    Bucket(String),
    /// JSON API: its objects.
    List(String),
    /// JSON API: an object, its metadata or bytes.
    Object(String, String),
    /// JSON API: `testIamPermissions`.
    Permissions(String),
    /// JSON API: an upload.
    Upload(String),
    /// XML API: an object.
    Xml(String, String),
    /// OAuth's token endpoint.
    Token,
    /// The Security Token Service.
    Sts,
    /// IAM credentials: an account and what to do as it.
    Iam(String, String),
    /// The metadata server: the path after `/computeMetadata/v1/`.
    Compute(String),
    /// AWS's metadata server: the path after `/latest/`.
    Aws(String),
    /// The URL source of subject tokens.
    Subject,
    /// A path that no API has.
    Unknown,
    /// A path that cannot be decoded.
    Broken,
}

impl Route {
    /// Reads a raw path. `hosted` is the bucket that the host names, if it does.
    pub(super) fn of(path: &str, hosted: Option<String>) -> Self {
        if let Some(bucket) = hosted {
            return text(&path[1.min(path.len())..]).map_or(Self::Broken, |object| Self::Xml(bucket, object));
        }
        let fixed = match path {
            "/token" => Some(Self::Token),
            "/v1/token" => Some(Self::Sts),
            "/subject-token" => Some(Self::Subject),
            // Libraries look here to learn whether they run on Google's machines.
            "/" | "/computeMetadata/v1" => Some(Self::Compute(String::new())),
            _ => None,
        };
        if let Some(route) = fixed {
            return route;
        }
        for prefix in ["/storage/v1/b/", "/download/storage/v1/b/"] {
            if let Some(rest) = path.strip_prefix(prefix) {
                return Self::json(rest);
            }
        }
        if let Some(rest) = path.strip_prefix("/upload/storage/v1/b/") {
            let bucket = rest.strip_suffix("/o").filter(|bucket| !bucket.contains('/')).and_then(text);
            return bucket.map_or(Self::Unknown, Self::Upload);
        }
        if let Some(rest) = path.strip_prefix("/v1/projects/-/serviceAccounts/") {
            let parts = text(rest);
            let parts = parts.as_deref().and_then(|rest| rest.rsplit_once(':'));
            return parts.map_or(Self::Unknown, |(email, verb)| Self::Iam(email.to_owned(), verb.to_owned()));
        }
        if let Some(rest) = path.strip_prefix("/computeMetadata/v1/") {
            return Self::Compute(rest.trim_end_matches('/').to_owned());
        }
        if let Some(rest) = path.strip_prefix("/latest/") {
            return Self::Aws(rest.trim_end_matches('/').to_owned());
        }
        Self::xml(path)
    }

    fn json(rest: &str) -> Self {
        let parts: Option<Vec<String>> = rest.split('/').map(text).collect();
        let Some(parts) = parts else { return Self::Broken };
        // A raw dot segment is collapsed on the way to GCS and then names something else: never an object.
        let raw_dots = rest.split('/').any(|part| matches!(part, "." | ".."));
        let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
        match parts[..] {
            _ if raw_dots => Self::Broken,
            [bucket] if !bucket.is_empty() => Self::Bucket(bucket.to_owned()),
            [bucket, "o" | "o/"] => Self::List(bucket.to_owned()),
            [bucket, "o", object] if !object.is_empty() => Self::Object(bucket.to_owned(), object.to_owned()),
            [bucket, "iam", "testPermissions"] => Self::Permissions(bucket.to_owned()),
            _ => Self::Unknown,
        }
    }

    fn xml(path: &str) -> Self {
        let Some(rest) = path.strip_prefix('/') else { return Self::Unknown };
        // Without an object's name it is the bucket: no listing here, but a signature is judged all the same.
        let (bucket, object) = rest.split_once('/').unwrap_or((rest, ""));
        match (text(bucket), text(object)) {
            (Some(bucket), Some(object)) => Self::Xml(bucket, object),
            _ => Self::Broken,
        }
    }

    /// The kind of request.
    pub(super) fn operation(&self, method: &Method, query: &Query) -> Operation {
        match self {
            Self::Object(..) if *method == Method::DELETE => Operation::Delete,
            Self::Object(..) if query.get("alt") == Some("media") => Operation::Media,
            Self::Object(..) => Operation::Metadata,
            Self::Bucket(_) => Operation::Bucket,
            Self::List(_) => Operation::List,
            Self::Permissions(_) => Operation::TestPermissions,
            Self::Upload(_) => Operation::Upload,
            Self::Xml(..) if *method == Method::OPTIONS => Operation::Preflight,
            Self::Xml(..) if *method == Method::HEAD => Operation::XmlHead,
            Self::Xml(..) => Operation::XmlGet,
            Self::Token => Operation::Token,
            Self::Sts => Operation::Sts,
            Self::Iam(_, verb) if verb == "signBlob" => Operation::SignBlob,
            Self::Iam(_, verb) if verb == "generateAccessToken" => Operation::GenerateAccessToken,
            Self::Compute(_) => Operation::MetadataServer,
            Self::Aws(_) => Operation::Aws,
            Self::Subject => Operation::SubjectToken,
            Self::Iam(..) | Self::Unknown | Self::Broken => Operation::Other,
        }
    }

    /// The object's name, if one is named.
    pub(super) fn object(&self) -> Option<&str> {
        match self {
            Self::Object(_, object) | Self::Xml(_, object) => Some(object),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_decoded_once_and_never_normalised() {
        let object = |name: &str| Route::Object("b".to_owned(), name.to_owned());
        let xml = |name: &str| Route::Xml("b".to_owned(), name.to_owned());
        for (path, route) in [
            ("/storage/v1/b/b/o/a%2F..%2Fc", object("a/../c")),
            ("/download/storage/v1/b/b/o/a%252F", object("a%2F")),
            ("/storage/v1/b/b/o/a+b", object("a+b")),
            ("/storage/v1/b/b/o/a/c", Route::Unknown),
            ("/storage/v1/b/b/o/..", Route::Broken),
            ("/storage/v1/b/b/o/%C0%AF", Route::Broken),
            ("/storage/v1/b/b/o", Route::List("b".to_owned())),
            ("/storage/v1/b/b/o/", Route::Unknown),
            ("/storage/v1/b/b", Route::Bucket("b".to_owned())),
            ("/b//a//c%23", xml("/a//c#")),
            ("/b/a%2Fc", xml("a/c")),
            ("/b", xml("")),
            ("/", Route::Compute(String::new())),
            ("/v1/projects/-/serviceAccounts/a%40b:signBlob", Route::Iam("a@b".to_owned(), "signBlob".to_owned())),
        ] {
            assert_eq!(Route::of(path, None), route, "{path}");
        }
        assert_eq!(Route::of("/a//b", Some("h".to_owned())), Route::Xml("h".to_owned(), "a//b".to_owned()));
    }
}
