//! The metadata server of a Google virtual machine.
//!
//! Decides what a workload on it learns: its default account's tokens, e-mail and project.
//! Follows <https://cloud.google.com/compute/docs/metadata/overview>.

use std::time::Duration;

use http::header::{HeaderName, HeaderValue};
use http::{Method, Response, StatusCode};
use serde_json::json;

use super::body::Body;
use super::refusal::{json_answer, text_answer};
use super::service::Call;

const FLAVOR: &str = "metadata-flavor";
const HOUR: Duration = Duration::from_hours(1);
const SCOPE: &str = "https://www.googleapis.com/auth/cloud-platform";

/// `GET /computeMetadata/v1/{path}`
pub(super) fn answer(call: &Call<'_>, path: &str) -> Response<Body> {
    let allowed = call.header(FLAVOR) == Some("Google") && !call.head.headers.contains_key("x-forwarded-for");
    let mut response = if call.head.method != Method::GET {
        text_answer(StatusCode::METHOD_NOT_ALLOWED, "Method Not Allowed")
    } else if allowed {
        look_up(call, path)
    } else {
        text_answer(StatusCode::FORBIDDEN, "Missing Metadata-Flavor:Google header.")
    };
    response.headers_mut().insert(HeaderName::from_static(FLAVOR), HeaderValue::from_static("Google"));
    response
}

fn look_up(call: &Call<'_>, path: &str) -> Response<Body> {
    let state = call.state;
    let email = super::default_email(&state.settings.project);
    let account = path
        .strip_prefix("instance/service-accounts/")
        .and_then(|rest| rest.strip_prefix("default").or_else(|| rest.strip_prefix(email.as_str())));
    let text = match (path, account) {
        ("", _) => "computeMetadata/\n".to_owned(),
        ("project/project-id", _) => state.settings.project.clone(),
        ("project/numeric-project-id", _) => "123456789012".to_owned(),
        ("instance/zone", _) => "projects/123456789012/zones/europe-west3-a".to_owned(),
        ("instance/service-accounts", _) => format!("default/\n{email}/\n"),
        (_, Some("/email")) => email,
        (_, Some("/scopes")) => format!("{SCOPE}\n"),
        (_, Some("/token")) => return token(call, &email),
        (_, Some("")) => {
            return json_answer(StatusCode::OK, &json!({"aliases": ["default"], "email": email, "scopes": [SCOPE]}));
        }
        // Also for universe/universe-domain: outside a universe of its own there is none.
        _ => return text_answer(StatusCode::NOT_FOUND, "Not Found"),
    };
    text_answer(StatusCode::OK, text)
}

fn token(call: &Call<'_>, email: &str) -> Response<Body> {
    let asked = call.query.get("scopes").unwrap_or(SCOPE);
    let scopes = asked.split(',').filter(|scope| !scope.is_empty()).map(str::to_owned).collect();
    let mut identity = call.state.identity();
    if identity.disabled(email) {
        return text_answer(StatusCode::NOT_FOUND, "The service account is not available.");
    }
    let life = identity.life(HOUR);
    let token = identity.issue(email, scopes, call.state.now(), life);
    json_answer(StatusCode::OK, &json!({"access_token": token, "expires_in": life.as_secs(), "token_type": "Bearer"}))
}
