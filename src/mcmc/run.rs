//! Runs all chains of a sampler, in parallel and with the same bits for any number of threads.

use crate::density::{Gradient, Proposal};
use crate::mcmc::account::ChainRun;
use crate::mcmc::chain::Chain;
use crate::mcmc::config::{Control, Nuts};
use crate::mcmc::error::McmcError;
use crate::mcmc::init::Init;
use crate::mcmc::sink::{Memory, Sink};
use crate::mcmc::turns::take_turns;
use rayon::prelude::*;

/// Turns that a chain takes where there are fewer threads than chains.
const TURNS: usize = 64;

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
            let begin = |(c, sink)| Chain::new(self, target, proposal, c, init, sink, control);
            let begun = sinks.par_iter_mut().with_max_len(1).enumerate().map(begin);
            // All chains begin, and end, before the first of their errors is looked for: it does not depend on threads.
            let chains = begun.collect::<Vec<_>>().into_iter().collect::<Result<Vec<_>, _>>()?;
            let turn = (self.warmup + self.draws).div_ceil(TURNS).max(1);
            take_turns(chains, turn).into_iter().collect()
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
