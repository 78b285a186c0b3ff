//! The result of a run: draws, summaries, accounts of the chains; as a table and as JSON.

use serde_json::{Map, Value, json};

use crate::diagnostics::summary::Summary;
use crate::mcmc::account::ChainRun;
use crate::report::number::{decimals, fixed, significant};
use crate::report::table::Table;
use crate::workflow::layout::Layout;
use crate::workflow::store::Columns;

/// Elements of one array that the table shows.
const SHOWN: usize = 10;

/// A sampled posterior.
#[derive(Clone, Debug)]
pub struct Fit {
    /// Names of the values.
    pub layout: Layout,
    /// Summary of each value (quantiles 5, 50, 95 %).
    pub summaries: Vec<Summary>,
    /// Accounts of the chains.
    pub runs: Vec<ChainRun>,
    /// Chains that the summaries are about: all, but for interrupted runs.
    pub used: Vec<usize>,
    /// Draws of each of them.
    pub draws: usize,
    /// Warm-up iterations.
    pub warmup: usize,
    /// Wall-clock seconds.
    pub seconds: f64,
    /// Values of each chain.
    pub chains: Vec<Columns>,
}

impl Fit {
    /// Divergent transitions after warm-up.
    pub fn divergences(&self) -> usize {
        self.runs.iter().map(|r| r.divergent).sum()
    }

    /// Gradient evaluations, warm-up included.
    pub fn gradients(&self) -> u64 {
        self.runs.iter().map(|r| r.warmup_gradients + r.gradients).sum()
    }

    /// Transitions cut by the limit on doublings.
    pub fn max_depth_hits(&self) -> usize {
        self.runs.iter().map(|r| r.max_depth_hits).sum()
    }

    /// Whether any chain was stopped early.
    pub fn interrupted(&self) -> bool {
        self.runs.iter().any(|r| r.cancelled)
    }

    /// Smallest bulk ESS of the latents and its name.
    pub fn least_ess(&self) -> Option<(f64, &str)> {
        let ess = self.summaries.iter().map(|s| s.ess_bulk).zip(&self.layout.names);
        let finite = ess.filter(|(e, _)| e.is_finite());
        finite.min_by(|a, b| a.0.total_cmp(&b.0)).map(|(e, n)| (e, n.as_str()))
    }

    /// The summary of a value by its name.
    pub fn get(&self, name: &str) -> Option<&Summary> {
        let j = self.layout.names.iter().position(|n| n == name)?;
        Some(&self.summaries[j])
    }

    /// The summary as a table; long arrays are shortened unless `all`.
    pub fn table(&self, all: bool) -> Table {
        let mut t = Table::new(&["", "mean", "MCSE", "sd", "5%", "50%", "95%", "ESS bulk", "ESS tail", "R-hat"]);
        let mut j = 0;
        for (name, count) in &self.layout.groups {
            let shown = if all || *count <= SHOWN + 2 { *count } else { SHOWN };
            for k in j..j + shown {
                t.row(cells(&self.layout.names[k], &self.summaries[k]));
            }
            if shown < *count {
                t.note(format!("… {} more of {name}", count - shown));
            }
            j += count;
        }
        t
    }

    /// One line on the accounts of the chains, then one on the cost.
    pub fn accounts(&self) -> String {
        let divergent = match self.divergences() {
            0 => "no divergences".into(),
            1 => "1 divergence".into(),
            n => format!("{n} divergences"),
        };
        let ebfmi: Vec<String> = self.runs.iter().map(|r| fixed(r.ebfmi, 2)).collect();
        let rate = self.least_ess().map_or(String::new(), |(e, n)| {
            format!(
                ", {} effective draws per second of {n} (the least)",
                significant(e / self.seconds, 3).trim_end_matches(".0")
            )
        });
        format!(
            "{} {} × {} draws (after {} warm-up): {divergent}, {} tree-depth hits, E-BFMI {}\n{} gradients in {}{rate}",
            self.used.len(),
            if self.used.len() == 1 { "chain" } else { "chains" },
            self.draws,
            self.warmup,
            self.max_depth_hits(),
            ebfmi.join(" "),
            self.gradients(),
            crate::report::number::seconds(self.seconds),
        )
    }

    /// The summary as JSON; numbers that do not exist (R-hat of a constant) are null.
    pub fn json(&self) -> Value {
        let mut parameters = Map::new();
        for (name, s) in self.layout.names.iter().zip(&self.summaries) {
            let row = json!({
                "mean": s.mean, "sd": s.sd, "mcse_mean": s.mcse_mean, "mcse_sd": s.mcse_sd,
                "q05": s.quantiles[0], "q50": s.quantiles[1], "q95": s.quantiles[2],
                "ess_bulk": s.ess_bulk, "ess_tail": s.ess_tail, "rhat": s.rhat,
            });
            parameters.insert(name.clone(), row);
        }
        let each = |f: &dyn Fn(&ChainRun) -> f64| self.runs.iter().map(f).collect::<Vec<f64>>();
        json!({
            "parameters": parameters,
            "chains": self.used.len(),
            "draws": self.draws,
            "warmup": self.warmup,
            "divergences": self.divergences(),
            "max_depth_hits": self.max_depth_hits(),
            "ebfmi": each(&|r| r.ebfmi),
            "step_size": each(&|r| r.step_size),
            "accept": each(&|r| r.accept),
            "gradients": self.gradients(),
            "warmup_gradients": self.runs.iter().map(|r| r.warmup_gradients).sum::<u64>(),
            "seconds": self.seconds,
            "interrupted": self.interrupted(),
        })
    }
}

fn cells(name: &str, s: &Summary) -> Vec<String> {
    let d = decimals(s.mean, s.mcse_mean);
    let mut row = vec![name.to_string(), fixed(s.mean, d), significant(s.mcse_mean, 2)];
    row.extend([s.sd, s.quantiles[0], s.quantiles[1], s.quantiles[2]].map(|x| fixed(x, d)));
    row.extend([fixed(s.ess_bulk, 0), fixed(s.ess_tail, 0), fixed(s.rhat, 3)]);
    row
}
