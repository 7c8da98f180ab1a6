//! A process that has no file descriptor left: it waits, says so once, and goes on.

use gsgate::emulator::{Emulator, Object};
use tokio::net::TcpStream;

use crate::faults::wire::until;
use crate::support::Binary;

#[tokio::test(flavor = "multi_thread")]
async fn without_descriptors_accepting_pauses_and_resumes_by_itself() {
    let binary = Binary::with_descriptors(Emulator::builder().start().await.unwrap(), "", "48").await;
    binary.bucket().put("x", Object::bytes("here"));
    let mut held = Vec::new();
    for _ in 0..100 {
        // Whom the process cannot take yet waits in the kernel's queue.
        held.push(TcpStream::connect(binary.client.address).await.unwrap());
    }
    binary.logged("cannot accept connections").await;
    drop(held);
    // The first may come while there is still no descriptor for a connection to GCS, and is told so.
    until("service", async || binary.client.get("/media/x", &[]).await.status == 200).await;
    // A loop that does not pause would have written thousands of lines.
    let told = binary.lines("cannot accept connections");
    assert!(told <= 3, "told {told} times");
}
