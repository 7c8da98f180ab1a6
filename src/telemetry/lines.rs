//! Lines on their way to standard error.
//!
//! A thread that serves many requests gathers their lines and writes them together before it sleeps, since a system call
//! for each would be a good part of what a small answer costs; a thread that never sleeps is reminded every second.
//! Warnings and errors wait for nobody, and all other threads write each line at once.
//! What a thread has gathered is lost with it if the process is killed, or ends without waiting for its threads.

use std::cell::RefCell;
use std::io::{self, Write};

use tracing::{Level, Metadata};
use tracing_subscriber::fmt::MakeWriter;

/// Bytes that wait at most.
const MOST: usize = 16 * 1024;

thread_local! {
    /// There is one standard error for all, and a line does not know which server's thread it is written on.
    static GATHERED: RefCell<Gathered<io::Stderr>> = RefCell::new(Gathered::new(io::stderr()));
}

/// What waits on a thread; written when the thread ends, at the latest.
struct Gathered<W: Write> {
    out: W,
    lines: Vec<u8>,
    waits: bool,
}

/// From now on this thread's lines wait for [`flush`], which must be called at least every second.
pub fn gather() {
    GATHERED.with_borrow_mut(|gathered| gathered.waits = true);
}

/// Writes what waits on this thread.
pub fn flush() {
    GATHERED.with_borrow_mut(Gathered::write);
}

/// Standard error, by whole lines.
#[derive(Clone, Copy, Debug)]
pub(super) struct Lines;

/// Standard error for one line.
#[derive(Clone, Copy, Debug)]
pub(super) struct Line {
    is_urgent: bool,
}

impl<'w> MakeWriter<'w> for Lines {
    type Writer = Line;

    fn make_writer(&'w self) -> Line {
        Line { is_urgent: true }
    }

    fn make_writer_for(&'w self, event: &Metadata<'_>) -> Line {
        Line { is_urgent: *event.level() <= Level::WARN }
    }
}

impl Write for Line {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        // A thread that is at its end gathers no more.
        if GATHERED.try_with(|gathered| gathered.borrow_mut().take(line, self.is_urgent)).is_err() {
            io::stderr().write_all(line)?;
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<W: Write> Gathered<W> {
    fn new(out: W) -> Self {
        Self { out, lines: Vec::new(), waits: false }
    }

    fn take(&mut self, line: &[u8], is_urgent: bool) {
        self.lines.extend_from_slice(line);
        if is_urgent || !self.waits || self.lines.len() >= MOST {
            self.write();
        }
    }

    fn write(&mut self) {
        if !self.lines.is_empty() {
            // There is no other place to say that lines cannot be written.
            let _ = self.out.write_all(&self.lines);
            self.lines.clear();
        }
    }
}

impl<W: Write> Drop for Gathered<W> {
    fn drop(&mut self) {
        self.write();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    #[derive(Clone, Default)]
    struct Out(Arc<Mutex<Vec<Vec<u8>>>>);

    impl Write for Out {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().push(bytes.to_vec());
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl Out {
        fn written(&self) -> Vec<Vec<u8>> {
            std::mem::take(&mut self.0.lock().unwrap())
        }
    }

    #[test]
    fn lines_wait_for_the_flush_the_warning_or_the_end() {
        let out = Out::default();
        let mut gathered = Gathered::new(out.clone());
        gathered.take(b"1\n", false);
        assert_eq!(out.written(), [b"1\n"], "nothing waits on other threads");
        gathered.waits = true;
        gathered.take(b"2\n", false);
        gathered.take(b"3\n", false);
        assert!(out.written().is_empty());
        gathered.write();
        assert_eq!(out.written(), [b"2\n3\n"]);
        gathered.take(b"4\n", false);
        gathered.take(b"warning\n", true);
        assert_eq!(out.written(), [b"4\nwarning\n"]);
        gathered.take(b"5\n", false);
        drop(gathered);
        assert_eq!(out.written(), [b"5\n"]);
    }

    #[test]
    fn what_waits_is_bounded() {
        let out = Out::default();
        let mut gathered = Gathered::new(out.clone());
        gathered.waits = true;
        let line = [b'x'; 1000];
        for _ in 0..100 {
            gathered.take(&line, false);
            assert!(gathered.lines.len() < MOST);
        }
        gathered.write();
        let written = out.written();
        assert!(written.iter().all(|batch| batch.len() < MOST + line.len()));
        assert_eq!(written.iter().map(Vec::len).sum::<usize>(), 100 * line.len());
    }
}
