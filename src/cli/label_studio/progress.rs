//! How far an import is: a bar on a terminal, else a line every ten seconds.

use std::io::{self, IsTerminal, Write as _};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::task::JoinHandle;

use crate::tasks::label_studio::ImportCounts;

/// How often the line on a terminal moves.
const LIVELY: Duration = Duration::from_millis(250);
/// How often a log gets a line.
const CALM: Duration = Duration::from_secs(10);
const WIDTH: u64 = 20;

/// Shows itself until dropped.
#[derive(Debug)]
pub(super) struct Progress {
    task: JoinHandle<()>,
    terminal: bool,
}

impl Progress {
    /// Begins to show what the counts say.
    pub(super) fn show(counts: Arc<ImportCounts>, began: Instant) -> Self {
        let terminal = io::stderr().is_terminal();
        let every = if terminal { LIVELY } else { CALM };
        let task = tokio::spawn(async move {
            let mut ticks = tokio::time::interval(every);
            ticks.tick().await;
            loop {
                ticks.tick().await;
                let line = line(&counts, began.elapsed());
                // A stderr that is gone is no reason to stop.
                let _ = if terminal {
                    write!(io::stderr(), "\r\x1b[2K{line}")
                } else {
                    writeln!(io::stderr(), "gsgate: {line}")
                };
            }
        });
        Self { task, terminal }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.task.abort();
        if self.terminal {
            let _ = write!(io::stderr(), "\r\x1b[2K");
        }
    }
}

/// First what Label Studio has is read, of which the number is known; then the bucket, of which it is not.
fn line(counts: &ImportCounts, elapsed: Duration) -> String {
    let elapsed = humantime::format_duration(Duration::from_secs(elapsed.as_secs()));
    if counts.listed() == 0 {
        let (known, expected) = (counts.known(), counts.expected());
        let filled = (known * WIDTH).checked_div(expected).unwrap_or(0).min(WIDTH);
        let bar: String = (0..WIDTH).map(|at| if at < filled { '█' } else { '░' }).collect();
        return format!("[{bar}] {known} of {expected} tasks read from Label Studio, {elapsed}");
    }
    format!("{} objects listed, {} tasks made, {elapsed}", counts.listed(), counts.made())
}
