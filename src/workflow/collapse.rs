//! A verdict on gaps and posterior collapse, in words.

use super::gap::Gap;

/// Nats of a gap below which nothing needs to be done.
const SMALL: f64 = 0.1;
/// Nats of mutual information below which latents say nothing of rows.
const SILENT: f64 = 0.01;

/// What a reader should make of it: how many latents are in use, and which gap is worth closing first.
pub fn verdict(g: &Gap) -> String {
    let (d, active) = (g.activity.len(), g.active_units());
    if g.rows.len() < 2 {
        return "one row: collapse is a question about several rows, so nothing is said of it".into();
    }
    let mut text = if active == 0 || g.mutual_information < SILENT {
        format!(
            "posterior collapse: none of {d} latents tells rows apart (mutual information {:.3} nats); train with --kl-warmup, \
             or a decoder that needs the latents",
            g.mutual_information
        )
    } else if active < d {
        format!("{active} of {d} latents are active, {} collapsed to the prior", d - active)
    } else {
        format!("all {d} latents are active")
    };
    let (low, high) = g.approximation();
    let amortization = g.amortization();
    text += &if amortization.value > SMALL.max(high) {
        format!("; the encoder costs most ({:.2} nats): a larger one, or longer training", amortization.value)
    } else if low > SMALL {
        format!("; the family costs at least {low:.2} nats: a flow (--guide 'realnvp(4)') may close this")
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
