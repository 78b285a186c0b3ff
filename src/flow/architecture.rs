//! Named architectures: what a block of the text form stands for, with its options and their defaults.

use std::fmt::Write;
use std::sync::Arc;

use super::affine::{Diagonal, Lu, Triangular};
use super::autoregressive::Autoregressive;
use super::chain::Flow;
use super::coupling::Coupling;
use super::elementwise::Elementwise;
use super::grammar::{Argument, Call, FlowError, Value, read};
use super::invert::Invert;
use super::layer::Layer;
use super::masks::masks;
use super::mlp::{Activation, Network};
use super::orthogonal::{Householder, Permutation};

/// Names of blocks with their options, the one that needs no name first.
const BLOCKS: [(&str, &[&str]); 7] = [
    ("affine", &["kind", "seed"]),
    ("householder", &["reflections"]),
    ("permutation", &["seed"]),
    ("realnvp", &["layers", "hidden", "activation"]),
    ("nsf", &["layers", "bins", "box", "hidden", "activation"]),
    ("iaf", &["layers", "hidden", "activation", "bins", "box"]),
    ("maf", &["layers", "hidden", "activation", "bins", "box"]),
];

/// Log-scale that the layers of a chain reach together, on either side.
const REACH: f64 = 8.0;
/// Smallest bound of the log-scale of one layer.
const LEAST_BOUND: f64 = 4.0;

/// Units of each of the two hidden layers of a network.
const UNITS: usize = 32;

type Layers = Vec<Arc<dyn Layer>>;

impl Flow {
    /// Reads a chain of blocks, `block -> block -> …` in the forward direction; `dim` coordinates, a context of
    /// the given length (0: none) for every layer that can read one.
    ///
    /// | block | is |
    /// |---|---|
    /// | `affine(diagonal)`, `affine(full)`, `affine(lu, seed=0)` | [`Diagonal`], [`Triangular`], [`Lu`] |
    /// | `householder(reflections)` | [`Householder`] |
    /// | `permutation(seed)` | [`Permutation`] |
    /// | `realnvp(layers=8, hidden=[32, 32], activation=elu)` | affine [`Coupling`] layers |
    /// | `nsf(layers=5, bins=8, box=10, hidden=…, activation=…)` | spline [`Coupling`] layers |
    /// | `iaf(layers=3, hidden=…, activation=…)` | [`Autoregressive`] layers, orders alternating |
    /// | `maf(layers=5, hidden=…, activation=…)` | their inverses; `bins` or `box` make either of splines |
    ///
    /// The first option needs no name: `realnvp(8)`. Networks are `[32, 32]`, for `iaf` and `maf` with at least as many
    /// units as coordinates; 64 gain little in 100 coordinates for their time. Elu goes on linearly where tanh stands still:
    /// the scale of a funnel keeps growing beyond the draws of the training, so chains reach the tails. The log-scale of one affine layer is
    /// bounded by 8 divided by the number of layers that move a coordinate, but at least 4: with a bound of 2 its tanh bends the scale of a
    /// funnel in the neck, and chains diverge there.
    ///
    /// # Errors
    /// Where the text is none of these; the message names the column and the choices.
    pub fn parse(text: &str, dim: usize, context: usize) -> Result<Flow, FlowError> {
        if dim == 0 {
            return Err(FlowError::NoCoordinates);
        }
        let (mut layers, mut texts) = (Vec::new(), Vec::new());
        for call in read(text)? {
            let (block, text) = Block::new(&call)?.layers(dim, context)?;
            layers.extend(block);
            texts.push(text);
        }
        Ok(Flow::described(layers, texts.join(" -> ")))
    }

    /// Parameters that the layers of a text have at least in `dim` coordinates, without building any: so that a damaged
    /// file is refused before its masks take memory.
    ///
    /// # Errors
    /// As [`Flow::parse`].
    pub fn least_len(text: &str, dim: usize) -> Result<usize, FlowError> {
        let calls = read(text)?;
        let each = calls.iter().map(|call| Block::new(call)?.least_len(dim)).collect::<Result<Vec<_>, _>>()?;
        Ok(each.into_iter().fold(0, usize::saturating_add))
    }

    /// Whether the layers of a text only shift and stretch in `dim` coordinates, so that a normal law stays normal and gains no
    /// correlation: in one coordinate, everything but splines.
    ///
    /// # Errors
    /// As [`Flow::parse`].
    pub fn only_stretches(text: &str, dim: usize) -> Result<bool, FlowError> {
        let calls = read(text)?;
        let bends = calls.iter().map(|call| Ok(Block::new(call)?.splines())).collect::<Result<Vec<_>, _>>()?;
        Ok(dim == 1 && !bends.contains(&true))
    }
}

