//! A client of few words: one request on one connection, and all that came back.

use std::collections::BTreeMap;
use std::io;

use gsgate::emulator::Emulator;
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

pub(crate) const READ_ONLY: &str = "https://www.googleapis.com/auth/devstorage.read_only";
pub(crate) const CLOUD: &str = "https://www.googleapis.com/auth/cloud-platform";

/// What came back.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) body: Vec<u8>,
    /// How the connection ended.
    pub(crate) end: io::Result<()>,
    /// Whether the body is whole by its own framing.
    pub(crate) whole: bool,
}

impl Answer {
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).expect("a JSON body")
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", String::as_str)
    }

    fn read(bytes: &[u8], end: io::Result<()>) -> Self {
        let split = bytes.windows(4).position(|window| window == b"\r\n\r\n");
        let Some(split) = split else {
            return Self { status: 0, headers: BTreeMap::new(), body: Vec::new(), end, whole: false };
        };
        let head = String::from_utf8_lossy(&bytes[..split]).into_owned();
        let mut lines = head.lines();
        let status = lines.next().and_then(|line| line.split(' ').nth(1)).and_then(|code| code.parse().ok());
        let mut headers: BTreeMap<String, String> = BTreeMap::new();
        for (name, value) in lines.filter_map(|line| line.split_once(':')) {
            let entry = headers.entry(name.to_ascii_lowercase()).or_default();
            if !entry.is_empty() {
                entry.push_str(" | ");
            }
            entry.push_str(value.trim());
        }
        let raw = &bytes[split + 4..];
        let (body, whole) = if headers.get("transfer-encoding").is_some_and(|coding| coding == "chunked") {
            dechunk(raw)
        } else {
            let length = headers.get("content-length").and_then(|text| text.parse().ok());
            (raw.to_vec(), length.is_none_or(|length: usize| length == raw.len()))
        };
        Self { status: status.expect("a status"), headers, body, end, whole }
    }
}

fn dechunk(mut raw: &[u8]) -> (Vec<u8>, bool) {
    let mut body = Vec::new();
    loop {
        let Some(line) = raw.windows(2).position(|window| window == b"\r\n") else { return (body, false) };
        let size = usize::from_str_radix(&String::from_utf8_lossy(&raw[..line]), 16).expect("a chunk's size");
        raw = &raw[line + 2..];
        if size == 0 {
            return (body, true);
        }
        if raw.len() < size + 2 {
            body.extend_from_slice(raw);
            return (body, false);
        }
        body.extend_from_slice(&raw[..size]);
        raw = &raw[size + 2..];
    }
}

/// Sends a request with these header lines and body; the connection closes after it.
pub(crate) async fn send(gcs: &Emulator, request: &str, headers: &[(&str, &str)], body: &str) -> Answer {
    let mut stream = TcpStream::connect(gcs.address()).await.expect("a connection");
    let mut text = format!("{request} HTTP/1.1\r\nConnection: close\r\n");
    if !headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("host")) {
        text.extend(["Host: ", &gcs.address().to_string(), "\r\n"]);
    }
    for (name, value) in headers {
        text.extend([name, ": ", value, "\r\n"]);
    }
    if !body.is_empty() {
        text.extend(["Content-Length: ", &body.len().to_string(), "\r\n"]);
    }
    stream.write_all(format!("{text}\r\n{body}").as_bytes()).await.expect("written");
    let mut bytes = Vec::new();
    let end = stream.read_to_end(&mut bytes).await.map(drop);
    Answer::read(&bytes, end)
}

/// A GET with a token of the default account.
pub(crate) async fn get(gcs: &Emulator, target: &str, headers: &[(&str, &str)]) -> Answer {
    let bearer = format!("Bearer {}", gcs.issue_token(&gcs.email(), &[READ_ONLY]));
    let mut all = vec![("Authorization", bearer.as_str())];
    all.extend_from_slice(headers);
    send(gcs, &format!("GET {target}"), &all, "").await
}

/// A POST of a form or of JSON.
pub(crate) async fn post(gcs: &Emulator, target: &str, kind: &str, authorization: &str, body: &str) -> Answer {
    let mut headers = vec![("Content-Type", kind)];
    if !authorization.is_empty() {
        headers.push(("Authorization", authorization));
    }
    send(gcs, &format!("POST {target}"), &headers, body).await
}

pub(crate) async fn start() -> Emulator {
    Emulator::builder().start().await.expect("a free port")
}
