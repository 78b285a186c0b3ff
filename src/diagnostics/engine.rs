//! The one implementation behind R-hat, effective sample sizes and summaries, with buffers reused over quantities.

use crate::diagnostics::autocov::Autocov;
use crate::diagnostics::order::{Placed, Scores, fold, sort};
use crate::diagnostics::summary::{sorted_quantile, variance};

/// Fewest draws per chain for which the diagnostics are defined.
pub const MIN_DRAWS: usize = 4;

/// Buffers and tables; make one per thread and use it for many quantities.
#[derive(Clone, Debug, Default)]
pub struct Engine {
    autocov: Autocov,
    scores: Scores,
    /// Draws of the split chains, sorted.
    placed: Vec<Placed>,
    spare: Vec<Placed>,
    folded: Vec<Placed>,
    /// Values derived from the draws, split chains one after another.
    values: Vec<f64>,
    /// Draws of the whole chains, sorted.
    sorted: Vec<f64>,
    half: usize,
    odd: bool,
    loaded: bool,
}

impl Engine {
    /// Sorts the draws of one quantity; everything below refers to it. False when no diagnostic is defined.
    pub fn load(&mut self, chains: &[&[f64]]) -> bool {
        self.loaded = usable(chains);
        if !self.loaded {
            return false;
        }
        let draws = chains[0].len();
        self.half = draws / 2;
        self.odd = draws % 2 == 1;
        self.placed.clear();
        let split = halves(chains).flatten();
        self.placed.extend(split.enumerate().map(|(i, &x)| (x, i as u32)));
        sort(&mut self.placed, &mut self.spare);
        self.scores.prepare(self.placed.len());
        self.sorted.clear();
        self.sorted.extend(self.placed.iter().map(|p| p.0));
        if self.odd {
            self.sorted.extend(chains.iter().map(|c| c[draws / 2]));
            self.sorted.sort_unstable_by(f64::total_cmp);
        }
        true
    }

    /// All draws in ascending order.
    pub fn sorted(&self) -> &[f64] {
        &self.sorted
    }

    /// R-hat and bulk effective sample size.
    pub fn rhat_and_bulk(&mut self) -> (f64, f64) {
        if !self.loaded {
            return (f64::NAN, f64::NAN);
        }
        self.values.resize(self.placed.len(), 0.0);
        self.scores.write(&self.placed, &mut self.values);
        let rank = plain_rhat(&self.values, self.half);
        let bulk = raw_ess(&mut self.autocov, self.values.chunks_exact(self.half));
        let values: Vec<f64> = self.placed.iter().map(|p| p.0).collect();
        fold(&self.placed, sorted_quantile(&values, 0.5), &mut self.folded);
        self.scores.write(&self.folded, &mut self.values);
        let tail = plain_rhat(&self.values, self.half);
        // The folded draws are constant for draws on two points only; then the rank value stands.
        (if tail.is_nan() { rank } else { rank.max(tail) }, bulk)
    }

    /// Effective sample size of the mean of f(x), split chains; NaN when f(x) is constant.
    pub fn ess_of(&mut self, chains: &[&[f64]], f: impl Fn(f64) -> f64) -> f64 {
        if !self.loaded {
            return f64::NAN;
        }
        self.values.clear();
        self.values.extend(halves(chains).flatten().map(|&x| f(x)));
        let first = self.values[0];
        if self.values.iter().all(|&v| v == first) {
            return f64::NAN;
        }
        raw_ess(&mut self.autocov, self.values.chunks_exact(self.half))
    }

    /// Effective sample size of the quantile `prob`: of the indicator x <= quantile.
    pub fn ess_quantile(&mut self, chains: &[&[f64]], prob: f64) -> f64 {
        let q = sorted_quantile(&self.sorted, prob);
        if q.is_nan() {
            return f64::NAN;
        }
        self.ess_of(chains, |x| f64::from(x <= q))
    }

    /// Tail effective sample size: the smaller of those of the 5 % and the 95 % quantile.
    pub fn ess_tail(&mut self, chains: &[&[f64]]) -> f64 {
        let (low, high) = (self.ess_quantile(chains, 0.05), self.ess_quantile(chains, 0.95));
        // One indicator is constant when many draws tie at that end; f64::min then gives the other.
        low.min(high)
    }
}

/// Whether the draws can be judged: at least one chain, equal lengths of at least [`MIN_DRAWS`], all finite, not all
/// equal.
fn usable(chains: &[&[f64]]) -> bool {
    let Some(first) = chains.first() else {
        return false;
    };
    first.len() >= MIN_DRAWS
        && chains.iter().all(|c| c.len() == first.len())
        && chains.iter().all(|c| c.iter().all(|x| x.is_finite()))
        && chains.iter().any(|c| c.iter().any(|&x| x != first[0]))
}

/// First and second half of each chain; the middle draw of an odd number is left out.
fn halves<'a>(chains: &[&'a [f64]]) -> impl Iterator<Item = &'a [f64]> {
    chains.iter().flat_map(|c| [&c[..c.len() / 2], &c[c.len() - c.len() / 2..]])
}

/// sqrt(var+ / W) of chains of `draws` numbers that follow one another (Vehtari et al. 2021, eqs 1-4).
fn plain_rhat(values: &[f64], draws: usize) -> f64 {
    let n = draws as f64;
    let chains = values.chunks_exact(draws);
    let means: Vec<f64> = chains.clone().map(|c| c.iter().sum::<f64>() / n).collect();
    let within = chains.map(variance).sum::<f64>() / means.len() as f64;
    ((variance(&means) + within * (n - 1.0) / n) / within).sqrt()
}

/// S / tau-hat of the chains as they are (eqs 10-13), at most S log10 S.
fn raw_ess<'a>(autocov: &mut Autocov, chains: impl Iterator<Item = &'a [f64]> + Clone) -> f64 {
    let draws = chains.clone().next().map_or(0, <[f64]>::len);
    let means = autocov.load(chains);
    let (n, m) = (draws as f64, means.len() as f64);
    let within = autocov.at(0) * n / (n - 1.0);
    let between = if means.len() > 1 { variance(&means) } else { 0.0 };
    let var_plus = autocov.at(0) + between;
    let total = n * m;
    let tau = geyer(|t| 1.0 - (within - autocov.at(t)) / var_plus, draws);
    total / tau.max(1.0 / total.log10())
}

/// tau = -1 + 2 sum of the initial positive, monotone sequence of pairs P_k = rho_2k + rho_2k+1 (Geyer 1992,
/// section 3.3), plus the even lag that follows when positive.
fn geyer(mut rho: impl FnMut(usize) -> f64, draws: usize) -> f64 {
    let mut sum = 0.0;
    let mut last = f64::INFINITY;
    let (mut even, mut odd) = (1.0, rho(1));
    let mut t = 1;
    while t + 3 < draws && even + odd > 0.0 {
        // A pair may not exceed the one before it.
        last = last.min(even + odd);
        sum += last;
        (even, odd) = (rho(t + 1), rho(t + 2));
        t += 2;
    }
    2.0 * sum - 1.0 + even.max(0.0)
}
