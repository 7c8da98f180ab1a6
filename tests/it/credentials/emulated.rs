//! Tokens and signatures, judged by the emulator: what it accepts as GCS would.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use gsgate::cache::signed_urls::{SignedUrls, UrlRequest};
use gsgate::emulator::{Action, Emulator, Fault, Object, Operation, SubjectSource};
use gsgate::gcs::credentials::{Config, ControlPlane, Credential, Environment};
use gsgate::gcs::{self, Token};
use gsgate::object::{BucketName, ObjectName};

const NAME: &str = "a b*/ü#?+%2F.jpg";

/// The emulator with one object, and a folder for credential files.
struct Cloud {
    emulator: Emulator,
    folder: tempfile::TempDir,
    http: reqwest::Client,
}

impl Cloud {
    async fn new() -> Self {
        let emulator = Emulator::builder().start().await.expect("a free port");
        emulator.bucket("bucket").put(NAME, Object::bytes("pixels"));
        let http = reqwest::Client::builder().no_proxy().build().expect("a client");
        Self { emulator, folder: tempfile::tempdir().expect("a folder"), http }
    }

    fn environment(&self) -> Environment {
        let emulator = self.emulator.clone();
        let host = self.emulator.address().to_string();
        Environment::of([("GCE_METADATA_HOST", &host), ("GOOGLE_EXTERNAL_ACCOUNT_ALLOW_EXECUTABLES", "1")])
            .with_clock(move || emulator.now())
            .with_iam_endpoint(self.emulator.endpoint().parse().expect("an endpoint"))
    }

    async fn load(&self, toml: &str) -> Credential {
        let config: Config = toml::from_str(toml).expect("a good table");
        let gcs = gcs::Config { trusted_hosts: vec!["127.0.0.1".to_owned()], ..gcs::Config::default() };
        let control = ControlPlane::new(&gcs).expect("clients");
        Credential::load(&config, &self.environment(), &control).await.expect("a good credential")
    }

    async fn file(&self, content: &str, more: &str) -> Credential {
        // Files are read again at each refresh, so each credential has its own.
        let path = self.folder.path().join(format!("{}.json", fastrand::u64(..)));
        std::fs::write(&path, content).expect("can be written");
        self.load(&super::from(&path, more)).await
    }

    async fn read(&self, token: &Token) -> u16 {
        let object = ObjectName::new(NAME).expect("a name");
        let url = format!("{}/storage/v1/b/bucket/o/{}?alt=media", self.emulator.endpoint(), object.as_segment());
        let request = self.http.get(url).header("authorization", token.authorization());
        request.send().await.expect("an answer").status().as_u16()
    }

    async fn accepts(&self, what: &str, credential: &Credential) {
        let token = credential.token().await.map_err(|error| super::chain(&error));
        let token = token.unwrap_or_else(|error| panic!("{what}: {error}")).expect("not anonymous");
        assert_eq!(self.read(&token).await, 200, "{what}");
    }

    async fn accepts_url(&self, what: &str, credential: &Credential, method: http::Method) {
        let request = UrlRequest {
            connection: &Arc::from("c"),
            method: &method,
            endpoint: &self.emulator.endpoint().parse().expect("an endpoint"),
            bucket: &BucketName::new("bucket").expect("a bucket"),
            object: &ObjectName::new(NAME).expect("a name"),
            query: &[("response-content-disposition", "attachment; filename*=UTF-8''a%20b.jpg")],
            expires: Duration::from_mins(10),
        };
        let signer = credential.signer().unwrap_or_else(|| panic!("{what} can sign"));
        let url = SignedUrls::new(10).url(&signer, request, self.emulator.now()).await;
        let url = url.unwrap_or_else(|error| panic!("{what}: {}", super::chain(&error)));
        let location = url.location().to_str().expect("text").to_owned();
        assert_eq!(self.fetch(method.clone(), &location).await, 200, "{what} {method}");
        let other = if method == http::Method::GET { http::Method::HEAD } else { http::Method::GET };
        assert_eq!(self.fetch(other, &location).await, 403, "{what}: another method");
    }

    async fn fetch(&self, method: http::Method, url: &str) -> u16 {
        self.http.request(method, url).send().await.expect("an answer").status().as_u16()
    }
}

