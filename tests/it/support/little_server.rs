//! A small HTTP server that says what the test tells it, for whom the gateway asks besides GCS.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http::request::Parts;
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

type Answer = Box<dyn Fn(&Parts) -> Response<String> + Send + Sync>;

/// A server that is there until it is dropped.
pub struct LittleServer {
    pub address: SocketAddr,
    shared: Arc<Shared>,
    running: JoinHandle<()>,
}

struct Shared {
    answer: Mutex<Answer>,
    heads: Mutex<Vec<Parts>>,
}

impl LittleServer {
    /// Answers every request like this.
    pub async fn start(answer: impl Fn(&Parts) -> Response<String> + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared { answer: Mutex::new(Box::new(answer)), heads: Mutex::default() });
        let running = tokio::spawn(serve(listener, Arc::clone(&shared)));
        Self { address, shared, running }
    }

    /// Answers otherwise from now on.
    pub fn answer(&self, answer: impl Fn(&Parts) -> Response<String> + Send + Sync + 'static) {
        *self.shared.answer.lock().unwrap() = Box::new(answer);
    }

    /// The heads of all requests so far.
    pub fn heads(&self) -> Vec<Parts> {
        self.shared.heads.lock().unwrap().clone()
    }

    /// Where a path is.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }
}

impl Drop for LittleServer {
    fn drop(&mut self) {
        self.running.abort();
    }
}

async fn serve(listener: TcpListener, shared: Arc<Shared>) {
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        let shared = Arc::clone(&shared);
        let service = service_fn(move |request: Request<Incoming>| {
            let (head, _) = request.into_parts();
            let response = (shared.answer.lock().unwrap())(&head).map(|text| Full::new(Bytes::from(text)));
            shared.heads.lock().unwrap().push(head);
            async move { Ok::<_, std::convert::Infallible>(response) }
        });
        // One request a connection, so that nothing of an outage depends on what is kept open.
        tokio::spawn(
            hyper::server::conn::http1::Builder::new()
                .keep_alive(false)
                .serve_connection(TokioIo::new(stream), service),
        );
    }
}
