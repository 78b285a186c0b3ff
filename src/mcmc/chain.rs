//! One chain: its starting point, then one iteration after the other, so that it can rest and go on in another thread.

use crate::base::rng::Stream;
use crate::density::{Gradient, Proposal};
use crate::mcmc::account::{ChainRun, Reporter, Totals};
use crate::mcmc::adapt::Adaptation;
use crate::mcmc::config::{Control, Nuts, Phase, Progress};
use crate::mcmc::error::McmcError;
use crate::mcmc::flow_mh::FlowMh;
use crate::mcmc::init::Init;
use crate::mcmc::kernel::{Info, Kernel};
use crate::mcmc::metric::Metric;
use crate::mcmc::nuts::{NutsKernel, Standard};
use crate::mcmc::sink::{Draw, Sink};
use crate::mcmc::state::State;
use crate::mcmc::step_size::first_guess;
use crate::mcmc::turns::Task;
use std::ops::ControlFlow;

/// Steep starting points that a chain gives up before it reports one.
const STEEP_STARTS: usize = 20;
/// Log density beyond which differences of 0.01 are lost in rounding, and with them the acceptance test.
const COARSE: f64 = 1e13;

/// One chain under way, at rest between any two iterations.
pub(crate) struct Chain<'a, T: ?Sized, S> {
    config: &'a Nuts,
    target: &'a T,
    index: usize,
    control: &'a Control<'a>,
    state: State,
    rng: Stream,
    kernel: NutsKernel<'a, Standard>,
    jumps: Option<FlowMh<'a>>,
    reporter: Reporter,
    sink: &'a mut S,
    totals: Totals,
    metric: Metric,
    stage: Stage,
    /// Position before the last iteration.
    before: Vec<f64>,
    /// Iterations done, warm-up included.
    done: usize,
    /// Gradient evaluations up to the end of warm-up.
    warmup_gradients: u64,
}

/// What the next iteration of a chain belongs to.
enum Stage {
    Warmup(Box<Adaptation>),
    /// With its step size.
    Sampling(f64),
}

impl<'a, T: Gradient + ?Sized, S: Sink> Chain<'a, T, S> {
    /// Chain `index` at its starting point.
    pub fn new(
        config: &'a Nuts,
        target: &'a T,
        proposal: Option<&'a dyn Proposal>,
        index: usize,
        init: &Init<'_>,
        sink: &'a mut S,
        control: &'a Control<'a>,
    ) -> Result<Self, McmcError> {
        let mut state = State::new(target, config.max_depth);
        let mut rng = Stream::new(config.seed, "nuts", index as u64);
        let (metric, guess) = start(config, target, index, init, &mut state, &mut rng)?;
        let dim = state.dim();
        Ok(Chain {
            config,
            target,
            index,
            control,
            state,
            rng,
            kernel: NutsKernel {
                max_depth: config.max_depth,
                max_energy_error: config.max_energy_error,
                cancel: control.cancel,
                rules: Standard,
            },
            jumps: proposal.map(|q| FlowMh::new(q, config.jumps)),
            reporter: Reporter::new(control.every),
            sink,
            totals: Totals::default(),
            metric,
            stage: match config.warmup {
                0 => Stage::Sampling(config.step_size),
                _ => Stage::Warmup(Box::new(Adaptation::new(config, dim, guess))),
            },
            before: vec![0.0; dim],
            done: 0,
            warmup_gradients: 0,
        })
    }

    /// The account of a chain that has ended.
    fn finish(self) -> ChainRun {
        let gradients = self.state.gradients();
        let (step_size, warmup) = match self.stage {
            Stage::Sampling(step_size) => (step_size, self.warmup_gradients),
            Stage::Warmup(adaptation) => (adaptation.final_step_size(), gradients),
        };
        self.totals.finish(step_size, self.metric, warmup, gradients - warmup)
    }

    /// One iteration of warm-up.
    fn warm_up(&mut self) -> Result<(), McmcError> {
        let Stage::Warmup(adaptation) = &mut self.stage else { return Ok(()) };
        let (iteration, eps) = (self.done, adaptation.step_size());
        let info = self.kernel.step(self.target, &self.metric, eps, &mut self.state, &mut self.rng);
        if info.cancelled {
            self.totals.cancelled = true;
            return Ok(());
        }
        self.jumps.as_ref().map(|j| j.jump(self.target, &mut self.state, &mut self.rng));
        adaptation.update(&self.state, &info, &mut self.metric);
        self.done += 1;
        if self.done == self.config.warmup {
            self.warmup_gradients = self.state.gradients();
            self.stage = Stage::Sampling(adaptation.final_step_size());
        }
        if self.config.save_warmup && iteration.is_multiple_of(self.config.thin) {
            self.emit(iteration, true, eps, &info)?;
        }
        self.report(Phase::Warmup, eps);
        Ok(())
    }

