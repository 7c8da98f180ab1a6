//! Objects that are written and deleted: preconditions, checksums, faults, streams.

use bytes::Bytes;
use gsgate::emulator::{Action, Fault, Gate, Operation};
use gsgate::gcs::{DeleteRequest, Description, Error, Expected, StatRequest, WriteRequest};
use gsgate::object::{BucketName, Generation, Metadata, ObjectName};
use http_body::Frame;
use http_body_util::StreamBody;

use super::rig::{BUCKET, Rig};

const BODY: &[u8] = b"{\"a\":1}\r\n--gsgate--";

fn write(name: &str, expected: Expected) -> WriteRequest {
    let description = Description {
        content_type: Some("application/json".to_owned()),
        metadata: [("seen".to_owned(), "2026 \u{fc}".to_owned())].into(),
        ..Description::default()
    };
    WriteRequest { bucket: bucket(), object: object(name), expected, description, project: None }
}

fn bucket() -> BucketName {
    BucketName::new(BUCKET).expect("a legal bucket")
}

fn object(name: &str) -> ObjectName {
    ObjectName::new(name).expect("a legal name")
}

impl Rig {
    async fn write(&self, name: &str, expected: Expected) -> Result<Metadata, Error> {
        self.gcs.bucket(BUCKET);
        self.client.write(&self.credential, write(name, expected), Bytes::from_static(BODY)).await
    }

    async fn delete(&self, name: &str, expected: Expected) -> Result<(), Error> {
        let request = DeleteRequest { bucket: bucket(), object: object(name), expected, project: None };
        self.client.delete(&self.credential, request).await
    }
}

#[tokio::test]
async fn an_object_is_stored_with_all_that_is_told_about_it() {
    let rig = Rig::start().await;
    let stored = rig.write("a/\u{fc} #?.json", Expected::Nothing).await.expect("stored");
    let held = rig.gcs.bucket(BUCKET).object("a/\u{fc} #?.json").expect("there");
    assert_eq!((&held.bytes[..], held.content_type.as_deref()), (BODY, Some("application/json")));
    assert_eq!((Generation(held.generation), held.metadata["seen"].as_str()), (stored.generation, "2026 \u{fc}"));
    assert_eq!(stored.crc32c, Some(crc32c::crc32c(BODY).into()));
    let request = StatRequest { bucket: bucket(), object: object("a/\u{fc} #?.json"), project: None };
    let custom = rig.client.custom(&rig.credential, request).await.expect("read");
    assert_eq!((custom.generation, custom.metadata), (stored.generation, held.metadata));
}

#[tokio::test]
async fn only_what_is_expected_is_replaced_or_deleted() {
    let rig = Rig::start().await;
    let first = rig.write("a", Expected::Nothing).await.expect("stored").generation;
    assert!(matches!(rig.write("a", Expected::Nothing).await, Err(Error::Changed)));
    let second = rig.write("a", Expected::Generation(first)).await.expect("replaced").generation;
    assert!(matches!(rig.write("a", Expected::Generation(first)).await, Err(Error::Changed)));
    assert!(matches!(rig.delete("a", Expected::Generation(first)).await, Err(Error::Changed)));
    assert!(matches!(rig.delete("b", Expected::Anything).await, Err(Error::NotFound { .. })));
    rig.delete("a", Expected::Generation(second)).await.expect("deleted");
    assert!(rig.gcs.bucket(BUCKET).names().is_empty());
}

#[tokio::test]
async fn what_names_a_version_is_sent_again_and_nothing_else() {
    let rig = Rig::start().await;
    for action in [Action::status(503), Action::Reset, Action::retry_after(429, 0), Action::Close] {
        let operation = Operation::Upload;
        rig.gcs.clear_requests();
        rig.gcs.inject(Fault::new(action.clone()).on(operation));
        rig.write("a", Expected::Nothing).await.expect("stored in the end");
        assert_eq!(rig.gcs.count(operation), 2, "{action:?}");
        rig.gcs.clear_requests();
        rig.gcs.inject(Fault::new(action.clone()).on(operation));
        let error = rig.write("a", Expected::Anything).await.expect_err("not sent again");
        assert_eq!(rig.gcs.count(operation), 1, "{action:?}: {error}");
        rig.gcs.inject(Fault::new(action).on(Operation::Delete));
        let generation = rig.gcs.bucket(BUCKET).object("a").expect("there").generation;
        rig.delete("a", Expected::Generation(Generation(generation))).await.expect("deleted in the end");
    }
}

