//! IAM credentials: `generateAccessToken` and `signBlob`.
//!
//! Decides whether a caller may act as an account, through delegates; signs with a key that only this service holds.
//! Follows <https://cloud.google.com/iam/docs/reference/credentials/rest>.

use std::sync::Arc;
use std::time::Duration;

use base64::prelude::{BASE64_STANDARD, Engine as _};
use http::{Method, Response, StatusCode};
use hyper::body::Incoming;
use serde_json::{Value, json};

use super::auth::{Caller, bearer};
use super::body::Body;
use super::identity::Account;
use super::refusal::json_answer;
use super::service::Call;
use super::tokens::collect;

/// The largest body.
const MAX_BODY: usize = 1 << 20;
const HOUR: u64 = 3600;
const PREFIX: &str = "projects/-/serviceAccounts/";

/// Why IAM refuses.
struct Refused(StatusCode, &'static str, String);

impl Refused {
    fn invalid(text: &str) -> Self {
        Self(StatusCode::BAD_REQUEST, "INVALID_ARGUMENT", text.to_owned())
    }

    fn answer(&self) -> Response<Body> {
        json_answer(self.0, &json!({"error": {"code": self.0.as_u16(), "message": self.2, "status": self.1}}))
    }
}

/// `POST /v1/projects/-/serviceAccounts/{email}:{verb}`
pub(super) async fn act(call: &Call<'_>, email: &str, verb: &str, body: Incoming) -> Response<Body> {
    let answer = match verb {
        _ if call.head.method != Method::POST => {
            Err(Refused(StatusCode::NOT_FOUND, "NOT_FOUND", "Not Found".to_owned()))
        }
        "generateAccessToken" => match request(call, email, "iam.serviceAccounts.getAccessToken", body).await {
            Ok(request) => access_token(call, email, &request),
            Err(refused) => Err(refused),
        },
        "signBlob" => match request(call, email, "iam.serviceAccounts.signBlob", body).await {
            Ok(request) => sign(call, email, &request),
            Err(refused) => Err(refused),
        },
        _ => Err(Refused(StatusCode::NOT_FOUND, "NOT_FOUND", "Method not found.".to_owned())),
    };
    answer.map_or_else(|refused| refused.answer(), |value| json_answer(StatusCode::OK, &value))
}

/// The request's JSON, if the caller may act as the account.
async fn request(call: &Call<'_>, email: &str, permission: &str, body: Incoming) -> Result<Value, Refused> {
    let unknown = "Request had invalid authentication credentials. Expected OAuth 2 access token, login cookie or \
                   other valid authentication credential.";
    let caller = bearer(call).ok().filter(|caller| *caller != Caller::Anonymous);
    let caller = caller.ok_or_else(|| Refused(StatusCode::UNAUTHORIZED, "UNAUTHENTICATED", unknown.to_owned()))?;
    let scoped = caller.has_scope(if permission.ends_with("getAccessToken") { &["iam"] } else { &[] });
    if !scoped {
        let text = "Request had insufficient authentication scopes.";
        return Err(Refused(StatusCode::FORBIDDEN, "PERMISSION_DENIED", text.to_owned()));
    }
    let bytes = collect(body, MAX_BODY).await.ok_or_else(|| Refused::invalid("The body is too large or broken."))?;
    let request: Value =
        serde_json::from_slice(&bytes).map_err(|_| Refused::invalid("Invalid JSON payload received."))?;
    let listed = request.get("delegates").and_then(Value::as_array).into_iter().flatten();
    let delegates = listed.map(|name| name.as_str().and_then(|name| name.strip_prefix(PREFIX)).map(str::to_owned));
    let delegates: Option<Vec<String>> = delegates.collect();
    let delegates = delegates.ok_or_else(|| Refused::invalid("Invalid delegates."))?;
    let identity = call.state.identity();
    let known = identity.accounts.get(email).is_some_and(|account| !account.disabled);
    if !known || !identity.may_act(caller.principal().unwrap_or_default(), &delegates, email) {
        let text = format!("Permission '{permission}' denied on resource (or it may not exist).");
        return Err(Refused(StatusCode::FORBIDDEN, "PERMISSION_DENIED", text));
    }
    Ok(request)
}

fn access_token(call: &Call<'_>, email: &str, request: &Value) -> Result<Value, Refused> {
    let scopes: Vec<String> =
        request["scope"].as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect();
    if scopes.is_empty() {
        return Err(Refused::invalid("Scope is required."));
    }
    let seconds = match request.get("lifetime").map(Value::as_str) {
        None => Some(HOUR),
        Some(text) => text.and_then(|text| text.strip_suffix('s')).and_then(|text| text.parse().ok()),
    };
    let seconds = seconds.filter(|seconds| (1..=HOUR).contains(seconds));
    let seconds = seconds.ok_or_else(|| Refused::invalid("Invalid lifetime: it must be between 1s and 3600s."))?;
    let now = call.state.now();
    let mut identity = call.state.identity();
    let life = identity.life(Duration::from_secs(seconds));
    let token = identity.issue(email, scopes, now, life);
    Ok(json!({"accessToken": token, "expireTime": humantime::format_rfc3339_seconds(now + life).to_string()}))
}

fn sign(call: &Call<'_>, email: &str, request: &Value) -> Result<Value, Refused> {
    let payload = request["payload"].as_str().and_then(|text| BASE64_STANDARD.decode(text).ok());
    let payload = payload.ok_or_else(|| Refused::invalid("Invalid payload: expected base64."))?;
    let system = Arc::clone(&call.state.identity().account(email).system);
    let internal = || Refused(StatusCode::INTERNAL_SERVER_ERROR, "INTERNAL", "Internal error encountered.".to_owned());
    let key = Account::system_key(&system).map_err(|_| internal())?;
    let signed = key.sign(&payload).map_err(|_| internal())?;
    Ok(json!({"keyId": key.id(), "signedBlob": BASE64_STANDARD.encode(signed)}))
}
