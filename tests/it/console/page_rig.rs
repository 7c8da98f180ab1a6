//! The page in a browser, over a gateway with the demo's media.

use std::path::PathBuf;

use gsgate::demo::SAMPLES;
use gsgate::emulator::Object;

use crate::faults::wire::{metric, until};
use crate::support::browser::{Browser, Colours};
use crate::support::{Builder, TestGateway};

/// An object whose name is markup.
pub(super) const MARKUP: &str = "documents/<img src=x onerror=\"window.hacked=1\">.txt";

/// A page that is shown.
pub(super) struct Page {
    pub(super) gateway: TestGateway,
    pub(super) browser: Browser,
    pub(super) url: String,
}

/// `media` in order, `broken` over a bucket that is not there, and whatever else.
pub(super) async fn builder(sections: &str) -> Builder {
    let connection = "delivery = \"auto\"\nredirect_above = \"80 KiB\"\ntitle = \"Street scenes\"\ndescription = \"2026 capture, north\"";
    let sections = format!(
        "[cors]\norigins = [\"http://page.example\"]\n[connections.broken]\nuri = \"gs://no-such-bucket-here/data/\"\n\
         title = \"Old <b>archive</b>\"\n{sections}"
    );
    TestGateway::builder().await.connection(connection).sections(&sections)
}

/// Whether the gateway's CORS rules name the page's origin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Listed {
    Yes,
    No,
}

/// Opens the page; `None` where there is no browser.
pub(super) async fn open(builder: Builder, listed: Listed) -> Option<Page> {
    let mut browser = Browser::launch().await?;
    let gateway = builder.start().await;
    for sample in SAMPLES {
        let object = Object::bytes(sample.bytes).content_type(sample.content_type);
        let object = match sample.content_encoding {
            Some(encoding) => object.content_encoding(encoding),
            None => object,
        };
        gateway.put(sample.name, object);
    }
    gateway.put(MARKUP, Object::bytes("<b>plain</b>").content_type("text/plain"));
    let url = format!("http://{}", gateway.admin.address);
    if listed == Listed::Yes {
        gateway.rewrite(|text| text.replace("http://page.example", &url));
        gateway.reload.reload();
        until("the reload", async || metric(gateway.admin, "gsgate_config_reloads_total{outcome=\"ok\"}").await == 1)
            .await;
    }
    browser.view_as(1200, 900, Colours::Light).await;
    browser.goto(&url).await;
    Some(Page { gateway, browser, url })
}

impl Page {
    /// Waits for the connections.
    pub(super) async fn shown(&mut self) {
        self.browser.wait_until("document.documentElement.dataset.shown === 'yes'").await;
    }

    /// Clicks the button with these words in a connection's card.
    pub(super) async fn click(&mut self, connection: &str, words: &str) {
        let click = format!(
            "[...document.querySelectorAll('#card-{connection} button')].find((button) => button.textContent === {words:?}).click()"
        );
        self.browser.evaluate(&click).await;
    }

    /// The text of an element.
    pub(super) async fn text(&mut self, selector: &str) -> String {
        let text = self.browser.evaluate(&format!("document.querySelector({selector:?}).textContent")).await;
        text.as_str().unwrap().to_owned()
    }

    /// Waits until a test has come to an end.
    pub(super) async fn tested(&mut self, connection: &str) -> String {
        let state = format!("document.getElementById('check-{connection}').dataset.state");
        self.browser.wait_until(&format!("{state} !== undefined && {state} !== 'running'")).await;
        self.browser.evaluate(&state).await.as_str().unwrap().to_owned()
    }

    /// Waits until every object of a preview has been shown, or was not.
    pub(super) async fn previewed(&mut self, connection: &str) {
        let figures = format!("[...document.querySelectorAll('#preview-{connection} figure')]");
        let scroll = "window.scrollTo(0, (window.scrollY + 400) % document.body.scrollHeight)";
        let done = format!(
            "({scroll}, {figures}.length > 0 && {figures}.every((figure) => figure.dataset.state !== undefined))"
        );
        self.browser.wait_until(&done).await;
        self.browser.evaluate("window.scrollTo(0, 0)").await;
    }

    /// Leaves a picture where `GSGATE_SCREENSHOTS` says.
    pub(super) async fn picture(&mut self, name: &str) {
        if let Some(folder) = std::env::var_os("GSGATE_SCREENSHOTS") {
            self.browser.screenshot(&PathBuf::from(folder).join(format!("console-{name}.png"))).await;
        }
    }

    /// Nothing was complained about, least of all by the content security policy.
    pub(super) fn assert_quiet(&self) {
        let loud: Vec<_> = self.browser.console().iter().filter(|line| !line.contains("favicon")).collect();
        assert!(loud.is_empty(), "{loud:#?}");
    }
}
