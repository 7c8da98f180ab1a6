//! An imitation of AWS's metadata server (version 2), the source of AWS-based workload identity federation.
//!
//! Decides nothing: it gives the same made-up credentials to all who hold a session token.
//! Follows <https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/instancedata-data-retrieval.html>.

use http::{Method, Response, StatusCode};
use serde_json::json;

use super::body::Body;
use super::refusal::{json_answer, text_answer};
use super::service::Call;

/// Whom a federated AWS workload is.
pub(super) const PRINCIPAL: &str =
    "principal://iam.googleapis.com/projects/123456789012/locations/global/workloadIdentityPools/emulated/subject/aws";
const SESSION: &str = "emulated-imdsv2-session";
const ROLE: &str = "emulated-role";

/// `/latest/{path}`
pub(super) fn answer(call: &Call<'_>, path: &str) -> Response<Body> {
    if path == "api/token" {
        let life = call.header("x-aws-ec2-metadata-token-ttl-seconds").and_then(|text| text.parse::<u32>().ok());
        return if call.head.method == Method::PUT && life.is_some() {
            text_answer(StatusCode::OK, SESSION)
        } else {
            text_answer(StatusCode::BAD_REQUEST, "Bad Request")
        };
    }
    if call.header("x-aws-ec2-metadata-token") != Some(SESSION) {
        return text_answer(StatusCode::UNAUTHORIZED, "Unauthorized");
    }
    let credentials = format!("meta-data/iam/security-credentials/{ROLE}");
    match path {
        "meta-data/placement/availability-zone" => text_answer(StatusCode::OK, "eu-central-1a"),
        "meta-data/placement/region" => text_answer(StatusCode::OK, "eu-central-1"),
        "meta-data/iam/security-credentials" => text_answer(StatusCode::OK, ROLE),
        path if path == credentials => json_answer(
            StatusCode::OK,
            &json!({
                "Code": "Success",
                "Type": "AWS-HMAC",
                "AccessKeyId": "ASIAEMULATED",
                "SecretAccessKey": "emulated-secret-access-key",
                "Token": "emulated-session-token",
                "Expiration": "2099-01-01T00:00:00Z",
            }),
        ),
        _ => text_answer(StatusCode::NOT_FOUND, "Not Found"),
    }
}
