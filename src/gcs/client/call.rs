//! What is sent to GCS: built from typed parts, never copied from a client's request.
//!
//! The object's name is one path segment and nothing rewrites it, so that no name can address anything else.
//! Follows <https://cloud.google.com/storage/docs/request-endpoints#encoding>.

use bytes::Bytes;
use http::uri::PathAndQuery;
use http::{HeaderValue, Method};

use super::list::ListRequest;
use super::outgoing::Outgoing;
use super::stat;
use crate::gcs::wire::{RequestHead, RequestLine};
use crate::gcs::{Credential, Endpoint, Error, Token};
use crate::object::{BucketName, ByteRange, Generation, ObjectName, ProjectId};

const AGENT: &str = concat!("user-agent: gsgate/", env!("CARGO_PKG_VERSION"), "\r\n");
/// Without this GCS would decompress gzip-stored objects, drop the length and ignore the range.
const AS_STORED: &str = "accept-encoding: gzip\r\n";
const USER_PROJECT: &str = "x-goog-user-project";
/// No URL is longer.
const LONGEST_TARGET: usize = 65_534;

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
    /// The beginning of a request for the object, up to its query.
    pub(super) fn line(&self, method: Method) -> RequestLine {
        RequestLine::new(method).with("/storage/v1/b/").with(&self.bucket).with("/o/").with(&self.object)
    }
}

/// One request, which may be sent several times.
#[derive(Debug)]
pub(super) struct Call {
    pub(super) operation: &'static str,
    /// Whether the request names a generation, so that 404 means that this one is gone.
    pub(super) generation: Option<Generation>,
    /// Whether sending it twice does no more than sending it once.
    pub(super) repeatable: bool,
    /// Whether it names the project that pays.
    names_payer: bool,
    head: RequestHead,
    payload: Bytes,
}

impl Call {
    /// A request that may be repeated; `line` is complete but for the project that pays.
    fn new(operation: &'static str, endpoint: &Endpoint, line: RequestLine, project: Option<&ProjectId>) -> Self {
        let line = match project {
            Some(project) => line.with("&userProject=").with(project),
            None => line,
        };
        let mut head = line.to(endpoint.authority());
        head.add_line(AGENT);
        if let Some(project) = project {
            head.add(USER_PROJECT, project);
        }
        let names_payer = project.is_some();
        Self { operation, generation: None, repeatable: true, names_payer, head, payload: Bytes::new() }
    }

    /// A request that changes an object; repeated only if a precondition makes that harmless.
    pub(super) fn writing(
        operation: &'static str,
        endpoint: &Endpoint,
        line: RequestLine,
        project: Option<&ProjectId>,
        repeatable: bool,
    ) -> Self {
        Self { repeatable, ..Self::new(operation, endpoint, line, project) }
    }

    /// The same with a body that can be sent again.
    pub(super) fn carrying(mut self, content_type: &HeaderValue, payload: Bytes) -> Self {
        self.head.add_value("content-type", content_type);
        self.payload = payload;
        self
    }

    /// A token that is good for this request.
    pub(super) async fn token(&self, credential: &Credential) -> Result<Option<Token>, Error> {
        if self.head.method() == Method::GET { credential.token().await } else { credential.writing_token().await }
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
        let line = target.line(Method::GET).with("?alt=media");
        let line = match generation {
            Some(generation) => line.with("&generation=").with(generation),
            None => line,
        };
        let mut call = Self { generation, ..Self::new("read", endpoint, line, target.project.as_ref()) };
        call.head.add_line(AS_STORED);
        if let Some(range) = range {
            call.head.add("range", range);
        }
        if let Some(subject) = &target.subject {
            call.head.add_value(AUDIT_SUBJECT, subject);
        }
        call
    }

    /// An object's metadata.
    pub(super) fn stat(endpoint: &Endpoint, target: &Target) -> Self {
        let line = target.line(Method::GET).with("?fields=").with(stat::FIELDS);
        Self::new("stat", endpoint, line, target.project.as_ref())
    }

    /// The metadata that an object's writer gave it.
    pub(super) fn custom(endpoint: &Endpoint, target: &Target) -> Self {
        let line = target.line(Method::GET).with("?fields=generation,metadata");
        Self::new("stat", endpoint, line, target.project.as_ref())
    }

