//! The terms that read summed-out latents, as tables over their states, for exact draws of them (rule R28).

use super::{Lower, Res};
use crate::graph::{Shape, Var};
use crate::model::hidden::{HiddenSite, Table};

impl Lower<'_> {
    /// All terms with discrete axes, before anything is summed out, and the node of each.
    pub fn hidden_tables(&mut self) -> Res<(Vec<Table>, Vec<Var>)> {
        let (mut parts, mut sums, mut plain) = (vec![], vec![], self.g.scalar(0.0));
        for f in std::mem::take(&mut self.factors) {
            if !self.levels.axes_of(f.value.level).is_empty() {
                self.tables(&f, &mut parts, &mut sums, &mut plain)?;
            }
        }
        let mut tables = vec![];
        let mut nodes = vec![];
        for p in parts {
            let (sites, tuples, value, block) = p.into_table();
            let count = self.g.shape(value).count();
            let flat = self.g.reshape(value, Shape::new(&[count]));
            // A program gives values per particle, and a term without coordinates has none of its own.
            nodes.push(self.g.per_particle(flat));
            tables.push(Table { sites, tuples, block });
        }
        Ok((tables, nodes))
    }

    /// The summed-out latents.
    pub fn hidden_sites(&self) -> Vec<HiddenSite> {
        let site = |d: &crate::model::site::Discrete| HiddenSite {
            name: d.name.clone(),
            lower: d.lower,
            states: d.states,
            elements: d.filled.len(),
        };
        self.discrete.iter().map(site).collect()
    }
}
