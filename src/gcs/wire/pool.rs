//! Connections kept for the next request.
//!
//! Every runtime has its own: where each core runs one, no request wakes another core. Decides how many are kept and for
//! how long; whichever was used last goes first, so that those beyond need grow old and are closed.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use ahash::RandomState;
use arc_swap::ArcSwap;
use tokio::runtime::{Handle, Id};
use tokio::time::Instant;

use super::buffers::Buffers;
use super::connection::Connection;

/// Shorter than GCS keeps an idle connection, so that the end of one is rarely raced.
const IDLE_TIMEOUT: Duration = Duration::from_mins(1);
/// How often old ones are looked for.
const SWEEP: Duration = Duration::from_secs(15);

/// The pools of all runtimes.
#[derive(Debug)]
pub(super) struct Pools {
    most: usize,
    pools: ArcSwap<HashMap<Id, Arc<Pool>, RandomState>>,
}

/// The pool of one runtime.
#[derive(Debug)]
pub(super) struct Pool {
    most: usize,
    buffers: Buffers,
    idle: Mutex<Idle>,
}

#[derive(Debug, Default)]
struct Idle {
    /// By the time of last use.
    connections: Vec<(Instant, Box<Connection>)>,
    swept: bool,
}

impl Pools {
    pub(super) fn new(most: usize) -> Self {
        Self { most, pools: ArcSwap::default() }
    }

    /// The pool of the runtime that this is called on.
    pub(super) fn here(&self) -> Arc<Pool> {
        let id = Handle::current().id();
        if let Some(pool) = self.pools.load().get(&id) {
            return Arc::clone(pool);
        }
        let pool = Arc::new(Pool { most: self.most, buffers: Buffers::default(), idle: Mutex::default() });
        self.pools.rcu(|pools| {
            let mut pools = HashMap::clone(pools);
            pools.entry(id).or_insert_with(|| Arc::clone(&pool));
            pools
        });
        self.pools.load().get(&id).map_or(pool, Arc::clone)
    }
}

impl Pool {
    /// Buffers for connections of this pool.
    pub(super) fn buffers(&self) -> Buffers {
        self.buffers.clone()
    }

    /// A connection that is good for another request as far as can be seen.
    pub(super) fn take(&self) -> Option<Box<Connection>> {
        let now = Instant::now();
        loop {
            // The lock is gone before a connection is looked at or closed.
            let (since, mut connection) = self.idle().connections.pop()?;
            if now.saturating_duration_since(since) < IDLE_TIMEOUT && connection.is_quiet() {
                return Some(connection);
            }
        }
    }

    /// Keeps a connection, if there is room.
    pub(super) fn put(self: &Arc<Self>, connection: Box<Connection>) {
        let mut idle = self.idle();
        if idle.connections.len() >= self.most {
            return;
        }
        idle.connections.push((Instant::now(), connection));
        if !std::mem::replace(&mut idle.swept, true) {
            tokio::spawn(sweep(Arc::downgrade(self)));
        }
    }

    /// Closes those that have become old; false when none is left.
    fn close_old(&self, now: Instant) -> bool {
        let mut idle = self.idle();
        let young = |(since, _): &(Instant, _)| now.saturating_duration_since(*since) < IDLE_TIMEOUT;
        let first = idle.connections.iter().position(young).unwrap_or(idle.connections.len());
        let old: Vec<_> = idle.connections.drain(..first).collect();
        idle.swept = !idle.connections.is_empty();
        let left = idle.swept;
        drop(idle);
        drop(old);
        left
    }

    fn idle(&self) -> MutexGuard<'_, Idle> {
        // A vector of connections is whole whatever panicked beside it.
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Looks after a pool for as long as it has connections.
async fn sweep(pool: Weak<Pool>) {
    loop {
        tokio::time::sleep(SWEEP).await;
        let Some(pool) = pool.upgrade() else { return };
        if !pool.close_old(Instant::now()) {
            return;
        }
    }
}
