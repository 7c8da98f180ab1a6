//! One read for all who want the same, whoever comes, goes or breaks.

use futures_util::future::join_all;
use gsgate::emulator::{Action, Fault, Gate, Object, Operation, pattern};
use http::Method;
use http_body_util::BodyExt;

use super::{lookups, start};
use crate::faults::wire::{at_rest, metric, until};
use crate::media::gzip;

const SIZE: usize = 300_001;

fn object() -> Object {
    Object::generated(SIZE as u64, 7)
}

#[tokio::test]
async fn thirty_two_first_requests_at_once_ask_gcs_once() {
    let gateway = start().await;
    gateway.put("x", object());
    let gate = Gate::new();
    gateway.gcs.inject(Fault::new(Action::Delay(gate.clone())).on(Operation::Media).always());
    let client = gateway.client;
    let asking: Vec<_> = (0..32).map(|_| tokio::spawn(async move { client.get("/media/x", &[]).await })).collect();
    until("all but one wait for that one", async || lookups(&gateway, "joined").await == 31).await;
    gate.open();
    for answer in join_all(asking).await {
        let answer = answer.unwrap();
        assert_eq!((answer.status.as_u16(), answer.bytes()), (200, &pattern(7, 0, SIZE)[..]));
    }
    assert_eq!((gateway.gcs.count(Operation::Media), gateway.gcs.count(Operation::Metadata)), (1, 0));
    assert_eq!(lookups(&gateway, "fill").await, 1);
}

#[tokio::test]
async fn a_missing_object_is_asked_for_once_by_all_who_want_it() {
    let gateway = start().await;
    let gate = Gate::new();
    gateway.gcs.inject(Fault::new(Action::Delay(gate.clone())).on(Operation::Media).always());
    let client = gateway.client;
    let asking: Vec<_> = (0..8).map(|_| tokio::spawn(async move { client.get("/media/none", &[]).await })).collect();
    until("all but one wait for that one", async || lookups(&gateway, "joined").await == 7).await;
    gate.open();
    for answer in join_all(asking).await {
        assert_eq!(answer.unwrap().code(), "not_found");
    }
    assert_eq!(gateway.gcs.count(Operation::Media), 1);
}

#[tokio::test]
async fn distinct_objects_cost_one_request_each() {
    let gateway = start().await;
    for number in 0..100 {
        gateway.put(&format!("{number}"), Object::generated(10_000, number));
    }
    for number in 0..100 {
        assert_eq!(gateway.client.get(&format!("/media/{number}"), &[]).await.bytes(), pattern(number, 0, 10_000));
    }
    assert_eq!(gateway.gcs.requests().len(), 100);
}

#[tokio::test]
async fn bytes_come_to_all_while_the_fill_goes_on() {
    let gateway = start().await;
    gateway.put("x", object());
    let gate = Gate::new();
    gate.release(1);
    let piece = Action::Dribble { piece: SIZE / 2, gate: gate.clone() };
    gateway.gcs.inject(Fault::new(piece).on(Operation::Media).after_bytes(0));
    let mut bodies = Vec::new();
    for _ in 0..2 {
        let (status, _, mut body) = gateway.client.open(Method::GET, "/media/x", &[]).await;
        let first = body.frame().await.unwrap().unwrap().into_data().unwrap();
        assert!(status == 200 && !first.is_empty() && pattern(7, 0, SIZE).starts_with(&first));
        bodies.push((first.to_vec(), body));
    }
    gate.open();
    for (mut got, body) in bodies {
        got.extend(body.collect().await.unwrap().to_bytes());
        assert_eq!(got, pattern(7, 0, SIZE));
    }
    assert_eq!(gateway.gcs.count(Operation::Media), 1);
}

