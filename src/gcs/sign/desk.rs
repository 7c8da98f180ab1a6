//! Where signatures with a key in memory are made: never on a thread that drives sockets, and on as many others as
//! there are cores.
//!
//! Decides who signs next: first come, first served. A thread that has signed takes the next message itself, so that of
//! many nobody has to be woken for each. Who waits is a request in flight, of which the server bounds the number.

use std::collections::VecDeque;
use std::num::NonZero;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::available_parallelism;

use tokio::sync::oneshot;
use tokio::task::spawn_blocking;

use super::key::{KeyError, RsaKey};

/// One key and its queue; clones are the same one.
#[derive(Clone, Debug)]
pub(crate) struct Desk {
    key: Arc<RsaKey>,
    queue: Arc<Mutex<Queue>>,
}

#[derive(Debug)]
struct Queue {
    waiting: VecDeque<Job>,
    /// Threads that sign.
    busy: usize,
    most: usize,
}

#[derive(Debug)]
struct Job {
    message: Vec<u8>,
    answer: oneshot::Sender<Result<Vec<u8>, KeyError>>,
}

/// A thread's place; given back whatever becomes of the thread.
struct Turn {
    desk: Desk,
    is_over: bool,
}

impl Desk {
    pub(crate) fn new(key: RsaKey) -> Self {
        let most = available_parallelism().map_or(1, NonZero::get);
        let queue = Queue { waiting: VecDeque::new(), busy: 0, most };
        Self { key: Arc::new(key), queue: Arc::new(Mutex::new(queue)) }
    }

    /// The key.
    pub(crate) fn key(&self) -> &RsaKey {
        &self.key
    }

    /// A signature; `None` if the process ends before it is made.
    pub(crate) async fn sign(&self, message: &[u8]) -> Option<Result<Vec<u8>, KeyError>> {
        let (answer, signed) = oneshot::channel();
        if let Some(turn) = self.take(Job { message: message.to_vec(), answer }) {
            spawn_blocking(move || turn.work());
        }
        signed.await.ok()
    }

    /// Puts a job into the queue; a turn if there is a thread to spare for it.
    fn take(&self, job: Job) -> Option<Turn> {
        let mut queue = self.queue();
        queue.waiting.push_back(job);
        let spare = queue.busy < queue.most;
        queue.busy += usize::from(spare);
        drop(queue);
        spare.then(|| Turn { desk: self.clone(), is_over: false })
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        // A queue is whole whatever panicked beside it.
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Turn {
    /// Signs until nobody waits.
    fn work(mut self) {
        while let Some(Job { message, answer }) = self.next() {
            if !answer.is_closed() {
                // Whoever has left meanwhile needs no signature.
                let _ = answer.send(self.desk.key.sign(&message));
            }
        }
    }

    /// The next job. Without one the place is free in the same moment, so that no job is left to a thread that ends.
    fn next(&mut self) -> Option<Job> {
        let mut queue = self.desk.queue();
        let job = queue.waiting.pop_front();
        if job.is_none() {
            queue.busy -= 1;
            drop(queue);
            self.is_over = true;
        }
        job
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        if !self.is_over {
            self.desk.queue().busy -= 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::task::JoinSet;

    use super::*;

    fn desk() -> Desk {
        let file = include_str!("../../../tests/vectors/test_service_account.not-a-test.json");
        let file: serde_json::Value = serde_json::from_str(file).expect("JSON");
        Desk::new(RsaKey::from_pem(file["private_key"].as_str().expect("a key")).expect("a good key"))
    }

    fn is_idle(desk: &Desk) -> bool {
        let queue = desk.queue();
        queue.busy == 0 && queue.waiting.is_empty()
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn everybody_gets_their_own_signature() {
        let desk = desk();
        let mut waiting = JoinSet::new();
        for number in 0..64_u8 {
            let desk = desk.clone();
            waiting.spawn(async move { (number, desk.sign(&[number]).await) });
        }
        for (number, signed) in waiting.join_all().await {
            assert_eq!(signed, Some(desk.key().sign(&[number])));
        }
        assert!(desk.queue().waiting.is_empty());
    }

    #[tokio::test]
    async fn no_more_threads_sign_than_there_are_cores() {
        let desk = desk();
        let job = || {
            let (answer, signed) = oneshot::channel();
            (Job { message: b"x".to_vec(), answer }, signed)
        };
        let most = desk.queue().most;
        let (jobs, signed): (Vec<_>, Vec<_>) = (0..most + 2).map(|_| job()).unzip();
        let mut turns: Vec<_> = jobs.into_iter().filter_map(|job| desk.take(job)).collect();
        assert_eq!(turns.len(), most);
        drop(turns.split_off(1));
        assert_eq!(desk.queue().busy, 1, "places are given back by threads that never ran");
        turns.pop().expect("one is left").work();
        assert!(is_idle(&desk));
        for signed in signed {
            assert!(signed.await.expect("one thread signs for all").is_ok());
        }
    }

    #[tokio::test]
    async fn nothing_is_signed_for_whoever_has_left() {
        let desk = desk();
        let (answer, signed) = oneshot::channel();
        let turn = desk.take(Job { message: b"x".to_vec(), answer }).expect("a thread is free");
        drop(signed);
        turn.work();
        assert!(is_idle(&desk));
    }
}
