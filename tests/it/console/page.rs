//! The operator's page as an operator uses it, in a real browser.
//!
//! `GSGATE_SCREENSHOTS` names a folder to leave pictures of it in.

use tokio::process::Command;

use super::page_rig::{Listed, MARKUP, builder, open};
use crate::support::browser::Colours;

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_tests_previews_and_exports() {
    let Some(mut page) = open(builder("").await, Listed::Yes).await else { return };
    page.shown().await;
    assert_eq!(page.text("#title-broken").await, "Old <b>archive</b>", "markup in a title is text");
    assert_eq!(page.text("#card-media .facts code").await, "gs://test-media/");

    page.click("media", "Test connection").await;
    page.click("broken", "Test connection").await;
    let (good, bad) = (page.tested("media").await, page.tested("broken").await);
    assert!(good == "ok" || good == "warn", "{good}: {}", page.text("#check-media").await);
    assert_eq!(bad, "fail");
    for (connection, check, state) in [
        ("media", "objects", "ok"),
        ("media", "signed-url", "ok"),
        ("broken", "bucket", "fail"),
        ("broken", "objects", "skipped"),
    ] {
        let row = format!("document.querySelector('#check-{connection} [data-check={check}]').dataset.state");
        assert_eq!(page.browser.evaluate(&row).await, state, "{connection} {check}");
    }
    let cure = page.text("#check-broken [data-check=bucket]").await;
    assert!(cure.contains("Cause: ") && cure.contains("gcloud storage buckets"), "{cure}");
    page.picture("tests").await;

    page.click("media", "Preview").await;
    page.previewed("media").await;
    page.picture("preview").await;
    let kinds = page
        .browser
        .evaluate(
            "Object.fromEntries(['image', 'video', 'audio', 'text'].map((kind) => [kind, [...document.querySelectorAll(\
             `#preview-media figure[data-kind=${kind}]`)].map((figure) => { const shown = figure.querySelector('img, video, \
             audio, pre'); return figure.dataset.state === 'shown' && (shown?.naturalWidth || shown?.duration || \
             shown?.textContent.length || 0) > 0; })]))",
        )
        .await;
    for (kind, least) in [("image", 13), ("video", 1), ("audio", 1), ("text", 3)] {
        let shown = kinds[kind].as_array().unwrap();
        assert!(shown.len() >= least && shown.iter().all(|shown| shown == true), "{kind}: {kinds}");
    }
    let of = |name: &str, inner: &str| {
        format!(
            "[...document.querySelectorAll('#preview-media figure')].find((figure) => figure.dataset.name === {name:?}).querySelector({inner:?}).textContent"
        )
    };
    assert_eq!(page.browser.evaluate(&of(MARKUP, "pre")).await, "<b>plain</b>");
    assert_eq!(page.browser.evaluate(&of(MARKUP, "a")).await, MARKUP);
    assert_eq!(page.browser.evaluate("window.hacked ?? 0").await, 0);
    let delivery = page.browser.evaluate(&of("video/a drive.mp4", ".delivery")).await;
    assert_eq!(delivery, "signed-url as large as redirect_above, or larger");
    let notes = page.browser.evaluate(&of("documents/Notizen für später.txt", "pre")).await;
    assert!(notes.as_str().unwrap().contains("Größe, Höhe, Übergänge"), "{notes}");

    manifest(&mut page).await;
    page.assert_quiet();
}

