//! What waits to be written, and what the writer is told: bounded, and never held while anything is written.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::{Observer, Output, Record};

/// A full queue is logged this often at most.
const BETWEEN_WARNINGS: Duration = Duration::from_secs(10);

pub(super) struct Queue {
    longest: usize,
    is_on: AtomicBool,
    observer: Arc<dyn Observer>,
    state: Mutex<State>,
    changed: Condvar,
}

struct State {
    waiting: VecDeque<Record>,
    output: Option<Output>,
    /// Counts the changes of `output`, orders to open it anew included.
    edition: u64,
    /// Lines that the writer has taken and not written yet.
    taken: u64,
    phase: Phase,
    warned: Option<Instant>,
    dropped: u64,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    Open,
    /// No more lines are taken.
    Closing,
    /// The writer has ended, or nobody waits for it any more.
    Finished,
}

/// What the writer shall do next.
pub(super) enum Task {
    /// Write these, opening the output anew if the edition is another.
    Write { lines: Vec<Record>, output: Option<Output>, edition: u64 },
    /// End.
    End,
}

impl Queue {
    pub(super) fn new(longest: usize, output: Option<Output>, observer: Arc<dyn Observer>) -> Self {
        let state = State {
            waiting: VecDeque::new(),
            output: output.clone(),
            edition: 0,
            taken: 0,
            phase: Phase::Open,
            warned: None,
            dropped: 0,
        };
        let is_on = AtomicBool::new(output.is_some());
        Self { longest, is_on, observer, state: Mutex::new(state), changed: Condvar::new() }
    }

    pub(super) fn is_on(&self) -> bool {
        self.is_on.load(Ordering::Relaxed)
    }

    pub(super) fn observer(&self) -> &dyn Observer {
        &*self.observer
    }

    pub(super) fn push(&self, record: Record) {
        let mut state = self.lock();
        if state.output.is_none() {
            return;
        }
        if state.phase == Phase::Open && state.waiting.len() < self.longest {
            state.waiting.push_back(record);
            drop(state);
            self.changed.notify_all();
            return;
        }
        state.dropped += 1;
        let (total, now) = (state.dropped, Instant::now());
        let is_news = state.warned.is_none_or(|warned| now.duration_since(warned) >= BETWEEN_WARNINGS);
        if is_news {
            state.warned = Some(now);
        }
        drop(state);
        self.observer.dropped(1);
        if is_news {
            tracing::error!(total, "the audit log cannot keep up: lines are lost");
        }
    }

    pub(super) fn reopen(&self, output: Option<Output>) {
        self.is_on.store(output.is_some(), Ordering::Relaxed);
        let mut state = self.lock();
        state.output = output;
        state.edition += 1;
        drop(state);
        self.changed.notify_all();
    }

    pub(super) fn close(&self) {
        let mut state = self.lock();
        if state.phase == Phase::Open {
            state.phase = Phase::Closing;
        }
        drop(state);
        self.changed.notify_all();
    }

    /// Waits until the writer has ended; how many lines are left if it does not.
    pub(super) fn finished(&self, patience: Duration) -> u64 {
        let waiting = self.lock();
        let (mut state, _) = self
            .changed
            .wait_timeout_while(waiting, patience, |state| state.phase != Phase::Finished)
            .unwrap_or_else(PoisonError::into_inner);
        if state.phase == Phase::Finished {
            return 0;
        }
        state.phase = Phase::Finished;
        let left = state.taken + state.waiting.len() as u64;
        drop(state);
        self.observer.dropped(left);
        left
    }

    /// Waits for something to do. The lines that were taken before count as written.
    pub(super) fn next(&self, most: usize) -> Task {
        let mut state = self.lock();
        state.taken = 0;
        let mut state = self
            .changed
            .wait_while(state, |state| state.waiting.is_empty() && state.phase == Phase::Open)
            .unwrap_or_else(PoisonError::into_inner);
        if state.phase == Phase::Finished || state.waiting.is_empty() {
            state.phase = Phase::Finished;
            drop(state);
            self.changed.notify_all();
            return Task::End;
        }
        let many = state.waiting.len().min(most);
        let lines = state.waiting.drain(..many).collect();
        state.taken = many as u64;
        Task::Write { lines, output: state.output.clone(), edition: state.edition }
    }

    /// After a failure: waits for `pause` or another order; `None` once nobody waits any more.
    pub(super) fn pause(&self, pause: Duration, edition: u64) -> Option<(Option<Output>, u64)> {
        let state = self.lock();
        let (state, _) = self
            .changed
            .wait_timeout_while(state, pause, |state| state.edition == edition && state.phase != Phase::Finished)
            .unwrap_or_else(PoisonError::into_inner);
        (state.phase != Phase::Finished).then(|| (state.output.clone(), state.edition))
    }

    /// A writer that panicked has changed nothing in here halfway.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
