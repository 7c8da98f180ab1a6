//! Memory under weight, measured on the real binary; the full weight is asked for with `GSGATE_HEAVY_TESTS=1`.
//!
//! The figures in `docs/operations.md` come from here.

use std::sync::Arc;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures_util::future::join_all;
use gsgate::emulator::{Action, Emulator, Fault, Object, Operation};
use http::Method;
use http_body_util::BodyExt as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::wire::{Wire, metric, until};
use crate::support::{Binary, Memory};

const MEBIBYTE: u64 = 1024 * 1024;
const SLOW_READERS: usize = 500;
const IDLE: usize = 10_000;

/// Whether heavy tests are wanted; says so if they are not.
fn wanted() -> bool {
    let wanted = std::env::var_os("GSGATE_HEAVY_TESTS").is_some_and(|value| value == "1");
    if !wanted {
        eprintln!("skipped: GSGATE_HEAVY_TESTS=1 asks for it");
    }
    wanted
}

/// Fails, with the cure, where the system grants fewer descriptors than each side needs.
fn need_descriptors(wanted: usize) {
    let limits = std::fs::read_to_string("/proc/self/limits").unwrap();
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files")).unwrap();
    let granted: usize = line.split_whitespace().next().unwrap().parse().unwrap_or(usize::MAX);
    assert!(granted >= wanted, "{granted} descriptors are granted: run `ulimit -n 20000` in this shell first");
}

async fn start() -> Arc<Binary> {
    Arc::new(Binary::start(Emulator::builder().start().await.unwrap(), "[log]\nlevel = \"warn,gsgate=info\"\n").await)
}

fn told(binary: &Binary, what: &str, idle: u64) {
    let (now, peak) = (binary.memory(Memory::Now), binary.memory(Memory::Peak));
    println!(
        "{what}: resident {:.1} MiB, peak {:.1} MiB, at rest {:.1} MiB, {} descriptors",
        mebibytes(now),
        mebibytes(peak),
        mebibytes(idle),
        binary.descriptors()
    );
}

fn mebibytes(bytes: u64) -> f64 {
    f64::from(u32::try_from(bytes / 1024).unwrap()) / 1024.0
}

#[tokio::test(flavor = "multi_thread")]
async fn a_huge_object_heals_and_passes_through_64_mebibytes() {
    let size = if wanted() { 5 * 1024 * MEBIBYTE } else { 256 * MEBIBYTE };
    let binary = start().await;
    binary.bucket().put("x", Object::generated(size, 7));
    binary.gcs.inject(Fault::new(Action::Reset).on(Operation::Media).after_bytes(size / 3));
    let idle = binary.memory(Memory::Now);
    let began = Instant::now();
    let response = Wire::Http1.open(binary.client.address, Method::GET, "/media/x", &[]).await.unwrap();
    let announced = response.headers()["x-goog-hash"].to_str().unwrap().to_owned();
    let mut body = response.into_body();
    let (mut length, mut sum) = (0, 0);
    while let Some(frame) = body.frame().await {
        let data = frame.expect("an unbroken body").into_data().unwrap();
        length += data.len() as u64;
        sum = crc32c::crc32c_append(sum, &data);
    }
    assert_eq!(length, size);
    assert_eq!(announced, format!("crc32c={}", STANDARD.encode(sum.to_be_bytes())), "byte for byte");
    assert_eq!(binary.gcs.count(Operation::Media), 2, "it was resumed once");
    println!("{} MiB in {:?}", size / MEBIBYTE, began.elapsed());
    told(&binary, "a huge object", idle);
    assert!(binary.memory(Memory::Peak) < 64 * MEBIBYTE);
}

#[tokio::test(flavor = "multi_thread")]
async fn five_hundred_slow_readers_cost_little() {
    if !wanted() {
        return;
    }
    need_descriptors(2_000);
    let binary = start().await;
    binary.bucket().put("x", Object::generated(100 * 1000 * 1000, 7));
    let idle = binary.memory(Memory::Now);
    let readers = (0..SLOW_READERS).map(|_| {
        let binary = Arc::clone(&binary);
        tokio::spawn(async move {
            let mut stream = TcpStream::connect(binary.client.address).await.unwrap();
            stream.write_all(b"GET /media/x HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
            // Some bytes, and then hardly any: all buffers on the way fill up.
            let mut buffer = vec![0; 16 * 1024];
            for _ in 0..64 {
                let _ = stream.read_exact(&mut buffer).await.unwrap();
            }
            stream
        })
    });
    let Ok(streams) = timeout(Duration::from_mins(1), join_all(readers)).await else {
        panic!("readers hang:\n{}", binary.admin.get("/metrics", &[]).await.text());
    };
    let mut streams: Vec<_> = streams.into_iter().map(Result::unwrap).collect();
    for _ in 0..16 {
        for stream in &mut streams {
            let _ = stream.read_exact(&mut [0; 1024]).await.unwrap();
        }
    }
    assert_eq!(metric(binary.admin, "gsgate_requests_in_flight").await, SLOW_READERS as u64);
    told(&binary, "500 slow readers of 100 MB", idle);
    assert!(binary.memory(Memory::Peak) < 640 * MEBIBYTE);
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_idle_connections_cost_little() {
    if !wanted() {
        return;
    }
    need_descriptors(12_000);
    let more = "[server]\nlisten = \"127.0.0.1:0\"\n[server.limits]\nmax_connections = 10100\n";
    let binary = Binary::start(Emulator::builder().start().await.unwrap(), more).await;
    binary.bucket().put("x", Object::bytes("here"));
    let idle = binary.memory(Memory::Now);
    let mut peaks = Vec::new();
    // What one wave leaves must serve the next. The allocator gives memory back when it likes, but a share that each wave
    // leaves would pile up in the peak.
    for wave in ["first", "second", "third", "fourth"] {
        let streams = connect_idle(&binary).await;
        let open = streams.len() as u64;
        until("all open", async || metric(binary.admin, "gsgate_connections_open").await == open).await;
        told(&binary, &format!("{open} idle connections, {wave} wave"), idle);
        assert_eq!(binary.client.get("/media/x", &[]).await.text(), "here", "and one more is served at once");
        drop(streams);
        until("all gone", async || metric(binary.admin, "gsgate_connections_open").await == 0).await;
        told(&binary, "after them", idle);
        peaks.push(binary.memory(Memory::Peak));
    }
    assert!(peaks[3] < peaks[0] * 3 / 2, "{peaks:?}");
    assert!(peaks[3] < 240 * MEBIBYTE, "{peaks:?}");
}

/// Keep-alive connections that have had one answer each.
async fn connect_idle(binary: &Binary) -> Vec<TcpStream> {
    let mut streams = Vec::new();
    for _ in 0..IDLE / 100 {
        let batch = (0..100).map(|_| async {
            let mut stream = TcpStream::connect(binary.client.address).await.unwrap();
            stream.write_all(b"GET /media/x HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
            let mut seen = Vec::new();
            while !seen.ends_with(b"\r\n\r\nhere") {
                let mut buffer = [0; 1024];
                let read = stream.read(&mut buffer).await.unwrap();
                assert!(read > 0);
                seen.extend_from_slice(&buffer[..read]);
            }
            stream
        });
        streams.extend(join_all(batch).await);
    }
    streams
}
