//! What checking a body costs: the same bytes through the same gateway, checked (the whole object) and unchecked (all of
//! it but the last byte, which GCS has no sum of).
//!
//! `cargo bench --bench integrity`

use std::hint::black_box;
use std::net::SocketAddr;

use bytes::Bytes;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use gsgate::app::{App, Source};
use gsgate::config::Environment;
use gsgate::emulator::{Emulator, Object};
use http::Request;
use http_body_util::{BodyExt, Empty};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::runtime::Runtime;
use tokio_util::sync::CancellationToken;

const SIZE: u64 = 256 * 1024 * 1024;

/// A gateway in front of an emulated GCS, all in this process.
struct Rig {
    address: SocketAddr,
    _gcs: Emulator,
}

impl Rig {
    async fn new() -> Self {
        let gcs = Emulator::builder().require_auth(false).start().await.expect("a free port");
        let bucket = gcs.bucket("bench-media");
        bucket.set_public();
        bucket.put("video.mp4", Object::generated(SIZE, 1));
        let config = format!(
            "[server]\nlisten = \"127.0.0.1:0\"\n[admin]\nlisten = \"127.0.0.1:0\"\n[access]\nallow = \"anyone\"\n\
             [gcs]\nendpoint = \"{}\"\n[credentials.default]\nsource = \"anonymous\"\n\
             [connections.media]\nuri = \"gs://bench-media/\"\ndelivery = \"proxy\"\n[cache]\nmemory = 0\n",
            gcs.endpoint()
        );
        let app = App::build(Source::text("bench", config, Environment::default())).await.expect("a gateway");
        let address = app.public_addrs()[0];
        tokio::spawn(app.run(CancellationToken::new()));
        Self { address, _gcs: gcs }
    }

    async fn read(&self, range: Option<&str>) -> u64 {
        let stream = TcpStream::connect(self.address).await.expect("a connection");
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.expect("HTTP/1.1");
        tokio::spawn(connection);
        let mut request = Request::get("/media/video.mp4").header("host", "127.0.0.1");
        if let Some(range) = range {
            request = request.header("range", range);
        }
        let request = request.body(Empty::<Bytes>::new()).expect("a request");
        let mut body = sender.send_request(request).await.expect("an answer").into_body();
        let mut bytes = 0;
        while let Some(frame) = body.frame().await {
            bytes += frame.expect("a whole body").data_ref().map_or(0, |data| black_box(data).len() as u64);
        }
        bytes
    }
}

fn integrity(criterion: &mut Criterion) {
    let runtime = Runtime::new().expect("threads");
    let rig = runtime.block_on(Rig::new());
    let all_but_one = format!("bytes=0-{}", SIZE - 2);
    // The sum of a generated object is computed once, at the first request.
    assert_eq!(runtime.block_on(rig.read(None)), SIZE);
    assert_eq!(runtime.block_on(rig.read(Some(&all_but_one))), SIZE - 1);
    let mut group = criterion.benchmark_group("256 MiB through the gateway");
    group.throughput(Throughput::Bytes(SIZE)).sample_size(40);
    for (name, range) in [("unchecked", Some(all_but_one.as_str())), ("checked", None)] {
        group.bench_function(name, |bencher| bencher.iter(|| runtime.block_on(rig.read(range))));
    }
    group.finish();
}

criterion_group!(benches, integrity);
criterion_main!(benches);
