//! A gateway that trusts one key, and a client that has it.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{RSA_PKCS1_SHA256, RsaKeyPair};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use bytes::Bytes;
use gsgate::emulator::Object;
use gsgate::gcs::sign;
use gsgate::label_studio::storage::{NewKey, PATH};
use gsgate::object::{BucketName, ObjectName};
use http::{Method, Request};
use http_body_util::{BodyExt as _, Full};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::net::TcpStream;

use crate::support::{Answer, BUCKET, Builder, TestGateway};

pub(super) const GOOGLE: &str = "https://oauth2.googleapis.com/token";
pub(super) const FULL: &str = "https://www.googleapis.com/auth/devstorage.full_control \
    https://www.googleapis.com/auth/devstorage.read_only https://www.googleapis.com/auth/devstorage.read_write";
/// Besides `media`, which the endpoint does not have.
const CONNECTIONS: &str = "[connections.inside]\nuri = \"gs://test-media/in/\"\n\
    [connections.notes]\nuri = \"gs://test-media/notes/\"\n\
    [connections.other]\nuri = \"gs://other-media/\"\nfilter = \".*\\\\.jpg$\"\nrecursive = false\n\
    delivery = \"signed-url\"\n";

/// A key, as its owner has it.
pub(super) struct Owner {
    pub(super) email: String,
    pub(super) id: String,
    pub(super) file: String,
    pub(super) public: String,
    pair: RsaKeyPair,
    key: NewKey,
}

pub(super) struct Rig {
    pub(super) gateway: TestGateway,
    pub(super) owner: Owner,
    pub(super) folder: TempDir,
}

impl Owner {
    pub(super) fn new(token_uri: &str) -> Self {
        let key = NewKey::generate().unwrap();
        let file = key.file(token_uri).to_string();
        let json: Value = serde_json::from_str(&file).unwrap();
        let text = |name: &str| json[name].as_str().unwrap().to_owned();
        let der: String = text("private_key").lines().filter(|line| !line.starts_with('-')).collect();
        let pair = RsaKeyPair::from_pkcs8(&STANDARD.decode(der).unwrap()).unwrap();
        let public = key.public_pem().to_owned();
        Self { email: text("client_email"), id: text("private_key_id"), file, public, pair, key }
    }

    /// Its key file, for tokens from elsewhere.
    pub(super) fn file_for(&self, token_uri: &str) -> String {
        self.key.file(token_uri).to_string()
    }

    pub(super) fn sign(&self, message: &[u8]) -> Vec<u8> {
        let mut signature = vec![0; self.pair.public_modulus_len()];
        self.pair.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), message, &mut signature).unwrap();
        signature
    }

    /// The claims that Google's client writes.
    pub(super) fn claims(&self) -> Value {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
        json!({ "iss": self.email, "aud": GOOGLE, "scope": FULL, "iat": now, "exp": now + 3600 })
    }

    /// An assertion of these claims.
    pub(super) fn assertion(&self, claims: &Value) -> String {
        self.jwt(&json!({ "alg": "RS256", "typ": "JWT", "kid": self.id }), claims)
    }

    pub(super) fn jwt(&self, header: &Value, claims: &Value) -> String {
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let signed = format!("{}.{}", part(header), part(claims));
        let signature = URL_SAFE_NO_PAD.encode(self.sign(signed.as_bytes()));
        format!("{signed}.{signature}")
    }

    /// `Authorization` with a token for everything.
    pub(super) fn bearer(&self) -> String {
        format!("Bearer {}", self.assertion(&self.claims()))
    }

    /// A signed URL's target, good for ten minutes from `when` on.
    pub(super) fn signed(&self, (method, bucket, object): (&Method, &str, &str), when: SystemTime) -> String {
        let request = sign::Request::object(
            method.clone(),
            "http://gateway.test".parse().unwrap(),
            BucketName::new(bucket).unwrap(),
            ObjectName::new(object).unwrap(),
            Duration::from_mins(10),
        );
        let draft = request.draft(&self.email, when).unwrap();
        let signature = self.sign(draft.string_to_sign().as_bytes());
        draft.into_url(&signature).replacen("http://gateway.test", PATH, 1)
    }
}

