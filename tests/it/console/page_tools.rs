//! The page where something stands in the way: a token, an address that is not admitted, CORS, a gateway out of reach.

use super::page_rig::{Listed, builder, open};

const TOKEN: &str = "page-token-0123456789abcdef";

#[tokio::test(flavor = "multi_thread")]
async fn the_page_asks_for_the_token_and_keeps_it_for_the_tab_alone() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("token");
    std::fs::write(&file, TOKEN).unwrap();
    let admin = format!("[admin]\nlisten = \"127.0.0.1:0\"\ntoken_file = \"{}\"", file.display());
    let Some(mut page) = open(builder(&admin).await, Listed::Yes).await else { return };
    let enter = |token: &str| {
        format!(
            "document.getElementById('token-text').value = {token:?}; document.getElementById('token-form').requestSubmit()"
        )
    };
    page.browser.wait_until("document.getElementById('token').open").await;
    assert_eq!(page.browser.evaluate("document.activeElement.id").await, "token-text");
    page.picture("token").await;
    page.browser.evaluate(&enter(&TOKEN[1..])).await;
    page.browser
        .wait_until("document.getElementById('token').open && !document.getElementById('token-trouble').hidden")
        .await;
    assert_eq!(page.text("#token-trouble").await, "That is not the token.");
    page.browser.evaluate(&enter(TOKEN)).await;
    page.shown().await;
    assert_eq!(page.text("#title-media").await, "Street scenes");
    page.click("media", "Test connection").await;
    let state = page.tested("media").await;
    assert!(state == "ok" || state == "warn", "{state}");
    let kept =
        page.browser.evaluate("[sessionStorage.length, localStorage.length, document.cookie, location.href]").await;
    assert_eq!(kept, serde_json::json!([1, 0, "", format!("{}/", page.url)]));
    let url = page.url.clone();
    page.browser.goto(&url).await;
    page.shown().await;
    assert_eq!(page.browser.evaluate("document.getElementById('token').open").await, false, "the tab knows it");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_demands_a_link_is_shown_by_one_to_who_has_the_token() {
    let folder = tempfile::tempdir().unwrap();
    let Some(mut page) = open(builder(&super::links::sections(folder.path())).await, Listed::Yes).await else { return };
    page.browser.wait_until("document.getElementById('token').open").await;
    let enter = "document.getElementById('token-text').value = 'links-token-0123456789'; \
                 document.getElementById('token-form').requestSubmit()";
    page.browser.evaluate(enter).await;
    page.shown().await;
    page.click("linked", "Preview").await;
    page.previewed("linked").await;
    let shown = "[...document.querySelectorAll('#preview-linked figure')].map((figure) => figure.dataset.state)";
    assert_eq!(page.browser.evaluate(shown).await, serde_json::json!(vec!["shown"; 12]));
    page.click("linked", "Manifest").await;
    page.browser.evaluate("document.querySelector('#manifest-linked [name=link]').click()").await;
    let line = page.text("#manifest-linked .same").await;
    assert!(line.contains(" --link") && line.contains("--expires 30days"), "{line}");
    page.picture("links").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_network_or_cors_forbid_is_said_plainly() {
    let closed = "[connections.closed]\nuri = \"gs://test-media/images/\"\nallow = [\"192.0.2.1\"]";
    let Some(mut page) = open(builder(closed).await, Listed::No).await else { return };
    page.shown().await;
    page.click("media", "Preview").await;
    page.previewed("media").await;
    let said = page.text("#preview-media").await;
    let origin = page.url.clone();
    assert!(said.contains(&format!("CORS: {origin} is not among the connection's origins")), "{said}");
    assert!(said.contains("Not readable by this page (CORS)."), "{said}");
    let shown = "[...document.querySelectorAll('#preview-media figure[data-kind=image]')].every((figure) => \
                 figure.dataset.state === 'shown')";
    assert_eq!(page.browser.evaluate(shown).await, true, "pictures need no CORS");
    page.click("closed", "Preview").await;
    page.previewed("closed").await;
    let said = page.text("#preview-closed").await;
    assert!(said.contains("does not admit 127.0.0.1, which is where this page is seen from"), "{said}");
    assert!(said.contains("The gateway answers, but does not admit 127.0.0.1."), "{said}");
    page.picture("forbidden").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_out_of_reach_is_said_plainly() {
    let server = "[server]\nlisten = \"127.0.0.1:0\"\npublic_url = \"http://127.0.0.1:1/base\"";
    let Some(mut page) = open(builder(server).await, Listed::Yes).await else { return };
    page.shown().await;
    assert_eq!(page.text("#gateway").await, "Served at http://127.0.0.1:1/base.");
    page.click("media", "Preview").await;
    page.previewed("media").await;
    let said = page.text("#preview-media").await;
    assert!(said.contains("Nothing can be had from http://127.0.0.1:1: this browser does not reach it"), "{said}");
}
