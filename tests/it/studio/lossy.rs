//! A wire to Label Studio that loses answers: the request arrives whole, and nobody learns what came of it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

/// Passes everything on, but drops some answers to imports.
pub(crate) struct Lossy {
    pub(crate) address: SocketAddr,
    dropped: Arc<AtomicUsize>,
}

impl Lossy {
    /// Loses the answers to this many imports.
    pub(crate) async fn before(studio: SocketAddr, lose: usize) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let dropped = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&dropped);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(pass(client, studio, lose, Arc::clone(&count)));
            }
        });
        Self { address, dropped }
    }

    pub(crate) fn lost(&self) -> usize {
        self.dropped.load(Ordering::Relaxed)
    }
}

/// One connection. A request's head comes in a piece of its own or at the beginning of one.
async fn pass(client: TcpStream, studio: SocketAddr, lose: usize, dropped: Arc<AtomicUsize>) -> Option<()> {
    let studio = TcpStream::connect(studio).await.ok()?;
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_studio, mut to_studio) = studio.into_split();
    let (mut asked, mut answered, mut losing) = (vec![0; 64 * 1024], vec![0; 64 * 1024], false);
    loop {
        tokio::select! {
            length = from_client.read(&mut asked) => {
                let length = length.ok().filter(|length| *length > 0)?;
                let head = String::from_utf8_lossy(&asked[..length.min(200)]).into_owned();
                if head.starts_with("POST /api/projects/") && head.contains("/import ") {
                    let one_more = |n| (n < lose).then_some(n + 1);
                    losing = dropped.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_more).is_ok();
                }
                to_studio.write_all(&asked[..length]).await.ok()?;
            }
            length = from_studio.read(&mut answered) => {
                let length = length.ok().filter(|length| *length > 0)?;
                if losing {
                    // The answer says that it is done; the client gets none of it.
                    return None;
                }
                to_client.write_all(&answered[..length]).await.ok()?;
            }
        }
    }
}