    /// One iteration after warm-up.
    fn draw(&mut self, step_size: f64) -> Result<(), McmcError> {
        let iteration = self.done - self.config.warmup;
        self.before.copy_from_slice(self.state.position());
        let eps = self.jittered(step_size);
        let info = self.kernel.step(self.target, &self.metric, eps, &mut self.state, &mut self.rng);
        if info.cancelled {
            self.totals.cancelled = true;
            return Ok(());
        }
        self.totals.push(iteration, &info, &self.before, &self.state);
        let jump = |j: &FlowMh<'_>| j.jump(self.target, &mut self.state, &mut self.rng);
        self.totals.jumps.add(self.jumps.as_ref().map(jump).unwrap_or_default());
        self.done += 1;
        if iteration.is_multiple_of(self.config.thin) {
            self.emit(iteration, false, eps, &info)?;
        }
        self.report(Phase::Sampling, step_size);
        Ok(())
    }

    fn jittered(&mut self, step_size: f64) -> f64 {
        match self.config.step_jitter {
            0.0 => step_size,
            jitter => step_size * (1.0 + jitter * (2.0 * self.rng.uniform() - 1.0)),
        }
    }

    fn emit(&mut self, iteration: usize, warmup: bool, step_size: f64, info: &Info) -> Result<(), McmcError> {
        let draw = Draw {
            chain: self.index,
            iteration,
            warmup,
            x: self.state.position(),
            gradient: self.state.gradient(),
            logp: self.state.logp(),
            accept: info.accept,
            step_size,
            depth: info.depth,
            leapfrogs: info.leapfrogs,
            divergent: info.divergent,
            energy: info.energy,
        };
        self.sink.draw(&draw).map_err(|source| McmcError::Sink { chain: self.index, iteration, source })
    }

    fn report(&mut self, phase: Phase, step_size: f64) {
        let Some(progress) = self.control.progress else {
            return;
        };
        let iteration = self.done;
        let ends = iteration == self.config.warmup || iteration == self.config.warmup + self.config.draws;
        if ends || self.reporter.due(self.state.gradients()) {
            progress(&Progress {
                chain: self.index,
                iteration,
                total: self.config.warmup + self.config.draws,
                phase,
                divergences: self.totals.divergent,
                step_size,
                gradients: self.state.gradients(),
            });
        }
    }
}

impl<T: Gradient + ?Sized, S: Sink> Task for Chain<'_, T, S> {
    type Outcome = Result<ChainRun, McmcError>;

    fn done(&self) -> usize {
        self.done
    }

    fn advance(mut self, steps: usize) -> ControlFlow<Self::Outcome, Self> {
        for _ in 0..steps {
            if self.totals.cancelled || self.done == self.config.warmup + self.config.draws {
                return ControlFlow::Break(Ok(self.finish()));
            }
            let result = match self.stage {
                Stage::Warmup(_) => self.warm_up(),
                Stage::Sampling(step_size) => self.draw(step_size),
            };
            if let Err(e) = result {
                return ControlFlow::Break(Err(e));
            }
        }
        ControlFlow::Continue(self)
    }
}

/// A starting point with a metric and a first step size. A random point that is so steep that no step size serves, or
/// so improbable that rounding hides energy errors (an explosive recurrence, say), is given up for another one.
fn start<T: Gradient + ?Sized>(
    config: &Nuts,
    target: &T,
    index: usize,
    init: &Init<'_>,
    state: &mut State,
    rng: &mut Stream,
) -> Result<(Metric, f64), McmcError> {
    let mut steep = 0;
    loop {
        init.place(target, index, state, rng)?;
        if state.logp().abs() > COARSE && steep < STEEP_STARTS && !matches!(init, Init::Given(_)) {
            steep += 1;
            continue;
        }
        let metric = Adaptation::first_metric(config.metric, state.gradient());
        if config.warmup == 0 {
            return Ok((metric, config.step_size));
        }
        match first_guess(target, &metric, config.step_size, state, rng) {
            Ok(guess) => return Ok((metric, guess)),
            Err(step_size) if steep == STEEP_STARTS || matches!(init, Init::Given(_)) => {
                return Err(McmcError::StepSize { chain: index, step_size });
            }
            Err(_) => steep += 1,
        }
    }
}
