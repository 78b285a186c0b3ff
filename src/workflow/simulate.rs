//! Many draws from a model run forwards: from its priors, or from posterior draws on disk.

use std::path::{Path, PathBuf};

use rayon::prelude::*;

use crate::base::rng::Stream;
use crate::diagnostics::summary::{mean, quantile, sd};
use crate::io::{StanCsv, read_stan_csv};
use crate::model::data::DataFile;
use crate::model::hidden::Hidden;
use crate::model::lower::element;
use crate::model::posterior::{Model, ModelError, Settings};
use crate::model::simulate::{Drawn, Latents, Simulated};
use crate::report::number::{decimals, fixed};
use crate::report::table::Table;
use crate::workflow::layout::Elements;
use crate::workflow::sample::{WorkflowError, fits};

/// Elements of one array that the table shows.
const SHOWN: usize = 10;

/// Posterior draws read back from their files.
pub struct PosteriorDraws {
    folder: PathBuf,
    chains: Vec<StanCsv>,
    arrays: Vec<Elements>,
}

impl PosteriorDraws {
    /// Reads `chain_1.csv`, `chain_2.csv`, … of a folder.
    pub fn read(folder: &Path) -> Result<PosteriorDraws, WorkflowError> {
        let path = |c: usize| folder.join(format!("chain_{c}.csv"));
        let mut chains = vec![read_stan_csv(&path(1))?];
        while path(chains.len() + 1).exists() {
            chains.push(read_stan_csv(&path(chains.len() + 1))?);
        }
        let wrong = |problem| WorkflowError::Draws { folder: folder.into(), problem };
        if let Some(c) = chains.iter().position(|c| c.names != chains[0].names) {
            return Err(wrong(format!("chain_{}.csv has other columns than chain_1.csv", c + 1)));
        }
        let arrays = Elements::group(&chains[0].names)
            .map_err(|name| wrong(format!("the column `{name}` has an index that is 0 or too large")))?;
        Ok(PosteriorDraws { folder: folder.into(), chains, arrays })
    }

    fn wrong(&self, problem: String) -> WorkflowError {
        WorkflowError::Draws { folder: self.folder.clone(), problem }
    }

    /// Number of draws of all chains.
    pub fn len(&self) -> usize {
        self.chains.iter().map(|c| c.columns.first().map_or(0, |x| x.len())).sum()
    }

    /// Whether there is no draw.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Arrays with the sizes that a model declares; as the draws show them where it does not bind to the data.
    fn arrays(&self, model: &Model, data: &DataFile, settings: &Settings) -> Vec<Elements> {
        match model.bind_with(data, settings) {
            Ok(posterior) => Elements::declared(self.arrays.clone(), &posterior),
            Err(_) => self.arrays.clone(),
        }
    }

    /// Values of `arrays` in draw `i`, chains one after another.
    fn at(&self, arrays: &[Elements], mut i: usize) -> Latents {
        let mut chain = &self.chains[0];
        for c in &self.chains {
            chain = c;
            let n = c.columns.first().map_or(0, |x| x.len());
            if i < n {
                break;
            }
            i -= n;
        }
        let row: Vec<f64> = chain.columns.iter().map(|x| x[i]).collect();
        arrays.iter().map(|a| (a.name.clone(), a.collect(&row))).collect()
    }
}

/// Draws made by running the model forwards.
#[derive(Clone, Debug)]
pub struct Forward {
    /// Latents and reports, then simulated data: name and element names.
    pub groups: Vec<(String, Vec<String>)>,
    /// How many values of a row are latents and reports.
    pub kept: usize,
    /// One row a draw.
    pub rows: Vec<Vec<f64>>,
}

/// What to simulate.
pub struct Forwards<'a> {
    /// The model.
    pub model: &'a Model,
    /// Sizes and covariates.
    pub data: &'a DataFile,
    /// Settings of the binding.
    pub settings: &'a Settings,
    /// Number of draws.
    pub draws: usize,
    /// Seed.
    pub seed: u64,
    /// Posterior draws to predict from instead of the priors.
    pub posterior: Option<&'a PosteriorDraws>,
    /// Folder for `data_1.json`, ….
    pub folder: Option<&'a Path>,
}

/// What posterior draws give.
struct Given {
    /// Draws of summed-out latents.
    hidden: Option<Hidden>,
    /// Where the values of each array are.
    arrays: Vec<Elements>,
}

