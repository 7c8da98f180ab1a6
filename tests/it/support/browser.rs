//! Headless Chromium, driven over the DevTools protocol.
//!
//! Everything is bounded by [`PATIENCE`]; nothing is polled from here, waiting happens inside the page.
//! Follows <https://chromedevtools.github.io/devtools-protocol/>.

use std::collections::HashMap;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::net::TcpStream;
use tokio::process::{Child, ChildStderr, Command};
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

const PATIENCE: Duration = Duration::from_mins(1);
const PROGRAMS: [&str; 3] = ["chromium", "chromium-browser", "google-chrome"];
const HOW_TO_INSTALL: &str = "install it with: apt-get install -y chromium";

/// One browser with one page; killed when dropped.
pub struct Browser {
    socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
    session: String,
    last_id: u64,
    loaded: bool,
    downloaded: bool,
    console: Vec<String>,
    /// When each request of the page was sent, in seconds.
    sent: HashMap<String, f64>,
    redirects: Vec<f64>,
    _process: Child,
    _profile: TempDir,
}

impl Browser {
    /// Starts Chromium; `None`, with a line that says so, where there is none and none is required.
    ///
    /// With `GSGATE_REQUIRE_CHROMIUM` set, a missing Chromium fails the test.
    pub async fn launch() -> Option<Self> {
        let Some(program) = PROGRAMS.into_iter().find(|program| on_path(program)) else {
            assert!(std::env::var_os("GSGATE_REQUIRE_CHROMIUM").is_none(), "Chromium was not found; {HOW_TO_INSTALL}");
            eprintln!("skipped: Chromium was not found; {HOW_TO_INSTALL}");
            return None;
        };
        let profile = TempDir::new().expect("a folder for the browser's profile");
        let mut process = Command::new(program)
            .args(["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"])
            .args(["--disable-background-networking", "--disable-component-update", "--disable-sync"])
            .args(["--disable-dev-shm-usage", "--mute-audio", "--remote-debugging-port=0"])
            .arg(format!("--user-data-dir={}", profile.path().display()))
            .arg("about:blank")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("Chromium starts");
        let stderr = process.stderr.take().expect("stderr is piped");
        let address = timeout(PATIENCE, devtools_address(stderr)).await.expect("Chromium opens its DevTools port");
        let (socket, _) = connect_async(address).await.expect("Chromium takes DevTools connections");
        let mut browser = Self {
            socket,
            session: String::new(),
            last_id: 0,
            loaded: false,
            downloaded: false,
            console: Vec::new(),
            sent: HashMap::new(),
            redirects: Vec::new(),
            _process: process,
            _profile: profile,
        };
        browser.attach().await;
        Some(browser)
    }

    /// Opens `url` and waits for its load event.
    pub async fn goto(&mut self, url: &str) {
        self.loaded = false;
        self.sent.clear();
        self.redirects.clear();
        let answer = self.call("Page.navigate", json!({ "url": url })).await;
        assert!(answer.get("errorText").is_none(), "{url}: {}", answer["errorText"]);
        timeout(PATIENCE, async {
            while !self.loaded {
                let event = self.receive().await;
                self.note(&event);
            }
        })
        .await
        .unwrap_or_else(|_| panic!("{url} was not loaded within {PATIENCE:?}"));
    }

    /// How long each answer took, in milliseconds, that led this page's requests elsewhere; after [`Browser::without_cache`].
    pub fn redirects(&self) -> &[f64] {
        &self.redirects
    }

    /// Keeps nothing from one page to the next.
    pub async fn without_cache(&mut self) {
        self.call("Network.enable", json!({})).await;
        self.call("Network.setCacheDisabled", json!({ "cacheDisabled": true })).await;
        self.call("Network.setBypassServiceWorker", json!({ "bypass": true })).await;
    }

    /// Runs a script at the beginning of every page.
    pub async fn begin_pages_with(&mut self, script: &str) {
        self.call("Page.addScriptToEvaluateOnNewDocument", json!({ "source": script })).await;
    }

    /// The value of a JavaScript expression; a promise is awaited.
    pub async fn evaluate(&mut self, expression: &str) -> Value {
        let parameters = json!({ "expression": expression, "awaitPromise": true, "returnByValue": true });
        let mut answer = self.call("Runtime.evaluate", parameters).await;
        assert!(
            answer.get("exceptionDetails").is_none(),
            "{expression}: {}\nconsole: {:#?}",
            answer["exceptionDetails"],
            self.console
        );
        answer["result"]["value"].take()
    }

    /// Waits, inside the page, until a JavaScript expression is true.
    pub async fn wait_until(&mut self, expression: &str) {
        let poll = format!(
            "new Promise((resolve) => {{ const look = () => ({expression}) ? resolve(true) : setTimeout(look, 25); \
             look(); }})"
        );
        self.evaluate(&poll).await;
    }

    /// What the page has written to its console so far, uncaught exceptions included.
    pub fn console(&self) -> &[String] {
        &self.console
    }

    /// The size of the window, in CSS pixels, and whether dark colours are preferred.
    pub async fn view_as(&mut self, width: u32, height: u32, colours: Colours) {
        let size = json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": false });
        self.call("Emulation.setDeviceMetricsOverride", size).await;
        self.call("Emulation.setScrollbarsHidden", json!({ "hidden": true })).await;
        let value = match colours {
            Colours::Light => "light",
            Colours::Dark => "dark",
        };
        let media = json!({ "features": [{ "name": "prefers-color-scheme", "value": value }] });
        self.call("Emulation.setEmulatedMedia", media).await;
    }

