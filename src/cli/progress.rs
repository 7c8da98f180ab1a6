//! How far a command is: a line that moves on a terminal, else one every ten seconds.
//!
//! Decides when and where the line is shown; what it says is the command's.

use std::io::{self, IsTerminal, Write as _};
use std::time::Duration;

use tokio::task::JoinHandle;

/// How often the line on a terminal moves.
const LIVELY: Duration = Duration::from_millis(250);
/// How often a log gets a line.
const CALM: Duration = Duration::from_secs(10);

/// For whom a line is.
#[derive(Clone, Copy, Debug)]
pub(super) enum Audience {
    /// A terminal, which has been shown so many lines before.
    Terminal(usize),
    /// A log.
    Log,
}

/// Shows itself until dropped.
#[derive(Debug)]
pub(super) struct Progress {
    task: JoinHandle<()>,
    terminal: bool,
}

impl Progress {
    /// Begins to show what `line` says.
    pub(super) fn show(line: impl Fn(Audience) -> String + Send + 'static) -> Self {
        let terminal = io::stderr().is_terminal();
        let every = if terminal { LIVELY } else { CALM };
        let task = tokio::spawn(async move {
            let mut ticks = tokio::time::interval(every);
            ticks.tick().await;
            for step in 0_usize.. {
                ticks.tick().await;
                // A stderr that is gone is no reason to stop.
                let _ = if terminal {
                    write!(io::stderr(), "\r\x1b[2K{}", line(Audience::Terminal(step)))
                } else {
                    writeln!(io::stderr(), "gsgate: {}", line(Audience::Log))
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
