//! Progress bars on a terminal, one per chain; none for runs that end at once.

use std::io::IsTerminal;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

use crate::mcmc::config::{Phase, Progress};

/// Time after which bars appear.
const PATIENCE: Duration = Duration::from_millis(400);

/// The bars of a run.
pub struct Bars {
    chains: usize,
    active: bool,
    start: Instant,
    bars: OnceLock<(MultiProgress, Vec<ProgressBar>)>,
}

impl Bars {
    /// Bars that appear when the run lasts, if `quiet` is false and the error stream is a terminal.
    pub fn new(chains: usize, quiet: bool) -> Bars {
        let active = !quiet && std::io::stderr().is_terminal();
        Bars { chains, active, start: Instant::now(), bars: OnceLock::new() }
    }

    /// Whether there will ever be bars.
    pub fn active(&self) -> bool {
        self.active
    }

    /// Shows a report.
    pub fn show(&self, p: &Progress) {
        if self.start.elapsed() < PATIENCE {
            return;
        }
        let (_, bars) = self.bars.get_or_init(|| make(self.chains, p.total as u64));
        let bar = &bars[p.chain];
        let phase = if p.phase == Phase::Warmup { "warm-up" } else { "sampling" };
        bar.set_message(format!("{phase}, step {:.3}, {} divergences", p.step_size, p.divergences));
        bar.set_position(p.iteration as u64);
    }

    /// Removes the bars.
    pub fn end(&self) {
        if let Some((all, _)) = self.bars.get() {
            // A terminal that is gone needs no clearing.
            let _ = all.clear();
        }
    }
}

fn make(chains: usize, total: u64) -> (MultiProgress, Vec<ProgressBar>) {
    let all = MultiProgress::new();
    let style = ProgressStyle::with_template("{prefix} {bar:30} {pos}/{len} {msg}, {eta} left")
        .unwrap_or_else(|_| ProgressStyle::default_bar());
    let bar = |c: usize| {
        let b = all.add(ProgressBar::new(total).with_style(style.clone()));
        b.set_prefix(format!("chain {}", c + 1));
        b
    };
    let bars = (0..chains).map(bar).collect();
    (all, bars)
}

/// A bar for the steps of a training; hidden where the error stream is no terminal.
pub fn steps(total: u64) -> ProgressBar {
    if !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template("{bar:30} {pos}/{len} {msg}, {eta} left")
        .unwrap_or_else(|_| ProgressStyle::default_bar());
    ProgressBar::new(total).with_style(style)
}
