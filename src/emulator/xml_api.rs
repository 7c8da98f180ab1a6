//! The XML API: GET and HEAD of an object by signed URL or token, and CORS.
//!
//! Decides whether a signed URL holds: its signature, its time, its signer's rights at the time of use.
//! Follows <https://cloud.google.com/storage/docs/access-control/signed-urls> and
//! <https://cloud.google.com/storage/docs/cross-origin>.

use std::time::{Duration, SystemTime};

use http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_METHOD, CONTENT_DISPOSITION,
    CONTENT_TYPE, HeaderValue, ORIGIN,
};
use http::{Method, Response};
use serde_json::Value;

use super::auth::{Caller, bearer, missing, permit, reach};
use super::body::Body;
use super::canonical;
use super::condition::{self, number};
use super::media;
use super::query::Query;
use super::refusal::Refusal;
use super::service::Call;

/// How far clocks may differ.
const SKEW: Duration = Duration::from_mins(15);

/// `GET`, `HEAD` and `OPTIONS /B/O`; what the bucket's CORS rules give is added to refusals too.
pub(super) async fn object(call: &Call<'_>, bucket: &str, name: &str) -> Result<Response<Body>, Refusal> {
    let rules = call.state.bucket(bucket).and_then(|bucket| bucket.field("cors"));
    if call.head.method == Method::OPTIONS {
        let mut response = Response::new(Body::empty());
        allow(call, rules.as_ref(), &mut response);
        return Ok(response);
    }
    let mut response = read(call, bucket, name).await.unwrap_or_else(|refusal| refusal.answer(call.style));
    allow(call, rules.as_ref(), &mut response);
    Ok(response)
}

async fn read(call: &Call<'_>, bucket: &str, name: &str) -> Result<Response<Body>, Refusal> {
    let query = Query::literal(call.raw_query()).ok_or_else(|| Refusal::invalid("Invalid query encoding."))?;
    let caller = if canonical::is_signed(call.raw_query()) { signer(call)? } else { bearer(call)? };
    if call.head.method != Method::GET && call.head.method != Method::HEAD {
        return Err(Refusal::method());
    }
    let bucket = reach(call, bucket)?;
    permit(call, &bucket, &caller, "storage.objects.get")?;
    let generation = number("generation", query.get("generation"))?;
    let found = bucket.find(name, generation).await;
    let found = found.ok_or_else(|| missing(call, &bucket, &caller, name))?;
    let verdict = condition::xml(&call.head.headers, &found)?;
    let mut response = media::serve(call, &found, verdict).await?;
    let typed = found.fields.content_type.is_some();
    let type_override = query.get("response-content-type").filter(|_| !typed);
    for (header, value) in
        [(CONTENT_DISPOSITION, query.get("response-content-disposition")), (CONTENT_TYPE, type_override)]
    {
        if let Some(Ok(value)) = value.map(|value| HeaderValue::from_bytes(value.as_bytes())) {
            response.headers_mut().insert(header, value);
        }
    }
    Ok(response)
}

/// The account that signed the URL, if the URL holds now.
fn signer(call: &Call<'_>) -> Result<Caller, Refusal> {
    call.ticket.credential("invalid".to_owned());
    let presented = canonical::parse(call.raw_query())?;
    let account = call.state.identity().accounts.get(&presented.email).cloned();
    let Some(account) = account.filter(|account| !account.disabled) else {
        return Err(Refusal::forbidden(format!("The account of the signature is not known: {}", presented.email)));
    };
    let target = (call.path(), call.raw_query());
    // Signers differ on whether a port other than the scheme's own is part of the host.
    let host = call.host();
    let bare = host.rsplit_once(':').filter(|(_, port)| port.bytes().all(|byte| byte.is_ascii_digit()));
    let hosts = [bare.map(|(name, _)| name), Some(host)];
    let mut expected = None;
    for host in hosts.into_iter().flatten() {
        let method = call.head.method.as_str();
        let request = canonical::canonical_request(method, target, &call.head.headers, host, &presented.headers);
        let request = request.ok_or_else(|| Refusal::invalid("A signed header is missing."))?;
        let text = canonical::string_to_sign(&presented.date, &presented.scope, &request);
        if account.verify(text.as_bytes(), &presented.signature) {
            return in_time(call.state.now(), &presented).map(|()| {
                call.ticket.credential(format!("signed:{}", presented.email));
                Caller::Signer(presented.email)
            });
        }
        expected.get_or_insert((text, request));
    }
    let (text, request) = expected.unwrap_or_default();
    Err(Refusal::wrong_signature(&text, &request))
}

fn in_time(now: SystemTime, presented: &canonical::Presented) -> Result<(), Refusal> {
    if presented.signed_at > now + SKEW {
        return Err(Refusal::forbidden("The request signature is dated in the future."));
    }
    let end = presented.signed_at + presented.life;
    if now >= end {
        let at = humantime::format_rfc3339_seconds(end).to_string();
        return Err(Refusal::expired(&at.replace('Z', "+00:00")));
    }
    Ok(())
}

/// Adds what the bucket's CORS rules allow; the first rule that matches origin and method counts.
fn allow(call: &Call<'_>, rules: Option<&Value>, response: &mut Response<Body>) {
    let preflight = call.head.method == Method::OPTIONS;
    let Some(origin) = call.head.headers.get(ORIGIN) else { return };
    let method = if preflight {
        call.header(ACCESS_CONTROL_REQUEST_METHOD).unwrap_or_default()
    } else {
        call.head.method.as_str()
    };
    let text = origin.to_str().unwrap_or_default();
    let Some(rule) = rules
        .and_then(Value::as_array)
        .and_then(|rules| rules.iter().find(|rule| lists(&rule["origin"], text) && lists(&rule["method"], method)))
    else {
        return;
    };
    let open = rule["origin"].as_array().is_some_and(|origins| origins.iter().any(|origin| origin == "*"));
    let headers = joined(&rule["responseHeader"]);
    let out = response.headers_mut();
    out.insert(ACCESS_CONTROL_ALLOW_ORIGIN, if open { HeaderValue::from_static("*") } else { origin.clone() });
    let mut put = |name, text: String| {
        if let Ok(value) = HeaderValue::try_from(text) {
            out.insert(name, value);
        }
    };
    if preflight {
        put(ACCESS_CONTROL_ALLOW_METHODS, joined(&rule["method"]));
        put(ACCESS_CONTROL_ALLOW_HEADERS, headers);
        put(ACCESS_CONTROL_MAX_AGE, rule["maxAgeSeconds"].as_u64().unwrap_or(3600).to_string());
    } else {
        put(ACCESS_CONTROL_EXPOSE_HEADERS, headers);
    }
}

/// Whether a list in a rule has exactly this value, or `*`.
fn lists(list: &Value, value: &str) -> bool {
    list.as_array()
        .is_some_and(|entries| entries.iter().filter_map(Value::as_str).any(|entry| entry == "*" || entry == value))
}

fn joined(list: &Value) -> String {
    let entries = list.as_array().into_iter().flatten().filter_map(Value::as_str);
    entries.collect::<Vec<_>>().join(", ")
}
