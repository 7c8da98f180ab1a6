//! What checking a body costs: the same bytes through the same gateway, checked (the whole object) and unchecked (all of
//! it but the last byte, which GCS has no sum of).
//!
//! Read in pairs in changing order, so that what else the machine does falls on both alike; GCS is behind TLS, as it is.
//!
//! `cargo bench --bench integrity`

use std::hint::black_box;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use bytes::Bytes;
use gsgate::app::{App, Source};
use gsgate::config::Environment;
use gsgate::emulator::{Emulator, Object};
use http::Request;
use http_body_util::{BodyExt, Empty};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio::runtime::Runtime;
use tokio_util::sync::CancellationToken;

const SIZE: u64 = 256 * 1024 * 1024;
/// The same in GiB.
const GIBIBYTES: f64 = 0.25;
const PAIRS: usize = 200;

/// A gateway in front of an emulated GCS, all in this process.
struct Rig {
    address: SocketAddr,
    _gcs: Emulator,
    _folder: TempDir,
}

impl Rig {
    async fn new() -> Self {
        let (folder, names) = (tempfile::tempdir().expect("a folder"), vec!["127.0.0.1".to_owned()]);
        let made = rcgen::generate_simple_self_signed(names).expect("a certificate");
        let ca = folder.path().join("ca.pem");
        std::fs::write(&ca, made.cert.pem()).expect("a file");
        let gcs = Emulator::builder().require_auth(false).tls(made.cert.pem(), made.signing_key.serialize_pem());
        let gcs = gcs.start().await.expect("a free port");
        let bucket = gcs.bucket("bench-media");
        bucket.set_public();
        bucket.put("video.mp4", Object::generated(SIZE, 1));
        let config = format!(
            "[server]\nlisten = \"127.0.0.1:0\"\n[admin]\nlisten = \"127.0.0.1:0\"\n[access]\nallow = \"anyone\"\n\
             [gcs]\nendpoint = \"{}\"\nca_file = \"{}\"\n[credentials.default]\nsource = \"anonymous\"\n\
             [connections.media]\nuri = \"gs://bench-media/\"\ndelivery = \"proxy\"\n[cache]\nmemory = 0\n",
            gcs.endpoint(),
            ca.display()
        );
        let app = App::build(Source::text("bench", config, Environment::default())).await.expect("a gateway");
        let address = app.public_addrs()[0];
        tokio::spawn(app.run(CancellationToken::new()));
        Self { address, _gcs: gcs, _folder: folder }
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

fn main() {
    let runtime = Runtime::new().expect("threads");
    let rig = runtime.block_on(Rig::new());
    let all_but_one = format!("bytes=0-{}", SIZE - 2);
    // The sum of a generated object is computed once, at the first request.
    assert_eq!(runtime.block_on(rig.read(None)), SIZE);
    assert_eq!(runtime.block_on(rig.read(Some(&all_but_one))), SIZE - 1);
    if std::env::args().any(|argument| argument == "--test") {
        return;
    }
    let timed = |range| {
        let began = Instant::now();
        runtime.block_on(rig.read(range));
        began.elapsed()
    };
    let pairs = (0..PAIRS).map(|turn| {
        if turn % 2 == 0 {
            let checked = timed(None);
            (checked, timed(Some(&all_but_one)))
        } else {
            let unchecked = timed(Some(&all_but_one));
            (timed(None), unchecked)
        }
    });
    let (mut checked, mut unchecked): (Vec<_>, Vec<_>) = pairs.unzip();
    let mut ratios: Vec<_> = checked.iter().zip(&unchecked).map(|(a, b)| a.as_secs_f64() / b.as_secs_f64()).collect();
    checked.sort();
    unchecked.sort();
    ratios.sort_by(f64::total_cmp);
    println!("256 MiB through the gateway, upstream over TLS, {PAIRS} pairs");
    show("unchecked", &unchecked);
    show("checked  ", &checked);
    let [low, median, high] = [PAIRS / 4, PAIRS / 2, PAIRS * 3 / 4].map(|at| ratios[at]);
    println!("checked / unchecked  {median:.3} (quartiles {low:.3} and {high:.3})");
}

fn show(what: &str, times: &[Duration]) {
    let (median, best) = (times[PAIRS / 2].as_secs_f64(), times[0].as_secs_f64());
    let (milliseconds, rate, best) = (median * 1e3, GIBIBYTES / median, GIBIBYTES / best);
    println!("{what}  median {milliseconds:.1} ms, {rate:.2} GiB/s; best {best:.2} GiB/s");
}
