//! Runs that end well and say something that a user should read: their reports are golden too, but for numbers.

use crate::cases::{Case, ROWS};

/// Rows with a latent and two numbers, of which one is the same in every row.
const CONSTANT: (&str, &[u8]) = (
    "c.thal",
    b"data n: int\ndata x: vector[n]\ndata y: vector[n]\nplate i in 1:n {\n  latent z ~ normal(0, 1)\n  observe y[i] ~ normal(z + x[i], 1)\n}\n",
);
const SAME: (&str, &[u8]) = ("d.json", b"{\"n\": 3, \"x\": [1, 1, 1], \"y\": [0.5, 1.5, -1]}");

/// Triples with three latents; all numbers differ, two columns are the same in every row, all are.
const TRIPLES: (&str, &[u8]) = (
    "t.thal",
    b"data n: int\ndata y: array[n] vector[3]\nplate i in 1:n {\n  latent z: vector[3] ~ normal(0, 1)\n  observe y[i] ~ normal(z, 1)\n}\n",
);
const VARIED: (&str, &[u8]) = ("d.json", b"{\"n\": 3, \"y\": [[2, 7, 1], [1, -2, 0], [0, 4, -1]]}");
const HALF: (&str, &[u8]) = ("d.json", b"{\"n\": 3, \"y\": [[2, 7, 1], [2, -2, 1], [2, 4, 1]]}");
const FLAT: (&str, &[u8]) = ("d.json", b"{\"n\": 3, \"y\": [[2, 7, 1], [2, 7, 1], [2, 7, 1]]}");

/// Latents that the data hardly see.
const SILENT: (&str, &[u8]) = (
    "s.thal",
    b"data n: int\ndata y: vector[n]\nplate i in 1:n {\n  latent z ~ normal(0, 1)\n  observe y[i] ~ normal(0.001 * z, 1)\n}\n",
);
const FIVE: (&str, &[u8]) = ("d.json", b"{\"n\": 5, \"y\": [0.5, 1.5, -1, 0.2, 2]}");

/// A case that ends well and shows no error.
const fn report(
    name: &'static str,
    files: &'static [(&'static str, &'static [u8])],
    args: &'static [&'static str],
) -> Case {
    Case { name, files, args, shows: &[] }
}

/// What every training here has in common, and its model.
macro_rules! amortize {
    ($model:literal $(, $more:literal)*) => {
        &["fit", $model, "--data", "d.json", "--amortize", "--encoder", "linear", "--steps", "30", "--rate", "0.01" $(, $more)*]
    };
}

/// The table.
pub const REPORTS: &[Case] = &[
    report("amortize_remainder_of_one", &[ROWS, FIVE], amortize!("r.thal", "--batch", "4")),
    report("amortize_one_particle", &[ROWS, FIVE], amortize!("r.thal", "--particles", "1")),
    report("amortize_path", &[TRIPLES, VARIED], amortize!("t.thal", "--guide", "realnvp(2)")),
    report("amortize_several_particles", &[ROWS, FIVE], amortize!("r.thal", "--particles", "8", "--batch", "1")),
    report(
        "amortize_plain_gradients",
        &[TRIPLES, VARIED],
        amortize!("t.thal", "--particles", "8", "--guide", "iaf(1)"),
    ),
    report("amortize_flow_of_one_latent", &[ROWS, FIVE], amortize!("r.thal", "--guide", "realnvp(2)")),
    report("amortize_splines_of_one_latent", &[ROWS, FIVE], amortize!("r.thal", "--guide", "nsf(2)")),
    report("amortize_constant_input", &[CONSTANT, SAME], amortize!("c.thal")),
    report("amortize_constant_inputs", &[TRIPLES, HALF], amortize!("t.thal")),
    report("amortize_equal_rows", &[TRIPLES, FLAT], amortize!("t.thal")),
    report(
        "gap_collapse",
        &[SILENT, FIVE],
        &["gap", "s.thal", "--data", "d.json", "--encoder", "linear", "--steps", "500", "--rate", "0.01"],
    ),
];