#[tokio::test]
async fn a_client_that_leaves_leaves_the_fill_to_the_others() {
    for leaves_first in [true, false] {
        let gateway = start().await;
        gateway.put("x", object());
        let gate = Gate::new();
        gate.release(1);
        let piece = Action::Dribble { piece: SIZE / 2, gate: gate.clone() };
        gateway.gcs.inject(Fault::new(piece).on(Operation::Media).after_bytes(0));
        let (_, _, first) = gateway.client.open(Method::GET, "/media/x", &[]).await;
        let (_, _, second) = gateway.client.open(Method::GET, "/media/x", &[]).await;
        let (leaving, staying) = if leaves_first { (first, second) } else { (second, first) };
        drop(leaving);
        until("it has left", async || metric(gateway.admin, "gsgate_requests_in_flight").await == 1).await;
        gate.open();
        assert_eq!(staying.collect().await.unwrap().to_bytes(), pattern(7, 0, SIZE), "{leaves_first}");
        assert_eq!(gateway.client.get("/media/x", &[]).await.bytes(), pattern(7, 0, SIZE));
        assert_eq!(gateway.gcs.count(Operation::Media), 1, "{leaves_first}");
    }
}

#[tokio::test]
async fn a_fill_that_nobody_waits_for_ends_and_leaves_nothing() {
    let gateway = start().await;
    gateway.put("x", object());
    let gate = Gate::new();
    gateway.gcs.inject(Fault::new(Action::Stall(gate.clone())).on(Operation::Media).after_bytes(100_000));
    let (_, _, body) = gateway.client.open(Method::GET, "/media/x", &[]).await;
    drop(body);
    at_rest(&gateway).await;
    assert_eq!(metric(gateway.admin, "gsgate_cache_entries{tier=\"memory\"}").await, 0);
    assert_eq!(gateway.client.get("/media/x", &[]).await.bytes(), pattern(7, 0, SIZE));
    assert_eq!(gateway.gcs.count(Operation::Media), 2);
}

#[tokio::test]
async fn a_part_is_enough_to_have_all_of_it_read_and_kept() {
    let gateway = start().await;
    gateway.put("x", object());
    gateway.client.head("/media/x", &[]).await;
    let gate = Gate::new();
    gateway.gcs.inject(Fault::new(Action::Stall(gate.clone())).on(Operation::Media).after_bytes(100_000));
    let part = gateway.client.get("/media/x", &[("range", "bytes=10-999")]).await;
    assert_eq!((part.status.as_u16(), part.bytes()), (206, &pattern(7, 10, 990)[..]));
    until("the client has left", async || metric(gateway.admin, "gsgate_requests_in_flight").await == 0).await;
    gate.open();
    until("all is kept", async || metric(gateway.admin, "gsgate_cache_entries{tier=\"memory\"}").await == 1).await;
    assert_eq!(gateway.client.get("/media/x", &[]).await.bytes(), pattern(7, 0, SIZE));
    assert_eq!(gateway.gcs.count(Operation::Media), 1);
}

#[tokio::test]
async fn a_fill_with_a_wrong_sum_breaks_for_all_and_is_not_kept() {
    let gateway = start().await;
    gateway.put("x", object());
    gateway.gcs.inject(Fault::new(Action::Corrupt).on(Operation::Media).after_bytes(5000).always());
    let gate = Gate::new();
    gateway.gcs.inject(Fault::new(Action::Delay(gate.clone())).on(Operation::Media));
    let client = gateway.client;
    let asking: Vec<_> = (0..8).map(|_| tokio::spawn(async move { client.get("/media/x", &[]).await })).collect();
    until("all but one wait for that one", async || lookups(&gateway, "joined").await == 7).await;
    gate.open();
    for answer in join_all(asking).await {
        assert!(answer.unwrap().body.is_err(), "wrong bytes must not end neatly");
    }
    assert_eq!(metric(gateway.admin, "gsgate_cache_entries{tier=\"memory\"}").await, 0);
    gateway.gcs.clear_faults();
    assert_eq!(gateway.client.get("/media/x", &[]).await.bytes(), pattern(7, 0, SIZE));
}

#[tokio::test]
async fn a_break_in_a_fill_heals_for_all() {
    let gateway = start().await;
    gateway.put("x", object());
    let gate = Gate::new();
    gateway.gcs.inject(Fault::new(Action::Delay(gate.clone())).on(Operation::Media));
    gateway.gcs.inject(Fault::new(Action::Reset).on(Operation::Media).after_bytes(100_000));
    let client = gateway.client;
    let asking: Vec<_> = (0..8).map(|_| tokio::spawn(async move { client.get("/media/x", &[]).await })).collect();
    until("all but one wait for that one", async || lookups(&gateway, "joined").await == 7).await;
    gate.open();
    for answer in join_all(asking).await {
        assert_eq!(answer.unwrap().bytes(), pattern(7, 0, SIZE));
    }
    assert_eq!(gateway.gcs.count(Operation::Media), 2, "the read and its resumption");
}

