//! Which objects are listed, in which order, and what happens when pages fail.

use std::fmt::Write as _;
use std::time::{Duration, SystemTime};

use gsgate::emulator::{Action, Fault, Object, Operation};

use super::rig::{Rig, URL};

/// More than a page, of two kinds of name; in order.
fn many() -> Vec<String> {
    let mut names: Vec<String> = (0..2500).map(|n| format!("a/img_{n:05}.jpg")).collect();
    names.extend((0..1500_u32).map(|n| format!("b/{:08x}.png", n.wrapping_mul(2_654_435_761))));
    names.extend(["ü/🦀.jpg".to_owned(), "春.jpg".to_owned()]);
    names.sort();
    names
}

fn urls(names: &[String]) -> Vec<String> {
    names
        .iter()
        .map(|name| {
            let encoded = name.bytes().fold(String::new(), |mut text, byte| {
                match byte {
                    b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' | b'/' => {
                        text.push(byte.into());
                    }
                    byte => write!(text, "%{byte:02X}").unwrap(),
                }
                text
            });
            format!("{URL}/media/{encoded}")
        })
        .collect()
}

async fn filled() -> Rig {
    let rig = Rig::start().await;
    rig.put(&many().iter().map(String::as_str).collect::<Vec<_>>());
    rig
}

#[tokio::test]
async fn many_pages_come_in_the_order_of_their_names() {
    let rig = filled().await;
    assert_eq!(rig.lines(&["media", "--format", "txt"]).await, urls(&many()));
    rig.bucket().empty_pages(true);
    assert_eq!(rig.lines(&["media", "--format", "txt"]).await, urls(&many()), "empty pages are no end");
}

#[tokio::test]
async fn a_listing_goes_on_after_a_name() {
    let rig = filled().await;
    let all = many();
    for at in [0, 999, 2499, 2500, all.len() - 2] {
        let rest = rig.lines(&["media", "--format", "txt", "--start-after", &all[at]]).await;
        assert_eq!(rest, urls(&all[at + 1..]), "{}", all[at]);
    }
    assert!(rig.lines(&["media", "--format", "txt", "--start-after", "\u{10ffff}"]).await.is_empty());
}

#[tokio::test]
async fn pages_that_fail_are_asked_for_again() {
    let rig = filled().await;
    for action in [Action::status(503), Action::Reset, Action::retry_after(429, 0), Action::status(401)] {
        rig.gcs.inject(Fault::new(action).on(Operation::List).skip(1).every(4).times(2));
        assert_eq!(rig.lines(&["media", "--format", "txt"]).await, urls(&many()));
        rig.gcs.clear_faults();
    }
    rig.gcs.inject(Fault::new(Action::Reset).on(Operation::List).after_bytes(5000).times(2));
    assert_eq!(rig.lines(&["media", "--format", "txt"]).await, urls(&many()), "pages that break off");
}

#[tokio::test]
async fn a_listing_that_fails_for_good_says_where_it_ended() {
    let rig = filled().await;
    rig.gcs.inject(Fault::new(Action::status(403)).on(Operation::List).skip(1).always());
    let said = rig.run(&["media", "--format", "txt", "--output", "m.txt"]).await;
    assert_eq!(said.code, Some(1));
    assert!(said.err.contains("after \"a/img_00999.jpg\"") && said.err.contains("(403)"), "{}", said.err);
    assert!(!rig.path("m.txt").exists());
    assert_eq!(std::fs::read_dir(rig.folder.path()).unwrap().count(), 2, "the configuration and the key");
}

