//! Where signatures with a key in memory are made: never on a thread that drives sockets, and on as many others as
//! there are cores.
//!
//! Decides who signs next: tokens before URLs, which hang on them, and else first come, first served. A thread that has
//! signed takes the next message itself, so that of many nobody has to be woken for each, and ends when there was none
//! for a while. Who waits is a request in flight, of which the server bounds the number.

use std::collections::VecDeque;
use std::num::NonZero;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, available_parallelism};
use std::time::Duration;

use tokio::sync::oneshot;

use super::key::{KeyError, RsaKey};

/// How long a thread waits for another message.
const LINGER: Duration = Duration::from_secs(10);

/// One key and its queue; clones are the same one.
#[derive(Clone, Debug)]
pub(crate) struct Desk(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    key: RsaKey,
    queue: Mutex<Queue>,
    /// Wakes a thread that rests.
    arrival: Condvar,
    linger: Duration,
}

#[derive(Debug)]
struct Queue {
    waiting: VecDeque<Job>,
    threads: usize,
    /// Threads that wait for another message.
    resting: usize,
    most: usize,
}

#[derive(Debug)]
struct Job {
    message: Vec<u8>,
    answer: oneshot::Sender<Result<Vec<u8>, KeyError>>,
}

/// Where a message joins the queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Rank {
    Ahead,
    InTurn,
}

/// A thread's place; given back whatever becomes of the thread.
struct Turn {
    desk: Desk,
    is_over: bool,
}

impl Desk {
    pub(crate) fn new(key: RsaKey) -> Self {
        Self::with_linger(key, LINGER)
    }

    fn with_linger(key: RsaKey, linger: Duration) -> Self {
        let most = available_parallelism().map_or(1, NonZero::get);
        let queue = Mutex::new(Queue { waiting: VecDeque::new(), threads: 0, resting: 0, most });
        Self(Arc::new(Inner { key, queue, arrival: Condvar::new(), linger }))
    }

    /// The key.
    pub(crate) fn key(&self) -> &RsaKey {
        &self.0.key
    }

    /// A signature; `None` if there is no thread to make it.
    pub(crate) async fn sign(&self, message: &[u8]) -> Option<Result<Vec<u8>, KeyError>> {
        self.signed(message, Rank::InTurn).await
    }

    /// The same before all others who wait.
    pub(crate) async fn sign_ahead(&self, message: &[u8]) -> Option<Result<Vec<u8>, KeyError>> {
        self.signed(message, Rank::Ahead).await
    }

    async fn signed(&self, message: &[u8], rank: Rank) -> Option<Result<Vec<u8>, KeyError>> {
        let (answer, signed) = oneshot::channel();
        if let Some(turn) = self.take(Job { message: message.to_vec(), answer }, rank) {
            // A thread that cannot be started gives its place back; whoever waits for it alone is told.
            let _ = thread::Builder::new().name("signing".to_owned()).spawn(move || turn.work());
        }
        signed.await.ok()
    }

