//! The real Label Studio, as `pip install label-studio` gives it: a process of its own, with a database of its own.
//!
//! `GSGATE_LABEL_STUDIO` names its executable; without it there is none, which a test says and passes over, unless
//! `GSGATE_REQUIRE_LABEL_STUDIO` is set. Its first start creates the database, which takes half a minute; that is done
//! once, into a template beside the build, and copied for each further one.

mod api;

use std::fs::File;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;
use tokio::process::{Child, Command};
use tokio::time::{Instant, interval};

pub use api::{Api, Session};

use super::TestGateway;
use super::browser::Browser;

/// The first user, who owns the organisation.
pub const EMAIL: &str = "owner@example.com";
pub const PASSWORD: &str = "correct horse";
const TOKEN: &str = "0123456789abcdef0123456789abcdef01234567";

/// Longer than creating the database takes on a busy machine.
const PATIENCE: Duration = Duration::from_mins(5);
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// Nobody outside is asked or told anything.
const QUIET: [(&str, &str); 5] = [
    ("COLLECT_ANALYTICS", "0"),
    ("LATEST_VERSION_CHECK", "0"),
    ("SENTRY_DSN", ""),
    ("FRONTEND_SENTRY_DSN", ""),
    ("LABEL_STUDIO_ENABLE_LEGACY_API_TOKEN", "true"),
];

/// A port and a database for a Label Studio that does not run yet: what stands in front of it has to know where it will be.
pub struct Reserved {
    program: PathBuf,
    address: SocketAddr,
    folder: TempDir,
}

/// A running Label Studio; killed when dropped.
pub struct LabelStudio {
    pub address: SocketAddr,
    process: Child,
    folder: TempDir,
}

impl Reserved {
    /// `None`, with a line that says so, where there is no Label Studio and none is required.
    pub async fn new() -> Option<Self> {
        let Some(program) = std::env::var_os("GSGATE_LABEL_STUDIO").map(PathBuf::from) else {
            let required = std::env::var_os("GSGATE_REQUIRE_LABEL_STUDIO").is_some();
            assert!(!required, "GSGATE_LABEL_STUDIO has to name the executable `label-studio`");
            eprintln!("skipped: GSGATE_LABEL_STUDIO names no Label Studio; .ci/e2e installs one");
            return None;
        };
        let template = template(&program).await;
        let folder = tempfile::tempdir().unwrap();
        copy(&template, folder.path()).await;
        Some(Self { program, address: free_address(), folder })
    }

    /// Where it will be.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Starts it with these variables in its otherwise empty environment, and waits until it answers.
    pub async fn start(self, environment: &[(&str, &str)]) -> LabelStudio {
        let Self { program, address, folder } = self;
        let mut process = spawn(&program, folder.path(), address, environment);
        ready(&mut process, address, folder.path()).await;
        LabelStudio { address, process, folder }
    }
}

impl LabelStudio {
    /// One that knows of no gateway.
    pub async fn start() -> Option<Self> {
        Some(Reserved::new().await?.start(&[]).await)
    }

    /// Its address for browsers.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Its API, as the first user.
    pub fn api(&self) -> Api {
        Api::new(self.url(), TOKEN)
    }

    /// How many threads it has: each request that it answers holds one until its last byte is out.
    pub fn threads(&self) -> usize {
        let id = self.process.id().unwrap();
        std::fs::read_dir(format!("/proc/{id}/task")).unwrap().count()
    }

    /// What it has printed.
    pub fn log(&self) -> String {
        log(self.folder.path())
    }
}

/// Signs a browser in by Label Studio's own form; `url` is its origin.
pub async fn sign_in(browser: &mut Browser, url: &str, email: &str, password: &str) {
    browser.goto(&format!("{url}/user/login/")).await;
    let script = format!(
        "(async () => {{ const form = document.getElementById('login-form'); if (form) {{ form.email.value = {email:?}; \
         form.password.value = {password:?}; \
         await fetch(form.action, {{ method: 'POST', body: new URLSearchParams(new FormData(form)) }}); }} \
         const me = await fetch('/api/current-user/whoami'); return (await me.json()).email; }})()"
    );
    assert_eq!(browser.evaluate(&script).await, email, "{:#?}", browser.console());
}

