//! What the gateway counts, as OpenMetrics text for the admin listener's `/metrics`.
//!
//! Labels are bounded: words of the code, or names of connections that the configuration has.
//! An object's name, an address or anything else that a client chose is never a label.
//! Follows <https://prometheus.io/docs/practices/naming/> and <https://prometheus.io/docs/specs/om/open_metrics_spec/>.

mod families;
mod handles;

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use prometheus_client::encoding::text;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::registry::Registry;

use crate::metrics::families::{
    BudgetLabels, CacheLabels, CauseLabels, Families, OutcomeLabels, ReasonLabels, UpstreamLabels,
};
use crate::metrics::handles::Handles;

pub use self::families::Tier;
pub use self::handles::Requests;
pub use prometheus_client::metrics::gauge::Gauge;

/// The media type of [`Metrics::encode`].
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// All counters of one process; clones share them.
#[derive(Clone, Debug)]
pub struct Metrics {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    registry: Registry,
    families: Arc<Families>,
    /// Those that reached no connection.
    requests: Requests,
    upstream_requests: Handles<2, Counter>,
    cache: Handles<2, Counter>,
}

/// One finished request, as it is counted.
#[derive(Clone, Copy, Debug)]
pub struct FinishedRequest<'a> {
    /// Of the connection that it reached: never of a name taken from a request unchecked.
    pub connection: Option<&'a Requests>,
    /// `proxy`, `signed-url` or `none`.
    pub delivery: &'static str,
    /// Why it was delivered or refused like this.
    pub reason: &'static str,
    /// The HTTP status sent.
    pub status: u16,
    /// `hit`, `miss`, `stale`, `revalidated` or `none`.
    pub cache: &'static str,
    /// Bytes of body that were handed to the client's connection.
    pub bytes_sent: u64,
    /// From the request's head to the answer's head.
    pub to_first_byte: Duration,
    /// From the request's head to the body's end or break.
    pub to_end: Duration,
}

impl Metrics {
    /// Zeroed counters.
    pub fn new() -> Self {
        let families = Arc::new(Families::default());
        let mut registry = Registry::with_prefix("gsgate");
        families.register(&mut registry);
        let requests = Requests::new(&families, "none".into());
        let (upstream_requests, cache) = Default::default();
        Self { inner: Arc::new(Inner { registry, families, requests, upstream_requests, cache }) }
    }

    /// The counters of the requests to a connection that the configuration has.
    pub fn requests_to(&self, connection: &Arc<str>) -> Requests {
        Requests::new(&self.inner.families, Arc::clone(connection))
    }

    /// Counts a request whose answer has ended, one way or another.
    pub fn request(&self, request: &FinishedRequest<'_>) {
        let words = [request.delivery, request.reason, status_class(request.status), request.cache];
        let requests = request.connection.unwrap_or(&self.inner.requests);
        let handles = requests.handles(words);
        handles.requests.inc();
        handles.first_byte.observe(request.to_first_byte.as_secs_f64());
        handles.end.observe(request.to_end.as_secs_f64());
        handles.sent.inc_by(request.bytes_sent);
    }

    /// Requests whose answer has not ended.
    pub fn in_flight(&self) -> &Gauge {
        &self.inner.families.in_flight
    }

    /// Counts one request sent to GCS or to a token endpoint.
    pub fn upstream_request(&self, operation: &'static str, outcome: &'static str) {
        let labels = UpstreamLabels { operation, outcome };
        let find = || self.inner.families.upstream_requests.get_or_create(&labels).clone();
        self.inner.upstream_requests.of([operation, outcome], find).inc();
    }

    /// Counts one repetition of a request before its first byte.
    pub fn upstream_retry(&self, cause: &'static str) {
        self.inner.families.upstream_retries.get_or_create(&CauseLabels { cause }).inc();
    }

    /// Counts one body that was reopened from its next byte.
    pub fn upstream_resume(&self, cause: &'static str) {
        self.inner.families.upstream_resumes.get_or_create(&CauseLabels { cause }).inc();
    }

    /// Counts one body that could not be healed and was broken off.
    pub fn upstream_abort(&self, cause: &'static str) {
        self.inner.families.upstream_aborts.get_or_create(&CauseLabels { cause }).inc();
    }

    /// Requests to GCS under way.
    pub fn upstream_in_flight(&self) -> &Gauge {
        &self.inner.families.upstream_in_flight
    }

    /// Requests that wait for their turn to go to GCS.
    pub fn upstream_queued(&self) -> &Gauge {
        &self.inner.families.upstream_queued
    }

    /// Counts one attempt to get a token.
    pub fn token_refresh(&self, outcome: &'static str) {
        self.inner.families.token_refreshes.get_or_create(&OutcomeLabels { outcome }).inc();
    }

    /// Counts one question to a cache; `result` is `hit`, `miss`, `stale`, `revalidated`, `fill`, `joined` or `disk-hit`.
    pub fn cache(&self, cache: &'static str, result: &'static str) {
        let find = || self.inner.families.cache.get_or_create(&CacheLabels { cache, result }).clone();
        self.inner.cache.of([cache, result], find).inc();
    }