/// A call whose options are known to exist, each at most once.
struct Block<'a> {
    call: &'a Call,
    name: &'static str,
    options: &'static [&'static str],
    given: Vec<(&'static str, &'a Argument)>,
}

impl<'a> Block<'a> {
    fn new(call: &'a Call) -> Result<Block<'a>, FlowError> {
        let Some(&(name, options)) = BLOCKS.iter().find(|(n, _)| *n == call.name) else {
            let choices = BLOCKS.map(|(n, _)| n).join(", ");
            return Err(FlowError::Block { at: call.at, name: call.name.clone(), choices });
        };
        let mut given: Vec<(&'static str, &Argument)> = Vec::new();
        for (k, a) in call.arguments.iter().enumerate() {
            let wanted = a.name.as_deref().or(options.first().copied().filter(|_| k == 0));
            let Some(&option) = options.iter().find(|o| Some(**o) == wanted) else {
                let what = a.name.clone().unwrap_or_else(|| a.value.to_string().replace('`', ""));
                let choices = options.join(", ");
                return Err(FlowError::Option { at: a.at, block: name.to_string(), name: what, choices });
            };
            if given.iter().any(|(o, _)| *o == option) {
                return Err(FlowError::Twice { at: a.at, name: option.to_string() });
            }
            given.push((option, a));
        }
        Ok(Block { call, name, options, given })
    }

    /// Weights between the hidden layers of its networks, and of all that see every coordinate.
    fn least_len(&self, dim: usize) -> Result<usize, FlowError> {
        let ends = match self.name {
            "realnvp" | "nsf" => 0,
            "iaf" | "maf" => dim,
            "householder" => return Ok(self.count("reflections", 4, (1, 1024))?.saturating_mul(dim)),
            _ => return Ok(0),
        };
        let (network, layers) = (self.network(UNITS)?, self.count("layers", 1, (1, 64))?);
        Ok(least_weights(ends, &network.hidden, ends).saturating_mul(layers))
    }

    /// Whether its layers transform by splines.
    fn splines(&self) -> bool {
        self.name == "nsf" || self.find("bins").or(self.find("box")).is_some()
    }

    fn find(&self, option: &str) -> Option<&'a Argument> {
        self.given.iter().find(|(o, _)| *o == option).map(|(_, a)| *a)
    }

    fn refuse(&self, option: &str, expected: &str) -> FlowError {
        let argument = self.find(option);
        FlowError::Value {
            at: argument.map_or(self.call.at, |a| a.at),
            block: self.name.to_string(),
            name: option.to_string(),
            found: argument.map_or("missing".to_string(), |a| a.value.to_string()),
            expected: expected.to_string(),
        }
    }

    /// A whole number within bounds.
    fn count(&self, option: &str, default: usize, (least, most): (usize, usize)) -> Result<usize, FlowError> {
        let refuse = || self.refuse(option, &format!("a whole number from {least} to {most}"));
        match self.find(option).map(|a| &a.value) {
            None => Ok(default),
            Some(Value::Number(x)) => whole(*x, least, most).ok_or_else(refuse),
            Some(_) => Err(refuse()),
        }
    }

    /// One of several words.
    fn word<T: Copy + ToString>(&self, option: &str, default: T, choices: &[T]) -> Result<T, FlowError> {
        let Some(argument) = self.find(option) else { return Ok(default) };
        let chosen = match &argument.value {
            Value::Word(w) => choices.iter().find(|c| c.to_string() == *w),
            _ => None,
        };
        let names: Vec<String> = choices.iter().map(T::to_string).collect();
        chosen.copied().ok_or_else(|| self.refuse(option, &format!("one of {}", names.join(", "))))
    }

    fn network(&self, units: usize) -> Result<Network, FlowError> {
        const EXPECTED: &str = "a list of sizes from 1 to 4096, at most 8, like [64, 64]";
        let refuse = || self.refuse("hidden", EXPECTED);
        let hidden = match self.find("hidden").map(|a| &a.value) {
            None => vec![units; 2],
            Some(Value::List(l)) if l.len() <= 8 => {
                let sizes: Option<Vec<usize>> = l.iter().map(|x| whole(*x, 1, 4096)).collect();
                sizes.ok_or_else(refuse)?
            }
            Some(_) => return Err(refuse()),
        };
        Ok(Network { hidden, activation: self.word("activation", Activation::Elu, &Activation::ALL)? })
    }

    fn spline(&self) -> Result<Elementwise, FlowError> {
        let bins = self.count("bins", 8, (2, 128))?;
        let limit = match self.find("box").map(|a| &a.value) {
            None => 10.0,
            Some(Value::Number(x)) if (0.1..=1e6).contains(x) => *x,
            Some(_) => return Err(self.refuse("box", "a number from 0.1 to 1e6")),
        };
        Ok(Elementwise::Spline { bins, limit })
    }

    /// The layers, and the block in its standard form.
    fn layers(&self, dim: usize, context: usize) -> Result<(Layers, String), FlowError> {
        match self.name {
            "affine" => self.affine(dim, context),
            "householder" => {
                let n = self.count("reflections", 4, (1, 1024))?;
                Ok((vec![Arc::new(Householder::new(dim, n))], format!("householder({n})")))
            }
            "permutation" => {
                let layer = Permutation::new(dim, self.seed()?);
                let text = layer.describe();
                Ok((vec![Arc::new(layer)], text))
            }
            "realnvp" | "nsf" => self.coupling(dim, context),
            _ => self.autoregressive(dim, context),
        }
    }

    fn seed(&self) -> Result<u64, FlowError> {
        self.count("seed", 0, (0, 1 << 32)).map(|s| s as u64)
    }

    fn affine(&self, dim: usize, context: usize) -> Result<(Layers, String), FlowError> {
        let layer: Arc<dyn Layer> = match self.word("kind", "diagonal", &["diagonal", "full", "lu"])? {
            "lu" => Arc::new(Lu::new(dim, context, self.seed()?)),
            _ if self.find("seed").is_some() => return Err(self.refuse("seed", "none: only `affine(lu)` permutes")),
            "full" => Arc::new(Triangular::new(dim, context)),
            _ => Arc::new(Diagonal::new(dim, context)),
        };
        let text = layer.describe();
        Ok((vec![layer], text))
    }

    fn coupling(&self, dim: usize, context: usize) -> Result<(Layers, String), FlowError> {
        // One layer would leave half of the coordinates as they are.
        let least = if dim > 1 { 2 } else { 1 };
        let network = self.network(UNITS)?;
        let (layers, map) = match self.name {
            "nsf" => (self.count("layers", 5, (least, 64))?, self.spline()?),
            _ => {
                let layers = self.count("layers", 8, (least, 64))?;
                (layers, affine_map(if dim > 1 { layers / 2 } else { layers }))
            }
        };
        let layer = |moves: &Vec<bool>| Arc::new(Coupling::new(moves, context, map, &network)) as Arc<dyn Layer>;
        let chain = masks(dim, layers).iter().map(layer).collect();
        Ok((chain, self.text(layers, &map, &network)))
    }

    fn autoregressive(&self, dim: usize, context: usize) -> Result<(Layers, String), FlowError> {
        let network = self.network(dim.clamp(UNITS, 4096))?;
        let layers = self.count("layers", if self.name == "iaf" { 3 } else { 5 }, (1, 64))?;
        let map = if self.splines() { self.spline()? } else { affine_map(layers) };
        let layer = |k: usize| {
            let layer = Autoregressive::new(dim, context, k % 2 == 1, map, &network);
            if self.name == "iaf" { Arc::new(layer) as Arc<dyn Layer> } else { Arc::new(Invert::new(Box::new(layer))) }
        };
        Ok(((0..layers).map(layer).collect(), self.text(layers, &map, &network)))
    }

    /// The standard form of a block of networks, with all of its options in their order.
    fn text(&self, layers: usize, map: &Elementwise, network: &Network) -> String {
        let mut text = format!("{}(layers={layers}", self.name);
        for option in &self.options[1..] {
            let value = match (*option, map) {
                ("hidden", _) => format!("{:?}", network.hidden),
                ("activation", _) => network.activation.to_string(),
                ("bins", Elementwise::Spline { bins, .. }) => bins.to_string(),
                ("box", Elementwise::Spline { limit, .. }) => limit.to_string(),
                _ => continue,
            };
            write!(text, ", {option}={value}").expect("a String takes everything");
        }
        text + ")"
    }
}

/// Weights of the matrices of a dense network; no number where a usize has no room for it.
pub fn least_weights(inputs: usize, hidden: &[usize], outputs: usize) -> usize {
    let sizes = [&[inputs], hidden, &[outputs]].concat();
    sizes.windows(2).fold(0, |n, w| n.saturating_add(w[0].saturating_mul(w[1])))
}

/// The affine transform of a layer where `moves` layers move each coordinate.
fn affine_map(moves: usize) -> Elementwise {
    Elementwise::Affine { bound: (REACH / moves as f64).max(LEAST_BOUND) }
}

fn whole(x: f64, least: usize, most: usize) -> Option<usize> {
    (x.fract() == 0.0 && x >= least as f64 && x <= most as f64).then_some(x as usize)
}
