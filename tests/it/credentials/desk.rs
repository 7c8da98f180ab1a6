//! An HTTP server that gives out numbered tokens and remembers what it was asked.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::TcpListener;

/// One request.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    pub(crate) path: String,
    pub(crate) query: String,
    pub(crate) authorization: Option<String>,
    pub(crate) headers: http::HeaderMap,
    pub(crate) body: String,
}

impl Asked {
    /// A field of the form.
    pub(crate) fn form(&self, name: &str) -> Option<String> {
        let url = reqwest::Url::parse(&format!("http://x/?{}", self.body)).expect("a form");
        url.query_pairs().find(|(key, _)| key == name).map(|(_, value)| value.into_owned())
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).expect("JSON")
    }
}

#[derive(Default)]
struct State {
    asked: Vec<Asked>,
    given: usize,
    faults: VecDeque<(u16, Value)>,
    flavorless: bool,
}

/// The server; it closes with the runtime.
pub(crate) struct Desk {
    address: SocketAddr,
    state: Arc<Mutex<State>>,
}

impl Desk {
    pub(crate) async fn open() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let (address, state) = (listener.local_addr().expect("an address"), Arc::<Mutex<State>>::default());
        let shared = state.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let state = shared.clone();
                let service = service_fn(move |request| answer(state.clone(), request));
                let connection =
                    hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service);
                tokio::spawn(async move { connection.await.ok() });
            }
        });
        Self { address, state }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    pub(crate) fn host(&self) -> String {
        self.address.to_string()
    }

    /// The next answer.
    pub(crate) fn fail(&self, status: u16, body: Value) {
        self.state.lock().expect("no panic").faults.push_back((status, body));
    }

    /// Forgets to say that it is Google.
    pub(crate) fn lose_flavor(&self) {
        self.state.lock().expect("no panic").flavorless = true;
    }

    pub(crate) fn asked(&self, path_end: &str) -> Vec<Asked> {
        let state = self.state.lock().expect("no panic");
        state.asked.iter().filter(|asked| asked.path.ends_with(path_end)).cloned().collect()
    }
}

async fn answer(state: Arc<Mutex<State>>, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let (head, body) = request.into_parts();
    let body = body.collect().await.map(http_body_util::Collected::to_bytes).unwrap_or_default();
    let authorization = head.headers.get("authorization").and_then(|value| value.to_str().ok()).map(str::to_owned);
    let asked = Asked {
        path: head.uri.path().to_owned(),
        query: head.uri.query().unwrap_or_default().to_owned(),
        authorization,
        headers: head.headers,
        body: String::from_utf8_lossy(&body).into_owned(),
    };
    let mut state = state.lock().expect("no panic");
    state.asked.push(asked.clone());
    let (status, body) = state.faults.pop_front().unwrap_or_else(|| {
        state.given += 1;
        (200, content(&asked, state.given))
    });
    let text = body.as_str().map_or_else(|| body.to_string(), str::to_owned);
    let mut response = Response::new(Full::from(text));
    *response.status_mut() = StatusCode::from_u16(status).expect("a status");
    if asked.path.starts_with("/computeMetadata") && !state.flavorless {
        response.headers_mut().insert("metadata-flavor", http::HeaderValue::from_static("Google"));
    }
    Ok(response)
}

fn content(asked: &Asked, number: usize) -> Value {
    let issued = |kind: &str| format!("hidden-{kind}-{number}");
    match asked.path.rsplit(['/', ':']).next().unwrap_or_default() {
        "sts" => json!({ "access_token": issued("sts"), "token_type": "Bearer", "expires_in": "3600" }),
        "generateAccessToken" => {
            let end = std::time::SystemTime::now() + std::time::Duration::from_hours(1);
            json!({ "accessToken": issued("iam"), "expireTime": humantime::format_rfc3339_seconds(end).to_string() })
        }
        "signBlob" => json!({ "keyId": "k", "signedBlob": STANDARD.encode(format!("signature-{number}")) }),
        "email" => super::ACCOUNT.into(),
        "universe-domain" => "googleapis.com".into(),
        "subject" => json!({ "id": { "x": 1 }, "token": "hidden-subject" }),
        "session" => "hidden-session".into(),
        "zone" => "eu-west-1b".into(),
        "roles" => "role".into(),
        "role" => json!({ "AccessKeyId": "AKID", "SecretAccessKey": "hidden-aws", "Token": "hidden-aws-token" }),
        "token" if asked.path.starts_with("/computeMetadata") => {
            json!({ "access_token": issued("mds"), "expires_in": 3600 })
        }
        _ => json!({ "access_token": issued("user"), "expires_in": 3600 }),
    }
}
