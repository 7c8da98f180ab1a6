//! What stands behind the gateway: a server that tells what it was sent, and knows two users and one task.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE;
use bytes::Bytes;
use futures_util::{SinkExt as _, StreamExt as _, stream};
use gsgate::emulator::{Emulator, Object};
use http::{Request, Response, StatusCode};
use http_body::Frame;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full, StreamBody};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::sync::Notify;
use tokio_rustls::TlsAcceptor;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::Role;

use crate::support::{BUCKET, TestGateway};

type Answer = Response<UnsyncBoxBody<Bytes, Infallible>>;

/// The server's side of a test.
pub(super) struct Backend {
    pub(super) address: SocketAddr,
    pub(super) shared: Arc<Shared>,
    /// The certificate for `localhost`, where it speaks TLS.
    pub(super) certificate: Option<String>,
}

#[derive(Default)]
pub(super) struct Shared {
    /// The data of task 7.
    data: Mutex<Value>,
    /// Where a resolve that Label Studio answers itself leads.
    location: Mutex<String>,
    /// The targets that were asked for.
    asked: Mutex<Vec<String>>,
    /// Lets a stream of events go on.
    pub(super) more: Notify,
}

impl Backend {
    pub(super) async fn start(data: Value) -> Self {
        Self::listen(data, None).await
    }

    /// The same behind TLS.
    pub(super) async fn start_tls(data: Value) -> Self {
        let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
        let chain = vec![CertificateDer::from_pem_slice(made.cert.pem().as_bytes()).unwrap()];
        let key = PrivateKeyDer::from_pem_slice(made.signing_key.serialize_pem().as_bytes()).unwrap();
        let config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(chain, key)
            .unwrap();
        Self::listen(data, Some((TlsAcceptor::from(Arc::new(config)), made.cert.pem()))).await
    }

    async fn listen(data: Value, tls: Option<(TlsAcceptor, String)>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared { data: Mutex::new(data), ..Shared::default() });
        let served = Arc::clone(&shared);
        let (acceptor, certificate) = tls.unzip();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (shared, acceptor) = (Arc::clone(&served), acceptor.clone());
                tokio::spawn(async move {
                    match acceptor {
                        None => serve(stream, shared).await,
                        // If the gateway does not trust us, that is what a test wants.
                        Some(acceptor) => {
                            if let Ok(stream) = acceptor.accept(stream).await {
                                serve(stream, shared).await;
                            }
                        }
                    }
                });
            }
        });
        Self { address, shared, certificate }
    }

    /// A gateway in front of it, with these further keys of `[label_studio]`.
    pub(super) async fn behind_gateway(&self, keys: &str) -> TestGateway {
        let gateway = TestGateway::builder().await.sections(&self.section(keys)).start().await;
        gateway.put("in/a.jpg", Object::bytes(PICTURE).content_type("image/jpeg"));
        gateway.put("in/secret.txt", Object::bytes("nobody's business").content_type("text/plain"));
        gateway
    }

    pub(super) fn section(&self, keys: &str) -> String {
        format!("[label_studio]\nupstream = \"http://{}\"\n{keys}", self.address)
    }

    pub(super) fn redirects_to(&self, location: &str) {
        location.clone_into(&mut self.shared.location.lock().unwrap());
    }

    /// Puts other data into task 7.
    pub(super) fn holds(&self, data: Value) {
        *self.shared.data.lock().unwrap() = data;
    }

    /// How often something was asked for.
    pub(super) fn count(&self, beginning: &str) -> usize {
        self.shared.asked.lock().unwrap().iter().filter(|target| target.starts_with(beginning)).count()
    }
}

/// The cookie that everybody is handed who is told of a task.
pub(super) const NEXT_SESSION: &str = "session=fedcba9876543210fedcba9876543210";
/// The one that they are handed with a page's scripts.
pub(super) const LATER_SESSION: &str = "session=89abcdef0123456789abcdef01234567";
pub(super) const PICTURE: &[u8] = &[7; 1000];

/// `gs://…` of an object of the connection's bucket.
pub(super) fn gs(name: &str) -> String {
    format!("gs://{BUCKET}/{name}")
}

/// Where task 7's media is resolved.
pub(super) fn resolve(uri: &str) -> String {
    format!("/tasks/7/resolve/?fileuri={}", URL_SAFE.encode(uri))
}

/// A URL that the emulator has signed for an object, as Label Studio would.
pub(super) fn elsewhere(gcs: &Emulator, name: &str) -> String {
    format!("{}/elsewhere/{name}?X-Goog-Signature=0", gcs.endpoint())
}

async fn serve(stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static, shared: Arc<Shared>) {
    let service = service_fn(move |request| {
        let shared = Arc::clone(&shared);
        async move { Ok::<_, Infallible>(answer(&shared, request).await) }
    });
    let http = hyper::server::conn::http1::Builder::new();
    // How the gateway leaves does not matter.
    let _ = http.serve_connection(TokioIo::new(stream), service).with_upgrades().await;
}

