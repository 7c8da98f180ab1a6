//! The demo as a visitor sees it: its page in a real browser, on an origin other than the gateway's.
//!
//! `GSGATE_SCREENSHOTS` names a folder to leave pictures of the page in.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use gsgate::demo::{CONNECTIONS, Demo, Options, PageCors};
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use crate::support::browser::{Browser, Colours};

const ANY_PORT: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

#[tokio::test(flavor = "multi_thread")]
async fn every_check_on_the_page_is_green() {
    let Some((mut browser, results)) = visit(PageCors::Allowed, "green").await else { return };
    let bad: Vec<_> = results.iter().filter(|result| result["ok"] != true).collect();
    assert!(bad.is_empty(), "{bad:#?}\nconsole: {:#?}", browser.console());
    for connection in CONNECTIONS {
        let checks = results.iter().filter(|result| name(result).starts_with(connection)).count();
        assert!(checks > 15, "{connection} has {checks} checks");
    }
    let verdict = browser.evaluate("document.getElementById('verdict').textContent").await;
    assert_eq!(verdict, format!("✓ All {} checks passed", results.len()));

    browser.view_as(360, 740, Colours::Dark).await;
    let width = browser.evaluate("document.documentElement.scrollWidth").await;
    assert_eq!(width, 360, "the page fits a phone without scrolling sideways");
    let paper = browser.evaluate("getComputedStyle(document.body).backgroundColor").await;
    assert_eq!(paper, "rgb(18, 22, 29)", "the page is dark where dark is preferred");
    picture(&mut browser, "phone").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_cors_the_page_turns_red() {
    let Some((mut browser, results)) = visit(PageCors::Refused, "red").await else { return };
    for result in &results {
        // Only what needs no CORS works on: plain images and players over redirects, and what is forbidden anyway.
        let needs_cors = !name(result).starts_with("signed: ")
            || name(result).ends_with("is a redirect")
            || name(result).contains("HEAD");
        let needs_cors = needs_cors && !name(result).ends_with("inside an SVG does not run");
        assert_eq!(result["ok"], !needs_cors, "{result}");
    }
    let verdict = browser.evaluate("document.getElementById('verdict').className").await;
    assert_eq!(verdict, "verdict bad");
}

/// Starts the demo, opens its page and waits for its checks; `None` where there is no browser.
async fn visit(cors: PageCors, name: &str) -> Option<(Browser, Vec<Value>)> {
    let mut browser = Browser::launch().await?;
    let options = Options {
        listen: ANY_PORT,
        admin_listen: ANY_PORT,
        page_listen: ANY_PORT,
        data: None,
        objects: 0,
        latency: None,
        cors,
    };
    let Demo { app, page, scenery, .. } = Demo::start(&options).await.expect("the demo starts");
    let stop = CancellationToken::new();
    let running = tokio::spawn(app.run(stop.clone()));
    browser.view_as(1200, 900, Colours::Light).await;
    browser.goto(&page).await;
    browser.wait_until("window.gsgateChecks?.done").await;
    picture(&mut browser, name).await;
    let results = browser.evaluate("window.gsgateChecks.results").await;
    stop.cancel();
    running.await.expect("the gateway drains");
    drop(scenery);
    Some((browser, results.as_array().expect("a list").clone()))
}

async fn picture(browser: &mut Browser, name: &str) {
    if let Some(folder) = std::env::var_os("GSGATE_SCREENSHOTS") {
        browser.screenshot(&PathBuf::from(folder).join(format!("demo-{name}.png"))).await;
    }
}

fn name(result: &Value) -> &str {
    result["name"].as_str().expect("checks have names")
}