#[tokio::test]
async fn prefix_filter_depth_and_kind_select() {
    let rig = Rig::with(
        "[connections.all]\nuri = \"gs://my-bucket/\"\n\
         [connections.deep]\nuri = \"gs://my-bucket/d/\"\n\
         [connections.flat]\nuri = \"gs://my-bucket/d/\"\nrecursive = false\n\
         [connections.jpg]\nuri = \"gs://my-bucket/d/\"\nfilter = \"d/.*\\\\.jpg$\"\n\
         [connections.part]\nuri = \"gs://my-bucket/d/a\"\n",
    )
    .await;
    rig.put(&["d/a.jpg", "d/b.png", "d/e/c.jpg", "d/e/f.mp4", "x.jpg", "d/a.mp3", "d/g.pdf", "d/h.txt"]);
    rig.bucket().put("d/typed", Object::bytes("x").content_type("video/mp4"));
    rig.bucket().put("d/e/", Object::bytes(""));
    rig.bucket().put("d/", Object::bytes(""));
    for (connection, flags, expected) in [
        ("deep", &[][..], "a.jpg a.mp3 b.png e/c.jpg e/f.mp4 g.pdf h.txt typed"),
        ("flat", &[], "a.jpg a.mp3 b.png g.pdf h.txt typed"),
        ("jpg", &[], "a.jpg e/c.jpg"),
        ("part", &[], ".jpg .mp3"),
        ("all", &["--data-type", "image"], "d/a.jpg d/b.png d/e/c.jpg x.jpg"),
        ("deep", &["--data-type", "video"], "e/f.mp4 typed"),
        ("deep", &["--data-type", "audio"], "a.mp3"),
        ("deep", &["--data-type", "document"], "g.pdf"),
        ("deep", &["--data-type", "text"], "h.txt"),
    ] {
        let arguments = [&[connection, "--format", "txt"][..], flags].concat();
        let found = rig.lines(&arguments).await;
        let expected: Vec<_> = expected.split(' ').map(|name| format!("{URL}/{connection}/{name}")).collect();
        assert_eq!(found, expected, "{connection} {flags:?}");
    }
}

#[tokio::test]
async fn objects_that_no_url_can_name_are_told_and_end_nothing() {
    let rig = Rig::start().await;
    rig.put(&["a/../b.jpg", "./c", "good.jpg", "tab\there"]);
    let said = rig.run(&["media", "--format", "txt"]).await;
    assert_eq!((said.code, said.out.as_str()), (Some(0), "https://media.example.com/media/good.jpg\n"));
    for told in ["cannot be served: \"a/../b.jpg\": ", "\"./c\"", "\"tab\\there\": the name has a control character"] {
        assert!(said.err.contains(told), "{told}\n{}", said.err);
    }
    assert!(said.err.contains("4 objects, 1 tasks"), "{}", said.err);
}

#[tokio::test]
async fn since_takes_a_time_or_an_earlier_manifest() {
    let rig = Rig::start().await;
    let at = |seconds| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
    for (name, seconds) in [("a.jpg", 1_767_323_045), ("b.jpg", 1_767_323_046), ("c, \"d\".jpg", 1_767_323_047)] {
        rig.bucket().put(name, Object::bytes("x").updated(at(seconds)));
    }
    for (since, count) in
        [("2026-01-02T03:04:05Z", 2), ("2026-01-02T05:04:06+02:00", 1), ("2026-01-02", 3), ("2027-01-01", 0)]
    {
        assert_eq!(rig.lines(&["media", "--format", "txt", "--since", since]).await.len(), count, "{since}");
    }
    for format in ["label-studio", "jsonl", "csv", "labelbox", "txt"] {
        let flags = ["media", "--format", format, "--output", "before"];
        assert_eq!(rig.run(&flags).await.code, Some(0));
        let none = rig.run(&["media", "--format", format, "--since", "before"]).await;
        assert!(!none.out.contains("jpg") && none.err.contains("3 objects, 0 tasks"), "{format}: {}", none.out);
        rig.put(&["new.jpg"]);
        let one = rig.run(&["media", "--format", format, "--since", "before"]).await;
        assert!(one.out.contains("/new.jpg") && !one.out.contains("b.jpg"), "{format}: {}", one.out);
        rig.bucket().remove("new.jpg");
    }
    for (since, told) in [("nowhere", "neither a time"), ("gsgate.toml", "no manifest of this format")] {
        let said = rig.run(&["media", "--since", since]).await;
        assert_eq!(said.code, Some(2));
        assert!(said.err.contains(told), "{}", said.err);
    }
}
