//! A load of so many connections for so long, and what it made the watched processes use.
//!
//! Closed loop: each connection asks as soon as it has its answer. Open loop (`--rate`): requests are due at fixed
//! times, and their latency counts from then on, however late a connection became free for them.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use serde_json::json;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::client::{Connection, Head, Target};
use crate::content::Content;
use crate::histogram::Histogram;
use crate::plan::{self, Ask, Plan};
use crate::{http2, watch};

/// Bytes of a small object.
const SMALL: u64 = 4096;
/// How long answers in flight may take after the window.
const DRAIN: Duration = Duration::from_secs(3);

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    plan: plan::Arguments,
    /// Whom to ask.
    #[arg(long)]
    target: SocketAddr,
    /// Over TLS, trusting tls.crt of this folder.
    #[arg(long)]
    tls: Option<PathBuf>,
    #[arg(long, default_value_t = 64)]
    connections: u32,
    /// By HTTP/2, where so many of the connections are streams of one.
    #[arg(long, requires = "tls")]
    http2: Option<u32>,
    /// Requests a second, at fixed times.
    #[arg(long)]
    rate: Option<u32>,
    /// Seconds before anything is measured.
    #[arg(long, default_value_t = 1.0)]
    warm: f64,
    #[arg(long, default_value_t = 3.0)]
    seconds: f64,
    /// Answers whose bytes are compared before all else.
    #[arg(long, default_value_t = 0)]
    verify: u32,
    /// The same of small objects, before idle memory is taken: what any request needs is no stream's.
    #[arg(long, default_value_t = 0, conflicts_with = "range")]
    small: u32,
    /// The status that every answer must have.
    #[arg(long, default_value_t = 200)]
    status: u16,
    /// Processes whose CPU and memory are told.
    #[arg(long, value_delimiter = ',')]
    watch: Vec<u32>,
    /// The origin's plain address: asked how many requests came through.
    #[arg(long)]
    origin: Option<SocketAddr>,
}

/// What all connections share.
struct Shared {
    plan: Plan,
    target: Target,
    status: u16,
    stop: AtomicBool,
    measuring: AtomicBool,
    requests: AtomicU64,
    bytes: AtomicU64,
    latency: Histogram,
    pace: Option<Pace>,
}

/// Over what is asked.
enum Asking {
    Http1(Connection),
    Http2(http2::Connection),
}

impl Asking {
    async fn exchange(
        &mut self,
        request: &[u8],
        piece: impl FnMut(Head, u64, &[u8]) -> anyhow::Result<()>,
    ) -> anyhow::Result<Head> {
        match self {
            Self::Http1(connection) => connection.exchange(request, piece).await,
            Self::Http2(connection) => connection.exchange(request, piece).await,
        }
    }
}

/// When requests are due.
struct Pace {
    due: Semaphore,
    begin: Instant,
    rate: u32,
    taken: AtomicU64,
}

/// What has been used so far.
#[derive(Clone, Copy)]
struct Used {
    at: Instant,
    cpu_nanos: u64,
    requests: u64,
    bytes: u64,
}

pub(crate) async fn run(arguments: Arguments) -> anyhow::Result<()> {
    let target = Target::new(arguments.target, arguments.tls.as_deref(), arguments.http2.is_some())?;
    let pace = |rate| Pace { due: Semaphore::new(0), begin: Instant::now(), rate, taken: AtomicU64::new(0) };
    let small = Plan::new(arguments.plan.of(SMALL));
    let shared = Arc::new(Shared {
        plan: Plan::new(arguments.plan),
        target,
        status: arguments.status,
        stop: AtomicBool::new(false),
        measuring: AtomicBool::new(false),
        requests: AtomicU64::new(0),
        bytes: AtomicU64::new(0),
        latency: Histogram::new(),
        pace: arguments.rate.map(pace),
    });
    let mut connection = shared.open(arguments.http2).await?;
    verify(&small, arguments.small, &mut connection).await?;
    let came_before = upstream(arguments.origin).await?;
    verify(&shared.plan, arguments.verify, &mut connection).await?;
    drop(connection);
    let idle_kib = watch::memory(&arguments.watch, "VmRSS");
    let mut connections = connect(&shared, arguments.connections, arguments.http2).await?;
    let pacer = Arc::clone(&shared);
    let pacer = std::thread::spawn(move || pacer.make_due());
    let window = measure(&shared, &arguments.watch, (arguments.warm, arguments.seconds));
    let (begin, end) = tokio::select! {
        window = window => window,
        failed = failure(&mut connections) => return Err(failed),
    };
    shared.stop.store(true, Ordering::Relaxed);
    pacer.join().ok().context("the pacer panicked")?;
    // Streams longer than anybody's patience are broken off.
    let _ = tokio::time::timeout(DRAIN, all(&mut connections)).await;
    connections.shutdown().await;
    let asked = shared.plan.asked();
    let came = upstream(arguments.origin).await? - came_before;
    let peak_kib = watch::memory(&arguments.watch, "VmHWM");
    println!(
        "{}",
        json!({
            "seconds": (end.at - begin.at).as_secs_f64(),
            "requests": end.requests - begin.requests,
            "bytes": end.bytes - begin.bytes,
            "cpu_nanos": end.cpu_nanos - begin.cpu_nanos,
            "p50_us": shared.latency.quantile(500),
            "p99_us": shared.latency.quantile(990),
            "asked": asked,
            "upstream": came,
            "objects": shared.plan.objects(),
            "idle_kib": idle_kib,
            "peak_kib": peak_kib,
        })
    );
    Ok(())
}

