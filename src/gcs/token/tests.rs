//! Tokens under a clock that the test turns, with loaders that count.

use std::sync::atomic::{AtomicU64, AtomicUsize};
use std::time::UNIX_EPOCH;

use tokio::sync::{Barrier, Notify};

use super::*;

/// Tokens, a clock in milliseconds, and how often a token was loaded.
struct Bench {
    tokens: Arc<Tokens>,
    clock: Arc<AtomicU64>,
    loads: Arc<AtomicUsize>,
}

impl Bench {
    fn new() -> Self {
        let clock = Arc::new(AtomicU64::new(1_800_000_000_000));
        let hands = clock.clone();
        let environment =
            Environment::of([]).with_clock(move || UNIX_EPOCH + Duration::from_millis(hands.load(Ordering::SeqCst)));
        Self { tokens: Arc::new(Tokens::new(environment)), clock, loads: Arc::default() }
    }

    fn pass(&self, time: Duration) {
        let millis = u64::try_from(time.as_millis()).expect("a short time");
        self.clock.fetch_add(millis, Ordering::SeqCst);
    }

    /// Loads a token that lives an hour, named for the count of loads.
    async fn get(&self) -> Result<String, String> {
        let (loads, clock) = (self.loads.clone(), self.clock.clone());
        self.shown(move || async move { Ok(hour(&loads, &clock)) }).await
    }

    async fn fail(&self) -> Result<String, String> {
        let loads = self.loads.clone();
        self.shown(move || async move {
            loads.fetch_add(1, Ordering::SeqCst);
            Err(Error::Nonsense { service: "x", problem: "y" })
        })
        .await
    }

    async fn shown<F, L>(&self, load: F) -> Result<String, String>
    where
        F: FnOnce() -> L,
        L: Future<Output = Result<Fresh, Error>> + Send + 'static,
    {
        let shown = |token: Token| token.authorization.to_str().expect("text").to_owned();
        self.tokens.get(Slot::Reading, load).await.map(shown).map_err(|error| error.to_string())
    }

    fn loads(&self) -> usize {
        self.loads.load(Ordering::SeqCst)
    }
}

