//! What a crowd costs: one token, and one media request an object.

use bytes::Bytes;
use gsgate::emulator::{Object, Operation};
use http::Request;
use http_body_util::{BodyExt, Empty};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::support::TestGateway;

const CLIENTS: usize = 50;
const EACH: usize = 200;

/// One client on one connection.
async fn ask(address: std::net::SocketAddr) -> usize {
    let stream = TcpStream::connect(address).await.unwrap();
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    let mut good = 0;
    for _ in 0..EACH {
        let request = Request::get("/media/a").header("host", "gateway.test").body(Empty::<Bytes>::new()).unwrap();
        let response = sender.send_request(request).await.unwrap();
        let body = response.into_body().collect().await.unwrap().to_bytes();
        good += usize::from(body == "one hundred");
    }
    good
}

#[tokio::test]
async fn ten_thousand_gets_take_one_token_and_one_media_request_each() {
    let exchange = "[credentials.exchange]\nsource = \"file\"\npath = \"key.json\"\ntoken = \"exchange\"\n[gcs]\ntrusted_hosts = [\"127.0.0.1\"]";
    let connection = "delivery = \"proxy\"\ncredentials = \"exchange\"";
    let gateway = TestGateway::builder().await.connection(connection).sections(exchange).start().await;
    gateway.put("a", Object::bytes("one hundred"));
    let mut clients = JoinSet::new();
    for _ in 0..CLIENTS {
        clients.spawn(ask(gateway.client.address));
    }
    let good: usize = clients.join_all().await.into_iter().sum();
    assert_eq!(good, CLIENTS * EACH);
    assert_eq!(gateway.gcs.count(Operation::Token), 1);
    assert_eq!(gateway.gcs.count(Operation::Media), 10_000);
    assert_eq!(gateway.gcs.count(Operation::Metadata), 0);
    assert!(gateway.client.get("/media/a", &[]).await.status.is_success());
}
