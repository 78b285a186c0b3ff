//! `thalweg fit --amortize`: an encoder and the params of the model, learned together.

use std::path::PathBuf;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use clap::Args;
use serde_json::json;

use super::common::{CliError, ModelArgs, positive};
use crate::report::number::{decimals, fixed, significant};
use crate::vi::plate::train::LOOK;
use crate::vi::plate::{Control, Inner, State, Target, is_lost};
use crate::workflow::amortize::{Bound, Keep, Options, Trained, bind, differs, fit, split};
use crate::workflow::amortized_file::{self, AmortizedFileError};
use crate::workflow::gap::Value;

/// Least time between two writings of the guide's file while it is trained.
const KEEP: Duration = Duration::from_secs(20);

/// Settings of amortized training.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Amortized guides")]
pub struct AmortizeArgs {
    /// Learn an encoder for the rows of a plate, with the params of the model
    #[arg(long)]
    pub amortize: bool,
    /// The plate, by its index or one of its latents [default: the first with latents]; implies --amortize
    #[arg(long, value_name = "NAME")]
    pub plate: Option<String>,
    /// Units of the encoder's hidden layers, as 128,128, or `linear` [default: by the size of a row]
    #[arg(long, value_name = "UNITS", value_parser = layers)]
    pub encoder: Option<Layers>,
    /// Guide of the latents outside the plate: mean-field, full-rank, or a flow [default: full-rank, mean-field above 100]
    #[arg(long, value_name = "GUIDE")]
    pub globals: Option<String>,
    /// Particles of the bound: 1 for the ELBO, more for IWAE; also without --amortize
    #[arg(long, default_value_t = 1, value_parser = positive)]
    pub particles: usize,
    /// Rows of a minibatch
    #[arg(long, default_value_t = 100, value_parser = positive)]
    pub batch: usize,
    /// Steps of training
    #[arg(long, default_value_t = 4000, value_parser = positive)]
    pub steps: usize,
    /// Learning rate [default: the best of a short race]
    #[arg(long, value_parser = rate)]
    pub rate: Option<f64>,
    /// Steps over which the weight of the KL divergence grows from 0 to 1
    #[arg(long, default_value_t = 0, value_name = "STEPS")]
    pub kl_warmup: usize,
    /// Share of the rows that is held out
    #[arg(long, default_value_t = 0.0, value_name = "FRACTION")]
    pub heldout: f64,
    /// Go on with the training of a guide file, up to --steps
    #[arg(long, value_name = "FILE")]
    pub resume: Option<PathBuf>,
}

fn rate(text: &str) -> Result<f64, String> {
    text.parse().ok().filter(|r: &f64| *r > 0.0 && r.is_finite()).ok_or("give a number above 0".into())
}

/// Hidden layers.
#[derive(Clone, Debug)]
pub struct Layers(pub Vec<usize>);

fn layers(text: &str) -> Result<Layers, String> {
    if text == "linear" {
        return Ok(Layers(vec![]));
    }
    text.split(',').map(|w| positive(w.trim())).collect::<Result<_, _>>().map(Layers)
}

impl AmortizeArgs {
    /// Whether an encoder is asked for.
    pub fn asked(&self) -> bool {
        self.amortize || self.plate.is_some()
    }

    /// As options of the workflow; `guide` is the text of `--guide`.
    pub fn options(&self, guide: &str, seed: u64) -> Options {
        Options {
            plate: self.plate.clone(),
            flow: (!["auto", "mean-field"].contains(&guide)).then(|| guide.to_string()),
            globals: self.globals.clone().filter(|g| g != "auto"),
            hidden: self.encoder.as_ref().map(|l| l.0.clone()),
            particles: self.particles,
            batch: self.batch,
            steps: self.steps,
            rate: self.rate,
            warm_up: self.kl_warmup,
            heldout: self.heldout,
            single: None,
            seed,
        }
    }

    /// Trains; progress goes to the error stream where that is a terminal.
    /// What there is goes to `out` from time to time.
    pub fn train(
        &self,
        model: &ModelArgs,
        guide: &str,
        seed: u64,
        out: Option<&PathBuf>,
    ) -> Result<(Bound, Trained), CliError> {
        let (source, data) = (model.load()?, model.load_data()?);
        let options = self.options(guide, seed);
        let bound = bind(&source, &data, &model.settings(seed)?, options.plate.as_deref())?;
        let resume = match &self.resume {
            Some(path) => {
                let stored = amortized_file::load(path, &bound)?;
                if let Some((what, stored, asked)) = differs(&stored, &bound.target, &options) {
                    let path = path.clone();
                    return Err(AmortizedFileError::Settings { path, what, stored, asked }.into());
                }
                Some(stored.state)
            }
            None => None,
        };
        let bar = super::sample::progress::steps(self.steps as u64);
        let watch = |s: &State| {
            bar.set_position(s.step as u64);
            if let Some((_, b)) = s.history.last() {
                bar.set_message(format!("bound per row {b:.3}"));
            }
        };
        let stop: &AtomicBool = super::sample::interrupt();
        let control = Control { progress: Some(&watch), cancel: Some(stop), resume };
        // A file that cannot be written is told at the end, where it is written once more.
        let save = |t: &Trained| out.iter().for_each(|path| _ = amortized_file::save(path, &bound, t));
        let trained = fit(&bound.target, &options, &control, Some(&Keep { every: KEEP, to: &save }));
        bar.finish_and_clear();
        Ok((bound, trained?))
    }

