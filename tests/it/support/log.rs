//! What the process logs, kept for one test: valid on a current-thread runtime, where everything runs on the test's thread.

use std::io::{self, Write};
use std::sync::{Arc, Mutex, OnceLock};

use gsgate::telemetry::{self, Formatter, Level, TARGET};
use serde_json::Value;
use tracing::Dispatch;
use tracing::subscriber::DefaultGuard;
use tracing_subscriber::registry;

/// The log from now on, as Cloud Logging would get it.
pub struct Log {
    bytes: Arc<Mutex<Vec<u8>>>,
    _guard: DefaultGuard,
}

/// While there is only one subscriber, `tracing` asks that of the thread which passes an event first whether anybody wants
/// it, and keeps the answer for all threads: a test that keeps no log would switch events off for one that does.
static OTHERS: OnceLock<[Dispatch; 2]> = OnceLock::new();

#[derive(Clone)]
struct Sink(Arc<Mutex<Vec<u8>>>);

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Log {
    /// Begins to keep what this thread logs, down to `level`.
    pub fn capture(level: &str) -> Self {
        OTHERS.get_or_init(|| [Dispatch::new(registry()), Dispatch::new(registry())]);
        let sink = Sink(Arc::default());
        let bytes = Arc::clone(&sink.0);
        let level = Level::try_from(level.to_owned()).unwrap();
        let subscriber = telemetry::subscriber(&level, Formatter::Json { project: None }, move || sink.clone());
        Self { bytes, _guard: tracing::subscriber::set_default(subscriber.unwrap()) }
    }

    /// All of it.
    pub fn text(&self) -> String {
        String::from_utf8(self.bytes.lock().unwrap().clone()).unwrap()
    }

    /// The first `count` access events; waits until they are there, since an event is written when its body is done.
    pub async fn access(&self, count: usize) -> Vec<Value> {
        loop {
            let text = self.text();
            let events = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
            let access: Vec<Value> = events.filter(|event| event["target"] == TARGET).collect();
            if access.len() >= count {
                return access;
            }
            tokio::task::yield_now().await;
        }
    }
}
