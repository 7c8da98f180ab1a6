//! Token endpoints: OAuth's, and the Security Token Service.
//!
//! Decides which grants give a token; refusals are OAuth's `{"error", "error_description"}`.
//! Follows <https://www.rfc-editor.org/rfc/rfc7523>, <https://www.rfc-editor.org/rfc/rfc8693> and
//! <https://cloud.google.com/iam/docs/reference/sts/rest/v1/TopLevel/token>.

use std::time::Duration;

use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD, Engine as _};
use http::header::AUTHORIZATION;
use http::{Method, Response, StatusCode};
use http_body_util::{BodyExt as _, Limited};
use hyper::body::Incoming;
use serde_json::{Value, json};

use super::body::Body;
use super::jwt::Jwt;
use super::query::Query;
use super::refusal::json_answer;
use super::service::Call;

/// The largest body of a token request.
const MAX_BODY: usize = 64 * 1024;
const HOUR: Duration = Duration::from_hours(1);
const TYPES: &str = "urn:ietf:params:oauth:token-type:";
const AWS_TYPE: &str = "urn:ietf:params:aws:token-type:aws4_request";

/// Why there is no token: OAuth's code and a description.
struct Refused(&'static str, String);

impl Refused {
    fn answer(&self) -> Response<Body> {
        let status = if self.0 == "invalid_client" { StatusCode::UNAUTHORIZED } else { StatusCode::BAD_REQUEST };
        json_answer(status, &json!({"error": self.0, "error_description": self.1}))
    }
}

/// `POST /token`
pub(super) async fn token(call: &Call<'_>, body: Incoming) -> Response<Body> {
    let granted = match form(call, body).await {
        Ok(form) => match form.get("grant_type") {
            Some("urn:ietf:params:oauth:grant-type:jwt-bearer") => assertion(call, &form),
            Some("refresh_token") => refresh(call, &form),
            other => {
                Err(Refused("unsupported_grant_type", format!("Invalid grant_type: {}", other.unwrap_or_default())))
            }
        },
        Err(refused) => Err(refused),
    };
    granted.map_or_else(|refused| refused.answer(), |value| json_answer(StatusCode::OK, &value))
}

/// `POST /v1/token`
pub(super) async fn exchange(call: &Call<'_>, body: Incoming) -> Response<Body> {
    let granted = match form(call, body).await {
        Ok(form) => federate(call, &form),
        Err(refused) => Err(refused),
    };
    granted.map_or_else(|refused| refused.answer(), |value| json_answer(StatusCode::OK, &value))
}

/// `GET /subject-token`: the URL source of a workload's own token.
pub(super) fn subject(call: &Call<'_>) -> Response<Body> {
    if call.header("metadata") != Some("True") {
        return json_answer(StatusCode::BAD_REQUEST, &json!({"error": "missing Metadata header"}));
    }
    match call.state.identity().subjects.keys().min() {
        Some(token) => json_answer(StatusCode::OK, &json!({"id_token": token})),
        None => json_answer(StatusCode::NOT_FOUND, &json!({"error": "no subject token is registered"})),
    }
}

/// A body of limited size.
pub(super) async fn collect(body: Incoming, most: usize) -> Option<bytes::Bytes> {
    Limited::new(body, most).collect().await.ok().map(http_body_util::Collected::to_bytes)
}

async fn form(call: &Call<'_>, body: Incoming) -> Result<Query, Refused> {
    let wrong = |text: &str| Refused("invalid_request", text.to_owned());
    if call.head.method != Method::POST {
        return Err(wrong("Only POST is allowed."));
    }
    let kind = call.header("content-type").unwrap_or_default();
    if !kind.starts_with("application/x-www-form-urlencoded") {
        return Err(wrong("Expected application/x-www-form-urlencoded."));
    }
    let bytes = collect(body, MAX_BODY).await.ok_or_else(|| wrong("The body is too large or broken."))?;
    std::str::from_utf8(&bytes).ok().and_then(Query::form).ok_or_else(|| wrong("Malformed form."))
}

fn assertion(call: &Call<'_>, form: &Query) -> Result<Value, Refused> {
    let jwt = form.get("assertion").and_then(Jwt::parse);
    let jwt = jwt.ok_or_else(|| Refused("invalid_grant", "Invalid JWT.".to_owned()))?;
    let now = call.state.now();
    let mut identity = call.state.identity();
    let email = jwt.issuer().unwrap_or_default();
    if !identity.accounts.contains_key(email) || identity.disabled(email) {
        return Err(Refused("invalid_grant", "Invalid grant: account not found".to_owned()));
    }
    let claims =
        identity.verify(&jwt, now).ok_or_else(|| Refused("invalid_grant", "Invalid JWT Signature.".to_owned()))?;
    if !claims.audience.as_deref().is_some_and(|audience| audience.ends_with("/token")) {
        return Err(Refused("invalid_grant", "Invalid JWT: audience".to_owned()));
    }
    if claims.scopes.is_empty() {
        return Err(Refused("invalid_scope", "Invalid OAuth scope or ID token audience provided.".to_owned()));
    }
    let life = identity.life(HOUR);
    let token = identity.issue(&claims.email, claims.scopes, now, life);
    Ok(json!({"access_token": token, "expires_in": life.as_secs(), "token_type": "Bearer"}))
}

fn refresh(call: &Call<'_>, form: &Query) -> Result<Value, Refused> {
    let mut identity = call.state.identity();
    let user = form.get("refresh_token").and_then(|token| identity.users.get(token)).cloned();
    let user = user.ok_or_else(|| Refused("invalid_grant", "Token has been expired or revoked.".to_owned()))?;
    let client = (form.get("client_id"), form.get("client_secret"));
    if client != (Some(user.client_id.as_str()), Some(user.client_secret.as_str())) {
        return Err(Refused("invalid_client", "The OAuth client was not found.".to_owned()));
    }
    let scopes = vec!["https://www.googleapis.com/auth/cloud-platform".to_owned()];
    let life = identity.life(HOUR);
    let scope = scopes.join(" ");
    let token = identity.issue(&user.email, scopes, call.state.now(), life);
    Ok(json!({"access_token": token, "expires_in": life.as_secs(), "scope": scope, "token_type": "Bearer"}))
}

fn federate(call: &Call<'_>, form: &Query) -> Result<Value, Refused> {
    let wrong = |text: &str| Refused("invalid_request", text.to_owned());
    client(call)?;
    for (name, expected) in [
        ("grant_type", "urn:ietf:params:oauth:grant-type:token-exchange"),
        ("requested_token_type", "urn:ietf:params:oauth:token-type:access_token"),
    ] {
        if form.get(name) != Some(expected) {
            return Err(wrong(&format!("Invalid or missing {name}.")));
        }
    }
    let audience = form.get("audience").unwrap_or_default();
    if !audience.starts_with("//iam.googleapis.com/") || !audience.contains("/providers/") {
        return Err(Refused(
            "invalid_target",
            "The target service indicated by the \"audience\" parameters is invalid.".to_owned(),
        ));
    }
    let kind = form.get("subject_token_type").unwrap_or_default();
    let kind = if kind == AWS_TYPE { "aws4_request" } else { kind.strip_prefix(TYPES).unwrap_or_default() };
    let subject = form.get("subject_token").filter(|token| !token.is_empty());
    let subject = subject.ok_or_else(|| wrong("Missing subject_token."))?;
    let mut identity = call.state.identity();
    let principal = match kind {
        "jwt" | "id_token" | "saml2" => identity.subjects.get(subject).cloned(),
        "aws4_request" => aws_identity(subject, audience),
        _ => return Err(wrong("Invalid subject_token_type.")),
    };
    let refused = || Refused("invalid_grant", "The subject token is not valid for the audience.".to_owned());
    let principal = principal.ok_or_else(refused)?;
    let scopes: Vec<String> = form.get("scope").unwrap_or_default().split_whitespace().map(str::to_owned).collect();
    if scopes.is_empty() {
        return Err(Refused("invalid_scope", "Missing scope.".to_owned()));
    }
    let life = identity.life(HOUR);
    let token = identity.issue(&principal, scopes, call.state.now(), life);
    Ok(json!({
        "access_token": token,
        "issued_token_type": format!("{TYPES}access_token"),
        "token_type": "Bearer",
        "expires_in": life.as_secs(),
    }))
}

/// Basic authentication, needed exactly if a client is registered.
fn client(call: &Call<'_>) -> Result<(), Refused> {
    let given = call.header(AUTHORIZATION).map(|value| {
        let text = value.strip_prefix("Basic ").unwrap_or_default();
        let decoded = BASE64_STANDARD.decode(text).or_else(|_| BASE64_URL_SAFE_NO_PAD.decode(text));
        decoded.ok().and_then(|bytes| String::from_utf8(bytes).ok()).unwrap_or_default()
    });
    let wanted = call.state.identity().sts_client.as_ref().map(|(id, secret)| format!("{id}:{secret}"));
    if given == wanted { Ok(()) } else { Err(Refused("invalid_client", "Invalid client authentication.".to_owned())) }
}

/// Whom a signed `GetCallerIdentity` request stands for; only its shape is checked, and that it is signed.
fn aws_identity(subject: &str, audience: &str) -> Option<String> {
    let request: Value = serde_json::from_str(&super::query::text(subject)?).ok()?;
    let url = request["url"].as_str()?;
    if !url.contains("Action=GetCallerIdentity") || request["method"] != "POST" {
        return None;
    }
    let header = |name: &str| {
        request["headers"]
            .as_array()?
            .iter()
            .find(|header| header["key"].as_str().is_some_and(|key| key.eq_ignore_ascii_case(name)))?["value"]
            .as_str()
    };
    let signature = header("authorization")?;
    let signed = ["AWS4-HMAC-SHA256 ", "Credential=", "SignedHeaders=", "Signature="];
    let target =
        signature.contains("x-goog-cloud-target-resource") && header("x-goog-cloud-target-resource") == Some(audience);
    let whole = signed.iter().all(|part| signature.contains(part)) && header("x-amz-date").is_some();
    (target && whole).then(|| super::aws::PRINCIPAL.to_owned())
}
