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
    /// Acceptance that step sizes aimed at; 0 where there were no chains.
    pub target_accept: f64,
    /// Wall-clock seconds.
    pub seconds: f64,
    /// Values of each chain.
    pub chains: Vec<Columns>,
    /// The largest R-hat of a coordinate behind the map, where chains worked there.
    pub base_rhat: Option<f64>,
    /// The weights behind the summaries, where there were no chains. The draws are then resampled ones.
    pub weighting: Option<Weighting>,
}

/// What is known of importance weights.
#[derive(Clone, Debug, PartialEq)]
pub struct Weighting {
    /// k-hat of the draws.
    pub khat: f64,
    /// Effective sample size 1 / Σ w².
    pub ess: f64,
    /// Why the errors are widened, where they are.
    pub caution: Option<String>,
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
        const HEAD: [&str; 10] = ["", "mean", "MCSE", "sd", "5%", "50%", "95%", "ESS bulk", "ESS tail", "R-hat"];
        // Independent draws have no R-hat.
        let columns = HEAD.len() - usize::from(self.weighting.is_some());
        let mut t = Table::new(&HEAD[..columns]);
        let mut j = 0;
        for (name, count) in &self.layout.groups {
            let shown = if all || *count <= SHOWN + 2 { *count } else { SHOWN };
            for k in j..j + shown {
                let mut row = cells(&self.layout.names[k], &self.summaries[k]);
                row.truncate(columns);
                t.row(row);
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
        if let Some(w) = &self.weighting {
            return format!(
                "{} weighted draws from the guide, importance ESS {}, k-hat {}\nin {}",
                self.draws * self.used.len(),
                fixed(w.ess, 0),
                fixed(w.khat, 2),
                crate::report::number::seconds(self.seconds),
            );
        }
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
            let mut row = json!({
                "mean": s.mean, "sd": s.sd, "mcse_mean": s.mcse_mean, "mcse_sd": s.mcse_sd,
                "q05": s.quantiles[0], "q50": s.quantiles[1], "q95": s.quantiles[2],
                "ess_bulk": s.ess_bulk, "ess_tail": s.ess_tail, "rhat": s.rhat,
            });
            if self.weighting.is_some() {
                row.as_object_mut().map(|r| r.remove("rhat"));
            }
            parameters.insert(name.clone(), row);
        }
        let each = |f: &dyn Fn(&ChainRun) -> f64| self.runs.iter().map(f).collect::<Vec<f64>>();
        let mut json = json!({
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
        });
        if let Some(w) = &self.weighting {
            json["khat"] = w.khat.into();
            json["importance_ess"] = w.ess.into();
        }
        if let Some(r) = self.base_rhat {
            json["base_rhat_max"] = r.into();
        }
        if self.runs.iter().any(|r| r.jumps.tried > 0) {
            json["jump_accept"] = each(&|r| r.jumps.rate()).into();
        }
        json
    }
}

fn cells(name: &str, s: &Summary) -> Vec<String> {
    let d = decimals(s.mean, s.mcse_mean);
    let mut row = vec![name.to_string(), fixed(s.mean, d), significant(s.mcse_mean, 2)];
    row.extend([s.sd, s.quantiles[0], s.quantiles[1], s.quantiles[2]].map(|x| fixed(x, d)));
    row.extend([fixed(s.ess_bulk, 0), fixed(s.ess_tail, 0), fixed(s.rhat, 3)]);
    row
}