#[tokio::test]
async fn parts_come_out_of_what_is_kept() {
    let gateway = start().await;
    gateway.put("x", object());
    let whole = pattern(7, 0, SIZE);
    assert_eq!(gateway.client.get("/media/x", &[]).await.bytes(), whole);
    for (range, from, to) in [
        ("bytes=0-0", 0, 1),
        ("bytes=100000-199999", 100_000, 200_000),
        ("bytes=300000-", 300_000, SIZE),
        ("bytes=-7", SIZE - 7, SIZE),
    ] {
        let answer = gateway.client.get("/media/x", &[("range", range)]).await;
        assert_eq!((answer.status.as_u16(), answer.bytes()), (206, &whole[from..to]), "{range}");
        assert_eq!(answer.header("content-range"), format!("bytes {from}-{}/{SIZE}", to - 1));
        assert_eq!(answer.header("cache-control"), "private, no-cache");
    }
    assert_eq!(gateway.client.get("/media/x", &[("range", "bytes=300001-")]).await.status, 416);
    assert_eq!(gateway.gcs.requests().len(), 2, "one read, and one look before something is refused");
}

#[tokio::test]
async fn what_a_player_asks_for_first_is_kept_for_its_next_question() {
    let gateway = start().await;
    let large = 9 * 1024 * 1024;
    gateway.put("x", object());
    gateway.put("large", Object::generated(large as u64, 7));
    for (name, size, asked) in [("x", SIZE, 1), ("large", large, 3)] {
        for _ in 0..2 {
            let answer = gateway.client.get(&format!("/media/{name}"), &[("range", "bytes=0-")]).await;
            assert_eq!(answer.status, 206, "{name}");
            assert!(answer.bytes() == pattern(7, 0, size), "{name}");
            assert_eq!(answer.header("content-range"), format!("bytes 0-{}/{size}", size - 1));
            assert_eq!(answer.header("content-length"), size.to_string());
        }
        assert_eq!(gateway.gcs.requests().len(), asked, "{name}: what is too large is read each time");
    }
    gateway.put("empty", Object::bytes(""));
    assert_eq!(gateway.client.get("/media/empty", &[("range", "bytes=0-")]).await.status, 416);
    let packed = gzip::gzip(b"some text that is not short");
    for (accept, status, bytes) in [("gzip", 206, &packed[..]), ("identity", 200, b"some text that is not short")] {
        for control in ["private", "no-store"] {
            let name = format!("{accept}-{control}");
            gateway.put(&name, Object::bytes(packed.clone()).content_encoding("gzip").cache_control(control));
            let headers = [("range", "bytes=0-"), ("accept-encoding", accept)];
            let answer = gateway.client.get(&format!("/media/{name}"), &headers).await;
            assert_eq!((answer.status.as_u16(), answer.bytes()), (status, bytes), "{name}");
        }
    }
}

#[tokio::test]
async fn gzip_is_kept_once_for_those_who_take_it_and_those_who_do_not() {
    let gateway = start().await;
    let text = b"some text that is not short ".repeat(500);
    let packed = gzip::gzip(&text);
    gateway.put("x", Object::bytes(packed.clone()).content_encoding("gzip").content_type("text/plain"));
    for (accept, expected, encoding) in [("identity", &text, ""), ("gzip", &packed, "gzip"), ("identity", &text, "")] {
        let answer = gateway.client.get("/media/x", &[("accept-encoding", accept)]).await;
        assert_eq!((answer.bytes(), answer.header("content-encoding").as_str()), (&expected[..], encoding));
    }
    assert_eq!(gateway.gcs.requests().len(), 1);
}

#[tokio::test]
async fn an_empty_object_is_kept_like_any_other() {
    let gateway = start().await;
    gateway.put("x", Object::bytes(""));
    for _ in 0..2 {
        let answer = gateway.client.get("/media/x", &[]).await;
        assert_eq!((answer.status.as_u16(), answer.bytes().len()), (200, 0));
        assert_eq!(answer.header("content-length"), "0");
    }
    assert_eq!(gateway.gcs.requests().len(), 1);
}
