//! A verdict on gaps and posterior collapse, in words.

use super::gap::{ACTIVE, Gap};

/// Nats of a gap below which nothing needs to be done.
const SMALL: f64 = 0.1;
/// Nats of mutual information below which latents say nothing of rows.
const SILENT: f64 = 0.01;

/// What a reader should make of it: how many latents are in use, and which gap is worth closing first. `lead` is how many nats the
/// ELBO of the training's rows is above that of the rows looked at, where that is known ([`Trained::lead`]).
///
/// [`Trained::lead`]: super::amortize::Trained::lead
pub fn verdict(g: &Gap, lead: Option<f64>) -> String {
    let (d, active) = (g.activity.len(), g.active_units());
    if g.rows.len() < 2 {
        return "one row: collapse is a question about several rows, so nothing is said of it".into();
    }
    let mut text = if active == 0 || g.mutual_information < SILENT {
        format!(
            "posterior collapse: {} (mutual information {:.3} nats); train with --kl-warmup, or a decoder that needs the \
             latents",
            if d == 1 {
                "the latent does not tell rows apart".into()
            } else {
                format!("none of {d} latents tells rows apart")
            },
            g.mutual_information
        )
    } else if active < d {
        let kl = g.kl_latents();
        let silent = |j: &usize| !(g.activity[*j] > ACTIVE) && kl.get(*j).is_none_or(|k| *k < SILENT);
        match (0..d).filter(silent).count() {
            0 => format!(
                "{active} of {d} latents are active: the others' means hardly move, though their laws are not the prior's"
            ),
            n => format!("{active} of {d} latents are active, {n} collapsed to the prior"),
        }
    } else if d == 1 {
        "the latent is active".into()
    } else {
        format!("all {d} latents are active")
    };
    let (low, high) = g.approximation();
    let amortization = g.amortization();
    text += &if amortization.value > SMALL.max(high) {
        let advice = match lead {
            Some(lead) if lead > amortization.value => format!(
                ", and the rows of the training have an ELBO {lead:.2} nats higher: it follows them too closely; fewer steps, \
                 a smaller network, or more rows"
            ),
            _ => ": a larger one, or longer training".into(),
        };
        format!("; the encoder costs most ({:.2} nats){advice}", amortization.value)
    } else if low > SMALL {
        // In one coordinate only splines bend.
        let flow = if d == 1 { "nsf(4)" } else { "realnvp(4)" };
        format!("; the family costs at least {low:.2} nats: a flow (--guide '{flow}') may close this")
    } else if high <= 2.0 * SMALL {
        "; both gaps are small".to_string()
    } else {
        "; no gap stands out".to_string()
    };
    if g.untrusted() > 0 {
        text += &format!("; log p(x) is not trusted in {} rows (k-hat above 0.7)", g.untrusted());
    }
    text
}

#[cfg(test)]
mod tests {
    use super::verdict as told;
    use crate::workflow::gap::{CURVE, Gap, RowGap, Value};

    fn gap(activity: Vec<f64>, information: f64, amortization: f64, rows: usize) -> Gap {
        let at = |value: f64| Value { value, se: 0.0 };
        let row = |k: usize| RowGap {
            row: k + 1,
            elbo: at(-2.0 - amortization),
            best: at(-2.0),
            amortization: at(amortization),
            lower: vec![at(-2.0); CURVE.len()],
            upper: vec![at(-2.0); CURVE.len()],
            tight: at(-2.0),
            exact: true,
            ess: 1.0,
            khat: 0.1,
            kl: 0.0,
            kl_latents: vec![0.0; activity.len()],
            mean: vec![0.0; activity.len()],
        };
        let (rows, activity) = ((0..rows).map(row).collect(), activity.clone());
        Gap { rows, activity, mutual_information: information, family: "" }
    }

    fn verdict(g: &Gap) -> String {
        told(g, None)
    }

    #[test]
    fn rows_that_were_learned_too_closely_are_told() {
        let g = gap(vec![0.5], 1.0, 0.7, 9);
        assert!(told(&g, Some(2.0)).contains("an ELBO 2.00 nats higher: it follows them too closely; fewer steps"));
        assert!(told(&g, Some(0.5)).contains("a larger one, or longer training"));
    }

    #[test]
    fn verdicts_name_collapse_and_the_larger_gap() {
        let collapse = verdict(&gap(vec![0.0, 0.001], 0.0, 0.0, 9));
        assert!(collapse.starts_with("posterior collapse: none of 2 latents tells rows apart"), "{collapse}");
        let partial = verdict(&gap(vec![0.5, 0.001], 1.0, 0.0, 9));
        assert_eq!(partial, "1 of 2 latents are active, 1 collapsed to the prior; both gaps are small");
        let encoder = verdict(&gap(vec![0.5], 1.0, 0.7, 9));
        assert!(encoder.starts_with("the latent is active; the encoder costs most (0.70 nats)"), "{encoder}");
        let mut family = gap(vec![0.5], 1.0, 0.0, 9);
        family.rows.iter_mut().for_each(|r| r.best.value -= 0.5);
        assert!(verdict(&family).contains("a flow (--guide 'nsf(4)')"), "one coordinate: {}", verdict(&family));
        assert!(
            verdict(&gap(vec![0.0], 0.0, 0.0, 9))
                .starts_with("posterior collapse: the latent does not tell rows apart")
        );
        assert!(verdict(&gap(vec![f64::NAN], 0.0, 0.0, 1)).starts_with("one row:"));
    }
}
