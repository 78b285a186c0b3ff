//! Warm-up: step size and inverse mass matrix.

use crate::mcmc::config::Nuts;
use crate::mcmc::estimate::{DiagEstimate, Window};
use crate::mcmc::kernel::Info;
use crate::mcmc::metric::{Diag, Metric, MetricKind};
use crate::mcmc::state::State;
use crate::mcmc::step_size::DualAveraging;

/// Experiment knobs.
#[derive(Clone, Copy, Debug)]
pub struct Knobs {
    pub early: f64,
    pub last: f64,
    pub early_window: usize,
    pub window: usize,
    pub growth: f64,
    pub restart: bool,
    pub grad_init: bool,
    pub each: bool,
}

pub static KNOBS: std::sync::OnceLock<Knobs> = std::sync::OnceLock::new();

pub fn knobs() -> Knobs {
    *KNOBS.get_or_init(|| {
        let get = |name: &str, d: f64| std::env::var(name).ok().and_then(|s| s.parse().ok()).unwrap_or(d);
        Knobs {
            early: get("K_EARLY", 0.3),
            last: get("K_LAST", 0.15),
            early_window: get("K_EW", 10.0) as usize,
            window: get("K_W", 80.0) as usize,
            growth: get("K_G", 1.5),
            restart: get("K_R", 0.0) > 0.0,
            grad_init: get("K_GI", 1.0) > 0.0,
            each: get("K_EACH", 1.0) > 0.0,
        }
    })
}

/// The state of warm-up.
pub struct Adaptation {
    kind: MetricKind,
    averaging: DualAveraging,
    target: f64,
    front: DiagEstimate,
    back: DiagEstimate,
    window: Window,
    done: usize,
    early_end: usize,
    metric_end: usize,
    switch: f64,
}

impl Adaptation {
    /// A new warm-up from the current point and the first guess of the step size.
    pub fn new(config: &Nuts, dim: usize) -> Adaptation {
        let k = knobs();
        Adaptation {
            kind: config.metric,
            averaging: DualAveraging::new(config.step_size, config.target_accept),
            target: config.target_accept,
            front: DiagEstimate::new(dim),
            back: DiagEstimate::new(dim),
            window: Window::new(dim, 0),
            done: 0,
            early_end: (config.warmup as f64 * k.early) as usize,
            metric_end: (config.warmup as f64 * (1.0 - k.last)) as usize,
            switch: k.window as f64,
        }
    }

    /// First metric.
    pub fn first_metric(&self, state: &State) -> Metric {
        if self.kind == MetricKind::Unit || !knobs().grad_init {
            return Metric::unit(state.dim());
        }
        let variances: Vec<f64> = state.gradient().iter().map(|g| (1.0 / g.abs()).clamp(1e-10, 1e10)).collect();
        Metric::Diag(Diag::new(&variances))
    }

    /// Starts dual averaging.
    pub fn start(&mut self, step: f64) {
        self.averaging = DualAveraging::new(step, self.target);
    }

    /// Step size now.
    pub fn step_size(&self) -> f64 {
        self.averaging.current()
    }

    /// Step size for sampling.
    pub fn final_step_size(&self) -> f64 {
        self.averaging.averaged()
    }

    /// Learns from one transition.
    pub fn update(&mut self, state: &State, info: &Info, metric: &mut Metric) {
        let k = knobs();
        self.averaging.update(info.accept);
        self.done += 1;
        if self.kind == MetricKind::Unit || self.done > self.metric_end {
            return;
        }
        if !info.divergent {
            self.front.push(state.position(), state.gradient());
            self.back.push(state.position(), state.gradient());
            if self.kind != MetricKind::Diag {
                self.window.push(state.position(), state.gradient());
            }
        }
        let early = self.done < self.early_end;
        let limit = if early { k.early_window } else { self.switch as usize };
        let left = self.metric_end - self.done;
        let last = self.done == self.metric_end;
        let mut switched = false;
        if last || (self.back.count() as usize >= limit && (early || left as f64 >= self.switch * k.growth)) {
            switched = true;
            if !early {
                self.switch *= k.growth;
            }
            std::mem::swap(&mut self.front, &mut self.back);
            self.back.clear();
        }
        match self.kind {
            MetricKind::Dense | MetricKind::LowRank { .. } if switched && (!early || self.window.len() >= 20) => {
                let new = match self.kind {
                    MetricKind::LowRank { cutoff, max_rank } => {
                        self.window.low_rank(cutoff, max_rank).map(Metric::LowRank)
                    }
                    _ => self.window.dense().map(Metric::Dense),
                };
                if let Some(m) = new {
                    *metric = m;
                }
                self.window.keep_last(if early { 10 } else { 0 });
            }
            _ => {
                if let Metric::Diag(m) = metric
                    && (switched || (k.each && self.front.count() >= 3))
                {
                    if switched && last {
                        // nothing: front holds the last window
                    }
                    self.front.write(m);
                }
            }
        }
        if switched && k.restart && !early {
            let s = self.averaging.averaged();
            self.averaging = DualAveraging::new(s, self.target);
        }
    }
}
