//! What a signed URL costs: the library's RSA alone, a URL that must be signed, and one that was signed before.
//!
//! By itself, where the way to the signing thread and back is waited for; and with every core at work, where it is not.
//!
//! `cargo bench --bench signing`

use std::hint::black_box;
use std::num::NonZero;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::{available_parallelism, scope};
use std::time::{Duration, SystemTime};

use aws_lc_rs::encoding::{AsDer as _, Pkcs8V1Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeyPair, KeySize};
use aws_lc_rs::signature::RSA_PKCS1_SHA256;
use base64::prelude::{BASE64_STANDARD, Engine as _};
use criterion::{Criterion, criterion_group};
use gsgate::cache::{SignedUrl, SignedUrls, UrlRequest};
use gsgate::gcs::credentials::{Config, ControlPlane, Environment};
use gsgate::gcs::{self, Credential, Endpoint, Signer};
use gsgate::object::{BucketName, ObjectName};
use http::Method;
use tokio::runtime::{Builder, Runtime};
use tokio::task::JoinSet;

/// The gateway's.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// How many want a signature at the same time.
const CLIENTS: usize = 32;
/// How many they get.
const BATCH: u64 = 500;
const TURNS: u64 = 20;

/// A credential's signer from a key file, which must stay until the signer is not needed any more.
async fn signer(pair: &KeyPair) -> (Signer, tempfile::NamedTempFile) {
    let der: Pkcs8V1Der<'static> = pair.as_der().expect("a key");
    let pem =
        format!("-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n", BASE64_STANDARD.encode(der.as_ref()));
    let account = serde_json::json!({
        "type": "service_account", "project_id": "bench", "private_key_id": "1", "private_key": pem,
        "client_email": "bench@bench.iam.gserviceaccount.com", "token_uri": "https://oauth2.googleapis.com/token",
    });
    let file = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(file.path(), account.to_string()).expect("a disk");
    let path: PathBuf = file.path().to_owned();
    let config: Config =
        serde_json::from_value(serde_json::json!({ "source": "file", "path": path })).expect("a configuration");
    let control = ControlPlane::new(&gcs::Config::default()).expect("TLS");
    let credential = Credential::load(&config, &Environment::of([]), &control).await.expect("a credential");
    (credential.signer().expect("a key signs"), file)
}

/// What URLs are asked of, and for.
struct Desk {
    urls: SignedUrls,
    connection: Arc<str>,
    endpoint: Endpoint,
    bucket: BucketName,
    now: SystemTime,
}

impl Desk {
    fn new() -> Self {
        Self {
            urls: SignedUrls::new(1000),
            connection: "street".into(),
            endpoint: Endpoint::default(),
            bucket: BucketName::new("my-bucket").expect("legal"),
            now: SystemTime::now(),
        }
    }

    async fn url(&self, signer: &Signer, object: u64) -> SignedUrl {
        let request = UrlRequest {
            connection: &self.connection,
            method: &Method::GET,
            endpoint: &self.endpoint,
            bucket: &self.bucket,
            object: &ObjectName::new(format!("dataset-001/frame {object}.jpg")).expect("legal"),
            query: &[],
            expires: Duration::from_mins(15),
        };
        self.urls.url(signer, request, self.now).await.expect("signed")
    }
}

fn signing(criterion: &mut Criterion) {
    let runtime = Runtime::new().expect("threads");
    let pair = KeyPair::generate(KeySize::Rsa2048).expect("a key");
    let (signer, _file) = runtime.block_on(signer(&pair));
    let desk = Desk::new();
    let mut group = criterion.benchmark_group("signed URL");
    group.bench_function("bare RSA", |bencher| {
        bencher.iter(|| bare(&pair));
    });
    // Of all samples: what was signed for an earlier one would be known.
    let mut object = 0;
    group.bench_function("cold", |bencher| {
        bencher.iter(|| {
            object += 1;
            runtime.block_on(desk.url(&signer, object))
        });
    });
    group.bench_function("cached", |bencher| {
        bencher.iter(|| runtime.block_on(desk.url(&signer, 0)));
    });
    group.finish();
}

/// The library's RSA with nothing around it.
fn bare(pair: &KeyPair) {
    let mut signature = vec![0; pair.public_modulus_len()];
    let random = SystemRandom::new();
    pair.sign(&RSA_PKCS1_SHA256, &random, black_box(&[7; 130]), &mut signature).expect("signed");
    black_box(&signature);
}

/// What a core gives when it has enough to do, by the CPU time of this process, whatever else the machine does. As in
/// the gateway, one thread has the clients, and others sign.
fn every_core() {
    let runtime = Builder::new_current_thread().build().expect("a runtime");
    let pair = KeyPair::generate(KeySize::Rsa2048).expect("a key");
    let (signer, _file) = runtime.block_on(signer(&pair));
    let (mut alone, mut cold) = (0.0, 0.0);
    for turn in 0..TURNS {
        alone += cpu_of(|| all_bare(&pair));
        cold += cpu_of(|| runtime.block_on(all_cold(&signer, turn * BATCH)));
    }
    println!("a busy core, {CLIENTS} clients: {:.1}% of bare RSA's signatures for its CPU time", 100.0 * alone / cold);
}

/// The CPU time that this process spent on it, in the kernel's ticks.
fn cpu_of(work: impl FnOnce()) -> f64 {
    let ticks = || {
        let stat = std::fs::read_to_string("/proc/self/stat").expect("Linux");
        let (_, fields) = stat.rsplit_once(") ").expect("a name in parentheses");
        fields.split(' ').skip(11).take(2).map(|ticks| ticks.parse::<f64>().expect("a number")).sum::<f64>()
    };
    let before = ticks();
    work();
    ticks() - before
}

/// A batch of nothing but RSA, on all cores.
fn all_bare(pair: &KeyPair) {
    let (left, cores) = (AtomicU64::new(BATCH), available_parallelism().map_or(1, NonZero::get));
    scope(|scope| {
        for _ in 0..cores {
            scope.spawn(|| {
                while next(&left).is_some() {
                    bare(pair);
                }
            });
        }
    });
}

/// A batch of URLs that nobody had signed, `first` and those after it.
async fn all_cold(signer: &Signer, first: u64) {
    let (desk, left) = (Arc::new(Desk::new()), Arc::new(AtomicU64::new(BATCH)));
    let mut clients = JoinSet::new();
    for _ in 0..CLIENTS {
        let (desk, signer, left) = (Arc::clone(&desk), signer.clone(), Arc::clone(&left));
        clients.spawn(async move {
            while let Some(number) = next(&left) {
                desk.url(&signer, first + number).await;
            }
        });
    }
    clients.join_all().await;
}

/// The next piece of work, if any is left.
fn next(left: &AtomicU64) -> Option<u64> {
    left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).ok().map(|before| before - 1)
}

criterion_group!(benches, signing);

fn main() {
    benches();
    // Criterion's own signs that it shall only try.
    let told = |word| std::env::args().any(|argument| argument == word);
    if told("--bench") && !told("--test") && !told("--list") {
        every_core();
    }
}
