//! The thread that writes: opens the output, writes whole lines, and tries again what fails.
//!
//! A file is created with mode 0640 and only ever appended to. After an error it is opened anew, since the path may
//! lead to something better meanwhile; a line that was written in part is then written once more as a whole.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::Output;
use super::queue::{Queue, Task};

/// Lines that are written at once.
const MOST_LINES: usize = 64;
/// Between two attempts after a failure.
const PAUSE: Duration = Duration::from_millis(500);
/// A failure that lasts is logged this often.
const BETWEEN_WARNINGS: Duration = Duration::from_secs(30);
/// Readable for the group that collects logs, and for nobody else.
const MODE: u32 = 0o640;

pub(super) struct Writer {
    queue: Arc<Queue>,
    target: Option<Target>,
    edition: Option<u64>,
    warned: Option<Instant>,
}

enum Target {
    Stdout(io::Stdout),
    File(File),
}

impl Writer {
    pub(super) fn new(queue: Arc<Queue>) -> Self {
        Self { queue, target: None, edition: None, warned: None }
    }

    pub(super) fn run(mut self) {
        let mut buffer = Vec::new();
        loop {
            match self.queue.next(MOST_LINES) {
                Task::End => return,
                Task::Write { lines, output, edition } => {
                    buffer.clear();
                    for line in &lines {
                        line.write(&mut buffer);
                    }
                    if !self.write_all(&buffer, output, edition) {
                        return;
                    }
                }
            }
        }
    }

    /// Writes until everything is written; `false` if nobody waits for it any more.
    fn write_all(&mut self, buffer: &[u8], mut output: Option<Output>, mut edition: u64) -> bool {
        let mut rest = buffer;
        while !rest.is_empty() {
            if self.edition != Some(edition) {
                self.target = None;
                self.edition = Some(edition);
            }
            match self.attempt(&mut rest, output.as_ref()) {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    self.failed(&error, output.as_ref());
                    rest = from_line_start(buffer, rest);
                    let Some(order) = self.queue.pause(PAUSE, edition) else { return false };
                    (output, edition) = order;
                }
            }
        }
        true
    }

    /// One write. Without an output, what waits for it is of no use any more.
    fn attempt(&mut self, rest: &mut &[u8], output: Option<&Output>) -> io::Result<()> {
        let target = match (&mut self.target, output) {
            (Some(target), _) => target,
            (None, Some(output)) => self.target.insert(Target::open(output)?),
            (None, None) => {
                *rest = &[];
                return Ok(());
            }
        };
        let written = target.write(rest)?;
        if written == 0 {
            return Err(io::ErrorKind::WriteZero.into());
        }
        *rest = &rest[written..];
        Ok(())
    }

    fn failed(&mut self, error: &io::Error, output: Option<&Output>) {
        self.target = None;
        self.queue.observer().write_failed();
        let now = Instant::now();
        if self.warned.is_none_or(|warned| now.duration_since(warned) >= BETWEEN_WARNINGS) {
            self.warned = Some(now);
            let output = match output {
                Some(Output::File(path)) => path.display().to_string(),
                Some(Output::Stdout) | None => "stdout".to_owned(),
            };
            tracing::error!(output, %error, "the audit log cannot be written; trying again");
        }
    }
}

/// The rest of the buffer, from the beginning of the line that was begun.
fn from_line_start<'a>(buffer: &'a [u8], rest: &[u8]) -> &'a [u8] {
    let written = &buffer[..buffer.len() - rest.len()];
    let start = written.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
    &buffer[start..]
}

impl Target {
    fn open(output: &Output) -> io::Result<Self> {
        match output {
            Output::Stdout => Ok(Self::Stdout(io::stdout())),
            Output::File(path) => open_file(path).map(Self::File),
        }
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Stdout(stdout) => {
                // Whole at once: what stays in its buffer after an error could not be told from what was written.
                stdout.write_all(bytes).and_then(|()| stdout.flush()).map(|()| bytes.len())
            }
            Self::File(file) => file.write(bytes),
        }
    }
}

/// Opens for appending; where the last line there was broken off, it is ended first.
pub(super) fn open_file(path: &Path) -> io::Result<File> {
    use std::io::{Read as _, Seek as _, SeekFrom};
    let mut file = OpenOptions::new().read(true).append(true).create(true).mode(MODE).open(path)?;
    if file.metadata()?.is_file() && file.seek(SeekFrom::End(0))? > 0 {
        let mut last = [0];
        file.seek(SeekFrom::End(-1))?;
        file.read_exact(&mut last)?;
        if last != [b'\n'] {
            file.write_all(b"\n")?;
        }
    }
    Ok(file)
}
