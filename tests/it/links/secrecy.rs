//! A token is in no log, no metric, no answer and no Referer; the log says why a link was refused, the answer does not.

use std::time::{Duration, SystemTime};

use gsgate::gateway::links::{Expiry, Terms};

use super::rig::{Rig, for_subject, signing, terms, token, token_at, tree_token};
use crate::support::log::Log;

#[tokio::test]
async fn the_log_has_the_reason_and_never_the_token() {
    let log = Log::capture("debug");
    let rig = Rig::start("delivery = \"proxy\"\naccess = \"link\"").await;
    let now = SystemTime::now();
    let past = Terms { expires: Expiry::At(now - Duration::from_secs(1)), ..terms() };
    let later = Terms { not_before: Some(now + Duration::from_mins(30)), ..terms() };
    let elsewhere = Terms { networks: vec!["198.51.100.0/24".parse().unwrap()], ..terms() };
    let k1 = signing("k1", 'a');
    let sent = [
        (token(&for_subject("annotator-17"), "a"), "configured"),
        (tree_token(&terms(), ""), "configured"),
        (token_at(&k1, &past, "a", now - Duration::from_secs(100)), "link-expired"),
        (token_at(&k1, &later, "a", now), "link-not-yet-valid"),
        (token(&elsewhere, "a"), "link-network"),
        (token(&terms(), "b"), "link-mismatch"),
        (token_at(&signing("k2", 'a'), &terms(), "a", now), "link-key-unknown"),
        ("x".repeat(50), "link-malformed"),
    ];
    let mut expected = Vec::new();
    for (token, reason) in &sent {
        for target in
            [format!("/media/a?lsref=1&sig={token}"), format!("/~{token}/media/a"), format!("/%7E{token}/media/a")]
        {
            let answer = rig.from("203.0.113.9", &target).await;
            assert_eq!(answer.header("referrer-policy"), "no-referrer", "{reason}");
            let head = format!("{:?}", answer.headers);
            assert!(!head.contains(token.as_str()) && !answer.text().contains(token.as_str()), "{reason}");
            expected.push(*reason);
        }
    }
    for (target, reason) in [("/media/a", "link-missing"), ("/media/a?sig=a&sig=b", "link-repeated")] {
        rig.from("203.0.113.9", target).await;
        expected.push(reason);
    }
    // Wrong turns lead to the log, too.
    for (token, _) in &sent {
        for target in
            [format!("/~{token}"), format!("/~{token}/"), format!("//~{token}/media/a"), format!("/~{token}/nowhere/a")]
        {
            assert_eq!(rig.from("203.0.113.9", &target).await.status, 404);
        }
    }
    let events = log.access(expected.len() + 4 * sent.len()).await;
    let reasons: Vec<&str> = events
        .iter()
        .take(expected.len())
        .filter_map(|event| event["logging.googleapis.com/labels"]["reason"].as_str())
        .collect();
    assert_eq!(reasons, expected);
    assert_eq!(events[1]["httpRequest"]["requestUrl"], "/~\u{2026}/media/a");
    let (text, metrics) = (log.text(), rig.gateway.admin.get("/metrics", &[]).await);
    let config = rig.gateway.admin.get("/config", &[]).await;
    for (token, reason) in &sent {
        // Half of a token would be too much, too.
        let (front, back) = token.split_at(token.len() / 2);
        for place in [&text, metrics.text(), config.text()] {
            assert!(!place.contains(front) && !place.contains(back), "{reason}: {token}");
        }
    }
    assert!(!config.text().contains("k1.key"), "{}", config.text());
}

#[tokio::test]
async fn a_plain_answer_is_not_told_what_to_refer_to() {
    let rig = Rig::start("delivery = \"proxy\"\naccess = \"network-or-link\"").await;
    assert_eq!(rig.from("203.0.113.9", "/media/a?lsref=1").await.header("referrer-policy"), "");
}

#[tokio::test]
async fn the_audit_log_names_subject_and_link() {
    let audit = tempfile::tempdir().unwrap();
    let path = audit.path().join("audit.log");
    let section = format!("[audit]\noutput = {:?}", path.to_str().unwrap());
    let rig = Rig::with("delivery = \"proxy\"\naccess = \"link\"", |builder| builder.sections(&section)).await;
    let token = token(&for_subject("annotator-17"), "a");
    assert_eq!(rig.from("203.0.113.9", &format!("/media/a?sig={token}")).await.status, 200);
    rig.from("203.0.113.9", "/media/a?sig=nonsense").await;
    let text = async || tokio::fs::read_to_string(&path).await.unwrap_or_default();
    crate::faults::wire::until("two lines", async || text().await.lines().count() >= 2).await;
    let text = text().await;
    let mut lines = text.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
    let (good, bad) = (lines.next().unwrap(), lines.next().unwrap());
    assert_eq!(good["subject"], "annotator-17");
    assert_eq!(good["link"].as_str().unwrap().len(), 16);
    assert_eq!((&bad["subject"], &bad["link"]), (&serde_json::Value::Null, &serde_json::Value::Null));
    assert!(!text.contains(&token[token.len() / 2..]), "{text}");
}
