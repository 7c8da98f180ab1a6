//! Latencies, counted in buckets of at most 1.6% width, from 1 µs on.

use std::sync::atomic::{AtomicU64, Ordering};

/// Buckets to a doubling.
const FINE: u64 = 64;
const BUCKETS: usize = 64 * 32;

#[derive(Debug)]
pub(crate) struct Histogram(Vec<AtomicU64>);

impl Histogram {
    pub(crate) fn new() -> Self {
        Self((0..BUCKETS).map(|_| AtomicU64::new(0)).collect())
    }

    pub(crate) fn record(&self, micros: u64) {
        self.0[index(micros)].fetch_add(1, Ordering::Relaxed);
    }

    /// The microseconds that this share of all recorded did not exceed; 0 if there are none.
    pub(crate) fn quantile(&self, per_mille: u64) -> u64 {
        let counts: Vec<u64> = self.0.iter().map(|count| count.load(Ordering::Relaxed)).collect();
        let rank = (counts.iter().sum::<u64>() * per_mille).div_ceil(1000);
        let mut seen = 0;
        for (index, count) in counts.iter().enumerate() {
            seen += count;
            if seen >= rank && seen > 0 {
                return upper(index as u64);
            }
        }
        0
    }
}

/// The first 64 buckets are 1 µs wide; from there each doubling has 64.
fn index(micros: u64) -> usize {
    let index = if micros < FINE {
        micros
    } else {
        let doubling = u64::from(micros.ilog2() - FINE.ilog2());
        FINE + doubling * FINE + (micros >> doubling) - FINE
    };
    usize::try_from(index).unwrap_or(BUCKETS).min(BUCKETS - 1)
}

/// The largest value of a bucket.
fn upper(index: u64) -> u64 {
    if index < FINE {
        return index;
    }
    let doubling = index / FINE - 1;
    ((index % FINE + FINE + 1) << doubling) - 1
}