/// Compares so many answers with what the origin has.
async fn verify(plan: &Plan, answers: u32, connection: &mut Asking) -> anyhow::Result<()> {
    if answers == 0 {
        return Ok(());
    }
    let content = Content::new();
    let mut random = fastrand::Rng::new();
    for _ in 0..answers {
        let Ask { object, first, length, request } = plan.next(&mut random);
        let mut total = 0;
        let status = if length < object.size { 206 } else { 200 };
        let compare = |head: Head, place, piece: &[u8]| {
            ensure!(head.status == status, "status {} for {object:?}", head.status);
            total += piece.len() as u64;
            ensure!(content.is(object, first + place, piece), "wrong bytes of {object:?} after {}", first + place);
            Ok(())
        };
        connection.exchange(&request, compare).await?;
        ensure!(total == length, "{total} bytes for {object:?}");
    }
    Ok(())
}

/// Opens all connections, which begin to ask at once.
async fn connect(
    shared: &Arc<Shared>,
    connections: u32,
    http2: Option<u32>,
) -> anyhow::Result<JoinSet<anyhow::Result<()>>> {
    let mut asking = JoinSet::new();
    let streams = http2.unwrap_or(1);
    ensure!(
        streams > 0 && connections.is_multiple_of(streams),
        "{connections} connections cannot be {streams} streams each"
    );
    for _ in 0..connections / streams {
        let connection = shared.open(http2).await?;
        if let Asking::Http2(one) = &connection {
            for _ in 1..streams {
                asking.spawn(Arc::clone(shared).ask_all(Asking::Http2(one.clone())));
            }
        }
        asking.spawn(Arc::clone(shared).ask_all(connection));
    }
    Ok(asking)
}

/// Lets the load run warm, then takes the window.
async fn measure(shared: &Shared, watched: &[u32], (warm, seconds): (f64, f64)) -> (Used, Used) {
    let used = || Used {
        at: Instant::now(),
        cpu_nanos: watch::cpu_nanos(watched),
        requests: shared.requests.load(Ordering::Relaxed),
        bytes: shared.bytes.load(Ordering::Relaxed),
    };
    while shared.plan.objects().is_some_and(|objects| shared.requests.load(Ordering::Relaxed) < objects) {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    tokio::time::sleep(Duration::from_secs_f64(warm)).await;
    shared.measuring.store(true, Ordering::Relaxed);
    let begin = used();
    tokio::time::sleep(Duration::from_secs_f64(seconds)).await;
    let end = used();
    shared.measuring.store(false, Ordering::Relaxed);
    (begin, end)
}

/// The first error of a connection; connections do not end otherwise.
async fn failure(connections: &mut JoinSet<anyhow::Result<()>>) -> anyhow::Error {
    match connections.join_next().await {
        Some(Ok(Err(error))) => error,
        _ => anyhow::anyhow!("a connection ended by itself"),
    }
}

async fn all(connections: &mut JoinSet<anyhow::Result<()>>) {
    while connections.join_next().await.is_some() {}
}

async fn upstream(origin: Option<SocketAddr>) -> anyhow::Result<u64> {
    let Some(address) = origin else { return Ok(0) };
    let mut connection = Connection::with_buffer(&Target { address, tls: None }, 4096).await?;
    let mut count = Vec::new();
    let request = b"GET /count HTTP/1.1\r\nhost: localhost\r\n\r\n";
    connection
        .exchange(request, |_, _, piece| {
            count.extend_from_slice(piece);
            Ok(())
        })
        .await?;
    Ok(String::from_utf8(count)?.parse()?)
}

impl Shared {
    async fn open(&self, http2: Option<u32>) -> anyhow::Result<Asking> {
        Ok(match http2 {
            Some(_) => Asking::Http2(http2::Connection::open(&self.target).await?),
            None => Asking::Http1(Connection::open(&self.target).await?),
        })
    }

    async fn ask_all(self: Arc<Self>, mut connection: Asking) -> anyhow::Result<()> {
        let mut random = fastrand::Rng::new();
        while !self.stop.load(Ordering::Relaxed) {
            let due = match &self.pace {
                Some(pace) => pace.next().await?,
                None => Instant::now(),
            };
            let Ask { length, object, request, .. } = self.plan.next(&mut random);
            let count = |_, _, piece: &[u8]| {
                self.bytes.fetch_add(piece.len() as u64, Ordering::Relaxed);
                Ok(())
            };
            let head = connection.exchange(&request, count).await?;
            let status = if length < object.size { 206 } else { self.status };
            if head.status != status {
                bail!("status {} instead of {status}", head.status);
            }
            self.requests.fetch_add(1, Ordering::Relaxed);
            if self.measuring.load(Ordering::Relaxed) {
                self.latency.record(u64::try_from(due.elapsed().as_micros()).unwrap_or(u64::MAX));
            }
        }
        Ok(())
    }

    /// Makes requests due, on a thread of its own: the runtime's timer knows only milliseconds.
    fn make_due(&self) {
        let Some(pace) = &self.pace else { return };
        let mut made = 0;
        while !self.stop.load(Ordering::Relaxed) {
            let wait = pace.at(made).saturating_duration_since(Instant::now());
            if !wait.is_zero() {
                std::thread::sleep(wait);
            }
            pace.due.add_permits(1);
            made += 1;
        }
    }
}

impl Pace {
    fn at(&self, turn: u64) -> Instant {
        self.begin + Duration::from_nanos(turn * 1_000_000_000 / u64::from(self.rate))
    }

    /// Waits for a request to be due; tells since when it is.
    async fn next(&self) -> anyhow::Result<Instant> {
        self.due.acquire().await?.forget();
        Ok(self.at(self.taken.fetch_add(1, Ordering::Relaxed)))
    }
}
