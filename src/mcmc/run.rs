//! Runs chains: starting points, warm-up, sampling, in parallel and with the same bits for any number of threads.

use crate::base::rng::Stream;
use crate::density::{Gradient, Proposal};
use crate::mcmc::account::{ChainRun, Reporter, Totals};
use crate::mcmc::adapt::Adaptation;
use crate::mcmc::config::{Control, Nuts, Phase, Progress};
use crate::mcmc::error::McmcError;
use crate::mcmc::flow_mh::{FlowMh, Jumps};
use crate::mcmc::init::Init;
use crate::mcmc::kernel::{Info, Kernel};
use crate::mcmc::metric::Metric;
use crate::mcmc::nuts::{NutsKernel, Standard};
use crate::mcmc::sink::{Draw, Memory, Sink};
use crate::mcmc::state::State;
use crate::mcmc::step_size::first_guess;
use rayon::prelude::*;

/// Steep starting points that a chain gives up before it reports one.
const STEEP_STARTS: usize = 20;
/// Log density beyond which differences of 0.01 are lost in rounding, and with them the acceptance test.
const COARSE: f64 = 1e13;

/// Draws kept in memory with the accounts of their chains.
#[derive(Clone, Debug)]
pub struct Samples {
    /// One per chain.
    pub draws: Vec<Memory>,
    /// One per chain.
    pub chains: Vec<ChainRun>,
}

impl Nuts {
    /// Runs all chains and keeps their draws in memory.
    pub fn sample<T: Gradient + ?Sized>(
        &self,
        target: &T,
        init: &Init<'_>,
        control: &Control<'_>,
    ) -> Result<Samples, McmcError> {
        let mut draws = vec![Memory::default(); self.chains];
        let chains = self.run(target, init, &mut draws, control)?;
        Ok(Samples { draws, chains })
    }

    /// Runs all chains, chain `c` feeding `sinks[c]`.
    ///
    /// Chain `c` uses the random stream (seed, "nuts", c) alone, so draws depend neither on the number of threads nor
    /// on the number of chains.
    pub fn run<T: Gradient + ?Sized, S: Sink>(
        &self,
        target: &T,
        init: &Init<'_>,
        sinks: &mut [S],
        control: &Control<'_>,
    ) -> Result<Vec<ChainRun>, McmcError> {
        self.run_chains(target, None, init, sinks, control)
    }

    /// [`run`](Self::run) with [`jumps`](Self::jumps) independence Metropolis moves after each NUTS transition, warm-up
    /// included, with draws from `proposal` (see [`flow_mh`](crate::mcmc::flow_mh)). Their noise comes from the chain's stream.
    pub fn run_with_jumps<T: Gradient + ?Sized, S: Sink>(
        &self,
        target: &T,
        proposal: &dyn Proposal,
        init: &Init<'_>,
        sinks: &mut [S],
        control: &Control<'_>,
    ) -> Result<Vec<ChainRun>, McmcError> {
        let (found, expected) = (proposal.dim(), target.dim());
        if found != expected {
            return Err(McmcError::Length { what: "a draw from the proposal".into(), found, expected });
        }
        self.run_chains(target, Some(proposal), init, sinks, control)
    }

    fn run_chains<T: Gradient + ?Sized, S: Sink>(
        &self,
        target: &T,
        proposal: Option<&dyn Proposal>,
        init: &Init<'_>,
        sinks: &mut [S],
        control: &Control<'_>,
    ) -> Result<Vec<ChainRun>, McmcError> {
        self.check()?;
        if target.dim() == 0 {
            return Err(McmcError::NoCoordinates);
        }
        init.check(self.chains, target.dim())?;
        if sinks.len() != self.chains {
            let what = "the list of sinks (one per chain)".into();
            return Err(McmcError::Length { what, found: sinks.len(), expected: self.chains });
        }
        let all = |sinks: &mut [S]| -> Result<Vec<ChainRun>, McmcError> {
            // Chains differ in length: each is a task of its own.
            let chains = sinks.par_iter_mut().with_max_len(1).enumerate();
            let run = |(c, sink)| Chain::new(self, target, proposal, c, control).run(init, sink);
            // All chains end before the first of their errors is looked for, so that it does not depend on threads.
            chains.map(run).collect::<Vec<Result<ChainRun, McmcError>>>().into_iter().collect()
        };
        match self.threads {
            None => all(sinks),
            Some(threads) => {
                let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
                let pool = pool.map_err(|e| McmcError::Threads { threads, message: e.to_string() })?;
                pool.install(|| all(sinks))
            }
        }
    }
}

/// One chain under way.
struct Chain<'a, T: ?Sized> {
    config: &'a Nuts,
    target: &'a T,
    index: usize,
    control: &'a Control<'a>,
    state: State,
    rng: Stream,
    kernel: NutsKernel<'a, Standard>,
    jumps: Option<FlowMh<'a>>,
    reporter: Reporter,
    totals: Totals,
}

