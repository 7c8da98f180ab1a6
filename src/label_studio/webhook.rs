//! What Label Studio says has happened: `POST /-/label-studio/webhook`.
//!
//! Decides who is listened to and what an event means. The secret is compared before a byte of the body is read, and in
//! constant time. An event is only a hint: what is stored is what Label Studio says when it is asked, so that a replay or
//! an order that is not the events' own does no harm. It is acknowledged when GCS has stored it, not before; the work goes
//! on when Label Studio, which waits one second, has hung up.
//! Follows <https://labelstud.io/guide/webhooks>.

use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::digest::{SHA256, digest};
use bytes::Bytes;
use http::header::{ALLOW, AUTHORIZATION, CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Limited};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::Semaphore;
use tokio::time::timeout;

use super::export::{Error, Exporter, Outcome};
use crate::gateway::body::Body;
use crate::telemetry::Causes;

/// Where webhooks come in.
pub const PATH: &str = "/-/label-studio/webhook";
/// A header for the secret, for those who need `Authorization` otherwise.
pub const HEADER: &str = "x-gsgate-secret";
/// A shorter secret could be guessed.
pub const SHORTEST: usize = 16;
/// An event has the project, the task and the annotation in it.
const LONGEST: usize = 16 * 1024 * 1024;
/// Events being read or worked on; others are turned away, and swept up later.
const AT_ONCE: usize = 16;
/// Longest wait for a body.
const PATIENCE: Duration = Duration::from_secs(30);
/// Annotations that one event may name.
const MOST: usize = 10_000;

/// Takes events.
#[derive(Clone, Debug)]
pub struct Receiver {
    exporter: Arc<Exporter>,
    secret: [u8; 32],
    places: Arc<Semaphore>,
}

/// The secret is too short.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("it holds fewer than {SHORTEST} characters; make one with: openssl rand -hex 32")]
pub struct WeakSecret;

/// What an event says, as far as it is believed: which annotations of which tasks.
#[derive(Debug, PartialEq, Eq)]
enum Event {
    Changed { project: u64, tasks: Vec<u64>, annotations: Vec<u64> },
    Deleted { project: u64, annotations: Vec<u64> },
    Other,
}

impl Receiver {
    /// Listens to whoever knows the secret.
    pub fn new(exporter: Arc<Exporter>, secret: &str) -> Result<Self, WeakSecret> {
        let secret = secret.trim();
        if secret.len() < SHORTEST {
            return Err(WeakSecret);
        }
        Ok(Self { exporter, secret: sum(secret.as_bytes()), places: Arc::new(Semaphore::new(AT_ONCE)) })
    }

    /// Answers one event.
    pub async fn handle<B>(&self, request: Request<B>) -> Response<Body>
    where
        B: http_body::Body<Data = Bytes> + Send + 'static,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let (head, body) = request.into_parts();
        if head.method != Method::POST {
            let mut response = answer(StatusCode::METHOD_NOT_ALLOWED, &json!({ "error": "only POST" }));
            response.headers_mut().insert(ALLOW, HeaderValue::from_static("POST"));
            return response;
        }
        if !self.knows(&head.headers) {
            return answer(StatusCode::UNAUTHORIZED, &json!({ "error": "the secret is missing or wrong" }));
        }
        let Ok(place) = Arc::clone(&self.places).try_acquire_owned() else {
            let mut response = answer(StatusCode::SERVICE_UNAVAILABLE, &json!({ "error": "too many events at once" }));
            response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("1"));
            return response;
        };
        let event = match timeout(PATIENCE, Limited::new(body, LONGEST).collect()).await {
            Ok(Ok(body)) => Event::read(&body.to_bytes()),
            Ok(Err(error)) if error.is::<http_body_util::LengthLimitError>() => {
                return answer(StatusCode::PAYLOAD_TOO_LARGE, &json!({ "error": "16 MiB at most" }));
            }
            Ok(Err(_)) => return answer(StatusCode::BAD_REQUEST, &json!({ "error": "the body broke" })),
            Err(_) => return answer(StatusCode::REQUEST_TIMEOUT, &json!({ "error": "the body did not come" })),
        };
        let event = match event {
            Ok(event) => event,
            Err(why) => return answer(StatusCode::BAD_REQUEST, &json!({ "error": why })),
        };
        // A task of its own: Label Studio hangs up after a second, and the annotation shall be stored all the same.
        let exporter = Arc::clone(&self.exporter);
        let work = tokio::spawn(async move {
            let _place = place;
            event.carry_out(&exporter).await
        });
        match work.await {
            Ok(Ok(outcomes)) => answer(StatusCode::OK, &told(&outcomes)),
            Ok(Err(error)) => {
                tracing::warn!(error = %Causes(&error), "an annotation was not stored; the next sweep tries again");
                answer(StatusCode::BAD_GATEWAY, &json!({ "error": "not stored; the log says why" }))
            }
            Err(_) => answer(StatusCode::INTERNAL_SERVER_ERROR, &json!({ "error": "not stored" })),
        }
    }

    fn knows(&self, headers: &HeaderMap) -> bool {
        let bearer = |value: &HeaderValue| value.as_bytes().strip_prefix(b"Bearer ").map(<[u8]>::to_vec);
        let own = headers.get(HEADER).map(|value| value.as_bytes().to_vec());
        let shown = own.or_else(|| headers.get(AUTHORIZATION).and_then(bearer)).unwrap_or_default();
        // Sums have one length, so that not even the secret's is told.
        verify_slices_are_equal(&sum(shown.trim_ascii()), &self.secret).is_ok()
    }
}