    /// Puts a job into the queue; a turn if it takes another thread to do it.
    fn take(&self, job: Job, rank: Rank) -> Option<Turn> {
        let mut queue = self.queue();
        match rank {
            Rank::Ahead => queue.waiting.push_front(job),
            Rank::InTurn => queue.waiting.push_back(job),
        }
        if queue.waiting.len() <= queue.resting {
            self.0.arrival.notify_one();
            return None;
        }
        let spare = queue.threads < queue.most;
        queue.threads += usize::from(spare);
        drop(queue);
        spare.then(|| Turn { desk: self.clone(), is_over: false })
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        // A queue is whole whatever panicked beside it.
        self.0.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Turn {
    /// Signs until nobody has come for a while.
    fn work(mut self) {
        while let Some(Job { message, answer }) = self.next() {
            if !answer.is_closed() {
                // Whoever has left meanwhile needs no signature.
                let _ = answer.send(self.desk.key().sign(&message));
            }
        }
    }

    /// The next job. Without one the place is free in the same moment, so that no job is left to a thread that ends.
    fn next(&mut self) -> Option<Job> {
        let Inner { arrival, linger, .. } = &*self.desk.0;
        let mut queue = self.desk.queue();
        if queue.waiting.is_empty() {
            queue.resting += 1;
            let waited = arrival.wait_timeout_while(queue, *linger, |queue| queue.waiting.is_empty());
            queue = waited.unwrap_or_else(PoisonError::into_inner).0;
            queue.resting -= 1;
        }
        let job = queue.waiting.pop_front();
        if job.is_none() {
            queue.threads -= 1;
            self.is_over = true;
        }
        job
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        if self.is_over {
            return;
        }
        let mut queue = self.desk.queue();
        queue.threads -= 1;
        // Nobody is left to sign for them: they are told, and not left waiting.
        let left = if queue.threads == 0 { std::mem::take(&mut queue.waiting) } else { VecDeque::new() };
        drop(queue);
        drop(left);
    }
}

#[cfg(test)]
mod tests {
    use tokio::task::JoinSet;

    use super::*;

    fn desk() -> Desk {
        lingering(Duration::ZERO)
    }

    fn lingering(linger: Duration) -> Desk {
        let file = include_str!("../../../tests/vectors/test_service_account.not-a-test.json");
        let file: serde_json::Value = serde_json::from_str(file).expect("JSON");
        let key = RsaKey::from_pem(file["private_key"].as_str().expect("a key")).expect("a good key");
        Desk::with_linger(key, linger)
    }

    type Signed = oneshot::Receiver<Result<Vec<u8>, KeyError>>;

    fn job(message: &[u8]) -> (Job, Signed) {
        let (answer, signed) = oneshot::channel();
        (Job { message: message.to_vec(), answer }, signed)
    }

    fn is_idle(desk: &Desk) -> bool {
        let queue = desk.queue();
        queue.threads == 0 && queue.resting == 0 && queue.waiting.is_empty()
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn everybody_gets_their_own_signature() {
        for linger in [Duration::ZERO, LINGER] {
            let desk = lingering(linger);
            let mut waiting = JoinSet::new();
            for number in 0..64_u8 {
                let desk = desk.clone();
                waiting.spawn(async move {
                    let signed =
                        if number % 2 == 0 { desk.sign(&[number]).await } else { desk.sign_ahead(&[number]).await };
                    (number, signed)
                });
            }
            for (number, signed) in waiting.join_all().await {
                assert_eq!(signed, Some(desk.key().sign(&[number])));
            }
            assert!(desk.queue().waiting.is_empty());
        }
    }

    #[tokio::test]
    async fn no_more_threads_sign_than_there_are_cores() {
        let desk = desk();
        let most = desk.queue().most;
        let (jobs, signed): (Vec<_>, Vec<_>) = (0..most + 2).map(|_| job(b"x")).unzip();
        let mut turns: Vec<_> = jobs.into_iter().filter_map(|job| desk.take(job, Rank::InTurn)).collect();
        assert_eq!(turns.len(), most);
        drop(turns.split_off(1));
        assert_eq!(desk.queue().threads, 1, "places are given back by threads that never ran");
        turns.pop().expect("one is left").work();
        assert!(is_idle(&desk));
        for signed in signed {
            assert!(signed.await.expect("one thread signs for all").is_ok());
        }
    }

    #[tokio::test]
    async fn whoever_waits_for_a_thread_that_never_ran_is_told() {
        let desk = desk();
        let (job, signed) = job(b"x");
        drop(desk.take(job, Rank::InTurn).expect("a thread is free"));
        assert!(signed.await.is_err() && is_idle(&desk));
        assert!(desk.sign(b"x").await.is_some_and(|signed| signed.is_ok()), "the next is served");
    }

    #[test]
    fn tokens_come_before_urls() {
        let desk = desk();
        let (url, _url) = job(b"url");
        let (token, _token) = job(b"token");
        let mut turn = desk.take(url, Rank::InTurn).expect("a thread is free");
        let _other = desk.take(token, Rank::Ahead);
        assert_eq!(turn.next().expect("a job").message, b"token");
        assert_eq!(turn.next().expect("a job").message, b"url");
    }

    #[tokio::test]
    async fn nothing_is_signed_for_whoever_has_left() {
        let desk = desk();
        let (job, signed) = job(b"x");
        let turn = desk.take(job, Rank::InTurn).expect("a thread is free");
        drop(signed);
        turn.work();
        assert!(is_idle(&desk));
    }
}
