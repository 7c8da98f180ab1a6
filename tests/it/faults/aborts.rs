//! Clients that go away: nothing of theirs stays behind.

use std::sync::Arc;

use futures_util::future::join_all;
use gsgate::emulator::{Action, Emulator, Fault, Gate, Object, Operation};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::wire::{metric, until};
use crate::support::{Binary, Memory};

const ABORTS: usize = 2000;
const AT_ONCE: usize = 50;
const SIZE: u64 = 64 * 1024 * 1024;
const MEBIBYTE: u64 = 1024 * 1024;

/// Where clients leave.
const PLACES: [Place; 4] = [Place::InTheRequest, Place::BeforeTheHead, Place::AtTheHead, Place::InTheBody];

#[derive(Clone, Copy, Debug)]
enum Place {
    InTheRequest,
    BeforeTheHead,
    AtTheHead,
    InTheBody,
}

#[tokio::test(flavor = "multi_thread")]
async fn two_thousand_aborts_leave_nothing_behind() {
    let binary = Arc::new(Binary::start(Emulator::builder().start().await.unwrap(), "").await);
    binary.bucket().put("x", Object::generated(SIZE, 7));
    let gate = Gate::new();
    binary.bucket().put("silent", Object::generated(SIZE, 7));
    let silence = Fault::new(Action::Delay(gate.clone())).on(Operation::Media).object("silent");
    binary.gcs.inject(silence.always());
    // As many as are at work at once, so that memory and the pool are what work makes them.
    abort_all(&binary, 4 * AT_ONCE).await;
    at_rest(&binary).await;
    let before = (binary.descriptors(), binary.memory(Memory::Now));
    abort_all(&binary, ABORTS).await;
    at_rest(&binary).await;
    let after = (binary.descriptors(), binary.memory(Memory::Now));
    println!(
        "{ABORTS} aborts: descriptors {} to {}, resident {} to {} KiB, {} connections to GCS open of {}",
        before.0,
        after.0,
        before.1 / 1024,
        after.1 / 1024,
        binary.gcs.open_connections(),
        binary.gcs.connections(),
    );
    assert!(after.0 <= before.0 + AT_ONCE, "descriptors leak: {before:?} {after:?}");
    assert!(after.1 <= before.1 + 32 * MEBIBYTE, "memory leaks: {before:?} {after:?}");
    gate.open();
}

async fn abort_all(binary: &Arc<Binary>, times: usize) {
    for round in 0..times / AT_ONCE {
        let aborts = (0..AT_ONCE).map(|each| tokio::spawn(abort(Arc::clone(binary), PLACES[(round + each) % 4])));
        for done in join_all(aborts).await {
            done.unwrap();
        }
    }
}

async fn abort(binary: Arc<Binary>, place: Place) {
    let mut stream = TcpStream::connect(binary.client.address).await.unwrap();
    let request = match place {
        Place::InTheRequest => "GET /media/x HTT",
        Place::BeforeTheHead => "GET /media/silent HTTP/1.1\r\nHost: a\r\n\r\n",
        Place::AtTheHead | Place::InTheBody => "GET /media/x HTTP/1.1\r\nHost: a\r\n\r\n",
    };
    stream.write_all(request.as_bytes()).await.unwrap();
    let most = match place {
        Place::InTheRequest => 0,
        Place::BeforeTheHead => {
            // It has reached the gateway when it is counted there; how far it is gone from there varies.
            tokio::task::yield_now().await;
            0
        }
        Place::AtTheHead => 1,
        Place::InTheBody => 300_000,
    };
    let (mut read, mut buffer) = (0, vec![0; 64 * 1024]);
    while read < most {
        let length = buffer.len().min(most - read);
        match stream.read(&mut buffer[..length]).await.unwrap() {
            0 => panic!("the gateway closed first"),
            bytes => read += bytes,
        }
    }
}

/// Waits until nobody is connected and nothing is in flight; the one connection is that which asks.
async fn at_rest(binary: &Binary) {
    for gauge in
        ["gsgate_requests_in_flight", "gsgate_upstream_in_flight", "gsgate_upstream_queued", "gsgate_connections_open"]
    {
        until(gauge, async || metric(binary.admin, gauge).await == 0).await;
    }
}