impl Event {
    fn read(body: &[u8]) -> Result<Self, &'static str> {
        #[derive(Deserialize)]
        struct Payload {
            action: String,
            #[serde(default)]
            annotation: Value,
            #[serde(default)]
            annotations: Vec<Id>,
            project: Option<Id>,
        }
        #[derive(Deserialize)]
        struct Id {
            id: u64,
        }
        #[derive(Deserialize)]
        struct Annotation {
            id: u64,
            task: u64,
            project: u64,
        }
        let payload: Payload = serde_json::from_slice(body).map_err(|_| "this is no event of Label Studio")?;
        match payload.action.as_str() {
            "ANNOTATION_CREATED" | "ANNOTATIONS_CREATED" | "ANNOTATION_UPDATED" => {
                let many = if payload.annotation.is_array() { payload.annotation } else { json!([payload.annotation]) };
                let many: Vec<Annotation> =
                    serde_json::from_value(many).map_err(|_| "no annotation in it; switch on Send Payload")?;
                let Some(first) = many.first() else { return Ok(Self::Other) };
                let project = first.project;
                if many.len() > MOST || many.iter().any(|annotation| annotation.project != project) {
                    return Err("too many annotations, or of several projects");
                }
                let mut tasks: Vec<u64> = many.iter().map(|annotation| annotation.task).collect();
                tasks.sort_unstable();
                tasks.dedup();
                Ok(Self::Changed { project, tasks, annotations: many.iter().map(|annotation| annotation.id).collect() })
            }
            "ANNOTATIONS_DELETED" => match payload.project {
                Some(project) if payload.annotations.len() <= MOST => Ok(Self::Deleted {
                    project: project.id,
                    annotations: payload.annotations.iter().map(|annotation| annotation.id).collect(),
                }),
                _ => Err("no project in it, or too many annotations; switch on Send Payload"),
            },
            _ => Ok(Self::Other),
        }
    }

    async fn carry_out(self, exporter: &Exporter) -> Result<Vec<Outcome>, Error> {
        let known = |project: u64| exporter.config().projects.contains(&project);
        match self {
            Self::Changed { project, tasks, annotations } if known(project) => {
                exporter.refresh(project, &tasks, &annotations).await
            }
            Self::Deleted { project, annotations } if known(project) => {
                let mut outcomes = Vec::with_capacity(annotations.len());
                for annotation in annotations {
                    outcomes.push(exporter.remove(project, annotation).await?);
                }
                Ok(outcomes)
            }
            _ => Ok(Vec::new()),
        }
    }
}

fn told(outcomes: &[Outcome]) -> Value {
    let count = |wanted| outcomes.iter().filter(|outcome| **outcome == wanted).count();
    json!({ "written": count(Outcome::Written), "same": count(Outcome::Same), "deleted": count(Outcome::Deleted) })
}

fn sum(bytes: &[u8]) -> [u8; 32] {
    let mut sum = [0; 32];
    sum.copy_from_slice(digest(&SHA256, bytes).as_ref());
    sum
}

fn answer(status: StatusCode, body: &Value) -> Response<Body> {
    let mut response = Response::new(Body::from(body.to_string().into_bytes()));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_believed_only_as_numbers() {
        let changed = |project, tasks: &[u64], annotations: &[u64]| {
            Ok(Event::Changed { project, tasks: tasks.to_vec(), annotations: annotations.to_vec() })
        };
        for (body, expected) in [
            (
                r#"{"action":"ANNOTATION_UPDATED","annotation":{"id":7,"task":3,"project":1,"x":1}}"#,
                changed(1, &[3], &[7]),
            ),
            (
                r#"{"action":"ANNOTATIONS_CREATED","annotation":[{"id":7,"task":3,"project":1},{"id":8,"task":3,"project":1}]}"#,
                changed(1, &[3], &[7, 8]),
            ),
            (
                r#"{"action":"ANNOTATIONS_DELETED","annotations":[{"id":7}],"project":{"id":1}}"#,
                Ok(Event::Deleted { project: 1, annotations: vec![7] }),
            ),
            (r#"{"action":"TASKS_CREATED","tasks":[{"id":7}]}"#, Ok(Event::Other)),
        ] {
            assert_eq!(Event::read(body.as_bytes()), expected, "{body}");
        }
        for bad in [
            "",
            "[]",
            r#"{"action":"ANNOTATION_CREATED"}"#,
            r#"{"action":"ANNOTATION_CREATED","annotation":{"id":"../../x","task":3,"project":1}}"#,
            r#"{"action":"ANNOTATION_CREATED","annotation":{"id":7,"task":3,"project":"1/../.."}}"#,
            r#"{"action":"ANNOTATION_CREATED","annotation":{"id":-7,"task":3,"project":1}}"#,
            r#"{"action":"ANNOTATIONS_DELETED","annotations":[{"id":7}]}"#,
            r#"{"action":"ANNOTATIONS_CREATED","annotation":[{"id":7,"task":3,"project":1},{"id":8,"task":3,"project":2}]}"#,
        ] {
            assert!(Event::read(bad.as_bytes()).is_err(), "{bad}");
        }
    }
}