    /// Counts an object or a chunk that is kept from now on.
    pub fn cache_kept(&self, tier: Tier, bytes: u64) {
        let families = &self.inner.families;
        families.cache_entries.get_or_create(&tier.into()).inc();
        families.cache_bytes.get_or_create(&tier.into()).inc_by(i64::try_from(bytes).unwrap_or(i64::MAX));
    }

    /// Counts an object or a chunk that is kept no more, for whatever reason.
    pub fn cache_dropped(&self, tier: Tier, bytes: u64) {
        let families = &self.inner.families;
        families.cache_entries.get_or_create(&tier.into()).dec();
        families.cache_bytes.get_or_create(&tier.into()).dec_by(i64::try_from(bytes).unwrap_or(i64::MAX));
    }

    /// Counts so many that are kept no more, all at once.
    pub fn cache_forgotten(&self, tier: Tier, entries: usize, bytes: u64) {
        let families = &self.inner.families;
        let number = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
        families.cache_entries.get_or_create(&tier.into()).dec_by(number(entries as u64));
        families.cache_bytes.get_or_create(&tier.into()).dec_by(number(bytes));
    }

    /// Counts an object or a chunk that had to make room for others.
    pub fn cache_evicted(&self, tier: Tier) {
        self.inner.families.cache_evictions.get_or_create(&tier.into()).inc();
    }

    /// Counts one reload of the configuration; any outcome but `ok` means that the old one stayed in force.
    pub fn config_reload(&self, outcome: &'static str) {
        let families = &self.inner.families;
        families.reloads.get_or_create(&OutcomeLabels { outcome }).inc();
        families.reload_ok.set(i64::from(outcome == "ok"));
    }

    /// Counts one list of revoked links that came into force, with so many entries.
    pub fn revocations_loaded(&self, entries: usize) {
        let families = &self.inner.families;
        families.revocation_reloads.get_or_create(&OutcomeLabels { outcome: "ok" }).inc();
        families.revocations_ok.set(1);
        families.revocations.set(i64::try_from(entries).unwrap_or(i64::MAX));
    }

    /// Counts one list of revoked links that was bad, so that the old one stayed in force.
    pub fn revocations_refused(&self) {
        let families = &self.inner.families;
        families.revocation_reloads.get_or_create(&OutcomeLabels { outcome: "refused" }).inc();
        families.revocations_ok.set(0);
    }

    /// Notes that a configuration came into force, at start or by a reload.
    pub fn config_in_force(&self, since: SystemTime) {
        let seconds =
            since.duration_since(UNIX_EPOCH).map_or(0, |age| i64::try_from(age.as_secs()).unwrap_or(i64::MAX));
        self.inner.families.config_loaded.set(seconds);
    }

    /// Counts lines of the audit log that were lost.
    pub fn audit_dropped(&self, lines: u64) {
        self.inner.families.audit_dropped.inc_by(lines);
    }

    /// Counts one attempt to write the audit log that failed.
    pub fn audit_write_failed(&self) {
        self.inner.families.audit_write_failures.inc();
    }

    /// Counts one request that was refused for a spent budget.
    pub fn budget_spent(&self, who: &'static str, limit: &'static str) {
        self.inner.families.budget_refusals.get_or_create(&BudgetLabels { who, limit }).inc();
    }

    /// Counts one attempt to fetch the keys of a token issuer.
    pub fn jwks_fetch(&self, outcome: &'static str) {
        self.inner.families.jwks_fetches.get_or_create(&OutcomeLabels { outcome }).inc();
    }

    /// Client connections that are open.
    pub fn connections_open(&self) -> &Gauge {
        &self.inner.families.connections_open
    }

    /// Counts one accepted client connection.
    pub fn connection_accepted(&self) {
        self.inner.families.connections_accepted.inc();
    }

    /// Counts one client connection that was closed before its first request.
    pub fn connection_refused(&self, reason: &'static str) {
        self.inner.families.connections_refused.get_or_create(&ReasonLabels { reason }).inc();
    }

    /// Counts one client connection that was cut although it was in use.
    pub fn connection_cut(&self, reason: &'static str) {
        self.inner.families.connections_cut.get_or_create(&ReasonLabels { reason }).inc();
    }

