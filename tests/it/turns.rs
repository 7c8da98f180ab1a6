//! Which answers let others go first: small ones that waited for GCS, and no others.
//!
//! A turn cannot be seen from outside, so the gateway is built by hand and asked without a listener.

use std::collections::HashMap;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Wake, Waker};

use gsgate::audit::{Audit, Observer};
use gsgate::cache::objects::Scope;
use gsgate::cache::{self, MetadataCache, Objects, SignedUrls};
use gsgate::emulator::{Emulator, Object};
use gsgate::gateway::Gateway;
use gsgate::gateway::access::{Access, AllowList, Config, Networks};
use gsgate::gateway::budget::{self, Accounts, Budgets};
use gsgate::gateway::connection::{Connection, UpstreamSubject};
use gsgate::gateway::cors::Cors;
use gsgate::gateway::host::Hosts;
use gsgate::gateway::links::{self, Links};
use gsgate::gateway::vendor::Vendors;
use gsgate::gcs::credentials::{self, ControlPlane, Environment, Origin};
use gsgate::gcs::{self, Client, Credential};
use gsgate::metrics::Metrics;
use http::{HeaderValue, Method, Request};
use http_body_util::BodyExt;

use crate::faults::wire::until;

/// The largest body that waits for its turn.
const SMALL: u64 = 32 * 1024;

/// Nobody looks at the audit log here.
struct Unobserved;

impl Observer for Unobserved {
    fn dropped(&self, _lines: u64) {}

    fn write_failed(&self) {}
}

/// Calls a task, and remembers that it did.
struct Call {
    task: Waker,
    is_made: AtomicBool,
}

impl Wake for Call {
    fn wake(self: Arc<Self>) {
        self.is_made.store(true, Ordering::SeqCst);
        self.task.wake_by_ref();
    }
}

/// What comes of a future, and how often it gave its turn to others: it called itself in the middle of it.
async fn turns_given<T>(future: impl Future<Output = T>) -> (T, usize) {
    let (mut future, mut given) = (pin!(future), 0);
    let output = std::future::poll_fn(|cx| {
        let call = Arc::new(Call { task: cx.waker().clone(), is_made: AtomicBool::new(false) });
        let polled = future.as_mut().poll(&mut Context::from_waker(&Arc::clone(&call).into()));
        given += usize::from(polled.is_pending() && call.is_made.load(Ordering::SeqCst));
        polled
    });
    (output.await, given)
}

/// A gateway without a listener, over the public bucket `media`, with memory for bytes.
async fn gateway(gcs: &Emulator) -> Arc<Gateway> {
    let metrics = Metrics::new();
    let config = gcs::Config { endpoint: gcs.endpoint().parse().unwrap(), ..Default::default() };
    let anonymous = credentials::Config { source: Origin::Anonymous, ..Default::default() };
    let control = ControlPlane::new(&config).unwrap();
    let credential = Credential::load(&anonymous, &Environment::of([]), &control).await.unwrap();
    let anyone = Config { allow: Some(AllowList::Word("anyone".to_owned())), ..Config::default() };
    let access = Access::new(&anyone, &Networks::new(), None).unwrap();
    let settings: gsgate::gateway::connection::Config =
        toml::from_str("uri = \"gs://media/\"\ndelivery = \"proxy\"").unwrap();
    let connection = Connection {
        label: "media".into(),
        scope: Scope::new("media", &config.endpoint, &settings.uri.bucket),
        config: settings,
        access: access.clone(),
        cors: Cors::default(),
        credential,
        cache_control: HeaderValue::from_static("private"),
        identity: None,
        upstream_subject: UpstreamSubject::Hidden,
        requests: Arc::new(metrics.requests_to(&"media".into())),
    };
    let cache = cache::Config::default();
    Arc::new(Gateway {
        connections: HashMap::from_iter([("media".to_owned(), Arc::new(connection))]),
        default_access: Some(access),
        default_cors: Cors::default(),
        links: Links::load(&links::Config::default()).unwrap(),
        trusted_proxies: Vec::new(),
        hosts: Hosts::default(),
        network: None,
        endpoint: config.endpoint.clone(),
        client: Client::new(&config, metrics.clone()).unwrap(),
        metadata: MetadataCache::new(cache.metadata_ttl, cache.negative_ttl),
        objects: Objects::new(&cache, metrics.clone()),
        signed_urls: SignedUrls::new(1024),
        audit: Audit::start(None, Arc::new(Unobserved)).unwrap(),
        budgets: Budgets::new(Accounts::new(metrics.clone()), &budget::Config::default()),
        vendors: Vendors::default(),
        is_ready: Arc::new(|| true),
        metrics,
    })
}

#[tokio::test]
async fn a_small_answer_that_waited_for_gcs_lets_others_go_first_and_no_other_does() {
    let gcs = Emulator::builder().require_auth(false).start().await.unwrap();
    let gateway = gateway(&gcs).await;
    let bucket = gcs.bucket("media");
    for (name, size) in [("x", 5), ("small", SMALL), ("more", SMALL + 1), ("parts", 2 * SMALL), ("other", 2 * SMALL)] {
        bucket.put(name, Object::generated(size, 7));
    }
    let answer = async |method: Method, name: &str, range: &'static str| {
        let request = Request::builder().method(method).uri(format!("/media/{name}")).header("range", range);
        let request = request.body(()).unwrap();
        let handled = turns_given(Arc::clone(&gateway).handle(request, ([127, 0, 0, 1], 4711).into()));
        let (response, given) = handled.await;
        let status = response.status().as_u16();
        (status, response.into_body().collect().await.unwrap().to_bytes().len() as u64, given)
    };
    let get = async |name| answer(Method::GET, name, "").await;
    assert_eq!(get("x").await, (200, 5, 1), "it waited for GCS");
    let kept = "gsgate_cache_entries{tier=\"memory\"} 1\n";
    until("it is kept", async || gateway.metrics.encode().contains(kept)).await;
    assert_eq!(get("x").await, (200, 5, 0), "it was there");
    assert_eq!(get("small").await, (200, SMALL, 1), "just small");
    assert_eq!(get("more").await, (200, SMALL + 1, 0), "not small any more");
    assert_eq!(answer(Method::GET, "parts", "bytes=7-9").await, (206, 3, 1), "for this answer alone");
    assert_eq!(answer(Method::GET, "other", "bytes=1-40000").await, (206, 40_000, 0), "a part that is not small");
    assert_eq!(answer(Method::HEAD, "parts", "").await, (200, 0, 0), "no body");
    assert_eq!(answer(Method::PUT, "x", "").await.2, 0, "refused");
    let (status, _, given) = get("none").await;
    assert_eq!((status, given), (404, 0), "GCS has none");
}
