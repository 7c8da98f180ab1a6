//! What a signed URL costs: the library's RSA alone, a URL that must be signed, and one that was signed before.
//!
//! `cargo bench --bench signing`

use std::hint::black_box;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use aws_lc_rs::encoding::{AsDer as _, Pkcs8V1Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeyPair, KeySize};
use aws_lc_rs::signature::RSA_PKCS1_SHA256;
use base64::prelude::{BASE64_STANDARD, Engine as _};
use criterion::{Criterion, criterion_group, criterion_main};
use gsgate::cache::{SignedUrls, UrlRequest};
use gsgate::gcs::credentials::{Config, ControlPlane, Environment};
use gsgate::gcs::sign::{Request, Style};
use gsgate::gcs::{self, Credential, Endpoint, Signer};
use gsgate::object::{BucketName, ObjectName};
use http::Method;
use tokio::runtime::Runtime;

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

fn request(object: u64) -> UrlRequest {
    UrlRequest {
        connection: Arc::from("street"),
        sign: Request {
            method: Method::GET,
            endpoint: Endpoint::default(),
            style: Style::Path,
            bucket: BucketName::new("my-bucket").expect("legal"),
            object: Some(ObjectName::new(format!("dataset-001/frame {object}.jpg")).expect("legal")),
            query: Vec::new(),
            headers: Vec::new(),
            expires: Duration::from_mins(15),
        },
    }
}

fn signing(criterion: &mut Criterion) {
    let runtime = Runtime::new().expect("threads");
    let pair = KeyPair::generate(KeySize::Rsa2048).expect("a key");
    let (signer, _file) = runtime.block_on(signer(&pair));
    let (urls, now) = (SignedUrls::new(1000), SystemTime::now());
    let mut group = criterion.benchmark_group("signed URL");
    group.bench_function("bare RSA", |bencher| {
        let (random, mut signature) = (SystemRandom::new(), vec![0; pair.public_modulus_len()]);
        bencher.iter(|| pair.sign(&RSA_PKCS1_SHA256, &random, black_box(&[7; 130]), &mut signature).expect("signed"));
    });
    // Of all samples: what was signed for an earlier one would be known.
    let mut object = 0;
    group.bench_function("cold", |bencher| {
        bencher.iter(|| {
            object += 1;
            runtime.block_on(urls.url(&signer, request(object), now)).expect("signed")
        });
    });
    group.bench_function("cached", |bencher| {
        bencher.iter(|| runtime.block_on(urls.url(&signer, request(0), now)).expect("signed"));
    });
    group.finish();
}

criterion_group!(benches, signing);
criterion_main!(benches);
