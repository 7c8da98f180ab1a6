//! The queue and the writer with real files: nothing is written twice, nothing is lost unseen.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

use super::*;

const PATIENCE: Duration = Duration::from_mins(1);

#[derive(Default)]
struct Counts {
    dropped: AtomicU64,
    failed: AtomicU64,
}

impl Observer for Counts {
    fn dropped(&self, lines: u64) {
        self.dropped.fetch_add(lines, Ordering::SeqCst);
    }

    fn write_failed(&self) {
        self.failed.fetch_add(1, Ordering::SeqCst);
    }
}

fn record(id: &str) -> Record {
    Record {
        time: SystemTime::UNIX_EPOCH,
        request_id: id.to_owned(),
        subject: Some("annotator \"17\"\n".to_owned()),
        link: None,
        client: Some([192, 0, 2, 1].into()),
        method: "GET".to_owned(),
        connection: Some("street".to_owned()),
        object: Some("a/ü.jpg".to_owned()),
        generation: Some(u64::MAX),
        range: Some("bytes 0-1/2".to_owned()),
        status: 206,
        bytes_sent: 2,
        delivery: "proxy",
        reason: "cors",
        outcome: "complete",
        took: Duration::from_millis(250),
    }
}

fn ids(path: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(path).expect("it is there");
    assert!(text.is_empty() || text.ends_with('\n'));
    let id = |line: &str| serde_json::from_str::<serde_json::Value>(line).expect("JSON")["request_id"].to_string();
    text.lines().map(id).collect()
}

#[tokio::test]
async fn lines_are_whole_and_in_order_and_the_file_is_private() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("audit.log");
    let counts = Arc::new(Counts::default());
    let audit = Audit::start(Some(Output::File(path.clone())), counts.clone()).expect("a thread");
    for id in 0..1000 {
        audit.record(record(&id.to_string()));
    }
    audit.finish(PATIENCE).await;
    let expected: Vec<_> = (0..1000).map(|id| format!("\"{id}\"")).collect();
    assert_eq!(ids(&path), expected);
    assert_eq!(std::fs::metadata(&path).expect("there").permissions().mode() & 0o137, 0);
    assert_eq!(counts.dropped.load(Ordering::SeqCst), 0);
    let text = std::fs::read_to_string(&path).expect("there");
    let first = text.lines().next().expect("a line");
    assert_eq!(
        first,
        r#"{"time":"1970-01-01T00:00:00.000Z","request_id":"0","subject":"annotator \"17\"\n","link":null,"client":"192.0.2.1","method":"GET","connection":"street","object":"a/ü.jpg","generation":"18446744073709551615","range":"bytes 0-1/2","status":206,"bytes_sent":2,"delivery":"proxy","reason":"cors","outcome":"complete","seconds":0.25}"#
    );
    audit.record(record("late"));
    assert_eq!(counts.dropped.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_path_that_cannot_be_written_is_tried_again_and_loses_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let missing = folder.path().join("missing");
    let path = missing.join("audit.log");
    let counts = Arc::new(Counts::default());
    let audit = Audit::start(Some(Output::File(path.clone())), counts.clone()).expect("a thread");
    audit.record(record("1"));
    audit.record(record("2"));
    while counts.failed.load(Ordering::SeqCst) == 0 {
        tokio::task::yield_now().await;
    }
    std::fs::create_dir(&missing).expect("a folder");
    // An order to open anew ends the pause.
    audit.reopen(Some(Output::File(path.clone())));
    audit.finish(PATIENCE).await;
    assert_eq!(ids(&path), ["\"1\"", "\"2\""]);
    assert_eq!(counts.dropped.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn a_full_disk_loses_what_does_not_fit_the_queue_and_counts_it() {
    // Every write to this device fails as on a full disk.
    let full = Path::new("/dev/full");
    if !full.exists() {
        return;
    }
    let counts = Arc::new(Counts::default());
    let audit = Audit::with_queue(4, Some(Output::File(full.to_owned())), counts.clone()).expect("a thread");
    audit.record(record("first"));
    while counts.failed.load(Ordering::SeqCst) == 0 {
        tokio::task::yield_now().await;
    }
    for id in 0..10 {
        audit.record(record(&id.to_string()));
    }
    assert_eq!(counts.dropped.load(Ordering::SeqCst), 6);
    audit.finish(Duration::ZERO).await;
    assert_eq!(counts.dropped.load(Ordering::SeqCst), 11);
}

#[tokio::test]
async fn another_output_is_used_from_the_next_line_on() {
    let folder = tempfile::tempdir().expect("a folder");
    let (path, moved) = (folder.path().join("audit.log"), folder.path().join("audit.log.1"));
    let audit = Audit::start(Some(Output::File(path.clone())), Arc::new(Counts::default())).expect("a thread");
    audit.record(record("old"));
    while std::fs::read_to_string(&path).unwrap_or_default().is_empty() {
        tokio::task::yield_now().await;
    }
    std::fs::rename(&path, &moved).expect("moved");
    audit.reopen(Some(Output::File(path.clone())));
    audit.record(record("new"));
    audit.finish(PATIENCE).await;
    assert_eq!((ids(&moved), ids(&path)), (vec!["\"old\"".to_owned()], vec!["\"new\"".to_owned()]));
}

#[tokio::test]
async fn a_line_that_was_broken_off_is_ended_before_the_next() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("audit.log");
    std::fs::write(&path, "{\"request_id\":\"old\"}\n{\"reques").expect("written");
    let audit = Audit::start(Some(Output::File(path.clone())), Arc::new(Counts::default())).expect("a thread");
    audit.record(record("new"));
    audit.finish(PATIENCE).await;
    let text = std::fs::read_to_string(&path).expect("there");
    assert!(text.starts_with("{\"request_id\":\"old\"}\n{\"reques\n{"), "{text}");
    assert!(text.ends_with("}\n"));
}

#[test]
fn an_output_is_a_word_or_a_path() {
    let parse = |text: &str| toml::from_str::<Config>(text).expect("legal").output;
    assert_eq!(parse(""), None);
    assert_eq!(parse("output = \"stdout\""), Some(Output::Stdout));
    assert_eq!(parse("output = \"/var/log/audit\""), Some(Output::File("/var/log/audit".into())));
}
