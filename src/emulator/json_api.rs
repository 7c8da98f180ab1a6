//! The JSON API: buckets, listings, objects.
//!
//! Decides what is read and whether the caller may; the bytes are [`super::media`]'s.
//! Follows <https://cloud.google.com/storage/docs/json_api/v1>.

use http::header::{ETAG, HeaderValue};
use http::{Method, Response, StatusCode};
use serde_json::{Value, json};

use super::auth::{Caller, bearer, missing, permit, reach};
use super::body::Body;
use super::bucket::Bucket;
use super::condition::{self, Verdict, number};
use super::listing::Wanted;
use super::mask::Mask;
use super::media;
use super::refusal::{Refusal, json_answer, json_text};
use super::service::Call;

/// `GET /storage/v1/b/B`
pub(super) fn bucket(call: &Call<'_>, name: &str) -> Result<Response<Body>, Refusal> {
    only(call, &[Method::GET, Method::HEAD])?;
    let (bucket, caller) = enter(call, name)?;
    permit(call, &bucket, &caller, "storage.buckets.get")?;
    masked(call, bucket.resource(&call.state.settings.project))
}

/// `GET /storage/v1/b/B/o`
pub(super) async fn list(call: &Call<'_>, name: &str) -> Result<Response<Body>, Refusal> {
    only(call, &[Method::GET, Method::HEAD])?;
    let (bucket, caller) = enter(call, name)?;
    permit(call, &bucket, &caller, "storage.objects.list")?;
    let wanted = Wanted::parse(&call.query)?;
    let page = bucket.list(&wanted).await;
    Ok(json_text(StatusCode::OK, page.json(&bucket.name, &mask(call)?)))
}

/// `GET` and `DELETE /storage/v1/b/B/o/O`
pub(super) async fn object(call: &Call<'_>, name: &str, object: &str) -> Result<Response<Body>, Refusal> {
    only(call, &[Method::GET, Method::HEAD, Method::DELETE])?;
    let (bucket, caller) = enter(call, name)?;
    let removing = call.head.method == Method::DELETE;
    let permission = if removing { "storage.objects.delete" } else { "storage.objects.get" };
    permit(call, &bucket, &caller, permission)?;
    let generation = number("generation", call.query.get("generation"))?;
    let found = bucket.find(object, generation).await;
    let found = found.ok_or_else(|| missing(call, &bucket, &caller, object))?;
    let verdict = condition::json(&call.query, &call.head.headers, &found)?;
    if removing {
        if verdict == Verdict::NotModified {
            return Err(Refusal::precondition());
        }
        // Whatever was put there meanwhile is not what was judged.
        if !bucket.remove_if(object, |now| now.generation == found.generation) {
            return Err(Refusal::precondition());
        }
        let mut response = Response::new(Body::empty());
        *response.status_mut() = StatusCode::NO_CONTENT;
        return Ok(response);
    }
    if call.query.get("alt") == Some("media") {
        return media::serve(call, &found, verdict).await;
    }
    let etag = HeaderValue::try_from(found.etag());
    let mut response = if verdict == Verdict::NotModified {
        let mut response = Response::new(Body::empty());
        *response.status_mut() = StatusCode::NOT_MODIFIED;
        response
    } else {
        masked(call, found.resource(&bucket.name))?
    };
    if let Ok(etag) = etag {
        response.headers_mut().insert(ETAG, etag);
    }
    Ok(response)
}

/// `GET /storage/v1/b/B/iam/testPermissions`
pub(super) fn permissions(call: &Call<'_>, name: &str) -> Result<Response<Body>, Refusal> {
    only(call, &[Method::GET])?;
    let (bucket, caller) = enter(call, name)?;
    let held: Vec<&str> =
        call.query.all("permissions").filter(|permission| permit(call, &bucket, &caller, permission).is_ok()).collect();
    let mut value = json!({"kind": "storage#testIamPermissionsResponse"});
    if !held.is_empty() {
        value["permissions"] = json!(held);
    }
    masked(call, value)
}

/// The caller and the bucket, if it can be reached.
pub(super) fn enter(call: &Call<'_>, name: &str) -> Result<(std::sync::Arc<Bucket>, Caller), Refusal> {
    let caller = bearer(call)?;
    Ok((reach(call, name)?, caller))
}

fn only(call: &Call<'_>, methods: &[Method]) -> Result<(), Refusal> {
    if methods.contains(&call.head.method) { Ok(()) } else { Err(Refusal::method()) }
}

/// A JSON answer, with the fields that were asked for.
fn masked(call: &Call<'_>, mut value: Value) -> Result<Response<Body>, Refusal> {
    mask(call)?.apply(&mut value);
    Ok(json_answer(StatusCode::OK, &value))
}

/// The fields that were asked for.
pub(super) fn mask(call: &Call<'_>) -> Result<Mask, Refusal> {
    let Some(text) = call.query.get("fields") else { return Ok(Mask::default()) };
    Mask::parse(text).ok_or_else(|| Refusal::invalid(format!("Invalid field selection {text}")))
}
