//! What checking a body costs: the same bytes from the same emulated GCS, checked (the whole object) and unchecked
//! (all of it but the last byte, which GCS has no sum of).
//!
//! `cargo bench --bench integrity`

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use gsgate::emulator::{Emulator, Object};
use gsgate::gcs::credentials::{self, ControlPlane};
use gsgate::gcs::{Client, Config, Credential, ReadRequest};
use gsgate::metrics::Metrics;
use gsgate::object::{BucketName, ByteRange, ObjectName};
use http_body_util::BodyExt;
use tokio::runtime::Runtime;

const SIZE: u64 = 256 * 1024 * 1024;

/// A client and what it reads with.
struct Rig {
    client: Client,
    credential: Credential,
    _gcs: Emulator,
}

impl Rig {
    async fn new() -> Self {
        let gcs = Emulator::builder().require_auth(false).start().await.expect("a free port");
        let bucket = gcs.bucket("bench-media");
        bucket.set_public();
        bucket.put("video.mp4", Object::generated(SIZE, 1));
        let endpoint = gcs.endpoint().parse().expect("an endpoint");
        let config = Config { endpoint, ..Config::default() };
        let client = Client::new(&config, Metrics::new()).expect("a client");
        let control = ControlPlane::new(&config).expect("HTTP clients");
        let anonymous = credentials::Config { source: credentials::Origin::Anonymous, ..Default::default() };
        let environment = credentials::Environment::of([]);
        let credential = Credential::load(&anonymous, &environment, &control).await.expect("no credential");
        Self { client, credential, _gcs: gcs }
    }

    async fn read(&self, range: Option<ByteRange>) -> u64 {
        let request = ReadRequest {
            bucket: BucketName::new("bench-media").expect("legal"),
            object: ObjectName::new("video.mp4").expect("legal"),
            range,
            generation: None,
            project: None,
        };
        let mut read = self.client.read(&self.credential, request).await.expect("an object");
        let mut bytes = 0;
        while let Some(frame) = read.body.frame().await {
            bytes += frame.expect("a whole body").data_ref().map_or(0, |data| black_box(data).len() as u64);
        }
        bytes
    }
}

fn integrity(criterion: &mut Criterion) {
    let runtime = Runtime::new().expect("threads");
    let rig = runtime.block_on(Rig::new());
    // The sum of a generated object is computed once, at the first request.
    assert_eq!(runtime.block_on(rig.read(None)), SIZE);
    let mut group = criterion.benchmark_group("body of 256 MiB");
    group.throughput(Throughput::Bytes(SIZE)).sample_size(20);
    let all_but_one = ByteRange::FromTo { first: 0, last: SIZE - 2 };
    for (name, range) in [("unchecked", Some(all_but_one)), ("checked", None)] {
        group.bench_function(name, |bencher| bencher.iter(|| runtime.block_on(rig.read(range))));
    }
    group.finish();
}

criterion_group!(benches, integrity);
criterion_main!(benches);