    /// Everything as OpenMetrics text, of type [`CONTENT_TYPE`].
    #[expect(clippy::missing_panics_doc, reason = "writing to a String does not fail")]
    pub fn encode(&self) -> String {
        let mut page = String::with_capacity(16 * 1024);
        text::encode(&mut page, &self.inner.registry).expect("writing to a String does not fail");
        page
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

/// Counts one thing in a gauge until it is dropped, so that no early return forgets to count down.
#[derive(Debug)]
pub struct Held(Gauge);

impl Held {
    /// Counts up now, down on drop.
    pub fn new(gauge: &Gauge) -> Self {
        gauge.inc();
        Self(gauge.clone())
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.0.dec();
    }
}

fn status_class(status: u16) -> &'static str {
    match status {
        100..=199 => "1xx",
        200..=299 => "2xx",
        300..=399 => "3xx",
        400..=499 => "4xx",
        500..=599 => "5xx",
        _ => "other",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn used() -> Metrics {
        let metrics = Metrics::new();
        metrics.request(&FinishedRequest {
            connection: Some(&metrics.requests_to(&"street".into())),
            delivery: "proxy",
            reason: "cors",
            status: 206,
            cache: "miss",
            bytes_sent: 4096,
            to_first_byte: Duration::from_millis(3),
            to_end: Duration::from_millis(40),
        });
        metrics.in_flight().inc();
        metrics.upstream_request("media", "ok");
        metrics.upstream_retry("503");
        metrics.upstream_resume("stall");
        metrics.upstream_abort("checksum");
        metrics.upstream_in_flight().inc();
        metrics.upstream_queued().inc();
        metrics.token_refresh("ok");
        metrics.cache("objects", "hit");
        metrics.cache_kept(Tier::Memory, 4096);
        metrics.cache_dropped(Tier::Memory, 1024);
        metrics.cache_evicted(Tier::Memory);
        metrics.config_reload("refused");
        metrics.revocations_refused();
        metrics.config_in_force(UNIX_EPOCH + Duration::from_millis(1_767_225_600_500));
        metrics.budget_spent("network", "requests");
        metrics.jwks_fetch("ok");
        metrics.audit_dropped(2);
        metrics.audit_write_failed();
        metrics.connections_open().inc();
        metrics.connection_accepted();
        metrics.connection_refused("limit");
        metrics.connection_cut("stalled");
        metrics
    }

    /// The sample's name, where the line is a sample; panics where it is no line of OpenMetrics.
    fn sample(line: &str) -> Option<&str> {
        if let Some(comment) = line.strip_prefix("# ") {
            let word = comment.split(' ').next().unwrap_or_default();
            assert!(["HELP", "TYPE", "UNIT", "EOF"].contains(&word), "{line}");
            return None;
        }
        let (series, value) = line.rsplit_once(' ').unwrap_or_else(|| panic!("no value: {line}"));
        assert!(value.parse::<f64>().is_ok(), "{line}");
        let name = series.split('{').next().unwrap_or_default();
        assert!(name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_'), "{line}");
        assert!(series == name || series.ends_with('}'), "{line}");
        Some(name)
    }

    #[test]
    fn the_page_parses_and_holds_every_family() {
        let page = used().encode();
        let names: Vec<_> = page.lines().filter_map(sample).collect();
        for family in [
            "gsgate_requests_total",
            "gsgate_request_first_byte_seconds_bucket",
            "gsgate_request_duration_seconds_count",
            "gsgate_response_sent_bytes_total",
            "gsgate_requests_in_flight",
            "gsgate_cache_lookups_total",
            "gsgate_cache_kept_bytes",
            "gsgate_cache_entries",
            "gsgate_cache_evictions_total",
            "gsgate_upstream_requests_total",
            "gsgate_upstream_retries_total",
            "gsgate_upstream_resumes_total",
            "gsgate_upstream_aborts_total",
            "gsgate_upstream_in_flight",
            "gsgate_upstream_queued",
            "gsgate_token_refreshes_total",
            "gsgate_config_reloads_total",
            "gsgate_config_last_reload_successful",
            "gsgate_config_in_force_timestamp_seconds",
            "gsgate_budget_refusals_total",
            "gsgate_jwks_fetches_total",
            "gsgate_audit_dropped_total",
            "gsgate_audit_write_failures_total",
            "gsgate_link_revocation_reloads_total",
            "gsgate_link_revocations_last_reload_successful",
            "gsgate_link_revocations",
            "gsgate_connections_open",
            "gsgate_connections_accepted_total",
            "gsgate_connections_refused_total",
            "gsgate_connections_cut_total",
            "gsgate_build_info",
        ] {
            assert!(names.contains(&family), "{family} is missing in\n{page}");
        }
        assert!(page.ends_with("# EOF\n"));
    }

    #[test]
    fn a_request_is_counted_with_its_decision() {
        let page = used().encode();
        let line =
            r#"gsgate_requests_total{connection="street",delivery="proxy",reason="cors",status="2xx",cache="miss"} 1"#;
        assert!(page.lines().any(|l| l == line), "{page}");
        assert!(page.contains(r#"gsgate_response_sent_bytes_total{connection="street",delivery="proxy"} 4096"#));
        assert!(page.contains("gsgate_config_last_reload_successful 0"));
        assert!(page.contains("gsgate_config_in_force_timestamp_seconds 1767225600"));
    }

    #[test]
    fn a_held_gauge_counts_down_when_dropped() {
        let metrics = Metrics::new();
        let held = Held::new(metrics.in_flight());
        assert_eq!(metrics.in_flight().get(), 1);
        drop(held);
        assert_eq!(metrics.in_flight().get(), 0);
    }
}
