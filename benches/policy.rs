//! What deciding costs: the pure parts of the request path, and one signature.
//!
//! `cargo bench --bench policy`

use std::hint::black_box;
use std::net::SocketAddr;
use std::time::{Duration, SystemTime};

use criterion::{Criterion, criterion_group, criterion_main};
use gsgate::gateway::access::{Access, AllowList, Config, Networks};
use gsgate::gateway::client_addr::{ClientAddr, Network};
use gsgate::gateway::cors::{self, Cors};
use gsgate::gateway::fetch::Fetch;
use gsgate::gateway::route::Route;
use gsgate::gcs::Endpoint;
use gsgate::gcs::sign::{Request, Style};
use gsgate::object::{BucketName, ObjectName};
use http::{HeaderMap, HeaderName, HeaderValue, Method};

fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
    pairs.iter().map(|&(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value))).collect()
}

fn client_addr(criterion: &mut Criterion) {
    let trusted: Vec<Network> = vec!["10.0.0.0/8".parse().expect("legal")];
    let peer: SocketAddr = "10.0.0.1:4711".parse().expect("legal");
    let headers = headers(&[("x-forwarded-for", "203.0.113.9, 198.51.100.7, 10.1.2.3")]);
    criterion.bench_function("client address behind two proxies", |bencher| {
        bencher.iter(|| ClientAddr::derive(black_box(peer), black_box(&headers), &trusted));
    });
}

fn access(criterion: &mut Criterion) {
    let allow = (0..200).map(|n| format!("203.0.{n}.0/24")).collect();
    let config = Config { allow: Some(AllowList::Networks(allow)), ..Config::default() };
    let access = Access::new(&config, &Networks::new(), None).expect("legal");
    let client = ClientAddr::from("203.0.199.7".parse::<std::net::IpAddr>().expect("legal"));
    criterion.bench_function("access, the last of 200 networks", |bencher| {
        bencher.iter(|| access.admit(black_box(client), None));
    });
}

fn route(criterion: &mut Criterion) {
    let path = "/street/2026/north/Stra%C3%9Fe%20%2307/frame%20000123.jpg";
    criterion.bench_function("route and decode", |bencher| {
        bencher.iter(|| match Route::parse(black_box(path)) {
            Route::Media { object, .. } => object.decode().map(|name| name.len()),
            _ => Ok(0),
        });
    });
}

fn cross_origin(criterion: &mut Criterion) {
    let origins = (0..10).map(|n| format!("https://ui-{n}.example.com")).chain(["https://*.labellerr.com".to_owned()]);
    let config = cors::Config { origins: origins.collect(), ..cors::Config::default() };
    let cors = Cors::new(&config, None).expect("legal");
    let origin = HeaderValue::from_static("https://pro.labellerr.com");
    criterion.bench_function("CORS headers, the last of 11 origins", |bencher| {
        bencher.iter(|| {
            let mut headers = HeaderMap::new();
            cors.decorate(&Method::GET, black_box(Some(&origin)), &mut headers);
            headers
        });
    });
}

fn fetch(criterion: &mut Criterion) {
    let headers = headers(&[
        ("range", "bytes=1048576-2097151"),
        ("if-range", "\"1795311227896802-1\""),
        ("accept-encoding", "identity;q=1, *;q=0"),
        ("origin", "https://pro.labellerr.com"),
        ("sec-fetch-mode", "cors"),
    ]);
    criterion.bench_function("fetch: range, condition, encoding", |bencher| {
        bencher.iter(|| Fetch::parse(&Method::GET, black_box(&headers)));
    });
}

fn sign(criterion: &mut Criterion) {
    let request = Request {
        method: Method::GET,
        endpoint: Endpoint::default(),
        style: Style::Path,
        bucket: BucketName::new("my-bucket").expect("legal"),
        object: Some(ObjectName::new("dataset-001/frame 000123.jpg").expect("legal")),
        query: Vec::new(),
        headers: Vec::new(),
        expires: Duration::from_mins(15),
    };
    let at = SystemTime::UNIX_EPOCH + Duration::from_hours(24 * 365 * 56);
    criterion.bench_function("sign: canonical request and string to sign", |bencher| {
        bencher.iter(|| request.draft("media@project.iam.gserviceaccount.com", black_box(at)));
    });
}

criterion_group!(benches, client_addr, access, route, cross_origin, fetch, sign);
criterion_main!(benches);
