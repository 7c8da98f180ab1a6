//! What a request asks of the storage endpoint, by method, path and query.
//!
//! The endpoint has a path of its own on the public listener, under which everything stands as Google's host has it:
//! Google's client puts whatever it asks for behind the endpoint that it was given, path included, and signs the rest.
//! Pure. Each segment is decoded once, and an object's name is one segment.
//! Follows <https://cloud.google.com/storage/docs/request-endpoints>.

use http::{Method, Uri};

use super::query::{Query, decoded};
use super::refusal::Refusal;
use crate::object::{BucketName, ObjectName};

/// Where the endpoint stands on the public listener.
pub const PATH: &str = "/-/label-studio/gcs";
/// Where tokens are had, below it.
pub const TOKEN: &str = "/token";

/// What a client asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Operation {
    /// The bucket's resource.
    Bucket(BucketName),
    /// What may be done in the bucket.
    Permissions(BucketName),
    /// Names in the bucket.
    List(BucketName),
    /// An object's resource.
    Stat(BucketName, ObjectName),
    /// An object's bytes.
    Media(BucketName, ObjectName),
    /// That an object be gone.
    Delete(BucketName, ObjectName),
    /// That an object be stored, or the beginning of that.
    Upload(BucketName),
    /// The rest of it.
    Continue(BucketName),
}

/// Where a request goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Route {
    /// `POST /token`
    Token,
    /// `/bucket/object` with a signature in the query.
    Signed,
    /// The JSON API.
    Api(Operation, Query),
}

impl Operation {
    /// The bucket that is asked about.
    pub(super) fn bucket(&self) -> &BucketName {
        match self {
            Self::Bucket(bucket)
            | Self::Permissions(bucket)
            | Self::List(bucket)
            | Self::Stat(bucket, _)
            | Self::Media(bucket, _)
            | Self::Delete(bucket, _)
            | Self::Upload(bucket)
            | Self::Continue(bucket) => bucket,
        }
    }

    /// The object, where it stands in the path.
    pub(super) fn object(&self) -> Option<&ObjectName> {
        match self {
            Self::Stat(_, object) | Self::Media(_, object) | Self::Delete(_, object) => Some(object),
            _ => None,
        }
    }

    /// The permission that it takes at Google's.
    pub(super) fn permission(&self) -> &'static str {
        match self {
            Self::Bucket(_) | Self::Permissions(_) => "storage.buckets.get",
            Self::List(_) => "storage.objects.list",
            Self::Stat(..) | Self::Media(..) => "storage.objects.get",
            Self::Delete(..) => "storage.objects.delete",
            Self::Upload(_) | Self::Continue(_) => "storage.objects.create",
        }
    }

    /// The word for the log.
    pub(super) fn word(&self) -> &'static str {
        match self {
            Self::Bucket(_) => "bucket",
            Self::Permissions(_) => "permissions",
            Self::List(_) => "list",
            Self::Stat(..) => "stat",
            Self::Media(..) => "media",
            Self::Delete(..) => "delete",
            Self::Upload(_) | Self::Continue(_) => "upload",
        }
    }

    /// Whether it changes something.
    pub(super) fn writes(&self) -> bool {
        matches!(self, Self::Delete(..) | Self::Upload(_) | Self::Continue(_))
    }
}

impl Route {
    /// Reads a request whose path, below [`PATH`], is `path`.
    pub(super) fn parse(method: &Method, path: &str, uri: &Uri) -> Result<Self, Refusal> {
        let raw = uri.query().unwrap_or_default();
        if is_signed(raw) {
            return Ok(Self::Signed);
        }
        if path == TOKEN {
            return if method == Method::POST { Ok(Self::Token) } else { Err(Refusal::Method("POST")) };
        }
        let query = Query::parse(raw)?;
        let segments: Vec<&str> = path.split('/').skip(1).collect();
        let operation = match segments[..] {
            ["storage", "v1", "b", bucket] => read(method, Operation::Bucket(name(bucket)?))?,
            ["storage", "v1", "b", bucket, "o"] => read(method, Operation::List(name(bucket)?))?,
            ["storage", "v1", "b", bucket, "iam", "testPermissions"] => {
                read(method, Operation::Permissions(name(bucket)?))?
            }
            ["storage", "v1", "b", bucket, "o", object] => {
                let (bucket, object) = (name(bucket)?, self::object(object)?);
                match *method {
                    Method::GET if query.get("alt") == Some("media") => Operation::Media(bucket, object),
                    Method::GET => Operation::Stat(bucket, object),
                    Method::DELETE => Operation::Delete(bucket, object),
                    _ => return Err(Refusal::Method("GET, DELETE")),
                }
            }
            ["download", "storage", "v1", "b", bucket, "o", object] => {
                read(method, Operation::Media(name(bucket)?, self::object(object)?))?
            }
            ["upload", "storage", "v1", "b", bucket, "o"] => match *method {
                Method::POST => Operation::Upload(name(bucket)?),
                Method::PUT => Operation::Continue(name(bucket)?),
                _ => return Err(Refusal::Method("POST, PUT")),
            },
            _ => return Err(Refusal::Nowhere),
        };
        Ok(Self::Api(operation, query))
    }
}

