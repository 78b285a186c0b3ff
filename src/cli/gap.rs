//! `thalweg gap`: how much of an amortized posterior's loss is the family's, how much the encoder's, and whether it collapsed.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use serde_json::json;

use super::amortize::{AmortizeArgs, shown};
use super::common::{CliError, ModelArgs, positive};
use crate::report::number::{decimals, fixed};
use crate::report::table::Table;
use crate::workflow::amortize::{Bound, Trained, bind, fingerprint, split};
use crate::workflow::amortized_file;
use crate::workflow::collapse::verdict;
use crate::workflow::gap::{CURVE, Freed, Gap, gap};

/// Rows of a training.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum On {
    /// Held-out rows where there are any, else all
    Auto,
    /// Rows of the training
    Train,
    /// Rows that were held out
    Heldout,
    /// Every row
    All,
}

/// What of its guide a row has for itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum GapFamily {
    /// Location, scale and context: what an encoder can say
    Base,
    /// The weights of the flow too
    Full,
}

/// Decomposes the gap between log p(x) and the bound of an amortized guide, row by row
#[derive(Args, Clone, Debug)]
pub struct GapArgs {
    #[command(flatten)]
    pub model: ModelArgs,
    /// Guide file of `thalweg fit --amortize`; else a flow such as 'realnvp(4)', or mean-field, trained first
    #[arg(long, default_value = "mean-field", value_name = "GUIDE")]
    pub guide: String,
    /// Which rows to look at; with another data file than that of the training, all of them
    #[arg(long, value_enum, default_value_t = On::Auto)]
    pub on: On,
    /// Rows to look at, evenly spread
    #[arg(long, default_value_t = 100, value_parser = positive)]
    pub rows: usize,
    /// What each row's best guide has for itself
    #[arg(long, value_enum, default_value_t = GapFamily::Base)]
    pub gap_family: GapFamily,
    #[command(flatten)]
    pub training: AmortizeArgs,
    /// Seed of all random numbers
    #[arg(long, default_value_t = 0)]
    pub seed: u64,
    /// Print every row
    #[arg(long)]
    pub all: bool,
    /// Print as JSON
    #[arg(long)]
    pub json: bool,
}

impl GapArgs {
    /// Runs the command.
    pub fn run(&self) -> Result<(), CliError> {
        let file = Some(PathBuf::from(&self.guide)).filter(|p| p.is_file() || self.guide.ends_with(".json"));
        let (bound, trained) = match &file {
            Some(path) => self.stored(path)?,
            None => self.training.train(&self.model, &self.guide, self.seed, None)?,
        };
        let (rows, held) = self.chosen(&bound, &trained)?;
        let freed = match self.gap_family {
            GapFamily::Base => Freed::Base,
            GapFamily::Full => Freed::Full,
        };
        let found = gap(&trained.evaluator(&bound.target), &rows, freed, self.seed);
        let verdict = verdict(&found, held.then(|| trained.lead(&bound.target)).flatten());
        let text = match self.json {
            true => format!("{:#}\n", result(&found, &verdict)),
            false => self.text(&found, &bound, &verdict),
        };
        super::out(&text);
        Ok(())
    }

    fn stored(&self, path: &std::path::Path) -> Result<(Bound, Trained), CliError> {
        let (model, data) = (self.model.load()?, self.model.load_data()?);
        let bound = bind(&model, &data, &self.model.settings(self.seed)?, self.training.plate.as_deref())?;
        let trained = amortized_file::load(path, &bound)?;
        Ok((bound, trained))
    }

    /// The rows to look at, and whether they were held out. Of data that the guide was not trained on, all are new.
    fn chosen(&self, b: &Bound, t: &Trained) -> Result<(Vec<usize>, bool), CliError> {
        let (train, held) = split(b.target.rows(), t.options.heldout, t.options.seed);
        let other = t.data != fingerprint(&b.target);
        let (rows, new) = match self.on {
            On::Train | On::Heldout if other => return Err(CliError::OtherRows),
            On::Train => (train, false),
            On::Heldout => (held, true),
            On::Auto if !held.is_empty() && !other => (held, true),
            _ => ((0..b.target.rows()).collect(), false),
        };
        let n = self.rows.min(rows.len());
        Ok(((0..n).map(|k| rows[k * rows.len() / n]).collect(), new))
    }

