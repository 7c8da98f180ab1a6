//! Connections that change their protocol.

use futures_util::{SinkExt as _, StreamExt as _};
use gsgate::server::Drained;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{WebSocketStream, client_async};

use super::backend::Backend;
use crate::support::TestGateway;

/// Opens a WebSocket through the gateway; what the backend was asked by comes first.
pub(super) async fn open(gateway: &TestGateway, cookie: bool) -> Result<(WebSocketStream<TcpStream>, Value), Error> {
    let stream = TcpStream::connect(gateway.client.address).await.unwrap();
    let mut request = "ws://label.example/socket?a=b".into_client_request().unwrap();
    if cookie {
        request.headers_mut().insert("cookie", "user=owner".parse().unwrap());
    }
    request.headers_mut().insert("x-forwarded-for", "6.6.6.6".parse().unwrap());
    let (mut socket, answer) = client_async(request, stream).await?;
    assert_eq!(answer.status(), 101);
    let told = socket.next().await.unwrap().unwrap();
    Ok((socket, serde_json::from_str(told.to_text().unwrap()).unwrap()))
}

/// Sends messages of all sizes and gets them back.
pub(super) async fn exchange(socket: &mut WebSocketStream<TcpStream>) {
    let large: Vec<u8> = (0..3_000_000_u32).map(|number| (number % 251) as u8).collect();
    for message in [Message::text("hello"), Message::binary(large), Message::text(""), Message::text("again")] {
        socket.send(message.clone()).await.unwrap();
        assert!(socket.next().await.unwrap().unwrap() == message);
    }
    socket.send(Message::Ping("are you there".into())).await.unwrap();
    assert_eq!(socket.next().await.unwrap().unwrap(), Message::Pong("are you there".into()));
}

#[tokio::test]
async fn a_websocket_passes_both_ways_until_it_is_closed() {
    let backend = Backend::start(json!({})).await;
    let gateway = backend.behind_gateway("").await;
    let (mut socket, told) = open(&gateway, true).await.unwrap();
    assert_eq!(told["target"], "/socket?a=b");
    let headers = told["headers"].to_string();
    for line in ["upgrade: websocket", "host: label.example", "cookie: user=owner", "x-forwarded-for: 127.0.0.1\""] {
        assert!(headers.contains(line), "{line}: {headers}");
    }
    exchange(&mut socket).await;
    // Several at once do not disturb each other.
    let mut others = Vec::new();
    for _ in 0..5 {
        others.push(open(&gateway, true).await.unwrap().0);
    }
    for other in &mut others {
        exchange(other).await;
    }
    socket.close(None).await.unwrap();
    assert!(matches!(socket.next().await, Some(Ok(Message::Close(_)))));
    assert!(socket.next().await.is_none());
}

#[tokio::test]
async fn a_refusal_comes_as_it_is_and_the_connection_goes_on() {
    let backend = Backend::start(json!({})).await;
    let gateway = backend.behind_gateway("").await;
    let Err(Error::Http(refused)) = open(&gateway, false).await else { panic!("not refused") };
    assert_eq!(refused.status(), 403);
    assert_eq!(refused.body().as_deref(), Some(&b"not you, says Label Studio"[..]));

    let mut stream = TcpStream::connect(gateway.client.address).await.unwrap();
    let asks = "connection: upgrade\r\nupgrade: websocket\r\nsec-websocket-key: x\r\n";
    for (path, headers, expected) in [
        ("/socket", asks, "not you, says Label Studio"),
        ("/echo", asks, "\"target\":\"/echo\""),
        ("/echo", "", "\"target\":\"/echo\""),
    ] {
        let head = format!("GET {path} HTTP/1.1\r\nhost: a\r\n{headers}\r\n");
        stream.write_all(head.as_bytes()).await.unwrap();
        let mut answer = String::new();
        while !answer.contains(expected) {
            let mut bytes = [0; 4096];
            let length = stream.read(&mut bytes).await.unwrap();
            assert_ne!(length, 0, "{path}: {answer}");
            answer.push_str(std::str::from_utf8(&bytes[..length]).unwrap());
        }
    }
}

#[tokio::test]
async fn http_in_another_guise_is_not_offered() {
    let backend = Backend::start(json!({})).await;
    let gateway = backend.behind_gateway("").await;
    for protocol in ["h2c", "websocket, h2c", "TLS/1.2", "HTTP/3"] {
        let mut stream = TcpStream::connect(gateway.client.address).await.unwrap();
        let head = format!(
            "GET /echo HTTP/1.1\r\nhost: a\r\nconnection: upgrade, HTTP2-Settings, close\r\nupgrade: {protocol}\r\n\
             http2-settings: AAMAAABkAAQAAP__\r\n\r\n"
        );
        stream.write_all(head.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        assert!(
            answer.starts_with("HTTP/1.1 200 ")
                && !answer.contains("upgrade: ")
                && !answer.contains("http2-settings: "),
            "{answer}"
        );
    }
}

#[tokio::test]
async fn a_silent_tunnel_is_closed_and_one_that_is_used_is_not() {
    let backend = Backend::start(json!({})).await;
    let server = "[server]\nlisten = \"127.0.0.1:0\"\n[server.limits]\nidle_timeout = \"2s\"\n";
    let gateway = TestGateway::builder().await.sections(server).sections(&backend.section("")).start().await;
    let (mut silent, _) = open(&gateway, true).await.unwrap();
    let (mut used, _) = open(&gateway, true).await.unwrap();
    let mut beat = tokio::time::interval(std::time::Duration::from_millis(100));
    let ended = loop {
        tokio::select! {
            ended = silent.next() => break ended,
            _ = beat.tick() => {
                used.send(Message::text("still here")).await.unwrap();
                assert_eq!(used.next().await.unwrap().unwrap(), Message::text("still here"));
            }
        }
    };
    assert!(!matches!(ended, Some(Ok(_))), "it breaks: {ended:?}");
    exchange(&mut used).await;
}

#[tokio::test]
async fn a_server_that_ends_waits_for_no_tunnel() {
    let backend = Backend::start(json!({})).await;
    let gateway = backend.behind_gateway("").await;
    let (mut socket, _) = open(&gateway, true).await.unwrap();
    assert_eq!(gateway.drained().await, Drained { aborted: 0 });
    assert!(!matches!(socket.next().await, Some(Ok(_))));
}