    /// Something of a bucket's own: `tail` adds what follows the bucket in the URL, its query included.
    pub(super) fn bucket(
        operation: &'static str,
        endpoint: &Endpoint,
        (bucket, project): (&BucketName, Option<&ProjectId>),
        tail: impl FnOnce(RequestLine) -> RequestLine,
    ) -> Self {
        let line = RequestLine::new(Method::GET).with("/storage/v1/b/").with(bucket);
        Self::new(operation, endpoint, tail(line), project)
    }

    /// The first byte of what a signed URL leads to.
    pub(super) fn signed(endpoint: &Endpoint, url: &PathAndQuery) -> Self {
        let mut call = Self::new("signed-url", endpoint, RequestLine::new(Method::GET).with(url), None);
        call.head.add_line(AS_STORED);
        call.head.add("range", "bytes=0-0");
        call
    }

    /// A page of a listing; `None` if its offsets and token are longer than any URL may be.
    pub(super) fn list(endpoint: &Endpoint, request: &ListRequest) -> Option<Self> {
        let line = RequestLine::new(Method::GET).with("/storage/v1/b/").with(&request.bucket).with("/o?");
        let line = request.query(line);
        let payer = request.project.as_ref().map_or(0, |project| "&userProject=".len() + project.as_str().len());
        let fits = line.target().len() + payer <= LONGEST_TARGET;
        fits.then(|| Self::new("list", endpoint, line, request.project.as_ref()))
    }

    /// The same under another name in the metrics.
    pub(super) fn named(self, operation: &'static str) -> Self {
        Self { operation, ..self }
    }

    /// The body that can be sent again.
    pub(super) fn body(&self) -> Outgoing {
        Outgoing::from(self.payload.clone())
    }

    /// The head to send now, with the headers that the credential adds.
    pub(super) fn head(&self, token: Option<&Token>, quota_project: Option<&ProjectId>) -> RequestHead {
        let quota_project = quota_project.filter(|_| !self.names_payer);
        let authorization = token.map(Token::authorization);
        let room = authorization.as_ref().map_or(0, HeaderValue::len) + quota_project.map_or(0, |id| id.as_str().len());
        let mut head = self.head.again(room);
        if let Some(authorization) = &authorization {
            head.add_value("authorization", authorization);
        }
        if let Some(project) = quota_project {
            head.add(USER_PROJECT, project);
        }
        head
    }
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
        for (object, expected) in [
            ("a/b.png", "a%2Fb.png"),
            ("//a//", "%2F%2Fa%2F%2F"),
            ("a?b#c%2F+ &=", "a%3Fb%23c%252F%2B%20%26%3D"),
            ("ü🦀", "%C3%BC%F0%9F%A6%80"),
            ("a\\..\\b", "a%5C..%5Cb"),
        ] {
            let line = target(object, None).line(Method::GET);
            let expected = format!("/storage/v1/b/my-bucket/o/{expected}");
            assert_eq!(String::from_utf8_lossy(line.target()), expected, "{object}");
        }
    }

    #[test]
    fn range_generation_and_project_are_sent() {
        let range = Some(ByteRange::From { first: 5 });
        let target = target("x", Some("payer-1"));
        let call = Call::media(&Endpoint::default(), &target, range, Some(Generation(7)));
        let other = ProjectId::new("other").expect("a legal project");
        let fields = format!(
            "host: storage.googleapis.com\r\n{AGENT}x-goog-user-project: payer-1\r\n\
             accept-encoding: gzip\r\nrange: bytes=5-\r\n"
        );
        let target = "/storage/v1/b/my-bucket/o/x?alt=media&generation=7&userProject=payer-1";
        let sent = |call: &Call, quota| String::from_utf8_lossy(call.head(None, quota).lines()).into_owned();
        assert_eq!(sent(&call, Some(&other)), format!("GET {target} HTTP/1.1\r\n{fields}"));
        let free = Call::media(&Endpoint::default(), &self::target("x", None), None, None);
        assert!(sent(&free, Some(&other)).ends_with("\r\nx-goog-user-project: other\r\n"));
        assert!(!sent(&free, None).contains("x-goog-user-project"));
    }
}