    /// Presses and releases a key: `Tab`, `Enter`, ` `, or a letter.
    pub async fn press(&mut self, key: &str) {
        let (code, text) = match key {
            "Tab" => (9, ""),
            "Enter" => (13, "\r"),
            " " => (32, " "),
            letter => (0, letter),
        };
        let down = json!({ "type": "keyDown", "key": key, "code": key, "text": text, "windowsVirtualKeyCode": code });
        self.call("Input.dispatchKeyEvent", down).await;
        let up = json!({ "type": "keyUp", "key": key, "code": key, "windowsVirtualKeyCode": code });
        self.call("Input.dispatchKeyEvent", up).await;
    }

    /// Lets files be saved in a folder; see [`Browser::downloaded`].
    pub async fn save_in(&mut self, folder: &Path) {
        let behaviour = json!({ "behavior": "allow", "downloadPath": folder });
        self.call("Page.setDownloadBehavior", behaviour).await;
    }

    /// Waits until the file that the page saves is there.
    pub async fn downloaded(&mut self) {
        timeout(PATIENCE, async {
            while !std::mem::take(&mut self.downloaded) {
                let event = self.receive().await;
                self.note(&event);
            }
        })
        .await
        .unwrap_or_else(|_| panic!("nothing was downloaded within {PATIENCE:?}"));
    }

    /// Writes a PNG of the whole page to `path`.
    pub async fn screenshot(&mut self, path: &Path) {
        let size = self.call("Page.getLayoutMetrics", json!({})).await["cssContentSize"].take();
        let clip = json!({ "x": 0, "y": 0, "width": size["width"], "height": size["height"], "scale": 1 });
        let whole = json!({ "format": "png", "captureBeyondViewport": true, "clip": clip });
        let answer = self.call("Page.captureScreenshot", whole).await;
        let picture = STANDARD.decode(answer["data"].as_str().expect("a picture")).expect("base64");
        std::fs::write(path, picture).expect("the screenshot can be written");
    }

    async fn attach(&mut self) {
        let target = self.call("Target.createTarget", json!({ "url": "about:blank" })).await;
        let attach = json!({ "targetId": target["targetId"], "flatten": true });
        let attached = self.call("Target.attachToTarget", attach).await;
        attached["sessionId"].as_str().expect("a session").clone_into(&mut self.session);
        for domain in ["Page.enable", "Runtime.enable", "Log.enable"] {
            self.call(domain, json!({})).await;
        }
    }

    async fn call(&mut self, method: &str, parameters: Value) -> Value {
        self.last_id += 1;
        let id = self.last_id;
        let mut message = json!({ "id": id, "method": method, "params": parameters });
        if !self.session.is_empty() {
            message["sessionId"] = self.session.clone().into();
        }
        self.socket.send(Message::text(message.to_string())).await.expect("Chromium takes commands");
        timeout(PATIENCE, async {
            loop {
                let mut answer = self.receive().await;
                if answer["id"] == id {
                    assert!(answer.get("error").is_none(), "{method}: {}", answer["error"]);
                    return answer["result"].take();
                }
                self.note(&answer);
            }
        })
        .await
        .unwrap_or_else(|_| panic!("{method} was not answered within {PATIENCE:?}: {parameters}"))
    }

    async fn receive(&mut self) -> Value {
        loop {
            let message = self.socket.next().await.expect("Chromium is still there").expect("a WebSocket message");
            if let Message::Text(text) = message {
                return serde_json::from_str(&text).expect("DevTools speaks JSON");
            }
        }
    }

    fn note(&mut self, event: &Value) {
        let parameters = &event["params"];
        match event["method"].as_str() {
            Some("Page.loadEventFired") => self.loaded = true,
            Some("Network.requestWillBeSent") => {
                let id = parameters["requestId"].as_str().unwrap_or_default();
                let now = parameters["timestamp"].as_f64().unwrap_or_default();
                let before = self.sent.insert(id.to_owned(), now);
                if let Some(before) = before.filter(|_| parameters.get("redirectResponse").is_some()) {
                    self.redirects.push((now - before) * 1000.0);
                }
            }
            Some("Page.downloadProgress") => self.downloaded |= parameters["state"] == "completed",
            Some("Runtime.consoleAPICalled") => {
                let words = parameters["args"].as_array().into_iter().flatten();
                let words: Vec<_> = words.map(|word| word["value"].to_string()).collect();
                self.console.push(words.join(" "));
            }
            Some("Runtime.exceptionThrown") => self.console.push(parameters["exceptionDetails"].to_string()),
            Some("Log.entryAdded") => self.console.push(parameters["entry"]["text"].to_string()),
            _ => {}
        }
    }
}

/// The colours that the page is asked to use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Colours {
    Light,
    Dark,
}

/// Reads the address that Chromium prints, then keeps draining the pipe so that Chromium never blocks on it.
async fn devtools_address(stderr: ChildStderr) -> String {
    let mut lines = BufReader::new(stderr).lines();
    let mut seen = Vec::new();
    while let Some(line) = lines.next_line().await.expect("stderr is text") {
        if let Some(address) = line.strip_prefix("DevTools listening on ") {
            let address = address.to_owned();
            tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
            return address;
        }
        seen.push(line);
    }
    panic!("Chromium ended without opening its DevTools port:\n{}", seen.join("\n"));
}

fn on_path(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(program).is_file())
}
