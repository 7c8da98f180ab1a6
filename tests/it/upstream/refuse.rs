//! What is not believed, and what refusals become.

use gsgate::emulator::{Action, Fault, Object, Operation};
use gsgate::gcs::{Error, Form};
use gsgate::object::ByteRange;

use super::rig::{Rig, drain};

#[tokio::test]
async fn every_refusal_keeps_its_meaning() {
    let rig = Rig::start().await;
    rig.put("x", Object::bytes("x"));
    for (status, requests, expected) in [
        (302, 1, "redirect (302)"),
        (400, 1, "refused the request (400): Scripted answer 400."),
        (403, 1, "denied access (403): Scripted answer 403."),
        (404, 1, "not found in GCS (404): Scripted answer 404."),
        (412, 1, "the object changed"),
        (416, 1, "not satisfiable"),
        (501, 1, "unavailable (501)"),
        (429, 5, "slow down (429)"),
    ] {
        let before = rig.reads();
        rig.gcs.inject(Fault::new(Action::status(status)).on(Operation::Media).times(requests));
        let error = rig.read("x").await.expect_err("a refusal").to_string();
        assert!(error.contains(expected), "{status}: {error}");
        assert_eq!(rig.reads() - before, requests, "{status}");
    }
    let missing = rig.stat("missing").await;
    assert!(matches!(missing, Err(Error::NotFound { .. })), "{missing:?}");
}

#[tokio::test]
async fn redirects_are_never_followed() {
    let rig = Rig::start().await;
    rig.put("x", Object::bytes("x"));
    rig.fault(Action::redirect(rig.gcs.endpoint()));
    assert!(matches!(rig.read("x").await, Err(Error::Redirected { status: 302 })));
    assert_eq!(rig.gcs.requests().len(), 1);
}

#[tokio::test]
async fn nonsense_in_a_head_is_refused() {
    let rig = Rig::start().await;
    rig.put("x", Object::bytes("0123456789"));
    for (header, value) in [
        ("x-goog-generation", "seven"),
        ("x-goog-metageneration", "+1"),
        ("content-range", "bytes 1-5/10"),
        ("content-range", "bytes 2-6/10"),
        ("content-range", "bytes 2-5/*"),
        ("x-goog-hash", "crc32c=??"),
    ] {
        rig.fault(Action::header(header, value));
        let read = rig.read_part("x", ByteRange::FromTo { first: 2, last: 5 }).await;
        assert!(matches!(read, Err(Error::Protocol(_))), "{header}: {value}");
    }
}

#[tokio::test]
async fn an_object_decompressed_against_our_will_is_told_apart() {
    let rig = Rig::start().await;
    rig.put("x", Object::bytes("not really gzip").content_encoding("gzip"));
    rig.fault(Action::Header { name: "content-encoding".to_owned(), value: None });
    let read = rig.read("x").await.expect("a read");
    assert_eq!(read.form, Form::Decompressed);
    assert!(read.metadata.is_gzip_stored());
    assert!(drain(read.body).await.1.is_ok());
    let read = rig.read("x").await.expect("a read");
    assert_eq!((read.form, read.metadata.is_gzip_stored()), (Form::Stored, true));
}
