//! A GCS that is never the limit: media of the JSON API out of memory, with the headers that GCS sends.
//!
//! Buckets whose name ends in `-far` answer later. Counts what it is asked; `/count` tells.
//! Follows <https://cloud.google.com/storage/docs/json_api/v1/objects/get>.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use base64::prelude::{BASE64_STANDARD, Engine as _};
use bytes::Buf;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpListener;

use crate::content::{Content, Object};
use crate::tls;

const HEAD: usize = 16 * 1024;
const GENERATION: u64 = 1_795_311_227_896_802;

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Where tls.crt and tls.key are.
    #[arg(long)]
    keys: PathBuf,
    /// How much later a far bucket answers, in milliseconds.
    #[arg(long, default_value_t = 20)]
    far: u64,
}

struct Origin {
    content: Content,
    asked: AtomicU64,
    far: Duration,
}

pub(crate) async fn run(arguments: Arguments) -> anyhow::Result<()> {
    let origin = Arc::new(Origin {
        content: Content::new(),
        asked: AtomicU64::new(0),
        far: Duration::from_millis(arguments.far),
    });
    let acceptor = tls::acceptor(&arguments.keys)?;
    let plain = TcpListener::bind("127.0.0.1:0").await?;
    let secure = TcpListener::bind("127.0.0.1:0").await?;
    println!("{} {}", plain.local_addr()?, secure.local_addr()?);
    loop {
        tokio::select! {
            accepted = plain.accept() => {
                let (stream, _) = accepted?;
                stream.set_nodelay(true)?;
                tokio::spawn(Arc::clone(&origin).serve(stream));
            }
            accepted = secure.accept() => {
                let (stream, _) = accepted?;
                stream.set_nodelay(true)?;
                let (origin, acceptor) = (Arc::clone(&origin), acceptor.clone());
                tokio::spawn(async move {
                    if let Ok(stream) = acceptor.accept(stream).await {
                        origin.serve(stream).await;
                    }
                });
            }
        }
    }
}

impl Origin {
    async fn serve<S: AsyncRead + AsyncWrite + Unpin>(self: Arc<Self>, mut stream: S) {
        // Whoever goes away in the middle is no concern of ours.
        let _ = self.answer_all(&mut stream).await;
    }

    async fn answer_all<S: AsyncRead + AsyncWrite + Unpin>(&self, stream: &mut S) -> std::io::Result<()> {
        let mut buffer = vec![0; HEAD];
        loop {
            let mut filled = 0;
            while !buffer[..filled].ends_with(b"\r\n\r\n") {
                let read = stream.read(&mut buffer[filled..]).await?;
                if read == 0 {
                    return Ok(());
                }
                filled += read;
            }
            let Ok(text) = std::str::from_utf8(&buffer[..filled]) else { return Ok(()) };
            self.answer(stream, text).await?;
        }
    }

    async fn answer<S: AsyncWrite + Unpin>(&self, stream: &mut S, text: &str) -> std::io::Result<()> {
        let Some(request) = Request::parse(text) else {
            let count = self.asked.load(Ordering::Relaxed).to_string();
            let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{count}", count.len());
            stream.write_all(answer.as_bytes()).await?;
            return stream.flush().await;
        };
        self.asked.fetch_add(1, Ordering::Relaxed);
        if request.bucket.ends_with("-far") {
            tokio::time::sleep(self.far).await;
        }
        let (first, length) = request.span.unwrap_or((0, request.object.size));
        let head = self.head(&request, first, length);
        if !request.media {
            stream.write_all(head.as_bytes()).await?;
            return stream.flush().await;
        }
        let piece = self.content.piece(request.object, first, length);
        stream.write_all_buf(&mut Buf::chain(head.as_bytes(), piece)).await?;
        let mut sent = piece.len() as u64;
        while sent < length {
            let piece = self.content.piece(request.object, first + sent, length - sent);
            stream.write_all(piece).await?;
            sent += piece.len() as u64;
        }
        stream.flush().await
    }

    fn head(&self, request: &Request<'_>, first: u64, length: u64) -> String {
        let Request { object, bucket, .. } = *request;
        let sum = BASE64_STANDARD.encode(self.content.crc32c(object).to_be_bytes());
        let size = object.size;
        if !request.media {
            let name = format!("{size}-{}", object.id);
            let body = format!(
                "{{\"kind\":\"storage#object\",\"name\":\"{name}\",\"bucket\":\"{bucket}\",\
                 \"generation\":\"{GENERATION}\",\"metageneration\":\"1\",\"contentType\":\"image/jpeg\",\
                 \"size\":\"{size}\",\"crc32c\":\"{sum}\",\"etag\":\"CKKd\",\
                 \"updated\":\"2026-11-20T07:33:47.900Z\"}}"
            );
            let length = body.len();
            return format!(
                "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}"
            );
        }
        let mut head = String::with_capacity(1024);
        head.push_str(if request.span.is_some() { "HTTP/1.1 206 Partial Content\r\n" } else { "HTTP/1.1 200 OK\r\n" });
        if request.span.is_some() {
            let _ = write!(head, "content-range: bytes {first}-{}/{size}\r\n", first + length - 1);
        }
        let _ = write!(
            head,
            "x-guploader-uploadid: AJRbA5U2Qm5uYmVuY2gtYmVuY2gtYmVuY2gtYmVuY2gtYmVuY2g\r\n\
             x-goog-generation: {GENERATION}\r\nx-goog-metageneration: 1\r\n\
             x-goog-stored-content-encoding: identity\r\nx-goog-stored-content-length: {size}\r\n\
             x-goog-hash: crc32c={sum}\r\nx-goog-storage-class: STANDARD\r\naccept-ranges: bytes\r\n\
             expires: Sun, 22 Nov 2026 04:00:00 GMT\r\ncache-control: private, max-age=0\r\n\
             date: Sun, 22 Nov 2026 04:00:00 GMT\r\nlast-modified: Fri, 20 Nov 2026 07:33:47 GMT\r\netag: CKKd\r\n\
             content-disposition: attachment\r\nvary: Origin\r\nvary: X-Origin\r\ncontent-type: image/jpeg\r\n\
             content-length: {length}\r\nserver: UploadServer\r\n\
             alt-svc: h3=\":443\"; ma=2592000,h3-29=\":443\"; ma=2592000\r\n\r\n"
        );
        head
    }
}

/// A request for an object's bytes or metadata.
struct Request<'a> {
    bucket: &'a str,
    object: Object,
    media: bool,
    span: Option<(u64, u64)>,
}

impl<'a> Request<'a> {
    fn parse(text: &'a str) -> Option<Self> {
        let mut lines = text.split("\r\n");
        let target = lines.next()?.split(' ').nth(1)?;
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let (bucket, name) = path.strip_prefix("/storage/v1/b/")?.split_once("/o/")?;
        let object = Object::parse(name)?;
        let range = lines
            .filter_map(|line| line.split_once(": "))
            .find(|(name, _)| name.eq_ignore_ascii_case("range"))
            .and_then(|(_, value)| value.strip_prefix("bytes=")?.split_once('-'));
        let span = range.and_then(|(first, last)| {
            let first: u64 = first.parse().ok()?;
            let last = last.parse().unwrap_or(u64::MAX).min(object.size - 1);
            Some((first, last + 1 - first))
        });
        Some(Self { bucket, object, media: query.contains("alt=media"), span })
    }
}
