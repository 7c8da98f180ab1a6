//! The families of metrics: their labels, names and help.
//!
//! Every label is a word of the code or the name of a connection that the configuration has.
//! Follows <https://prometheus.io/docs/practices/naming/>.

use std::sync::Arc;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Registry, Unit};

/// Upper bounds of the latency histograms, in seconds; time to end covers long videos.
const LATENCY_BUCKETS: [f64; 14] =
    [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 60.0, 600.0];

#[derive(Debug)]
pub(super) struct Families {
    pub(super) requests: Family<RequestLabels, Counter>,
    pub(super) first_byte: Family<DeliveryLabels, Histogram, fn() -> Histogram>,
    pub(super) end: Family<DeliveryLabels, Histogram, fn() -> Histogram>,
    pub(super) sent: Family<DeliveryLabels, Counter>,
    pub(super) in_flight: Gauge,
    pub(super) upstream_requests: Family<UpstreamLabels, Counter>,
    pub(super) upstream_retries: Family<CauseLabels, Counter>,
    pub(super) upstream_resumes: Family<CauseLabels, Counter>,
    pub(super) upstream_aborts: Family<CauseLabels, Counter>,
    pub(super) upstream_in_flight: Gauge,
    pub(super) upstream_queued: Gauge,
    pub(super) token_refreshes: Family<OutcomeLabels, Counter>,
    pub(super) cache: Family<CacheLabels, Counter>,
    pub(super) cache_bytes: Family<TierLabels, Gauge>,
    pub(super) cache_entries: Family<TierLabels, Gauge>,
    pub(super) cache_evictions: Family<TierLabels, Counter>,
    pub(super) reloads: Family<OutcomeLabels, Counter>,
    pub(super) reload_ok: Gauge,
    pub(super) config_loaded: Gauge,
    pub(super) budget_refusals: Family<BudgetLabels, Counter>,
    pub(super) jwks_fetches: Family<OutcomeLabels, Counter>,
    pub(super) audit_dropped: Counter,
    pub(super) audit_write_failures: Counter,
    pub(super) revocation_reloads: Family<OutcomeLabels, Counter>,
    pub(super) revocations_ok: Gauge,
    pub(super) revocations: Gauge,
    pub(super) connections_open: Gauge,
    pub(super) connections_accepted: Counter,
    pub(super) connections_refused: Family<ReasonLabels, Counter>,
    pub(super) connections_cut: Family<ReasonLabels, Counter>,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub(super) struct RequestLabels {
    pub(super) connection: Arc<str>,
    pub(super) delivery: &'static str,
    pub(super) reason: &'static str,
    pub(super) status: &'static str,
    pub(super) cache: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub(super) struct DeliveryLabels {
    pub(super) connection: Arc<str>,
    pub(super) delivery: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub(super) struct UpstreamLabels {
    pub(super) operation: &'static str,
    pub(super) outcome: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub(super) struct CauseLabels {
    pub(super) cause: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub(super) struct OutcomeLabels {
    pub(super) outcome: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub(super) struct BudgetLabels {
    pub(super) who: &'static str,
    pub(super) limit: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub(super) struct ReasonLabels {
    pub(super) reason: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub(super) struct CacheLabels {
    pub(super) cache: &'static str,
    pub(super) result: &'static str,
}

/// Where bytes are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tier {
    /// In the process.
    Memory,
    /// In files.
    Disk,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub(super) struct TierLabels {
    pub(super) tier: &'static str,
}

impl From<Tier> for TierLabels {
    fn from(tier: Tier) -> Self {
        Self {
            tier: match tier {
                Tier::Memory => "memory",
                Tier::Disk => "disk",
            },
        }
    }
}

impl Default for Families {
    fn default() -> Self {
        Self {
            requests: Family::default(),
            first_byte: Family::new_with_constructor(latency),
            end: Family::new_with_constructor(latency),
            sent: Family::default(),
            in_flight: Gauge::default(),
            upstream_requests: Family::default(),
            upstream_retries: Family::default(),
            upstream_resumes: Family::default(),
            upstream_aborts: Family::default(),
            upstream_in_flight: Gauge::default(),
            upstream_queued: Gauge::default(),
            token_refreshes: Family::default(),
            cache: Family::default(),
            cache_bytes: Family::default(),
            cache_entries: Family::default(),
            cache_evictions: Family::default(),
            reloads: Family::default(),
            reload_ok: Gauge::default(),
            config_loaded: Gauge::default(),
            budget_refusals: Family::default(),
            jwks_fetches: Family::default(),
            audit_dropped: Counter::default(),
            audit_write_failures: Counter::default(),
            revocation_reloads: Family::default(),
            revocations_ok: Gauge::default(),
            revocations: Gauge::default(),
            connections_open: Gauge::default(),
            connections_accepted: Counter::default(),
            connections_refused: Family::default(),
            connections_cut: Family::default(),
        }
    }
}

impl Families {
    /// Gives every family its name and help.
    pub(super) fn register(&self, registry: &mut Registry) {
        self.register_requests(registry);
        self.register_upstream(registry);
        self.register_process(registry);
        self.register_links(registry);
    }

    fn register_requests(&self, registry: &mut Registry) {
        registry.register("requests", "Requests answered", self.requests.clone());
        registry.register_with_unit(
            "request_first_byte",
            "Time from the request's head to the answer's head",
            Unit::Seconds,
            self.first_byte.clone(),
        );
        registry.register_with_unit(
            "request_duration",
            "Time from the request's head to the end of the answer's body",
            Unit::Seconds,
            self.end.clone(),
        );
        registry.register_with_unit("response_sent", "Bytes of body sent to clients", Unit::Bytes, self.sent.clone());
        registry.register("requests_in_flight", "Requests whose answer has not ended", self.in_flight.clone());
        registry.register("cache_lookups", "Questions to the caches by result", self.cache.clone());
        registry.register_with_unit("cache_kept", "Bytes of objects kept", Unit::Bytes, self.cache_bytes.clone());
        registry.register("cache_entries", "Objects and chunks kept", self.cache_entries.clone());
        registry.register(
            "cache_evictions",
            "Objects and chunks given up for others, or never admitted",
            self.cache_evictions.clone(),
        );
    }

    fn register_upstream(&self, registry: &mut Registry) {
        registry.register("upstream_requests", "Requests sent to GCS", self.upstream_requests.clone());
        registry.register("upstream_retries", "Requests to GCS sent again", self.upstream_retries.clone());
        registry.register("upstream_resumes", "Bodies reopened from their next byte", self.upstream_resumes.clone());
        registry.register("upstream_aborts", "Bodies broken off beyond healing", self.upstream_aborts.clone());
        registry.register("upstream_in_flight", "Requests to GCS under way", self.upstream_in_flight.clone());
        registry.register("upstream_queued", "Requests waiting to go to GCS", self.upstream_queued.clone());
        registry.register("token_refreshes", "Attempts to get an access token", self.token_refreshes.clone());
    }

    fn register_links(&self, registry: &mut Registry) {
        self.revocations_ok.set(1);
        registry.register(
            "link_revocation_reloads",
            "Reloads of the list of revoked links by outcome",
            self.revocation_reloads.clone(),
        );
        registry.register(
            "link_revocations_last_reload_successful",
            "Whether the last reload of the list succeeded; 1 before the first",
            self.revocations_ok.clone(),
        );
        registry.register("link_revocations", "Entries of the list of revoked links", self.revocations.clone());
    }

    fn register_process(&self, registry: &mut Registry) {
        self.reload_ok.set(1);
        registry.register("config_reloads", "Reloads of the configuration by outcome", self.reloads.clone());
        registry.register(
            "config_last_reload_successful",
            "Whether the last reload succeeded; 1 before the first",
            self.reload_ok.clone(),
        );
        registry.register_with_unit(
            "config_in_force_timestamp",
            "Unix time at which the configuration came into force",
            Unit::Seconds,
            self.config_loaded.clone(),
        );
        registry.register("budget_refusals", "Requests refused for a spent budget", self.budget_refusals.clone());
        registry.register("jwks_fetches", "Attempts to fetch keys of token issuers", self.jwks_fetches.clone());
        registry.register("audit_dropped", "Lines of the audit log lost", self.audit_dropped.clone());
        registry.register(
            "audit_write_failures",
            "Attempts to write the audit log that failed",
            self.audit_write_failures.clone(),
        );
        registry.register("connections_open", "Client connections open", self.connections_open.clone());
        registry.register("connections_accepted", "Client connections accepted", self.connections_accepted.clone());
        registry.register(
            "connections_refused",
            "Client connections closed before their first request",
            self.connections_refused.clone(),
        );
        registry.register("connections_cut", "Client connections cut while in use", self.connections_cut.clone());
        registry.register(
            "build",
            "The version that runs",
            Info::new([("version", env!("CARGO_PKG_VERSION"))].to_vec()),
        );
    }
}

fn latency() -> Histogram {
    Histogram::new(LATENCY_BUCKETS)
}