/// Whether a query is that of a signed URL.
fn is_signed(query: &str) -> bool {
    query.split('&').any(|pair| pair.starts_with("X-Goog-Signature=") || pair.starts_with("X-Goog-Algorithm="))
}

/// Bucket and object of a signed URL's path, below [`PATH`].
pub(super) fn signed_object(path: &str) -> Option<(BucketName, ObjectName)> {
    let (bucket, object) = path.strip_prefix('/')?.split_once('/')?;
    Some((name(bucket).ok()?, self::object(object).ok()?))
}

fn read(method: &Method, operation: Operation) -> Result<Operation, Refusal> {
    if method == Method::GET { Ok(operation) } else { Err(Refusal::Method("GET")) }
}

fn name(segment: &str) -> Result<BucketName, Refusal> {
    let text = decoded(segment).and_then(|bytes| String::from_utf8(bytes).ok());
    text.and_then(|text| BucketName::new(text).ok())
        .ok_or_else(|| Refusal::Invalid("This is no bucket's name.".to_owned()))
}

fn object(segment: &str) -> Result<ObjectName, Refusal> {
    let bytes = decoded(segment).ok_or_else(|| Refusal::Invalid("The object's name is badly escaped.".to_owned()))?;
    ObjectName::from_bytes(bytes).map_err(Refusal::name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn route(method: Method, target: &str) -> Result<Route, Refusal> {
        let uri: Uri = target.parse().expect("legal");
        Route::parse(&method, uri.path(), &uri)
    }

    fn bucket() -> BucketName {
        BucketName::new("my-bucket").expect("legal")
    }

    #[test]
    fn paths_are_read_as_googles_client_writes_them() {
        let object = ObjectName::new("a/b c").expect("legal");
        let (get, post, put, delete) = (Method::GET, Method::POST, Method::PUT, Method::DELETE);
        for (method, target, expected) in [
            (&get, "/storage/v1/b/my-bucket?projection=noAcl", Operation::Bucket(bucket())),
            (&get, "/storage/v1/b/my-bucket/o?prefix=a", Operation::List(bucket())),
            (&get, "/storage/v1/b/my-bucket/iam/testPermissions", Operation::Permissions(bucket())),
            (&get, "/storage/v1/b/my-bucket/o/a%2Fb%20c", Operation::Stat(bucket(), object.clone())),
            (&get, "/storage/v1/b/my-bucket/o/a%2Fb%20c?alt=media", Operation::Media(bucket(), object.clone())),
            (&get, "/download/storage/v1/b/my-bucket/o/a%2Fb%20c", Operation::Media(bucket(), object.clone())),
            (&delete, "/storage/v1/b/my-bucket/o/a%2Fb%20c", Operation::Delete(bucket(), object.clone())),
            (&post, "/upload/storage/v1/b/my-bucket/o", Operation::Upload(bucket())),
            (&put, "/upload/storage/v1/b/my-bucket/o", Operation::Continue(bucket())),
        ] {
            match route(method.clone(), target) {
                Ok(Route::Api(operation, _)) => assert_eq!(operation, expected, "{target}"),
                other => panic!("{target}: {other:?}"),
            }
        }
        assert_eq!(route(post.clone(), "/token").ok(), Some(Route::Token));
        assert_eq!(route(get, "/storage/v1?X-Goog-Algorithm=x").ok(), Some(Route::Signed));
        assert_eq!(signed_object("/my-bucket/a/b%20c"), Some((bucket(), object)));
    }

    #[test]
    fn no_spelling_leads_anywhere_else() {
        for target in [
            "/",
            "/storage/v1/b",
            "/storage/v1/b/my-bucket/",
            "/storage/v1/b/my-bucket/o/a/b",
            "/storage/v1/b/my-bucket/o/..",
            "/storage/v1/b/my-bucket/o/a%2F..%2Fb",
            "/storage/v1/b/my-bucket/o/%2e%2e",
            "/storage/v1/b/my-bucket/o/a%00",
            "/storage/v1/b/my-bucket/o/%ff",
            "/storage/v1/b/my-bucket/o/%zz",
            "/storage/v1/b/my-bucket%2Fo",
            "/storage/v1/b/../o",
            "/storage/v2/b/my-bucket",
            "//storage/v1/b/my-bucket",
            "/batch/storage/v1",
        ] {
            assert!(route(Method::GET, target).is_err(), "{target}");
        }
        for path in ["/my-bucket", "/my-bucket/", "/my-bucket/../x", "/my-bucket/a%2F..%2Fb", "//a", "/MY/a"] {
            assert_eq!(signed_object(path), None, "{path}");
        }
        assert!(route(Method::POST, "/storage/v1/b/my-bucket/o/a").is_err());
        assert!(route(Method::GET, "/token").is_err());
    }
}
