//! A wire to Label Studio on which changes go wrong: the request arrives whole, and nobody learns what came of it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

/// What Label Studio says when its database is locked, sometimes after it has stored what it was sent.
const LOCKED: &str = "HTTP/1.1 500 Internal Server Error\r\ncontent-type: application/json\r\ncontent-length: 33\r\n\
                      connection: close\r\n\r\n{\"detail\": \"database is locked\"}\n";

/// What becomes of the answer to a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Trouble {
    /// The connection breaks.
    Lost,
    /// It is 500, although the work was done.
    Locked,
}

/// Passes everything on, but spoils the answers to some imports and deletions.
pub(crate) struct Lossy {
    pub(crate) address: SocketAddr,
    spoiled: Arc<AtomicUsize>,
}

impl Lossy {
    /// Spoils the first answers, in this order.
    pub(crate) async fn before(studio: SocketAddr, troubles: &'static [Trouble]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let spoiled = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&spoiled);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(pass(client, studio, troubles, Arc::clone(&count)));
            }
        });
        Self { address, spoiled }
    }

    pub(crate) fn spoiled(&self) -> usize {
        self.spoiled.load(Ordering::Relaxed)
    }
}

/// One connection. A request's head comes in a piece of its own or at the beginning of one.
async fn pass(client: TcpStream, studio: SocketAddr, troubles: &[Trouble], spoiled: Arc<AtomicUsize>) -> Option<()> {
    let studio = TcpStream::connect(studio).await.ok()?;
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_studio, mut to_studio) = studio.into_split();
    let (mut asked, mut answered, mut trouble) = (vec![0; 64 * 1024], vec![0; 64 * 1024], None);
    loop {
        tokio::select! {
            length = from_client.read(&mut asked) => {
                let length = length.ok().filter(|length| *length > 0)?;
                let head = String::from_utf8_lossy(&asked[..length.min(200)]).into_owned();
                let line = head.lines().next().unwrap_or_default();
                if line.starts_with("POST ") && (line.contains("/import ") || line.contains("delete_tasks")) {
                    let one_more = |n| (n < troubles.len()).then_some(n + 1);
                    let which = spoiled.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_more);
                    trouble = which.ok().map(|which| troubles[which]);
                }
                to_studio.write_all(&asked[..length]).await.ok()?;
            }
            length = from_studio.read(&mut answered) => {
                let length = length.ok().filter(|length| *length > 0)?;
                match trouble {
                    None => to_client.write_all(&answered[..length]).await.ok()?,
                    // The answer says that it is done; the client gets none of it.
                    Some(Trouble::Lost) => return None,
                    Some(Trouble::Locked) => return to_client.write_all(LOCKED.as_bytes()).await.ok(),
                }
            }
        }
    }
}