    fn text(&self, g: &Gap, b: &Bound, verdict: &str) -> String {
        let mut text = format!("{} rows of plate `{}`, means per row\n\n", g.rows.len(), b.target.plate);
        text += &summary(g);
        text += &curve(g);
        text += &latents(g);
        if self.all {
            text += &each(g);
        }
        text + &format!("\n{verdict}\n")
    }
}

fn summary(g: &Gap) -> String {
    let ((l, u), (a, z)) = (g.log_px(), g.approximation());
    let pair = |l: f64, u: f64| {
        let d = decimals(l, (u - l).abs() / 4.0);
        if l == u { fixed(l, 4) } else { format!("{} to {}", fixed(l, d), fixed(u, d)) }
    };
    let mut t = Table::new(&["", "nats"]);
    t.row(vec!["log p(x)".into(), pair(l, u)]);
    t.row(vec!["ELBO".into(), shown(g.elbo())]);
    t.row(vec!["ELBO of each row's best guide".into(), shown(g.best())]);
    t.row(vec!["approximation gap".into(), pair(a, z)]);
    t.row(vec!["amortization gap".into(), shown(g.amortization())]);
    t.row(vec!["KL to the prior".into(), fixed(g.kl(), 3)]);
    t.row(vec!["mutual information".into(), fixed(g.mutual_information, 3)]);
    format!("{t}{}\n\n", g.family)
}

fn curve(g: &Gap) -> String {
    let exact = g.rows.iter().all(|r| r.exact);
    if exact {
        return "log p(x) is exact: every row's posterior is normal\n\n".into();
    }
    let mut t = Table::new(&["K", "L_K", "U_K"]);
    for (k, particles) in CURVE.iter().enumerate() {
        t.row(vec![particles.to_string(), shown(g.lower(k)), shown(g.upper(k))]);
    }
    let n = g.rows.len() as f64;
    let ess = g.rows.iter().map(|r| r.ess).sum::<f64>() / n;
    let worst = g.rows.iter().map(|r| r.khat).fold(f64::NEG_INFINITY, f64::max);
    let bad = match g.untrusted() {
        0 => String::new(),
        k => format!("; {k} rows have k-hat above 0.7, their L_K is less sure than its error says"),
    };
    format!("{t}\nweights: ESS {:.0} % of the draws, largest k-hat {worst:.2}{bad}\n\n", 100.0 * ess)
}

fn latents(g: &Gap) -> String {
    let kl = g.kl_latents();
    let mut t = Table::new(&["latent", "KL", "variance of the posterior mean", "active"]);
    for (j, a) in g.activity.iter().enumerate() {
        let kl = kl.get(j).map_or("".into(), |k| fixed(*k, 3));
        let active = if *a > crate::workflow::gap::ACTIVE { "yes" } else { "no" };
        t.row(vec![(j + 1).to_string(), kl, fixed(*a, 4), active.into()]);
    }
    t.to_string()
}

fn each(g: &Gap) -> String {
    let last = CURVE.len() - 1;
    let mut t = Table::new(&["row", "ELBO", "best ELBO", "L_K", "U_K", "amortization gap", "KL", "k-hat"]);
    for r in &g.rows {
        t.row(vec![
            r.row.to_string(),
            shown(r.elbo),
            shown(r.best),
            shown(r.lower[last]),
            shown(r.upper[last]),
            shown(r.amortization),
            fixed(r.kl, 3),
            fixed(r.khat, 2),
        ]);
    }
    format!("\n{t}")
}

fn result(g: &Gap, verdict: &str) -> serde_json::Value {
    let ((l, u), (a, z)) = (g.log_px(), g.approximation());
    let at = |f: &dyn Fn(usize) -> crate::workflow::gap::Value| (0..CURVE.len()).map(f).collect::<Vec<_>>();
    json!({
        "elbo": g.elbo().value, "elbo_se": g.elbo().se,
        "best_elbo": g.best().value, "best_elbo_se": g.best().se,
        "log_px_lower": l, "log_px_upper": u,
        "approximation_gap": [a, z],
        "amortization_gap": g.amortization().value, "amortization_gap_se": g.amortization().se,
        "kl": g.kl(), "kl_latents": g.kl_latents(), "activity": g.activity,
        "active_units": g.active_units(), "mutual_information": g.mutual_information,
        "k": CURVE, "lower": at(&|k| g.lower(k)), "upper": at(&|k| g.upper(k)),
        "family": g.family, "untrusted_rows": g.untrusted(), "verdict": verdict, "rows": g.rows,
    })
}
