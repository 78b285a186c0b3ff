//! Starting points of a run: random ones, or values of latents on their own scale.

use std::path::Path;

use crate::base::rng::Stream;
use crate::mcmc::init::Init;
use crate::model::compiled::Compiled;
use crate::model::data::{DataError, DataFile};
use crate::model::site::Site;

/// Bisections that take an interval of 1e3 to the spacing of doubles.
const HALVINGS: usize = 64;

/// Random points tried for each chain.
const TRIES: usize = 100;

/// Where chains start.
#[derive(Clone, Debug)]
pub enum Start {
    /// Each coordinate uniform within so far of 0.
    Radius(f64),
    /// Values of latents by name, or all coordinates under the key `unconstrained`; coordinates that are not
    /// given start at random within 2 of 0.
    Values(DataFile),
}

impl Default for Start {
    fn default() -> Self {
        Start::Radius(2.0)
    }
}

/// What is wrong with starting points.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs)]
pub enum StartError {
    /// A radius that is none.
    #[error(
        "--init {text}: a radius is a finite number from 0; give one (--init 2), or a .json file with values of latents"
    )]
    Radius { text: String },
    /// The file cannot be used.
    #[error("--init: {0}")]
    File(#[from] DataError),
    /// A name that is no latent.
    #[error("--init: the model has no latent `{name}`; give values for any of: {known}")]
    Unknown { name: String, known: String },
    /// Too many or too few numbers.
    #[error("--init: `{name}` has {found} numbers; give {expected}")]
    Count { name: String, found: usize, expected: usize },
    /// A transform that mixes elements.
    #[error("--init: `{name}` has no elementwise transform; give all coordinates under the key `unconstrained`")]
    Joint { name: String },
    /// A value that the latent cannot have.
    #[error("--init: {element} cannot be {value}: it has to be inside {support}")]
    Outside { element: String, value: f64, support: String },
}

impl Start {
    /// A radius, or the path of a JSON file.
    pub fn read(text: &str) -> Result<Start, StartError> {
        match text.parse::<f64>() {
            Ok(radius) if radius >= 0.0 && radius.is_finite() => Ok(Start::Radius(radius)),
            Ok(_) => Err(StartError::Radius { text: text.into() }),
            Err(_) => Ok(Start::Values(DataFile::load(Path::new(text))?)),
        }
    }

    /// The starting points of `chains` chains.
    pub fn init(&self, compiled: &Compiled, chains: usize, seed: u64) -> Result<Init<'static>, StartError> {
        Ok(match self {
            Start::Radius(radius) => Init::Uniform { radius: *radius, tries: TRIES },
            Start::Values(_) => Init::Given(self.given(compiled, chains, seed)?.unwrap_or_default()),
        })
    }

    /// The points of `chains` chains where values were given, unconstrained.
    pub fn given(&self, compiled: &Compiled, chains: usize, seed: u64) -> Result<Option<Vec<Vec<f64>>>, StartError> {
        let Start::Values(file) = self else {
            return Ok(None);
        };
        let start = |c: usize| -> Result<Vec<f64>, StartError> {
            let mut rng = Stream::new(seed, "init", c as u64);
            let mut x: Vec<f64> = (0..compiled.posterior.dim).map(|_| 4.0 * rng.uniform() - 2.0).collect();
            place(file, compiled, &mut x)?;
            Ok(x)
        };
        (0..chains).map(start).collect::<Result<_, _>>().map(Some)
    }
}

/// The unconstrained coordinates at which latents have the values of `file`; 0 for those that it does not hold.
pub fn coordinates(file: &DataFile, compiled: &Compiled) -> Result<Vec<f64>, StartError> {
    let mut x = vec![0.0; compiled.posterior.dim];
    place(file, compiled, &mut x)?;
    Ok(x)
}

fn place(file: &DataFile, compiled: &Compiled, x: &mut [f64]) -> Result<(), StartError> {
    let sites = &compiled.posterior.sites;
    for key in file.keys() {
        if key != "unconstrained" && !sites.iter().any(|s| s.name == key) {
            let names: Vec<&str> = sites.iter().map(|s| s.name.as_str()).collect();
            return Err(StartError::Unknown { name: key.into(), known: names.join(", ") });
        }
    }
    if let Some(raw) = file.get("unconstrained") {
        check("unconstrained", raw.values.len(), x.len())?;
        x.copy_from_slice(&raw.values);
    }
    let (mut base, mut offset) = (0, 0);
    for site in sites {
        let width = compiled.posterior.graph.shape(site.value).count();
        if let Some(raw) = file.get(&site.name) {
            let whole = site.dims.iter().product::<usize>() == raw.values.len();
            let values = match &site.filled {
                Some(e) if whole => e.iter().map(|&e| raw.values[e as usize]).collect(),
                _ => raw.values.clone(),
            };
            check(&site.name, values.len(), width)?;
            let at: Vec<usize> = (offset..offset + width).collect();
            invert(site, compiled, x, base, &at, &values)?;
        }
        base += site.free;
        offset += width;
    }
    Ok(())
}