#[tokio::test]
async fn every_kind_of_credential_reads() {
    let cloud = Cloud::new().await;
    let emulator = &cloud.emulator;
    let key = emulator.service_account_json().expect("a key");
    cloud.accepts("a key", &cloud.file(&key, "").await).await;
    cloud.accepts("an exchanged key", &cloud.file(&key, "token = \"exchange\"").await).await;
    cloud.accepts("a user", &cloud.file(&emulator.authorized_user_json(), "").await).await;
    let delegate = "between@emulated-project.iam.gserviceaccount.com";
    cloud.accepts("impersonation", &cloud.file(&emulator.impersonated_json(&[delegate]), "").await).await;
    cloud.accepts("the metadata server", &cloud.load("").await).await;
    emulator.grant_token_creator(&emulator.email(), "other@emulated-project.iam.gserviceaccount.com");
    let more = "impersonate = \"other@emulated-project.iam.gserviceaccount.com\"";
    cloud.accepts("a key that impersonates", &cloud.file(&key, more).await).await;
    cloud.accepts("a machine that impersonates", &cloud.load(more).await).await;
}

#[tokio::test]
async fn every_source_of_a_subject_token_reads() {
    let cloud = Cloud::new().await;
    let emulator = &cloud.emulator;
    emulator.register_subject_token("hidden-subject", "workload");
    let subject = cloud.folder.path().join("subject");
    std::fs::write(&subject, "hidden-subject").expect("can be written");
    let output = r#"{"version":1,"success":true,"token_type":"urn:ietf:params:oauth:token-type:id_token","id_token":"hidden-subject"}"#;
    let printed = cloud.folder.path().join("printed");
    std::fs::write(&printed, output).expect("can be written");
    let command = format!("cat '{}'", printed.display());
    for source in
        [SubjectSource::File(&subject), SubjectSource::Url, SubjectSource::Aws, SubjectSource::Executable(&command)]
    {
        for impersonate in [false, true] {
            let file = emulator.external_account_json(&source, impersonate);
            cloud.accepts(&format!("{source:?}, {impersonate}"), &cloud.file(&file, "").await).await;
        }
    }
}

#[tokio::test]
async fn every_signer_signs_what_gcs_verifies() {
    let cloud = Cloud::new().await;
    let emulator = &cloud.emulator;
    let key = emulator.service_account_json().expect("a key");
    emulator.register_subject_token("hidden-subject", "workload");
    let delegate = "between@emulated-project.iam.gserviceaccount.com";
    emulator.grant_token_creator(&emulator.email(), &emulator.email());
    emulator.grant_token_creator("annotator@example.com", &emulator.email());
    let named = format!("sign_as = \"{}\"", emulator.email());
    let federated = emulator.external_account_json(&SubjectSource::Url, true);
    for (what, credential) in [
        ("a key", cloud.file(&key, "").await),
        ("impersonation", cloud.file(&emulator.impersonated_json(&[delegate]), "").await),
        ("the metadata server", cloud.load("").await),
        ("federation", cloud.file(&federated, "").await),
        ("a user with sign_as", cloud.file(&emulator.authorized_user_json(), &named).await),
    ] {
        for method in [http::Method::GET, http::Method::HEAD] {
            cloud.accepts_url(what, &credential, method).await;
        }
    }
}

#[tokio::test]
async fn an_outage_of_the_token_endpoint_passes() {
    let cloud = Cloud::new().await;
    let credential = cloud.file(&cloud.emulator.authorized_user_json(), "").await;
    cloud.accepts("a user", &credential).await;
    // Nearly expired: the old token serves on while nobody gives a new one.
    cloud.emulator.advance_clock(Duration::from_mins(58));
    cloud.emulator.inject(Fault::new(Action::status(503)).on(Operation::Token).always());
    cloud.accepts("an old token", &credential).await;
    cloud.emulator.advance_clock(Duration::from_mins(5));
    assert!(credential.token().await.is_err());
    cloud.emulator.clear_faults();
    cloud.emulator.advance_clock(Duration::from_mins(1));
    cloud.accepts("a new token", &credential).await;
}

#[tokio::test]
async fn revoked_tokens_are_replaced_after_a_401() {
    let cloud = Cloud::new().await;
    let credential = cloud.file(&cloud.emulator.authorized_user_json(), "").await;
    let token = credential.token().await.expect("no error").expect("a token");
    cloud.emulator.revoke_tokens();
    assert_eq!(cloud.read(&token).await, 401);
    credential.invalidate(&token);
    cloud.accepts("a new token", &credential).await;
    assert!(token.expires_at() > SystemTime::now());
}
