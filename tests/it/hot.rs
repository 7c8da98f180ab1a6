//! Hot media: what is kept of objects, who shares it, and what never comes out of it.

mod bounds;
mod chunks;
mod disk;
mod freshness;
mod sharing;

use crate::faults::wire::metric;
use crate::support::TestGateway;

/// A gateway with the default cache.
async fn start() -> TestGateway {
    TestGateway::builder().await.sections("[cache]").start().await
}

/// How often the cache of bytes answered in this way.
async fn lookups(gateway: &TestGateway, result: &str) -> u64 {
    metric(gateway.admin, &format!("gsgate_cache_lookups_total{{cache=\"objects\",result=\"{result}\"}}")).await
}
