//! The real binary as a process of its own, in front of an emulated GCS in this one.

use std::net::SocketAddr;
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use gsgate::emulator::{BucketHandle, Emulator};
use serde_json::Value;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};
use tokio::sync::Notify;
use tokio::time::timeout;

use super::{BUCKET, Client};

/// Longer than anything here takes; only a failure waits for it.
const PATIENCE: Duration = Duration::from_mins(1);

/// A running `gsgate serve`; killed when dropped.
pub struct Binary {
    pub gcs: Emulator,
    pub client: Client,
    pub admin: Client,
    /// Holds `gsgate.toml` and the key.
    pub folder: TempDir,
    process: Child,
    log: Arc<Log>,
}

/// What the process has logged so far.
#[derive(Default)]
struct Log {
    lines: Mutex<Vec<Value>>,
    /// Lines about requests, which are only counted: those of a heavy test would be all that is kept.
    requests: AtomicUsize,
    more: Notify,
}

/// A number of `/proc/PID/status`, in bytes.
#[derive(Clone, Copy, Debug)]
pub enum Memory {
    Now,
    Peak,
}

impl Binary {
    /// One connection, `media`, open to anyone and proxied; `sections` are further ones.
    pub async fn start(gcs: Emulator, sections: &str) -> Self {
        Self::with_descriptors(gcs, sections, "$(ulimit -n)").await
    }

    /// The same with this many file descriptors at most.
    pub async fn with_descriptors(gcs: Emulator, sections: &str, most: &str) -> Self {
        gcs.bucket(BUCKET);
        let folder = tempfile::tempdir().unwrap();
        let key = folder.path().join("key.json");
        write_private(&key, &gcs.service_account_json().unwrap());
        let section = |name: &str, keys: String| if sections.contains(name) { String::new() } else { keys };
        let server = section("[server]", "[server]\nlisten = \"127.0.0.1:0\"\n".to_owned());
        let key = key.display();
        let text = format!(
            "{server}[admin]\nlisten = \"127.0.0.1:0\"\n[access]\nallow = \"anyone\"\n\
             [credentials.default]\nsource = \"file\"\npath = \"{key}\"\n\
             [connections.media]\nuri = \"gs://{BUCKET}/\"\ndelivery = \"proxy\"\n{sections}"
        );
        let config = folder.path().join("gsgate.toml");
        std::fs::write(&config, text).unwrap();
        let mut process = Command::new("sh")
            .args(["-c", &format!("ulimit -n {most} && exec \"$0\" \"$@\""), env!("CARGO_BIN_EXE_gsgate")])
            .arg("serve")
            .arg("--config")
            .arg(&config)
            .env("GSGATE_GCS__ENDPOINT", gcs.endpoint())
            .env("GSGATE_LOG__FORMAT", "json")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let log = Arc::new(Log::default());
        tokio::spawn(follow(process.stderr.take().unwrap(), Arc::clone(&log)));
        let nowhere = Client { address: SocketAddr::from(([127, 0, 0, 1], 0)) };
        let mut binary = Self { gcs, client: nowhere, admin: nowhere, folder, process, log };
        binary.client.address = binary.address("serving").await;
        binary.admin.address = binary.address("admin listener").await;
        binary
    }

    /// The bucket of the connection `media`.
    pub fn bucket(&self) -> BucketHandle {
        self.gcs.bucket(BUCKET)
    }

    /// Changes the configuration's text.
    pub fn rewrite(&self, change: impl FnOnce(String) -> String) {
        let path = self.folder.path().join("gsgate.toml");
        let text = change(std::fs::read_to_string(&path).unwrap());
        std::fs::write(path, text).unwrap();
    }

    /// Sends a signal: `TERM`, `HUP`, …
    pub async fn signal(&self, name: &str) {
        let script = format!("kill -{name} {}", self.id());
        assert!(Command::new("sh").args(["-c", &script]).status().await.unwrap().success(), "{script}");
    }

    /// Waits for a line whose text contains `words`, and gives it.
    pub async fn logged(&self, words: &str) -> Value {
        let wait = async {
            loop {
                let more = self.log.more.notified();
                let found =
                    self.log.lines.lock().unwrap().iter().find(|line| line.to_string().contains(words)).cloned();
                if let Some(line) = found {
                    return line;
                }
                more.await;
            }
        };
        timeout(PATIENCE, wait).await.unwrap_or_else(|_| panic!("never logged: {words}\n{:#?}", self.log.lines.lock()))
    }

    /// Waits until as many requests are logged; tells how many are.
    pub async fn requests_logged(&self, count: usize) -> usize {
        let wait = async {
            loop {
                let more = self.log.more.notified();
                let logged = self.log.requests.load(Ordering::Relaxed);
                if logged >= count {
                    return logged;
                }
                more.await;
            }
        };
        let logged = timeout(PATIENCE, wait).await;
        logged.unwrap_or_else(|_| panic!("{} of {count}", self.log.requests.load(Ordering::Relaxed)))
    }

    /// How many lines with these words there are.
    pub fn lines(&self, words: &str) -> usize {
        self.log.lines.lock().unwrap().iter().filter(|line| line.to_string().contains(words)).count()
    }

    /// Waits for the process to end by itself.
    pub async fn ended(&mut self) -> ExitStatus {
        timeout(PATIENCE, self.process.wait()).await.expect("the process ends").unwrap()
    }

    /// How many descriptors it has open.
    pub fn descriptors(&self) -> usize {
        std::fs::read_dir(format!("/proc/{}/fd", self.id())).unwrap().count()
    }

    /// Its resident memory in bytes.
    pub fn memory(&self, which: Memory) -> u64 {
        let name = match which {
            Memory::Now => "VmRSS:",
            Memory::Peak => "VmHWM:",
        };
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
        line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
    }

    fn id(&self) -> u32 {
        self.process.id().expect("it runs")
    }

    async fn address(&self, message: &str) -> SocketAddr {
        let line = self.logged(&format!("\"message\":\"{message}\"")).await;
        line["address"].as_str().unwrap().parse().unwrap()
    }
}

async fn follow(stderr: tokio::process::ChildStderr, log: Arc<Log>) {
    let mut lines = BufReader::new(stderr).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        let value = serde_json::from_str(&line).unwrap_or(Value::String(line));
        if value.get("httpRequest").is_some() {
            log.requests.fetch_add(1, Ordering::Relaxed);
        } else {
            log.lines.lock().unwrap().push(value);
        }
        log.more.notify_waiters();
    }
}

fn write_private(path: &Path, text: &str) {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::write(path, text).unwrap();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).unwrap();
}