/// A database with the first user in it; made once for each executable.
async fn template(program: &Path) -> PathBuf {
    let name: String = program.display().to_string().chars().filter(char::is_ascii_alphanumeric).collect();
    let parent = Path::new(env!("CARGO_TARGET_TMPDIR")).join("label-studio");
    std::fs::create_dir_all(&parent).unwrap();
    let lock = File::create(parent.join(format!("{name}.lock"))).unwrap();
    let lock = tokio::task::spawn_blocking(move || lock.lock().map(|()| lock)).await.unwrap().unwrap();
    let template = parent.join(name);
    if !template.exists() {
        let folder = tempfile::tempdir_in(&parent).unwrap();
        let address = free_address();
        let mut process = spawn(program, folder.path(), address, &[]);
        ready(&mut process, address, folder.path()).await;
        let stop = format!("kill -TERM {}", process.id().unwrap());
        assert!(Command::new("sh").args(["-c", &stop]).status().await.unwrap().success());
        process.wait().await.unwrap();
        std::fs::rename(folder.keep(), &template).unwrap();
    }
    drop(lock);
    template
}

fn spawn(program: &Path, folder: &Path, address: SocketAddr, environment: &[(&str, &str)]) -> Child {
    let output = File::options().create(true).append(true).open(folder.join("label-studio.log")).unwrap();
    let port = address.port().to_string();
    Command::new(program)
        .args(["start", "--no-browser", "--internal-host", "127.0.0.1", "--port", &port])
        .args(["--username", EMAIL, "--password", PASSWORD, "--user-token", TOKEN])
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .env("HOME", folder)
        .env("LABEL_STUDIO_BASE_DATA_DIR", folder)
        .envs(QUIET)
        .envs(environment.iter().copied())
        .stdin(Stdio::null())
        .stdout(output.try_clone().unwrap())
        .stderr(output)
        .kill_on_drop(true)
        .spawn()
        .unwrap_or_else(|error| panic!("{} does not start: {error}", program.display()))
}

async fn ready(process: &mut Child, address: SocketAddr, folder: &Path) {
    let began = Instant::now();
    let mut looks = interval(LOOK_EVERY);
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    loop {
        looks.tick().await;
        let answer = http.get(format!("http://{address}/health")).send().await;
        if answer.is_ok_and(|answer| answer.status().is_success()) {
            return;
        }
        let ended = process.try_wait().unwrap();
        let late = began.elapsed() > PATIENCE;
        assert!(ended.is_none() && !late, "Label Studio does not come up: {ended:?}\n{}", log(folder));
    }
}

async fn copy(from: &Path, to: &Path) {
    let status = Command::new("cp").arg("-a").arg(from.join(".")).arg(to).status().await.unwrap();
    assert!(status.success(), "{} cannot be copied", from.display());
}

/// Free a moment ago: Label Studio takes a number only.
fn free_address() -> SocketAddr {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap()
}

fn log(folder: &Path) -> String {
    std::fs::read_to_string(folder.join("label-studio.log")).unwrap_or_default()
}

/// What `gsgate tasks media` writes with these flags, for the gateway as its clients reach it.
pub async fn manifest(gateway: &TestGateway, flags: &[&str]) -> Value {
    let output = Command::new(env!("CARGO_BIN_EXE_gsgate"))
        .args(["tasks", "media", "--config"])
        .arg(gateway.folder.path().join("gsgate.toml"))
        .args(["--public-url", &format!("http://{}", gateway.client.address)])
        .args(flags)
        .env("GSGATE_GCS__ENDPOINT", gateway.gcs.endpoint())
        .stdin(Stdio::null())
        .output()
        .await
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}
