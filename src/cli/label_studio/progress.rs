//! How far an import is.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::cli::progress::Progress;
use crate::tasks::label_studio::ImportCounts;

const WIDTH: u64 = 20;

/// Begins to show what the counts say.
pub(super) fn show(counts: Arc<ImportCounts>, began: Instant) -> Progress {
    Progress::show(move |_| line(&counts, began.elapsed()))
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