    /// Runs `fit`.
    pub fn run(
        &self,
        model: &ModelArgs,
        guide: &str,
        seed: u64,
        out: Option<&PathBuf>,
        as_json: bool,
    ) -> Result<(), CliError> {
        let begin = std::time::Instant::now();
        let (bound, trained) = self.train(model, guide, seed, out)?;
        let seconds = begin.elapsed().as_secs_f64();
        if let Some(path) = out {
            amortized_file::save(path, &bound, &trained)?;
        }
        let (rows, held) = split(bound.target.rows(), trained.options.heldout, seed);
        let on = |rows: &[usize]| (!rows.is_empty()).then(|| trained.bounds(&bound.target, rows));
        let (own, held_out) = (on(&rows), on(&held));
        if as_json {
            super::out(&format!("{:#}\n", result(&bound, &trained, own, held_out, seconds)));
            return Ok(());
        }
        let mut text = describe(&bound, &trained, rows.len(), held.len());
        for (name, values) in [("training rows", own), ("held-out rows", held_out)] {
            if let Some([elbo, iwae]) = values {
                text += &format!("{name}: ELBO {} per row, IWAE-50 {}\n", shown(elbo), shown(iwae));
            }
        }
        remarks(&bound, &trained).iter().for_each(|r| text += &format!("{r}\n"));
        text += &format!("{} steps in {}\n", trained.state.step, crate::report::number::seconds(seconds));
        if let Some(path) = out {
            text += &format!("guide: {}\n", path.display());
        }
        super::out(&text);
        Ok(())
    }
}

fn result(
    b: &Bound,
    t: &Trained,
    own: Option<[Value; 2]>,
    held: Option<[Value; 2]>,
    seconds: f64,
) -> serde_json::Value {
    json!({
        "plate": b.target.plate, "rows": b.target.rows(), "latents": b.target.dim,
        "inner": b.target.inner.iter().map(|i| json!({"plate": i.plate, "latents": i.dim})).collect::<Vec<_>>(),
        "parameters": t.state.theta.len(), "params": t.params(b),
        "elbo": own.map(|v| v[0]), "iwae": own.map(|v| v[1]),
        "heldout_elbo": held.map(|v| v[0]), "heldout_iwae": held.map(|v| v[1]),
        "history": t.state.history, "skipped": t.state.skipped, "steps": t.state.step, "seconds": seconds,
        "objective": t.goal(), "constant_inputs": t.constant, "remarks": remarks(b, t),
    })
}

/// What was trained.
fn describe(b: &Bound, t: &Trained, rows: usize, held: usize) -> String {
    let plan = t.guide.plan();
    let hidden: Vec<String> = plan.hidden.iter().map(|h| h.to_string()).collect();
    let encoder = if hidden.is_empty() { "linear".into() } else { hidden.join("-") };
    let family = t.guide.flow().map_or("independent normals".into(), |f| f.to_string());
    let draws = match t.options.particles > 1 && !b.target.inner.is_empty() {
        true => " (K draws of each innermost row)",
        false => "",
    };
    let globals = t
        .global
        .as_ref()
        .map_or(String::new(), |f| format!("globals: {} -> {}\n", many(f.dim(), "coordinate"), f.flow));
    let inner = |i: &Inner| format!(", {} in each row of plate `{}` inside", many(i.dim, "latent coordinate"), i.plate);
    let inner: String = b.target.inner.iter().map(inner).collect();
    let held = if held > 0 { format!(", {held} held out") } else { String::new() };
    format!(
        "plate `{}`: {}{held}, {} a row{inner}\nguide: {} -> encoder {encoder} -> {family}\n{globals}{} weights of the guide, {} of the \
         model\nobjective: {}{draws}; {}\n",
        b.target.plate,
        many(rows, "row"),
        many(b.target.dim, "latent coordinate"),
        reads(&b.target),
        t.guide.len(),
        b.target.params.len(),
        t.goal(),
        minibatches(rows, t.options.batch),
    )
}

/// What the encoder reads of a row.
fn reads(t: &Target) -> String {
    let own = many(t.own_inputs(), "number");
    let set = |(k, n): (usize, &usize)| {
        let sizes = || t.groups.iter().map(|g| g.members[k]);
        let (least, most) = (sizes().min().unwrap_or(0), sizes().max().unwrap_or(0));
        format!(" and a set of {least} to {most} members of {}", many(*n, "number"))
    };
    own + &t.sets.iter().enumerate().map(set).collect::<String>()
}

/// A count with its noun.
fn many(n: usize, noun: &str) -> String {
    format!("{n} {noun}{}", if n == 1 { "" } else { "s" })
}

