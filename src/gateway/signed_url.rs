//! Delivery by redirect: a 302 to a V4 signed URL.
//!
//! The URL is the same for everybody during a window, so that browsers can cache what it leads to.
//! The answer may be kept only as long as the URL surely works, and sends no Referer along.
//! Follows <https://cloud.google.com/storage/docs/access-control/signed-urls>.

use std::time::SystemTime;

use http::header::{CACHE_CONTROL, LOCATION, REFERRER_POLICY};
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode};

use super::access::Admitted;
use super::body::Body;
use super::connection::Connection;
use super::headers::vary_by_mode;
use super::reject::Rejection;
use crate::cache::{SignedUrl, SignedUrls, UrlRequest};
use crate::gcs::Endpoint;
use crate::object::ObjectName;

/// As GCS's documentation writes it for queries; it is the same as the header to GCS.
const SUBJECT_PARAMETER: &str = "X-Goog-Custom-Audit-Gsgate-Subject";

/// Whom GCS charges.
const PROJECT_PARAMETER: &str = "userProject";
const NO_REFERRER: HeaderValue = HeaderValue::from_static("no-referrer");

/// The URL of the window that `now` is in; with the subject in it, each subject has URLs of its own.
pub(super) async fn url(
    urls: &SignedUrls,
    endpoint: &Endpoint,
    connection: &Connection,
    (object, now): (&ObjectName, SystemTime),
    proof: &Admitted,
) -> Result<SignedUrl, Rejection> {
    let signer = connection.credential.signer().ok_or(Rejection::CannotSign)?;
    let mut query = Vec::new();
    if let Some(project) = &connection.config.project_id {
        query.push((PROJECT_PARAMETER, project.as_str()));
    }
    if let Some(subject) = connection.tells(proof) {
        query.push((SUBJECT_PARAMETER, subject.as_str()));
    }
    let request = UrlRequest {
        connection: &connection.label,
        method: &Method::GET,
        endpoint,
        bucket: &connection.config.uri.bucket,
        object,
        query: &query,
        expires: connection.config.signed_url_expiry,
    };
    Ok(urls.url(&signer, request, now).await?)
}

/// Answers with a redirect to the object.
pub(super) async fn redirect(
    urls: &SignedUrls,
    endpoint: &Endpoint,
    connection: &Connection,
    (object, now): (&ObjectName, SystemTime),
    proof: &Admitted,
) -> Result<Response<Body>, Rejection> {
    let url = url(urls, endpoint, connection, (object, now), proof).await?;
    // Whoever follows a kept redirect must have as much life left as was promised for a fresh one.
    let life = url.expires_at().duration_since(now).unwrap_or_default();
    let keep = life.saturating_sub(connection.config.signed_url_expiry);
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::FOUND;
    *response.headers_mut() = HeaderMap::with_capacity(12);
    let headers = response.headers_mut();
    vary_by_mode(headers, connection);
    headers.insert(LOCATION, url.into_location());
    headers.insert(REFERRER_POLICY, NO_REFERRER);
    let mut seconds = itoa::Buffer::new();
    if let Ok(value) = HeaderValue::try_from(["private, max-age=", seconds.format(keep.as_secs())].concat()) {
        headers.insert(CACHE_CONTROL, value);
    }
    Ok(response)
}
