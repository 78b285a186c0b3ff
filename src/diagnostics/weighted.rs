//! Summaries of weighted independent draws (self-normalised importance sampling).

use crate::diagnostics::psis::psis;
use crate::diagnostics::summary::{Summary, sd};

/// Weights of one sample, normalised to sum 1, with those of the blocks that it is cut into.
#[derive(Clone, Debug)]
pub struct WeightSets {
    /// Of the whole.
    pub all: Vec<f64>,
    /// Of each block, where errors are widened to the spread of its estimates.
    pub blocks: Vec<Vec<f64>>,
}

impl WeightSets {
    /// The weights as they are.
    pub fn plain(log: &[f64]) -> WeightSets {
        let max = log.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let w: Vec<f64> = log.iter().map(|l| (l - max).exp()).collect();
        let total: f64 = w.iter().sum();
        WeightSets { all: w.iter().map(|w| w / total).collect(), blocks: vec![] }
    }

    /// Pareto-smoothed weights, of the whole and of `count` blocks each for itself.
    pub fn smoothed(log: &[f64], count: usize) -> WeightSets {
        let smooth = |log: &[f64]| psis(log).log_weights.iter().map(|l| l.exp()).collect::<Vec<f64>>();
        let length = (log.len() / count).max(1);
        WeightSets { all: smooth(log), blocks: log.chunks_exact(length).take(count).map(smooth).collect() }
    }

    /// 1 / Σ w².
    pub fn ess(&self) -> f64 {
        1.0 / self.all.iter().map(|w| w * w).sum::<f64>()
    }

    /// Summary of one quantity: Σ w x with the delta method's error √Σ w² (x − mean)², the same for the standard deviation,
    /// and weighted quantiles. With blocks an error is at least the standard deviation of the same estimate over them, not
    /// divided by their root: errors of heavy-tailed weights fall more slowly than 1 / √n. The effective sample
    /// sizes are those of the errors: sd² / MCSE² for the mean, and the smaller of the like for the shares below the 5 % and 95 %
    /// quantiles. R-hat has no meaning and is NaN.
    pub fn summarize(&self, x: &[f64], probs: &[f64]) -> Summary {
        let (mean, sd) = moments(x, &self.all);
        let error = |f: &dyn Fn(f64) -> f64| sum(x, &self.all, |w, x| (w * f(x)).powi(2)).sqrt();
        let mut mcse_mean = error(&|x| x - mean);
        let ess_bulk = (sd / mcse_mean).powi(2);
        let mut mcse_sd = error(&|x| (x - mean).powi(2) - sd * sd) / (2.0 * sd);
        let sorted = Sorted::new(x, &self.all);
        let tail = |p: f64| {
            let q = sorted.quantile(p);
            let below = |x: f64| f64::from(u8::from(x <= q));
            let share = sum(x, &self.all, |w, x| w * below(x));
            share * (1.0 - share) / error(&|x| below(x) - share).powi(2)
        };
        if self.blocks.len() > 1 {
            let length = x.len() / self.blocks.len();
            let each: Vec<(f64, f64)> = x.chunks_exact(length).zip(&self.blocks).map(|(x, w)| moments(x, w)).collect();
            let spread = |part: fn(&(f64, f64)) -> f64| sd_of(each.iter().map(part));
            (mcse_mean, mcse_sd) = (mcse_mean.max(spread(|e| e.0)), mcse_sd.max(spread(|e| e.1)));
        }
        Summary {
            mean,
            mcse_mean,
            sd,
            mcse_sd,
            quantiles: probs.iter().map(|p| sorted.quantile(*p)).collect(),
            ess_bulk,
            ess_tail: tail(0.05).min(tail(0.95)),
            rhat: f64::NAN,
        }
    }
}

fn sd_of(x: impl Iterator<Item = f64>) -> f64 {
    sd(&x.collect::<Vec<f64>>())
}

/// Σ f(w, x) over the draws that count: where a weight is 0 the value may be no number.
fn sum(x: &[f64], w: &[f64], f: impl Fn(f64, f64) -> f64) -> f64 {
    x.iter().zip(w).filter(|(_, w)| **w > 0.0).map(|(x, w)| f(*w, *x)).sum()
}

/// Mean and standard deviation.
fn moments(x: &[f64], w: &[f64]) -> (f64, f64) {
    let mean = sum(x, w, |w, x| w * x);
    (mean, sum(x, w, |w, x| w * (x - mean).powi(2)).sqrt())
}

