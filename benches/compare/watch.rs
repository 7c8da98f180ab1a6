//! What processes have used, as `/proc` tells.
//!
//! Follows <https://docs.kernel.org/filesystems/proc.html>.

use std::fs;

/// Nanoseconds of CPU, user and system, that the threads of these processes have had.
///
/// `schedstat` is exact, where `stat` counts in ticks of 10 ms.
pub(crate) fn cpu_nanos(processes: &[u32]) -> u64 {
    processes.iter().map(|process| threads(*process)).sum()
}

fn threads(process: u32) -> u64 {
    let Ok(threads) = fs::read_dir(format!("/proc/{process}/task")) else { return 0 };
    threads
        .filter_map(|thread| fs::read_to_string(thread.ok()?.path().join("schedstat")).ok())
        .filter_map(|text| text.split(' ').next()?.parse::<u64>().ok())
        .sum()
}

/// The resident memory of these processes, in KiB: now, or (`VmHWM`) at its peak.
pub(crate) fn memory(processes: &[u32], field: &str) -> u64 {
    processes.iter().filter_map(|process| kib(*process, field)).sum()
}

fn kib(process: u32, field: &str) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(field))?;
    line.trim_start_matches(':').trim().strip_suffix(" kB")?.parse().ok()
}
