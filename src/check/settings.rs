//! What a bucket's own settings mean behind a gateway: rules of CORS, an IP filter; and what the clock says. Pure.
//!
//! Follows <https://cloud.google.com/storage/docs/cross-origin> and
//! <https://cloud.google.com/storage/docs/ip-filtering-overview>.

use std::time::{Duration, SystemTime};

use super::diagnosis::{Diagnosis, Fault};
use super::row::Outcome;
use super::scene::{Scene, Skew};
use crate::gateway::access::ip_filter::IpFilter;
use crate::gateway::decide::Delivery;
use crate::gcs::BucketSettings;

/// From this difference on signed URLs and tokens are refused by some of Google's services.
const FATAL_SKEW: Duration = Duration::from_mins(5);
/// `Date` has whole seconds, and an answer takes its time.
const QUIET_SKEW: Duration = Duration::from_secs(5);

/// How clients get the bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Redirects {
    /// Never by a signed URL.
    Never,
    /// For large media that no script reads.
    Sometimes,
    /// Always.
    Always,
}

impl Redirects {
    pub(super) fn of(delivery: Delivery, anyone: bool, can_sign: bool) -> Self {
        match delivery {
            _ if !can_sign => Self::Never,
            Delivery::SignedUrl => Self::Always,
            Delivery::Auto if anyone => Self::Sometimes,
            Delivery::Auto | Delivery::Proxy => Self::Never,
        }
    }
}

/// The bucket's rules of CORS: only pages that are redirected meet them.
pub(super) fn cors(settings: &BucketSettings, redirects: Redirects, scene: &Scene) -> Outcome {
    let there = match settings.cors.len() {
        0 => "none on the bucket".to_owned(),
        1 => "1 rule on the bucket".to_owned(),
        many => format!("{many} rules on the bucket"),
    };
    let from_anywhere = settings.cors.iter().any(|rule| {
        let origins = rule["origin"].as_array();
        origins.into_iter().flatten().any(|origin| origin == "*" || origin == "null")
    });
    if redirects != Redirects::Always {
        return Outcome::ok(format!("{there}; not needed: the gateway answers CORS itself"));
    }
    if from_anywhere {
        return Outcome::ok(format!("{there}; delivery = \"signed-url\" needs it"));
    }
    let bucket = &scene.bucket;
    Outcome::warn(
        format!("{there}, but delivery = \"signed-url\" sends pages to the bucket"),
        Diagnosis::new(
            Fault::CorsMissing,
            "scripts and canvases that follow the redirect come with Origin: null, which the bucket does not allow",
        )
        .remedy(format!(
            "Set connections.{}.delivery = \"auto\": such requests are proxied, and the bucket needs no CORS.",
            scene.connection
        ))
        .command(format!("gcloud storage buckets update gs://{bucket} --cors-file=cors-config.json  # the other way")),
    )
}

/// The bucket's IP filter: the bucket was reached, so the gateway's own address passes.
pub(super) fn ip_filter(settings: &BucketSettings, redirects: Redirects, scene: &Scene) -> Outcome {
    let Some(json) = &settings.ip_filter else { return Outcome::ok("none on the bucket") };
    let enabled = match IpFilter::parse(&json.to_string()) {
        Ok(filter) => filter.is_enabled(),
        Err(_) => json["mode"] != "Disabled",
    };
    if !enabled {
        return Outcome::ok("there is one, switched off");
    }
    if redirects == Redirects::Never {
        return Outcome::ok("this gateway's address passes; browsers' need not, as everything is proxied");
    }
    Outcome::warn(
        "this gateway's address passes, but signed URLs are checked against the browser's",
        Diagnosis::new(Fault::IpFilter, "a browser outside the filter's networks is refused by the bucket with 403")
            .remedy(format!("Set connections.{}.delivery = \"proxy\": then only the gateway reads.", scene.connection))
            .remedy("Or add the browsers' networks to the filter.")
            .command(format!("gcloud storage buckets describe gs://{} --raw --format='json(ipFilter)'", scene.bucket)),
    )
}

/// How far `ours` is from the time that GCS said `age` ago or less.
pub(super) fn skew(theirs: SystemTime, ours: SystemTime, age: Duration) -> Skew {
    let theirs = theirs + age / 2;
    match ours.duration_since(theirs) {
        Ok(by) => Skew::Ahead(by),
        Err(error) => Skew::Behind(error.duration()),
    }
}

/// The row of the clock.
pub(super) fn clock(skew: Skew) -> Outcome {
    if skew.size() <= QUIET_SKEW {
        return Outcome::ok("agrees with GCS's");
    }
    let by = humantime::format_duration(Duration::from_secs(skew.size().as_secs()));
    let finding = match skew {
        Skew::Ahead(_) => format!("{by} ahead of GCS's"),
        Skew::Behind(_) => format!("{by} behind GCS's"),
    };
    let diagnosis = || super::diagnosis::clock(skew, None);
    match skew.size() {
        size if size >= FATAL_SKEW => Outcome::fail(finding, diagnosis()),
        size if size >= super::diagnosis::LOUD_SKEW => Outcome::warn(finding, diagnosis()),
        _ => Outcome::ok(finding),
    }
}

#[cfg(test)]
mod tests;