impl Rig {
    /// With `inside` to read and `notes` to write to, and these further keys.
    pub(super) async fn start(keys: &str) -> Self {
        Self::with("connections = [\"inside\", \"other\"]\nexport = [\"notes\"]", keys, |builder| builder).await
    }

    pub(super) async fn with(names: &str, keys: &str, change: impl FnOnce(Builder) -> Builder) -> Self {
        let owner = Owner::new("http://gateway.test/-/label-studio/gcs/token");
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("key.pub");
        std::fs::write(&file, &owner.public).unwrap();
        let section =
            format!("{CONNECTIONS}[label_studio.storage]\nkeys = [{:?}]\n{names}\n{keys}\n", file.to_str().unwrap());
        let builder = change(TestGateway::builder().await);
        let gateway = builder.sections(&section).start().await;
        for (name, text) in [("in/a.txt", "hello"), ("in/deep/b c.txt", "deep"), ("secret.txt", "nobody's business")] {
            gateway.put(name, Object::bytes(text).content_type("text/plain"));
        }
        let other = gateway.gcs.bucket("other-media");
        for name in ["a.jpg", "b.png", "deep/c.jpg"] {
            other.put(name, Object::bytes(name));
        }
        Self { gateway, owner, folder }
    }

    /// With a good token.
    pub(super) async fn get(&self, target: &str) -> Answer {
        self.get_with(target, &[]).await
    }

    pub(super) async fn get_with(&self, target: &str, headers: &[(&str, &str)]) -> Answer {
        let bearer = self.owner.bearer();
        let headers = [&[("authorization", bearer.as_str())], headers].concat();
        self.gateway.client.get(&format!("{PATH}{target}"), &headers).await
    }

    pub(super) async fn send(
        &self,
        method: Method,
        target: &str,
        headers: &[(&str, &str)],
        body: impl Into<Bytes>,
    ) -> Answer {
        let bearer = self.owner.bearer();
        let headers = [&[("authorization", bearer.as_str())], headers].concat();
        self.send_bare(method, target, &headers, body.into()).await
    }

    /// Without a token of its own.
    pub(super) async fn send_bare(
        &self,
        method: Method,
        target: &str,
        headers: &[(&str, &str)],
        body: Bytes,
    ) -> Answer {
        let stream = TcpStream::connect(self.gateway.client.address).await.unwrap();
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection);
        let target = format!("{PATH}{target}");
        let own = [("host", "gateway.test")];
        let own = if headers.iter().any(|(name, _)| *name == "host") { &own[..0] } else { &own[..] };
        let request = Request::builder().method(method).uri(target);
        let headers = [own, headers].concat();
        let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
        let response = sender.send_request(request.body(Full::new(body)).unwrap()).await.unwrap();
        let (head, body) = response.into_parts();
        let body = body.collect().await.map(http_body_util::Collected::to_bytes).map_err(Into::into);
        Answer { status: head.status, headers: head.headers, body }
    }

    pub(super) fn names(&self) -> Vec<String> {
        self.gateway.gcs.bucket(BUCKET).names()
    }
}

/// What Cloud Storage says of an error: status, and reason.
pub(super) fn refusal(answer: &Answer) -> (u16, String) {
    let json: Value = serde_json::from_slice(answer.bytes()).unwrap_or_else(|_| panic!("{}", answer.text()));
    assert_eq!(json["error"]["code"], answer.status.as_u16(), "{json}");
    (answer.status.as_u16(), json["error"]["errors"][0]["reason"].as_str().unwrap().to_owned())
}

pub(super) fn json_of(answer: &Answer) -> Value {
    assert_eq!(answer.status, 200, "{}", answer.text());
    serde_json::from_slice(answer.bytes()).unwrap()
}
