//! What Linux knows of a process: its CPU time and its memory.
//! Must not know what the process does.

/// Ticks of a second in `/proc` (`USER_HZ`, 100 on every architecture that Linux runs a cluster on).
const TICKS: f64 = 100.0;

/// CPU seconds that it has spent, in the kernel too.
pub fn cpu_seconds(pid: u32) -> f64 {
    let text = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    // The name in parentheses may hold anything; user and system time are the 12th and 13th field behind it.
    let fields: Vec<&str> = text.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    [11, 12].iter().filter_map(|at| fields.get(*at)?.parse::<f64>().ok()).sum::<f64>() / TICKS
}

/// Seconds that its threads were ready to run while no core was free (`schedstat`): what a busy machine adds.
pub fn waited_seconds(pid: u32) -> f64 {
    let threads = std::fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    let waited = |text: String| text.split_whitespace().nth(1)?.parse::<f64>().ok();
    threads.filter_map(|t| waited(std::fs::read_to_string(t.path().join("schedstat")).ok()?)).sum::<f64>() / 1e9
}

/// MiB that it holds in memory now (`VmRSS`), or held at most (`VmHWM`).
pub fn memory(pid: u32, what: &str) -> f64 {
    let text = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix(what)?.strip_prefix(':'));
    line.and_then(|l| l.trim().trim_end_matches(" kB").parse::<f64>().ok()).map_or(f64::NAN, |kib| kib / 1_024.0)
}

/// The machine's load averages.
pub fn load_averages() -> String {
    let text = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split(' ').take(3).collect::<Vec<_>>().join(" ")
}