async fn answer(shared: &Arc<Shared>, request: Request<Incoming>) -> Answer {
    let target = request.uri().to_string();
    shared.asked.lock().unwrap().push(target.clone());
    match request.uri().path() {
        "/echo" => told(&request),
        "/upload" => {
            let bytes = request.into_body().collect().await.map(|body| body.to_bytes().len());
            text(StatusCode::OK, &format!("{bytes:?}"))
        }
        "/events" => events(shared),
        "/socket" => socket(request),
        "/api/tasks/7/" => by_user(&request, || {
            let mut answer = json(&json!({ "id": 7, "data": *shared.data.lock().unwrap() }));
            // As the real one does with every answer.
            answer.headers_mut().insert("set-cookie", format!("{NEXT_SESSION}; HttpOnly; Path=/").parse().unwrap());
            answer
        }),
        "/react-app/99.js" => by_user(&request, || {
            let mut answer = text(StatusCode::OK, "");
            answer.headers_mut().insert("set-cookie", format!("{LATER_SESSION}; HttpOnly; Path=/").parse().unwrap());
            answer
        }),
        "/api/projects/3/" => by_user(&request, || {
            json(&json!({ "id": 3, "label_config": format!("<Image value=\"{}\"/>", gs("in/a.jpg")) }))
        }),
        path if path.ends_with("/resolve/") => by_user(&request, || {
            let location = shared.location.lock().unwrap().clone();
            let nowhere = target.contains(&URL_SAFE.encode("gs://no-such-bucket/x")) || location.is_empty();
            if nowhere { text(StatusCode::NOT_FOUND, "") } else { redirect(&location) }
        }),
        _ => text(StatusCode::NOT_FOUND, "no such page"),
    }
}

fn by_user(request: &Request<Incoming>, allowed: impl FnOnce() -> Answer) -> Answer {
    let cookie = request.headers().get("cookie").and_then(|value| value.to_str().ok());
    match cookie {
        Some(cookies) if cookies.split("; ").any(|cookie| cookie == "user=owner") => allowed(),
        Some(_) => text(StatusCode::FORBIDDEN, "forbidden, says Label Studio"),
        None => text(StatusCode::UNAUTHORIZED, "who are you, asks Label Studio"),
    }
}

fn told(request: &Request<Incoming>) -> Answer {
    let headers: Vec<_> = request
        .headers()
        .iter()
        .map(|(name, value)| format!("{name}: {}", String::from_utf8_lossy(value.as_bytes())))
        .collect();
    let mut answer = json(&json!({
        "method": request.method().as_str(), "target": request.uri().to_string(), "headers": headers,
    }));
    let headers = answer.headers_mut();
    headers.append("set-cookie", "a=b".parse().unwrap());
    headers.append("set-cookie", "c=d".parse().unwrap());
    headers.insert("connection", "x-private".parse().unwrap());
    headers.insert("x-private", "1".parse().unwrap());
    headers.insert("x-kept", "1".parse().unwrap());
    answer
}

fn events(shared: &Arc<Shared>) -> Answer {
    let shared = Arc::clone(shared);
    let pieces = stream::unfold(0, move |turn| {
        let shared = Arc::clone(&shared);
        async move {
            if turn > 0 {
                shared.more.notified().await;
            }
            (turn < 2).then(|| (Ok(Frame::data(Bytes::from(format!("data: {turn}\n\n")))), turn + 1))
        }
    });
    let mut answer = Response::new(StreamBody::new(pieces).boxed_unsync());
    answer.headers_mut().insert("content-type", "text/event-stream".parse().unwrap());
    answer
}

/// A WebSocket that sends back what it gets, and tells first what it was asked by.
fn socket(mut request: Request<Incoming>) -> Answer {
    let Some(key) = request.headers().get("sec-websocket-key").cloned() else {
        return text(StatusCode::UPGRADE_REQUIRED, "a WebSocket only");
    };
    if !request.headers().contains_key("upgrade") || !request.headers().contains_key("cookie") {
        return text(StatusCode::FORBIDDEN, "not you, says Label Studio");
    }
    let (upgrade, greeting) = (hyper::upgrade::on(&mut request), told(&request).into_body());
    tokio::spawn(async move {
        let upgraded = TokioIo::new(upgrade.await.unwrap());
        let mut socket = WebSocketStream::from_raw_socket(upgraded, Role::Server, None).await;
        let greeting = greeting.collect().await.unwrap().to_bytes();
        socket.send(String::from_utf8(greeting.to_vec()).unwrap().into()).await.unwrap();
        while let Some(Ok(message)) = socket.next().await {
            if (message.is_text() || message.is_binary()) && socket.send(message).await.is_err() {
                break;
            }
        }
    });
    let mut answer = text(StatusCode::SWITCHING_PROTOCOLS, "");
    let headers = answer.headers_mut();
    headers.insert("connection", "upgrade".parse().unwrap());
    headers.insert("upgrade", "websocket".parse().unwrap());
    headers.insert("sec-websocket-accept", derive_accept_key(key.as_bytes()).parse().unwrap());
    answer
}

fn redirect(location: &str) -> Answer {
    let mut answer = text(StatusCode::SEE_OTHER, "");
    answer.headers_mut().insert("location", location.parse().unwrap());
    answer
}

fn json(value: &Value) -> Answer {
    let mut answer = text(StatusCode::OK, &value.to_string());
    answer.headers_mut().insert("content-type", "application/json".parse().unwrap());
    answer
}

fn text(status: StatusCode, text: &str) -> Answer {
    let mut answer = Response::new(Full::new(Bytes::copy_from_slice(text.as_bytes())).boxed_unsync());
    *answer.status_mut() = status;
    answer
}
