//! How far a manifest is, and what came of it at the end.

use std::io::{self, Write as _};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::cli::progress::{Audience, Progress};
use crate::tasks::{Counts, Told, Troubles};

/// What the bar's mark walks along.
const TRACK: usize = 16;

/// Begins to show what the counts say.
pub(super) fn show(counts: Arc<Counts>, began: Instant) -> Progress {
    Progress::show(move |audience| {
        let line = line(counts.listed(), counts.tasks(), began.elapsed());
        match audience {
            Audience::Terminal(step) => format!("{} {line}", bar(step)),
            Audience::Log => line,
        }
    })
}

/// How many there will be is not known, so that the mark walks to and fro.
fn bar(step: usize) -> String {
    let place = step % (2 * TRACK);
    let place = if place < TRACK { place } else { 2 * TRACK - 1 - place };
    let track: String = (0..TRACK).map(|at| if at == place { '█' } else { '░' }).collect();
    format!("[{track}]")
}

fn line(listed: u64, tasks: u64, elapsed: Duration) -> String {
    #[allow(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a rate for people"
    )]
    let rate = (listed as f64 / elapsed.as_secs_f64().max(0.001)) as u64;
    let elapsed = humantime::format_duration(Duration::from_millis(
        u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX) / 100 * 100,
    ));
    format!("{listed} objects, {tasks} tasks, {rate} objects/s, {elapsed}")
}

/// Tells on standard error what came of it.
pub(super) fn report(counts: &Counts, troubles: &Troubles, began: Instant) {
    let mut lines = vec![line(counts.listed(), counts.tasks(), began.elapsed())];
    tell(&mut lines, "cannot be served", &troubles.unservable);
    tell(&mut lines, "cannot be used", &troubles.bad);
    if troubles.without_tasks > 0 {
        lines.push(format!("{} objects are neither JSON, JSON lines nor Parquet", troubles.without_tasks));
    }
    if let (count @ 1.., Some(example)) = &troubles.uncovered {
        lines
            .push(format!("{count} gs:// URIs are covered by no connection and stay as they are, such as {example:?}"));
    }
    for line in lines {
        let _ = writeln!(io::stderr(), "gsgate: {line}");
    }
}

fn tell(lines: &mut Vec<String>, what: &str, told: &Told) {
    lines.extend(told.first.iter().map(|trouble| format!("{what}: {trouble}")));
    let more = told.count - told.first.len() as u64;
    if more > 0 {
        lines.push(format!("{what}: {more} more"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_has_objects_rate_and_time() {
        assert_eq!(line(5000, 4999, Duration::from_millis(2512)), "5000 objects, 4999 tasks, 1990 objects/s, 2s 500ms");
        assert_eq!(line(0, 0, Duration::ZERO), "0 objects, 0 tasks, 0 objects/s, 0s");
        assert_eq!(bar(0).chars().count(), TRACK + 2);
        assert_eq!((bar(15), bar(17)), (bar(16), bar(14)));
    }
}