#[tokio::test]
async fn a_write_whose_answer_was_lost_is_not_done_twice() {
    let rig = Rig::start().await;
    rig.gcs.inject(Fault::new(Action::Reset).on(Operation::Upload).after_bytes(0));
    assert!(matches!(rig.write("a", Expected::Nothing).await, Err(Error::Changed)), "the first one did it");
    assert_eq!(rig.gcs.bucket(BUCKET).object("a").expect("there").bytes, BODY);
    assert_eq!(rig.gcs.count(Operation::Upload), 2);
}

#[tokio::test]
async fn refusals_are_told_apart() {
    let rig = Rig::start().await;
    let writing = |name: &'static str| rig.write(name, Expected::Nothing);
    rig.gcs.bucket(BUCKET).restrict();
    assert!(matches!(writing("a").await, Err(Error::Forbidden { .. })));
    rig.gcs.remove_bucket(BUCKET);
    let request = write("a", Expected::Nothing);
    let lost = rig.client.write(&rig.credential, request, Bytes::new()).await;
    assert!(matches!(lost, Err(Error::NotFound { .. })), "{lost:?}");
    rig.gcs.inject(Fault::new(Action::status(413)).on(Operation::Upload));
    assert!(matches!(writing("a").await, Err(Error::Refused { status: 413, .. })));
    rig.gcs.inject(Fault::new(Action::redirect("http://127.0.0.1:9/")).on(Operation::Upload));
    assert!(matches!(writing("a").await, Err(Error::Redirected { status: 302 })));
}

#[tokio::test]
async fn a_write_asks_for_a_token_that_may_write() {
    let rig = Rig::start().await;
    rig.put_pattern("p");
    rig.stat("p").await.expect("read");
    rig.write("a", Expected::Nothing).await.expect("a token of its own");
}

#[tokio::test]
async fn a_stream_is_stored_piece_by_piece() {
    let rig = Rig::start().await;
    rig.gcs.bucket(BUCKET);
    let pieces = (0_u8..64).map(|n| Ok::<_, std::io::Error>(Frame::data(Bytes::from(vec![n; 10_007]))));
    let stream = StreamBody::new(futures_util::stream::iter(pieces));
    let stored = rig.client.write_stream(&rig.credential, write("s", Expected::Nothing), stream).await;
    let stored = stored.expect("stored");
    let held = rig.gcs.bucket(BUCKET).object("s").expect("there");
    assert_eq!((held.bytes.len(), stored.size), (640_448, 640_448));
    assert_eq!(stored.crc32c, Some(crc32c::crc32c(&held.bytes).into()));
}

#[tokio::test]
async fn a_stream_that_breaks_stores_nothing() {
    let rig = Rig::start().await;
    rig.gcs.bucket(BUCKET);
    let pieces = [Ok(Frame::data(Bytes::from_static(b"abc"))), Err(std::io::Error::other("gone"))];
    let stream = StreamBody::new(futures_util::stream::iter(pieces));
    let broken = rig.client.write_stream(&rig.credential, write("s", Expected::Nothing), stream).await;
    assert!(matches!(broken, Err(Error::Broken(_))), "{broken:?}");
    assert!(rig.gcs.bucket(BUCKET).names().is_empty());
}

#[tokio::test]
async fn a_silent_stream_is_given_up() {
    let rig = Rig::with(|config| {
        config.stall_timeout = std::time::Duration::from_millis(50);
        config.first_byte_timeout = std::time::Duration::from_millis(50);
    })
    .await;
    rig.gcs.bucket(BUCKET);
    let gate = Gate::new();
    rig.gcs.inject(Fault::new(Action::Delay(gate.clone())).on(Operation::Upload));
    let stream = http_body_util::Full::new(Bytes::from_static(BODY));
    let silent = rig.client.write_stream(&rig.credential, write("s", Expected::Nothing), stream).await;
    assert!(matches!(silent, Err(Error::Stalled(_))), "{silent:?}");
    gate.open();
}