impl<'a, T: Gradient + ?Sized> Chain<'a, T> {
    fn new(
        config: &'a Nuts,
        target: &'a T,
        proposal: Option<&'a dyn Proposal>,
        index: usize,
        control: &'a Control<'a>,
    ) -> Self {
        Chain {
            config,
            target,
            index,
            control,
            state: State::new(target, config.max_depth),
            rng: Stream::new(config.seed, "nuts", index as u64),
            kernel: NutsKernel {
                max_depth: config.max_depth,
                max_energy_error: config.max_energy_error,
                cancel: control.cancel,
                rules: Standard,
            },
            jumps: proposal.map(|q| FlowMh::new(q, config.jumps)),
            reporter: Reporter::new(control.every),
            totals: Totals::default(),
        }
    }

    fn run<S: Sink>(mut self, init: &Init<'_>, sink: &mut S) -> Result<ChainRun, McmcError> {
        let (metric, guess) = self.start(init)?;
        let (step_size, metric) = self.warm_up(metric, guess, sink)?;
        let warmup_gradients = self.state.gradients();
        self.draw_all(step_size, &metric, sink)?;
        let gradients = self.state.gradients() - warmup_gradients;
        Ok(self.totals.finish(step_size, metric, warmup_gradients, gradients))
    }

    /// A starting point with a first step size. A random point that is so steep that no step size serves, or so
    /// improbable that rounding hides energy errors (an explosive recurrence, say), is given up for another one.
    fn start(&mut self, init: &Init<'_>) -> Result<(Metric, f64), McmcError> {
        let mut steep = 0;
        loop {
            init.place(self.target, self.index, &mut self.state, &mut self.rng)?;
            if self.state.logp().abs() > COARSE && steep < STEEP_STARTS && !matches!(init, Init::Given(_)) {
                steep += 1;
                continue;
            }
            let metric = Adaptation::first_metric(self.config.metric, self.state.gradient());
            if self.config.warmup == 0 {
                return Ok((metric, self.config.step_size));
            }
            match first_guess(self.target, &metric, self.config.step_size, &mut self.state, &mut self.rng) {
                Ok(guess) => return Ok((metric, guess)),
                Err(step_size) if steep == STEEP_STARTS || matches!(init, Init::Given(_)) => {
                    return Err(McmcError::StepSize { chain: self.index, step_size });
                }
                Err(_) => steep += 1,
            }
        }
    }

    fn warm_up<S: Sink>(&mut self, mut metric: Metric, guess: f64, sink: &mut S) -> Result<(f64, Metric), McmcError> {
        if self.config.warmup == 0 {
            return Ok((self.config.step_size, metric));
        }
        let mut adaptation = Adaptation::new(self.config, self.state.dim(), guess);
        for iteration in 0..self.config.warmup {
            let eps = adaptation.step_size();
            let info = self.kernel.step(self.target, &metric, eps, &mut self.state, &mut self.rng);
            if info.cancelled {
                self.totals.cancelled = true;
                break;
            }
            self.jump();
            if self.config.save_warmup && iteration % self.config.thin == 0 {
                self.emit(sink, iteration, true, eps, &info)?;
            }
            adaptation.update(&self.state, &info, &mut metric);
            self.report(Phase::Warmup, iteration + 1, eps);
        }
        Ok((adaptation.final_step_size(), metric))
    }

    fn draw_all<S: Sink>(&mut self, step_size: f64, metric: &Metric, sink: &mut S) -> Result<(), McmcError> {
        if self.totals.cancelled {
            return Ok(());
        }
        let mut start = vec![0.0; self.state.dim()];
        for iteration in 0..self.config.draws {
            start.copy_from_slice(self.state.position());
            let eps = self.jittered(step_size);
            let info = self.kernel.step(self.target, metric, eps, &mut self.state, &mut self.rng);
            if info.cancelled {
                self.totals.cancelled = true;
                return Ok(());
            }
            self.totals.push(iteration, &info, &start, &self.state);
            let jumps = self.jump();
            self.totals.jumps.add(jumps);
            if iteration % self.config.thin == 0 {
                self.emit(sink, iteration, false, eps, &info)?;
            }
            self.report(Phase::Sampling, self.config.warmup + iteration + 1, step_size);
        }
        Ok(())
    }

    fn jump(&mut self) -> Jumps {
        let jump = |j: &FlowMh<'_>| j.jump(self.target, &mut self.state, &mut self.rng);
        self.jumps.as_ref().map(jump).unwrap_or_default()
    }

    fn jittered(&mut self, step_size: f64) -> f64 {
        match self.config.step_jitter {
            0.0 => step_size,
            jitter => step_size * (1.0 + jitter * (2.0 * self.rng.uniform() - 1.0)),
        }
    }

    fn emit<S: Sink>(
        &self,
        sink: &mut S,
        iteration: usize,
        warmup: bool,
        step_size: f64,
        info: &Info,
    ) -> Result<(), McmcError> {
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
        sink.draw(&draw).map_err(|source| McmcError::Sink { chain: self.index, iteration, source })
    }

    fn report(&mut self, phase: Phase, iteration: usize, step_size: f64) {
        let Some(progress) = self.control.progress else {
            return;
        };
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
