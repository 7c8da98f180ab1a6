//! Who calls, and whether they may.
//!
//! Decides on bearer tokens, anonymous callers, bucket permissions, scopes and the bucket's IP filter.
//! Follows <https://cloud.google.com/storage/docs/authentication> and
//! <https://cloud.google.com/storage/docs/ip-filtering-overview>.

use std::net::IpAddr;
use std::sync::Arc;

use http::header::AUTHORIZATION;
use ipnet::IpNet;
use serde_json::Value;

use super::bucket::Bucket;
use super::refusal::{Refusal, Style};
use super::service::Call;

const AUTH: &str = "https://www.googleapis.com/auth/";

/// Who calls.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Caller {
    /// Nobody in particular.
    Anonymous,
    /// Someone with a token of these scopes.
    Token {
        /// Who.
        principal: String,
        /// For what.
        scopes: Vec<String>,
    },
    /// The account that signed the URL.
    Signer(String),
}

impl Caller {
    /// Who, unless anonymous.
    pub(super) fn principal(&self) -> Option<&str> {
        match self {
            Self::Anonymous => None,
            Self::Token { principal, .. } | Self::Signer(principal) => Some(principal),
        }
    }

    /// Whether a token has one of these scopes (short names); cloud-platform is always enough.
    pub(super) fn has_scope(&self, names: &[&str]) -> bool {
        let Self::Token { scopes, .. } = self else { return true };
        let short = |scope: &String| scope.strip_prefix(AUTH).map(str::to_owned);
        scopes.iter().filter_map(short).any(|scope| scope == "cloud-platform" || names.contains(&scope.as_str()))
    }
}

/// Whom the `Authorization` header stands for.
pub(super) fn bearer(call: &Call<'_>) -> Result<Caller, Refusal> {
    let Some(value) = call.head.headers.get(AUTHORIZATION) else { return Ok(Caller::Anonymous) };
    let token = value.to_str().ok().and_then(|text| text.split_once(' '));
    let token = token.filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer")).map(|(_, token)| token.trim());
    let known = token.and_then(|token| call.state.identity().bearer(token, call.state.now()));
    let Some((kind, issued)) = known else {
        call.ticket.credential("invalid".to_owned());
        return Err(Refusal::unauthenticated());
    };
    call.ticket.credential(format!("{kind}:{}", issued.principal));
    Ok(Caller::Token { principal: issued.principal, scopes: issued.scopes })
}

/// The bucket, if the request may reach it at all: it exists, its IP filter admits the peer, and someone pays.
pub(super) fn reach(call: &Call<'_>, name: &str) -> Result<Arc<Bucket>, Refusal> {
    let bucket = call.state.bucket(name).ok_or_else(Refusal::no_bucket)?;
    if let Some(filter) = bucket.field("ipFilter")
        && !admits(&filter, call.link.peer.ip())
    {
        return Err(Refusal::forbidden(
            "There is an IP filtering condition that is preventing access to the resource.",
        ));
    }
    let named = call.query.get("userProject").or_else(|| call.header("x-goog-user-project"));
    if bucket.requester_pays() && named.is_none_or(str::is_empty) {
        return Err(Refusal::no_user_project());
    }
    Ok(bucket)
}

/// Refuses a caller who lacks a permission or whose token lacks the scope.
pub(super) fn permit(call: &Call<'_>, bucket: &Bucket, caller: &Caller, permission: &str) -> Result<(), Refusal> {
    let what = if permission.starts_with("storage.buckets") { "bucket" } else { "object" };
    let reading = [".get", ".list"].iter().any(|end| permission.ends_with(end));
    let scopes: &[&str] = if reading {
        &["devstorage.read_only", "devstorage.read_write", "devstorage.full_control", "cloud-platform.read-only"]
    } else {
        &["devstorage.read_write", "devstorage.full_control"]
    };
    if !caller.has_scope(scopes) {
        return Err(Refusal::forbidden("Provided scope(s) are not authorized"));
    }
    let open = *caller == Caller::Anonymous && !call.state.settings.require_auth;
    if open || bucket.allows(caller.principal(), permission) {
        return Ok(());
    }
    match (call.style, caller.principal()) {
        (Style::Xml, None) => Err(Refusal::denied(Some("Anonymous caller"), permission, what)),
        (_, who) => Err(Refusal::denied(who, permission, what)),
    }
}

/// What a missing object looks like: like a forbidden one to callers who may not list.
pub(super) fn missing(call: &Call<'_>, bucket: &Bucket, caller: &Caller, object: &str) -> Refusal {
    match permit(call, bucket, caller, "storage.objects.list") {
        Ok(()) => Refusal::no_object(&bucket.name, object),
        Err(refusal) => refusal,
    }
}

/// Whether a bucket's IP filter admits an address. VPC networks are not emulated: their sources admit nobody.
fn admits(filter: &Value, address: IpAddr) -> bool {
    if filter["mode"] != "Enabled" {
        return true;
    }
    let listed = filter["publicNetworkSource"]["allowedIpCidrRanges"].as_array();
    listed.into_iter().flatten().filter_map(Value::as_str).any(|text| {
        let network = text.parse::<IpNet>().or_else(|_| text.parse::<IpAddr>().map(IpNet::from));
        network.is_ok_and(|network| network.contains(&address))
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_ip_filter_admits_listed_networks_only_when_enabled() {
        let filter =
            |mode: &str, ranges: Value| json!({"mode": mode, "publicNetworkSource": {"allowedIpCidrRanges": ranges}});
        let address: IpAddr = "10.1.2.3".parse().expect("an address");
        for (filter, admitted) in [
            (filter("Enabled", json!(["10.0.0.0/8"])), true),
            (filter("Enabled", json!(["::/0", "10.1.2.3"])), true),
            (filter("Enabled", json!(["11.0.0.0/8", "nonsense"])), false),
            (filter("Enabled", json!([])), false),
            (filter("Disabled", json!([])), true),
            (json!({"mode": "Enabled"}), false),
        ] {
            assert_eq!(admits(&filter, address), admitted, "{filter}");
        }
    }
}
