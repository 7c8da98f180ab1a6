//! What is sent to GCS: built from typed parts, never copied from a client's request.
//!
//! The object's name is one path segment and `http::Uri` rewrites nothing, so that no name can address anything else.
//! Follows <https://cloud.google.com/storage/docs/request-endpoints#encoding>.

use std::fmt;

use bytes::Bytes;
use http::header::{ACCEPT_ENCODING, AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue, RANGE, USER_AGENT};
use http::{Method, Request, Uri};

use super::list::ListRequest;
use super::outgoing::Outgoing;
use super::stat;
use crate::gcs::{Credential, Endpoint, Error, Token};
use crate::object::{BucketName, ByteRange, Generation, ObjectName, ProjectId};

const AGENT: &str = concat!("gsgate/", env!("CARGO_PKG_VERSION"));
const USER_PROJECT: &str = "x-goog-user-project";

/// GCS writes it into its Data Access log: <https://cloud.google.com/storage/docs/audit-logging#add-custom-metadata>.
const AUDIT_SUBJECT: &str = "x-goog-custom-audit-gsgate-subject";

/// Which object, who pays, and on whose behalf.
#[derive(Clone, Debug)]
pub(super) struct Target {
    pub(super) bucket: BucketName,
    pub(super) object: ObjectName,
    pub(super) project: Option<ProjectId>,
    pub(super) subject: Option<HeaderValue>,
}

impl Target {
    pub(super) fn uri(&self, endpoint: &Endpoint, query: impl fmt::Display) -> Uri {
        let payer = payer(self.project.as_ref());
        let path = format!("/storage/v1/b/{}/o/{}?{query}{payer}", self.bucket, self.object.as_segment());
        uri(endpoint, path).expect(
            "bucket, object and project are encoded or have only legal characters, and their lengths are bounded",
        )
    }
}

/// One request, which may be sent several times.
#[derive(Clone, Debug)]
pub(super) struct Call {
    pub(super) operation: &'static str,
    /// Whether the request names a generation, so that 404 means that this one is gone.
    pub(super) generation: Option<Generation>,
    /// Whether sending it twice does no more than sending it once.
    pub(super) repeatable: bool,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    payload: Bytes,
}

impl Call {
    /// A request that changes nothing.
    fn reading(operation: &'static str, uri: Uri, headers: HeaderMap) -> Self {
        Self { operation, generation: None, repeatable: true, method: Method::GET, uri, headers, payload: Bytes::new() }
    }

    /// A request that changes an object; repeated only if a precondition makes that harmless.
    pub(super) fn writing(
        operation: &'static str,
        method: Method,
        (uri, project): (Uri, Option<&ProjectId>),
        repeatable: bool,
    ) -> Self {
        Self { repeatable, method, ..Self::reading(operation, uri, headers(project)) }
    }

    /// The same with a body that can be sent again.
    pub(super) fn carrying(mut self, content_type: HeaderValue, payload: Bytes) -> Self {
        self.headers.insert(CONTENT_TYPE, content_type);
        self.payload = payload;
        self
    }

    /// A token that is good for this request.
    pub(super) async fn token(&self, credential: &Credential) -> Result<Option<Token>, Error> {
        if self.method == Method::GET { credential.token().await } else { credential.writing_token().await }
    }

    /// What a refusal means for this request. To a caller that may read but not list, GCS does not say that an object
    /// is missing: it names the permission to list, which reading an object never needs.
    pub(super) fn interpret(&self, error: Error) -> Error {
        let of_an_object = ["read", "stat", "delete"].contains(&self.operation);
        match error {
            Error::Forbidden { message } if of_an_object && message.contains("storage.objects.list") => {
                if self.generation.is_some() { Error::Changed } else { Error::NotFound { message } }
            }
            error => error,
        }
    }