/// How the rows come.
fn minibatches(rows: usize, batch: usize) -> String {
    match (batch.clamp(1, rows.max(1)), rows % batch.max(1)) {
        (b, _) if b == rows => "all rows in every step".into(),
        (b, 0) => format!("minibatches of {}", many(b, "row")),
        (b, last) => {
            let last = many(last, "row");
            format!(
                "minibatches of {}; the last of each epoch has {last} and counts for all {rows} too",
                many(b, "row")
            )
        }
    }
}

/// What a user should know of the training.
fn remarks(b: &Bound, t: &Trained) -> Vec<String> {
    let mut all = vec![];
    all.extend(constants(&b.target.inputs, &t.constant));
    if let Some(flow) = t.guide.flow().filter(|_| t.guide.flow_is_idle()) {
        all.push(format!(
            "with one latent a row, {flow} only shifts and stretches: the guide is normal, as it is without a flow; give one \
             of splines (--guide 'nsf(2)'), or leave --guide out"
        ));
    }
    if let Some(asked) = t.options.globals.as_ref().filter(|_| b.target.coordinates == 0) {
        all.push(format!("no latent lies outside the plate: --globals {asked} has nothing to be a guide of"));
    }
    if t.guide.is_autoregressive() {
        all.push("gradients are plain: log q of an inverse autoregressive flow has no cheap path gradient".into());
    }
    if let Some(first) = t.state.returns.first() {
        all.push(format!(
            "the bound fell far below what it had been {}, first before step {first}: the training went back and on with a \
             learning rate of {} in the end",
            many(t.state.returns.len(), "time"),
            significant(t.state.rate, 2)
        ));
    }
    all.extend(lost(&t.state.history, t.options.warm_up, t.state.rate));
    if t.state.skipped > 0 {
        let first = t.state.troubles.first();
        let what = first
            .map_or(String::new(), |f| format!("; at step {} {} {} was {}", f.step, f.quantity, f.draw + 1, f.value));
        all.push(format!("{} left out because of numbers that are not finite{what}", many(t.state.skipped, "step")));
    }
    all
}

/// A training that ends far below where it had been: looks after the warm-up of the KL divergence, under which bounds are not
/// comparable.
fn lost(history: &[(usize, f64)], warm_up: usize, rate: f64) -> Option<String> {
    let comparable = || history.iter().filter(|(step, _)| *step >= warm_up + LOOK);
    let (step, best) = comparable().max_by(|a, b| a.1.total_cmp(&b.1))?;
    let (_, last) = comparable().next_back()?;
    is_lost(*last, *best).then(|| {
        let [best, last] = [best, last].map(|x| fixed(*x, 2));
        format!(
            "the training lost its way: its bound per row was {best} at step {step} and is {last} at the end; train again with a \
             lower learning rate (--rate, here {rate})"
        )
    })
}

/// Inputs of the encoder, from 1, that are the same in every training row.
fn constants(names: &[String], constant: &[usize]) -> Option<String> {
    const OUT: &str = "encode(…) after the range of the plate leaves out what an encoder should not read";
    let name = |c: &usize| names.get(c - 1).map_or(c.to_string(), |n| format!("`{n}`"));
    let (n, all) = (constant.len(), names.len());
    Some(match n {
        0 => return None,
        _ if n == all => {
            "every training row has the same data, so the encoder gives all rows one guide; give rows that differ"
                .into()
        }
        1 => {
            let name = name(&constant[0]);
            format!(
                "the encoder's input {name} (as row 1 has it) is the same in every training row and tells it nothing; {OUT}"
            )
        }
        _ => {
            let list: Vec<String> = constant.iter().take(8).map(name).collect();
            let more = if n > 8 { ", …" } else { "" };
            format!(
                "{n} of the encoder's {all} inputs are the same in every training row and tell it nothing (as row 1 has them: {}{more}); {OUT}",
                list.join(", ")
            )
        }
    })
}

/// A value with its error.
pub fn shown(v: Value) -> String {
    if v.se == 0.0 {
        return fixed(v.value, 4);
    }
    format!("{} ± {}", fixed(v.value, decimals(v.value, v.se)), significant(v.se, 2))
}

#[cfg(test)]
mod tests {
    use super::lost;

    #[test]
    fn a_training_that_lost_its_way_is_told() {
        let fell = [(100, -20.0), (200, -17.5), (300, -7e22)];
        let text = lost(&fell, 0, 0.01).unwrap_or_default();
        assert!(text.contains("was -17.50 at step 200 and is -7.00e22 at the end"), "{text}");
        assert!(text.contains("--rate, here 0.01"), "{text}");
        let noise = [(100, -20.0), (200, -17.5), (300, -17.6)];
        assert_eq!(lost(&noise, 0, 0.01), None);
        // Bounds under a growing weight of the divergence fall because it grows.
        let warm = [(100, -5.0), (200, -9.0), (300, -17.5), (400, -17.2)];
        assert_eq!(lost(&warm, 200, 0.01), None);
        assert!(lost(&warm, 0, 0.01).is_some());
        assert_eq!(lost(&[], 0, 0.01), None);
    }
}
