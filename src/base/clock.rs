//! Processor time, for measurements: other programs on the machine disturb it least.

/// CPU seconds of this process; wall-clock seconds where the system has no clock of the process.
pub fn process_seconds() -> f64 {
    #[cfg(unix)]
    return unix(rustix::time::ClockId::ProcessCPUTime);
    #[cfg(not(unix))]
    wall()
}

/// CPU seconds of this thread; wall-clock seconds where the system has no clock of the thread.
pub fn thread_seconds() -> f64 {
    #[cfg(unix)]
    return unix(rustix::time::ClockId::ThreadCPUTime);
    #[cfg(not(unix))]
    wall()
}

#[cfg(unix)]
fn unix(clock: rustix::time::ClockId) -> f64 {
    let t = rustix::time::clock_gettime(clock);
    t.tv_sec as f64 + 1e-9 * t.tv_nsec as f64
}

#[cfg(not(unix))]
fn wall() -> f64 {
    static START: std::sync::OnceLock<std::time::Instant> = std::sync::OnceLock::new();
    START.get_or_init(std::time::Instant::now).elapsed().as_secs_f64()
}