/// Downloads a manifest and compares it with what the command writes.
async fn manifest(page: &mut super::page_rig::Page) {
    let folder = tempfile::tempdir().unwrap();
    page.browser.save_in(folder.path()).await;
    page.click("media", "Manifest").await;
    let fill = "for (const [id, value] of Object.entries({ format: 'csv', data_type: 'image', data_key: 'picture thumb', \
                public_url: 'https://media.example.com' })) { const field = document.getElementById(`${id}-media`); \
                field.value = value; field.dispatchEvent(new Event('input', { bubbles: true })); }";
    page.browser.evaluate(fill).await;
    let line = page.text("#manifest-media .same").await;
    let flags = line.strip_prefix("gsgate ").unwrap_or_else(|| panic!("{line}")).to_owned();
    page.click("media", "Download").await;
    page.browser.downloaded().await;
    let saved = std::fs::read_to_string(folder.path().join("media.csv")).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_gsgate"));
    command.args(flags.split(' ')).current_dir(page.gateway.folder.path()).env_clear();
    let said = command.env("GSGATE_GCS__ENDPOINT", page.gateway.gcs.endpoint()).output().await.unwrap();
    assert!(said.status.success(), "{line}: {}", String::from_utf8_lossy(&said.stderr));
    assert!(saved.lines().count() > 12 && saved.starts_with("picture,thumb,name"), "{saved}");
    assert_eq!(saved, String::from_utf8(said.stdout).unwrap(), "{line}");
    page.picture("manifest").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn figures_follow_the_traffic_and_the_configuration_has_no_secret() {
    let Some(mut page) = open(builder("").await, Listed::Yes).await else { return };
    page.shown().await;
    page.browser.wait_until("Number(document.getElementById('tiles').dataset.looks) >= 2").await;
    assert_eq!(page.text("#figure-requests .soft").await, "0 in all");
    for _ in 0..40 {
        assert_eq!(page.gateway.client.get("/media/sound/tune.wav", &[]).await.status, 200);
    }
    page.browser.wait_until("document.querySelector('#figure-requests .soft').textContent === '40 in all'").await;
    for tile in ["requests", "bytes", "hits", "errors", "p50", "p99"] {
        let said = page.text(&format!("#figure-{tile} .big")).await;
        assert!(tile == "hits" || said.starts_with(|letter: char| letter.is_ascii_digit()), "{tile}: {said}");
    }
    assert!(page.text("#figure-bytes .soft").await.contains("MiB in all"));
    let plot = page.browser.evaluate("document.querySelector('#figure-requests .curve').getAttribute('d')").await;
    assert!(plot.as_str().unwrap().matches('L').count() >= 1, "{plot}");
    page.browser.evaluate("document.getElementById('config').open = true").await;
    page.browser.wait_until("document.getElementById('config-text').textContent.includes('[connections.media]')").await;
    let config = page.text("#config-text").await;
    assert!(config.contains("path = \"[redacted]\"") && !config.contains("key.json"), "{config}");
    page.picture("figures").await;
    page.assert_quiet();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_keyboard_alone_reaches_everything() {
    let Some(mut page) = open(builder("").await, Listed::Yes).await else { return };
    page.shown().await;
    walk_to(&mut page, "Skip to the connections").await;
    page.browser.press("Enter").await;
    walk_to(&mut page, "Test connection").await;
    page.browser.press("Enter").await;
    assert_eq!(page.tested("broken").await, "fail");
    let live = page.browser.evaluate("document.querySelector('#check-broken .status').getAttribute('role')").await;
    assert_eq!(live, "status", "the outcome is announced");
    walk_to(&mut page, "Preview").await;
    page.browser.press(" ").await;
    let expanded = page.browser.evaluate("document.activeElement.getAttribute('aria-expanded')").await;
    assert_eq!(expanded, "true");
    walk_to(&mut page, "Show the configuration").await;
    page.browser.press("Enter").await;
    page.browser.wait_until("document.getElementById('config-text').textContent.includes('[connections.media]')").await;
    let unnamed = "[...document.querySelectorAll('button, a, input, select, [tabindex=\"0\"]')].filter((node) => \
                   !(node.textContent.trim() || node.getAttribute('aria-label') || node.labels?.length)).length";
    assert_eq!(page.browser.evaluate(unnamed).await, 0, "every control has a name");
}

/// Presses Tab until the control with these words has the focus, and it must show.
async fn walk_to(page: &mut super::page_rig::Page, words: &str) {
    let focused = "document.activeElement.textContent.trim()";
    for _ in 0..80 {
        page.browser.press("Tab").await;
        if page.browser.evaluate(focused).await == words {
            let outline = page.browser.evaluate("getComputedStyle(document.activeElement).outlineStyle").await;
            assert_eq!(outline, "solid", "{words}: the focus shows");
            return;
        }
    }
    panic!("Tab never comes to {words:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn it_fits_a_phone_and_is_dark_where_dark_is_preferred() {
    let Some(mut page) = open(builder("").await, Listed::Yes).await else { return };
    page.browser.view_as(360, 740, Colours::Dark).await;
    page.shown().await;
    for (connection, panel) in
        [("broken", "Test connection"), ("media", "Test connection"), ("media", "Preview"), ("media", "Manifest")]
    {
        page.click(connection, panel).await;
    }
    page.tested("broken").await;
    page.tested("media").await;
    page.previewed("media").await;
    page.browser.evaluate("document.getElementById('config').open = true").await;
    let width = page.browser.evaluate("document.documentElement.scrollWidth").await;
    page.picture("phone").await;
    assert_eq!(width, 360, "the page fits a phone without scrolling sideways");
    let paper = page.browser.evaluate("getComputedStyle(document.body).backgroundColor").await;
    assert_eq!(paper, "rgb(18, 22, 29)");
    page.browser.view_as(1200, 900, Colours::Dark).await;
    page.picture("dark").await;
}
