//! Objects that are overwritten between two requests, while the gateway still remembers the old version.

use gsgate::emulator::{Action, Fault, Gate, Object, Operation, pattern};

use crate::support::{Answer, TestGateway};

fn old() -> Object {
    Object::generated(1000, 1).generation(1)
}

fn new() -> Object {
    Object::generated(2000, 2).generation(2).content_type("text/plain")
}

/// The whole of the new version and nothing of the old one.
fn assert_new(answer: &Answer, what: &str) {
    assert_eq!(answer.status, 200, "{what}");
    assert_eq!(answer.bytes(), pattern(2, 0, 2000), "{what}");
    assert_eq!(answer.header("etag"), "\"2-1\"", "{what}");
    assert_eq!(answer.header("content-length"), "2000", "{what}");
    assert_eq!(answer.header("content-type"), "text/plain", "{what}");
}

#[tokio::test]
async fn what_was_remembered_of_an_overwritten_object_never_mixes_with_the_new_one() {
    for (headers, status) in [
        (&[][..], 200),
        (&[("if-none-match", "\"0-1\"")], 200),
        (&[("if-none-match", "\"2-1\"")], 304),
        (&[("if-match", "\"2-1\"")], 200),
        (&[("if-match", "\"1-1\"")], 412),
        (&[("if-modified-since", "Sun, 06 Nov 1994 08:49:37 GMT")], 200),
        (&[("range", "bytes=10-19"), ("if-range", "\"1-1\"")], 200),
        (&[("range", "bytes=1500-"), ("if-match", "\"2-1\"")], 206),
        (&[("range", "bytes=1500-")], 206),
        (&[("range", "bytes=-1999")], 206),
        (&[("range", "bytes=2000-")], 416),
    ] {
        let gateway = TestGateway::start().await;
        gateway.put("a", old());
        assert_eq!(gateway.client.get("/media/a", &[]).await.bytes(), pattern(1, 0, 1000));
        gateway.put("a", new());
        gateway.gcs.clear_requests();
        let answer = gateway.client.get("/media/a", headers).await;
        assert_eq!(answer.status, status, "{headers:?}: {:?}", answer.body);
        match status {
            200 => assert_new(&answer, &format!("{headers:?}")),
            206 => assert!(pattern(2, 0, 2000).ends_with(answer.bytes()), "{headers:?}"),
            416 => assert_eq!(answer.header("content-range"), "bytes */2000", "{headers:?}"),
            _ => {}
        }
        assert!(gateway.gcs.requests().len() <= 3, "one more look, and no more: {headers:?}");
        assert_new(&gateway.client.get("/media/a", &[]).await, "afterwards");
    }
}

#[tokio::test]
async fn an_object_that_is_overwritten_between_the_look_and_the_read_is_looked_at_once_more() {
    let gateway = TestGateway::start().await;
    gateway.put("a", old());
    let gate = Gate::new();
    gateway.gcs.inject(Fault::new(Action::Delay(gate.clone())).on(Operation::Metadata));
    let client = gateway.client;
    let asking = tokio::spawn(async move { client.get("/media/a", &[("if-none-match", "\"x\"")]).await });
    gate.reached(1).await;
    gateway.put("a", new());
    gate.open();
    assert_new(&asking.await.unwrap(), "overwritten in between");
}

#[tokio::test]
async fn an_object_that_changes_at_every_look_is_given_up_on() {
    let gateway = TestGateway::start().await;
    gateway.put("a", old());
    let gone = || Fault::new(Action::status(404)).on(Operation::Media).always();
    gateway.gcs.inject(gone());
    let answer = gateway.client.get("/media/a", &[("if-none-match", "\"x\"")]).await;
    assert_eq!((answer.status.as_u16(), answer.code().as_str()), (502, "object_changed"));
    assert_eq!((gateway.gcs.count(Operation::Metadata), gateway.gcs.count(Operation::Media)), (2, 2));
}

#[tokio::test]
async fn a_version_of_the_metadata_alone_is_a_version() {
    let gateway = TestGateway::start().await;
    gateway.put("a", old().content_type("image/png"));
    assert_eq!(gateway.client.get("/media/a", &[]).await.header("content-type"), "image/png");
    gateway.put("a", old().metageneration(2).content_type("image/gif"));
    let answer = gateway.client.get("/media/a", &[("if-match", "\"1-1\"")]).await;
    assert_eq!(answer.status, 412, "the condition was about another representation");
    let answer = gateway.client.get("/media/a", &[("range", "bytes=0-9"), ("if-range", "\"1-1\"")]).await;
    assert_eq!((answer.status.as_u16(), answer.header("etag").as_str()), (200, "\"1-2\""));
}

#[tokio::test]
async fn a_removed_object_is_gone_whatever_is_remembered() {
    for headers in [&[][..], &[("if-none-match", "\"x\"")], &[("range", "bytes=0-1")], &[("if-match", "\"1-1\"")]] {
        let gateway = TestGateway::start().await;
        gateway.put("a", old());
        assert!(gateway.client.get("/media/a", &[]).await.status.is_success());
        gateway.bucket().remove("a");
        let answer = gateway.client.get("/media/a", headers).await;
        assert_eq!((answer.status.as_u16(), answer.code().as_str()), (404, "not_found"), "{headers:?}");
    }
}