fn check(name: &str, found: usize, expected: usize) -> Result<(), StartError> {
    match found == expected {
        true => Ok(()),
        false => Err(StartError::Count { name: name.into(), found, expected }),
    }
}

/// Coordinates of one site such that its values are `values`: each value is a monotone function of
/// its own coordinate, so all are bisected at once.
fn invert(
    site: &Site,
    compiled: &Compiled,
    x: &mut [f64],
    base: usize,
    at: &[usize],
    values: &[f64],
) -> Result<(), StartError> {
    if !site.elementwise || site.free != values.len() {
        return Err(StartError::Joint { name: site.name.clone() });
    }
    let n = values.len();
    let (mut out, mut scratch) = (vec![0.0; compiled.width()], vec![]);
    let mut eval = |x: &mut [f64], u: &[f64]| -> Vec<f64> {
        x[base..base + n].copy_from_slice(u);
        compiled.values(x, &mut out, &mut scratch);
        at.iter().map(|&e| out[e]).collect()
    };
    let (mut low, mut high) = (vec![-500.0_f64; n], vec![500.0_f64; n]);
    // Identity transforms are not bounded by the exponential's range.
    for (k, v) in values.iter().enumerate() {
        (low[k], high[k]) = (low[k].min(2.0 * v - 1.0), high[k].max(2.0 * v + 1.0));
    }
    let (first, last) = (eval(x, &low), eval(x, &high));
    for _ in 0..HALVINGS {
        let mid: Vec<f64> = low.iter().zip(&high).map(|(l, h)| 0.5 * (l + h)).collect();
        let now = eval(x, &mid);
        for k in 0..n {
            let rising = last[k] > first[k];
            if (now[k] < values[k]) == rising { low[k] = mid[k] } else { high[k] = mid[k] }
        }
    }
    let mid: Vec<f64> = low.iter().zip(&high).map(|(l, h)| 0.5 * (l + h)).collect();
    let reached = eval(x, &mid);
    for k in 0..n {
        let scale = 1.0 + values[k].abs();
        let close = (reached[k] - values[k]).abs() <= 1e-8 * scale;
        if !close {
            let element = site.value_names()[k].clone();
            return Err(StartError::Outside { element, value: values[k], support: site.constraint.clone() });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::posterior::Model;

    #[test]
    fn values_come_back() {
        let text = "latent m ~ normal(0, 5)\nlatent s ~ half_normal(0, 2)\nlatent p ~ beta(2, 2)\n\
            latent b: vector<upper=1>[2] ~ normal(m, s)\nlatent c: vector[2] ~ normal(m, s) noncentred\n";
        let model = Model::from_text("m", text).unwrap();
        let compiled = Compiled::new(model.bind(&DataFile::default()).unwrap());
        let given = "{\"m\": 2, \"s\": 0.5, \"p\": 0.25, \"b\": [0.75, -3], \"c\": [1, 4]}";
        let mut x = vec![0.3; compiled.posterior.dim];
        place(&DataFile::from_json(given).unwrap(), &compiled, &mut x).unwrap();
        let mut values = vec![0.0; compiled.width()];
        compiled.values(&x, &mut values, &mut vec![]);
        for (v, expected) in values.iter().zip([2.0, 0.5, 0.25, 0.75, -3.0, 1.0, 4.0]) {
            assert!((v - expected).abs() < 1e-9, "{values:?}");
        }
        assert!(place(&DataFile::from_json("{\"p\": 2}").unwrap(), &compiled, &mut x).is_err());
    }

    #[test]
    fn values_of_the_elements_that_have_a_law() {
        let text = "latent x: vector<lower=0>[4]\nlatent x[4] ~ normal(0, 1)\nlatent x[2] ~ normal(0, 1)\nlatent m ~ normal(0, 1)\n";
        let compiled = Compiled::new(Model::from_text("m", text).unwrap().bind(&DataFile::default()).unwrap());
        for given in ["{\"x\": [9, 2, 9, 3], \"m\": 1}", "{\"x\": [2, 3], \"m\": 1}"] {
            let x = coordinates(&DataFile::from_json(given).unwrap(), &compiled).unwrap();
            for (u, expected) in x.iter().zip([2f64.ln(), 3f64.ln(), 1.0]) {
                assert!((u - expected).abs() < 1e-8, "{given}: {x:?}");
            }
        }
        let three = DataFile::from_json("{\"x\": [1, 2, 3]}").unwrap();
        assert!(matches!(coordinates(&three, &compiled), Err(StartError::Count { found: 3, expected: 2, .. })));
    }
}
