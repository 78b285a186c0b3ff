//! Which of the computed values of a draw are kept, and under which names.

use crate::model::compiled::Compiled;
use crate::model::posterior::Posterior;

/// The kept elements of the output of [`Compiled::values`], in order.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Layout {
    /// Names: `mu`, `theta[2,3]`.
    pub names: Vec<String>,
    /// Position of each in the output.
    pub positions: Vec<usize>,
    /// How many of the names belong to latents; they come first.
    pub latents: usize,
    /// Names with how many elements each has, in order.
    pub groups: Vec<(String, usize)>,
    /// Length of the output.
    pub width: usize,
}

impl Layout {
    /// Every existing element of every latent with coordinates, then every report.
    pub fn new(compiled: &Compiled) -> Layout {
        Layout::of(&compiled.posterior, compiled.width())
    }

    fn of(posterior: &Posterior, width: usize) -> Layout {
        let mut layout = Layout {
            width,
            ..Layout::default()
        };
        let mut base = 0;
        for site in &posterior.sites {
            let count = posterior.graph.shape(site.value).count();
            let at: Vec<usize> = match &site.filled {
                Some(e) => e.iter().map(|&e| e as usize).collect(),
                None => (0..count).collect(),
            };
            let mut names = site.value_names();
            if names.len() != at.len() {
                // Rows of a ragged plate, end to end.
                names = (1..=at.len()).map(|k| format!("{}[{k}]", site.name)).collect();
            }
            layout.push(&site.name, names, at.iter().map(|e| base + e));
            base += count;
        }
        layout.latents = layout.names.len();
        let values = posterior.value_names();
        let mut reports = values[values.len() - reports_in(posterior)..].iter();
        for (name, kept) in &posterior.reports {
            let count = kept.dims.iter().product();
            let names = reports.by_ref().take(count).cloned().collect();
            layout.push(name, names, base..base + count);
            base += count;
        }
        layout
    }

    fn push(&mut self, name: &str, names: Vec<String>, at: impl Iterator<Item = usize>) {
        self.groups.push((name.to_string(), names.len()));
        self.names.extend(names);
        self.positions.extend(at);
    }

    /// Adds values that are not computed from the coordinates alone, behind all others.
    pub fn append(&mut self, name: &str, names: Vec<String>) {
        self.groups.push((name.to_string(), names.len()));
        self.names.extend(names);
    }
}

fn reports_in(posterior: &Posterior) -> usize {
    let count = |d: &Vec<usize>| d.iter().product::<usize>();
    posterior.reports.iter().map(|(_, k)| count(&k.dims)).sum()
}