impl Forwards<'_> {
    /// Runs all draws; draw `k` uses the random stream (seed, "simulate", k) alone.
    pub fn run(&self) -> Result<Forward, WorkflowError> {
        let blank;
        let this = match self.posterior {
            Some(_) => self,
            None => {
                let mut rng = Stream::new(self.seed, "simulate", 0);
                blank = self.model.without_observed(self.data, self.settings, &mut rng)?;
                &Forwards { data: &blank, ..*self }
            }
        };
        this.all()
    }

    fn all(&self) -> Result<Forward, WorkflowError> {
        let arrays = self.posterior.map_or(vec![], |p| p.arrays(self.model, self.data, self.settings));
        let given = &Given { hidden: self.hidden(&arrays)?, arrays };
        let first = self.one(0, given)?;
        let mut groups = vec![];
        for d in first.latents.iter().chain(&first.reports) {
            groups.push((d.name.clone(), names(&d.name, &d.dims, d.values.len())));
        }
        fits(self.draws, groups.iter().map(|g| g.1.len()).sum(), 1)?;
        let kept = groups.iter().map(|g| g.1.len()).sum();
        for key in &first.observed {
            if let Some(raw) = first.data.get(key) {
                groups.push((key.clone(), names(key, &raw.dims, raw.values.len())));
            }
        }
        let rows: Vec<Vec<f64>> =
            (0..self.draws).into_par_iter().map(|k| self.row(k, given)).collect::<Result<_, _>>()?;
        Ok(Forward { groups, kept, rows })
    }

    /// Draws of summed-out latents, where posterior draws of the others are given.
    fn hidden(&self, arrays: &[Elements]) -> Result<Option<Hidden>, WorkflowError> {
        let Some(p) = self.posterior.filter(|p| !p.is_empty()) else { return Ok(None) };
        let given = p.at(arrays, 0);
        let probe = self.model.predict(self.data, self.settings, &mut Stream::new(self.seed, "probe", 0), &given)?;
        if probe.latents.iter().all(|l| given.contains_key(&l.name)) {
            return Ok(None);
        }
        Ok(self.model.hidden(self.data, self.settings)?)
    }

    /// Draw `k`; posterior draws are taken evenly over all of them.
    fn one(&self, k: usize, from: &Given) -> Result<Simulated, WorkflowError> {
        let mut rng = Stream::new(self.seed, "simulate", k as u64);
        let Some(p) = self.posterior else {
            return Ok(self.model.simulate(self.data, self.settings, &mut rng)?);
        };
        if p.is_empty() {
            return Err(p.wrong("there are none; the run may have stopped before its first draw".into()));
        }
        let mut given = p.at(&from.arrays, k % self.draws.max(1) * p.len() / self.draws.max(1));
        if let Some(h) = &from.hidden {
            h.draw(&mut given, &mut Stream::new(self.seed, "hidden", k as u64)).map_err(ModelError::from)?;
        }
        let s = self.model.predict(self.data, self.settings, &mut rng, &given)?;
        match s.latents.iter().find(|l| !given.contains_key(&l.name)) {
            Some(l) => {
                let why = "the draws belong to another model";
                Err(p.wrong(format!("no column for `{}`: {why}", l.name)))
            }
            None => Ok(s),
        }
    }

    fn row(&self, k: usize, given: &Given) -> Result<Vec<f64>, WorkflowError> {
        let s = self.one(k, given)?;
        if let Some(folder) = self.folder {
            let path: PathBuf = folder.join(format!("data_{}.json", k + 1));
            std::fs::write(&path, s.data.to_json()).map_err(|source| crate::io::IoError::Write { path, source })?;
        }
        let values = |d: &Drawn| d.values.clone();
        let mut row: Vec<f64> = s.latents.iter().chain(&s.reports).flat_map(values).collect();
        for key in &s.observed {
            row.extend(s.data.get(key).iter().flat_map(|r| &r.values));
        }
        Ok(row)
    }
}

fn names(name: &str, dims: &[usize], count: usize) -> Vec<String> {
    (0..count).map(|j| element(name, dims, j)).collect()
}

impl Forward {
    /// Element names in the order of the rows.
    pub fn names(&self) -> Vec<String> {
        self.groups.iter().flat_map(|g| g.1.iter().cloned()).collect()
    }

    /// Value `j` of every draw.
    pub fn column(&self, j: usize) -> Vec<f64> {
        self.rows.iter().filter_map(|r| r.get(j)).copied().collect()
    }

    /// Mean, standard deviation and quantiles (5, 50, 95 %) of value `j`.
    fn row_of(&self, j: usize) -> [f64; 5] {
        let x = self.column(j);
        [mean(&x), sd(&x), quantile(&x, 0.05), quantile(&x, 0.5), quantile(&x, 0.95)]
    }

    /// A table of all values; long arrays are shortened unless `all`.
    pub fn table(&self, all: bool) -> Table {
        let mut t = Table::new(&["", "mean", "sd", "5%", "50%", "95%"]);
        let mut j = 0;
        for (name, elements) in &self.groups {
            let n = elements.len();
            let shown = if all || n <= SHOWN + 2 { n } else { SHOWN };
            for (k, element) in elements.iter().enumerate().take(shown) {
                let row = self.row_of(j + k);
                let d = decimals(row[0], row[1] / (self.rows.len() as f64).sqrt());
                let mut cells = vec![element.clone()];
                cells.extend(row.map(|x| fixed(x, d)));
                t.row(cells);
            }
            if shown < n {
                t.note(format!("… {} more of {name}", n - shown));
            }
            j += n;
        }
        t
    }

    /// The same as JSON.
    pub fn json(&self) -> serde_json::Value {
        let mut values = serde_json::Map::new();
        for (j, name) in self.names().into_iter().enumerate() {
            let [mean, sd, q05, q50, q95] = self.row_of(j);
            values.insert(name, serde_json::json!({ "mean": mean, "sd": sd, "q05": q05, "q50": q50, "q95": q95 }));
        }
        serde_json::json!({ "values": values, "draws": self.rows.len() })
    }
}