fn hour(loads: &AtomicUsize, clock: &AtomicU64) -> Fresh {
    let count = loads.fetch_add(1, Ordering::SeqCst) + 1;
    let now = UNIX_EPOCH + Duration::from_millis(clock.load(Ordering::SeqCst));
    Fresh { secret: Secret::new(format!("t{count}")), expires_at: now + Duration::from_hours(1) }
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_waiters_share_one_loading() {
    let bench = Arc::new(Bench::new());
    let start = Arc::new(Barrier::new(10_000));
    let waiters: Vec<_> = (0..10_000)
        .map(|_| {
            let (bench, start) = (bench.clone(), start.clone());
            tokio::spawn(async move {
                start.wait().await;
                bench.get().await
            })
        })
        .collect();
    for waiter in waiters {
        assert_eq!(waiter.await.expect("no panic"), Ok("Bearer t1".to_owned()));
    }
    assert_eq!(bench.loads(), 1);
}

#[tokio::test]
async fn an_ageing_token_serves_while_the_next_is_loaded_once() {
    let bench = Bench::new();
    assert_eq!(bench.get().await, Ok("Bearer t1".into()));
    bench.pass(Duration::from_secs(3600 - 241));
    assert_eq!(bench.get().await, Ok("Bearer t1".into()));
    bench.pass(Duration::from_secs(2));
    let (asked, answer) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let slow = || {
        let (asked, answer, loads, clock) = (asked.clone(), answer.clone(), bench.loads.clone(), bench.clock.clone());
        move || async move {
            asked.notify_one();
            answer.notified().await;
            Ok(hour(&loads, &clock))
        }
    };
    assert_eq!(bench.shown(slow()).await, Ok("Bearer t1".into()));
    asked.notified().await;
    for _ in 0..100 {
        assert_eq!(bench.shown(slow()).await, Ok("Bearer t1".into()));
    }
    answer.notify_one();
    while bench.get().await != Ok("Bearer t2".into()) {
        tokio::task::yield_now().await;
    }
    assert_eq!(bench.loads(), 2);
}

#[tokio::test]
async fn a_refused_token_is_dropped_and_no_other() {
    let bench = Bench::new();
    bench.get().await.expect("a token");
    let load = || async { panic!("there is a token") };
    let first = bench.tokens.get(Slot::Reading, load).await.expect("a token");
    bench.tokens.invalidate(&first);
    bench.tokens.invalidate(&first);
    assert_eq!(bench.get().await, Ok("Bearer t2".into()));
    bench.tokens.invalidate(&first);
    assert_eq!(bench.get().await, Ok("Bearer t2".into()));
    assert_eq!(bench.loads(), 2);
}

#[tokio::test]
async fn a_second_refusal_in_a_row_slows_down() {
    let bench = Bench::new();
    for _ in 0..2 {
        bench.get().await.expect("a token");
        let load = || async { panic!("there is a token") };
        let token = bench.tokens.get(Slot::Reading, load).await.expect("a token");
        bench.tokens.invalidate(&token);
    }
    assert_eq!(bench.get().await, Err("GCS refused two tokens in a row (401)".into()));
    bench.pass(FIRST_BACK_OFF);
    assert_eq!(bench.get().await, Ok("Bearer t3".into()));
}

#[tokio::test]
async fn a_refusal_long_after_another_is_mended_at_once() {
    let bench = Bench::new();
    for expected in ["Bearer t1", "Bearer t2", "Bearer t3"] {
        assert_eq!(bench.get().await, Ok(expected.into()));
        bench.pass(YOUNG);
        let load = || async { panic!("there is a token") };
        let token = bench.tokens.get(Slot::Reading, load).await.expect("a token");
        bench.tokens.invalidate(&token);
    }
}

#[tokio::test]
async fn a_failure_is_told_at_once_until_it_is_time_to_try_again() {
    let bench = Bench::new();
    let error = Err("x answered nonsense: y".to_owned());
    for round in 1..8 {
        assert_eq!(bench.fail().await, error);
        assert_eq!(bench.get().await, error, "within the back-off");
        assert_eq!(bench.loads(), round);
        bench.pass(LONGEST_BACK_OFF);
    }
    assert_eq!(bench.get().await, Ok("Bearer t8".into()));
}

#[tokio::test]
async fn a_failed_renewal_leaves_the_old_token_in_service() {
    let bench = Bench::new();
    bench.get().await.expect("a token");
    bench.pass(Duration::from_mins(59));
    assert_eq!(bench.fail().await, Ok("Bearer t1".into()));
    while bench.loads() < 2 {
        tokio::task::yield_now().await;
    }
    assert_eq!(bench.get().await, Ok("Bearer t1".into()));
    bench.pass(Duration::from_mins(2));
    assert_eq!(bench.get().await, Ok("Bearer t3".into()));
}

#[tokio::test]
async fn a_waiter_that_leaves_does_not_stop_the_loading() {
    let bench = Arc::new(Bench::new());
    let (asked, answer) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let leaver = tokio::spawn({
        let (bench, asked, answer) = (bench.clone(), asked.clone(), answer.clone());
        async move {
            let (loads, clock) = (bench.loads.clone(), bench.clock.clone());
            let load = move || async move {
                asked.notify_one();
                answer.notified().await;
                Ok(hour(&loads, &clock))
            };
            bench.shown(load).await
        }
    });
    asked.notified().await;
    leaver.abort();
    assert!(leaver.await.expect_err("aborted").is_cancelled());
    answer.notify_one();
    assert_eq!(bench.get().await, Ok("Bearer t1".into()));
    assert_eq!(bench.loads(), 1);
}

#[test]
fn short_lives_are_not_asked_for_without_rest() {
    let now = UNIX_EPOCH + Duration::from_secs(1_800_000_007);
    for (life, renewed_after) in [(3600, 3360), (300, 60), (240, 10), (100, 10), (10, 5)] {
        let fresh = Fresh { secret: Secret::new("t".into()), expires_at: now + Duration::from_secs(life) };
        let token = Token::new(fresh, Slot::Reading, 1, now).expect("can be sent");
        assert_eq!(token.renew_at, now + Duration::from_secs(renewed_after), "{life}");
        assert!(token.authorization().is_sensitive());
    }
}