    /// The bytes of an object.
    pub(super) fn media(
        endpoint: &Endpoint,
        target: &Target,
        range: Option<ByteRange>,
        generation: Option<Generation>,
    ) -> Self {
        let pin = generation.map(|generation| format!("&generation={generation}")).unwrap_or_default();
        let mut headers = headers(target.project.as_ref());
        // Without this GCS would decompress gzip-stored objects, drop the length and ignore the range.
        headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("gzip"));
        if let Some(range) = range {
            headers.insert(RANGE, value(range));
        }
        if let Some(subject) = &target.subject {
            headers.insert(AUDIT_SUBJECT, subject.clone());
        }
        let uri = target.uri(endpoint, format_args!("alt=media{pin}"));
        Self { generation, ..Self::reading("read", uri, headers) }
    }

    /// An object's metadata.
    pub(super) fn stat(endpoint: &Endpoint, target: &Target) -> Self {
        let uri = target.uri(endpoint, format_args!("fields={}", stat::FIELDS));
        Self::reading("stat", uri, headers(target.project.as_ref()))
    }

    /// The metadata that an object's writer gave it.
    pub(super) fn custom(endpoint: &Endpoint, target: &Target) -> Self {
        let uri = target.uri(endpoint, "fields=generation,metadata");
        Self::reading("stat", uri, headers(target.project.as_ref()))
    }

    /// Something of a bucket's own: `tail` is what follows the bucket in the URL, its query included.
    pub(super) fn bucket(
        operation: &'static str,
        endpoint: &Endpoint,
        (bucket, project): (&BucketName, Option<&ProjectId>),
        tail: impl fmt::Display,
    ) -> Self {
        let path = format!("/storage/v1/b/{bucket}{tail}{}", payer(project));
        let uri =
            uri(endpoint, path).expect("bucket and project have only legal characters, and the tail is a constant");
        Self::reading(operation, uri, headers(project))
    }

    /// The first byte of what a signed URL leads to.
    pub(super) fn signed(uri: Uri) -> Self {
        let mut headers = headers(None);
        headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("gzip"));
        headers.insert(RANGE, HeaderValue::from_static("bytes=0-0"));
        Self::reading("signed-url", uri, headers)
    }

    /// A page of a listing; `None` if its offsets and token are longer than any URL may be.
    pub(super) fn list(endpoint: &Endpoint, request: &ListRequest) -> Option<Self> {
        let project = request.project.as_ref();
        let path = format!("/storage/v1/b/{}/o?{}{}", request.bucket, request.query(), payer(project));
        let uri = uri(endpoint, path).ok()?;
        Some(Self::reading("list", uri, headers(project)))
    }

    /// The same under another name in the metrics.
    pub(super) fn named(self, operation: &'static str) -> Self {
        Self { operation, ..self }
    }

    /// A request to send now, with the headers that the credential adds.
    pub(super) fn request(
        &self,
        authorization: Option<HeaderValue>,
        quota_project: Option<&ProjectId>,
    ) -> Request<Outgoing> {
        let mut request = Request::new(Outgoing::from(self.payload.clone()));
        request.method_mut().clone_from(&self.method);
        request.uri_mut().clone_from(&self.uri);
        request.headers_mut().clone_from(&self.headers);
        if let Some(authorization) = authorization {
            request.headers_mut().insert(AUTHORIZATION, authorization);
        }
        if let Some(project) = quota_project {
            request.headers_mut().entry(USER_PROJECT).or_insert_with(|| value(project.as_str()));
        }
        request
    }
}

pub(super) fn payer(project: Option<&ProjectId>) -> String {
    project.map(|project| format!("&userProject={}", project.as_str())).unwrap_or_default()
}

pub(super) fn uri(endpoint: &Endpoint, path: String) -> Result<Uri, http::Error> {
    Uri::builder()
        .scheme(endpoint.scheme().clone())
        .authority(endpoint.authority().clone())
        .path_and_query(path)
        .build()
}

fn headers(project: Option<&ProjectId>) -> HeaderMap {
    let mut headers = HeaderMap::with_capacity(6);
    headers.insert(USER_AGENT, HeaderValue::from_static(AGENT));
    if let Some(project) = project {
        headers.insert(USER_PROJECT, value(project.as_str()));
    }
    headers
}

fn value(text: impl fmt::Display) -> HeaderValue {
    HeaderValue::try_from(text.to_string()).expect("ranges and project ids are plain ASCII")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(object: &str, project: Option<&str>) -> Target {
        Target {
            bucket: BucketName::new("my-bucket").expect("a legal bucket"),
            object: ObjectName::new(object).expect("a legal name"),
            project: project.map(|id| ProjectId::new(id).expect("a legal project")),
            subject: None,
        }
    }

    #[test]
    fn names_are_one_segment_however_odd() {
        let endpoint = "http://127.0.0.1:9000".parse().expect("a legal endpoint");
        for (object, expected) in [
            ("a/b.png", "a%2Fb.png"),
            ("//a//", "%2F%2Fa%2F%2F"),
            ("a?b#c%2F+ &=", "a%3Fb%23c%252F%2B%20%26%3D"),
            ("ü🦀", "%C3%BC%F0%9F%A6%80"),
            ("a\\..\\b", "a%5C..%5Cb"),
        ] {
            let call = Call::media(&endpoint, &target(object, None), None, None);
            let expected = format!("http://127.0.0.1:9000/storage/v1/b/my-bucket/o/{expected}?alt=media");
            assert_eq!(call.uri.to_string(), expected, "{object}");
        }
    }

    #[test]
    fn range_generation_and_project_are_sent() {
        let range = Some(ByteRange::From { first: 5 });
        let target = target("x", Some("payer-1"));
        let call = Call::media(&Endpoint::default(), &target, range, Some(Generation(7)));
        let other = ProjectId::new("other").expect("a legal project");
        let request = call.request(Some(HeaderValue::from_static("Bearer t")), Some(&other));
        assert_eq!(request.uri().query(), Some("alt=media&generation=7&userProject=payer-1"));
        let header = |name: &str| request.headers().get(name).and_then(|value| value.to_str().ok());
        assert_eq!(header("range"), Some("bytes=5-"));
        assert_eq!(header("accept-encoding"), Some("gzip"));
        assert_eq!(header("authorization"), Some("Bearer t"));
        assert_eq!(header("x-goog-user-project"), Some("payer-1"));
    }
}