/// Values in order, each with the weight up to the middle of its own.
struct Sorted(Vec<(f64, f64)>);

impl Sorted {
    fn new(x: &[f64], w: &[f64]) -> Sorted {
        let mut all: Vec<(f64, f64)> = x.iter().copied().zip(w.iter().copied()).filter(|(_, w)| *w > 0.0).collect();
        all.sort_unstable_by(|a, b| a.0.total_cmp(&b.0));
        let mut below = 0.0;
        for (_, w) in &mut all {
            let own = *w;
            *w = below + 0.5 * own;
            below += own;
        }
        Sorted(all)
    }

    /// Linear between the middles (Hyndman & Fan's type 5 for equal weights); NaN where a value is.
    fn quantile(&self, p: f64) -> f64 {
        let at = self.0.partition_point(|e| e.1 < p);
        let (Some(first), Some(last)) = (self.0.first(), self.0.last()) else { return f64::NAN };
        if first.0.is_nan() || last.0.is_nan() {
            return f64::NAN;
        }
        match (at, self.0.get(at)) {
            (0, _) => first.0,
            (_, None) => last.0,
            (k, Some(b)) => {
                let a = self.0[k - 1];
                if a.0 == b.0 { a.0 } else { a.0 + (p - a.1) / (b.1 - a.1) * (b.0 - a.0) }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(n: usize) -> Vec<f64> {
        (0..n).map(|i| ((i as f64 + 1.0) * 0.618_033_988_749_895).fract()).collect()
    }

    /// Equal weights are no weights; a weight of k counts as k equal draws; a weight of 0 as none.
    #[test]
    fn weights_are_counts() {
        let x = numbers(200);
        let s = WeightSets::plain(&[3.0; 200]).summarize(&x, &[0.05, 0.5]);
        let n = 200.0;
        let (mean, sd) = (crate::diagnostics::summary::mean(&x), sd(&x) * (199.0f64 / n).sqrt());
        assert!((s.mean - mean).abs() < 1e-14 && (s.sd - sd).abs() < 1e-14);
        assert!((s.mcse_mean - sd / n.sqrt()).abs() < 1e-14 && (s.ess_bulk - n).abs() < 1e-9);
        assert!((s.ess_tail - n).abs() < 1e-9 && s.rhat.is_nan());

        let twice: Vec<f64> = x.iter().flat_map(|x| [*x, *x]).chain([f64::NAN]).collect();
        let mut log = vec![0.0; 400];
        log.push(f64::NEG_INFINITY);
        let t = WeightSets::plain(&log).summarize(&twice, &[0.5]);
        assert!((t.mean - mean).abs() < 1e-14 && (t.quantiles[0] - s.quantiles[1]).abs() < 0.01);
    }

    /// Draws of a normal law reweighted to one shifted by 0.5, whose mean and quantiles are known; z below 5 (2 errors,
    /// false alarms 1e-6). Weights forgotten fail by 20 standard errors.
    #[test]
    fn reweighted_draws_have_the_moments_of_the_target() {
        let mut x = vec![0.0; 4000];
        crate::base::rng::Stream::new(1, "weighted", 0).fill_normal(&mut x);
        let log: Vec<f64> = x.iter().map(|x| 0.5 * x - 0.125).collect();
        let w = WeightSets::plain(&log);
        let s = w.summarize(&x, &[0.5]);
        assert!((s.mean - 0.5).abs() < 5.0 * s.mcse_mean && (s.sd - 1.0).abs() < 5.0 * s.mcse_sd, "{s:?}");
        // The median's error is sqrt(pi / 2) that of the mean.
        assert!((s.quantiles[0] - 0.5).abs() < 5.0 * 1.2534 * s.mcse_mean, "{s:?}");
        assert!(w.ess() < 4000.0 && w.ess() > 2000.0);
        let plain = WeightSets::plain(&vec![0.0; 4000]).summarize(&x, &[]);
        assert!((plain.mean - 0.5).abs() > 5.0 * plain.mcse_mean, "the mutant survives");
        // Blocks only widen.
        let b = WeightSets::smoothed(&log, 8).summarize(&x, &[]);
        assert!(b.mcse_mean >= s.mcse_mean * 0.99 && (b.mean - s.mean).abs() < s.mcse_mean);
    }
}
