//! Params: typed values and networks, held at a value or inputs of the graph for a trainer (rules S3 and R40).

use super::env::Binding;
use super::types::Ty;
use super::{Lower, Mode, Res};
use crate::base::rng::Stream;
use crate::dsl::ast::{Call, Expr, ExprKind, Ident, ParamKind, Type};
use crate::dsl::diagnostic::{Diagnostic, did_you_mean};
use crate::dsl::span::Span;
use crate::graph::{Binary, Graph, Shape, Spread, Unary, Var};
use crate::model::level::ROOT;
use crate::model::site::{NoteKind, Param, ParamInput};
use crate::model::transform::interval_inverse;
use crate::model::value::{Home, Val};

/// What stands between two layers of a network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Activation {
    Tanh,
    Sigmoid,
    Relu,
    Softplus,
    Gelu,
    Silu,
}

impl Activation {
    const ALL: [(&'static str, Activation); 6] = [
        ("tanh", Activation::Tanh),
        ("sigmoid", Activation::Sigmoid),
        ("relu", Activation::Relu),
        ("softplus", Activation::Softplus),
        ("gelu", Activation::Gelu),
        ("silu", Activation::Silu),
    ];

    /// Symmetric about 0 or nearly linear there: Glorot's variance; else He's.
    fn saturates(self) -> bool {
        matches!(self, Activation::Tanh | Activation::Sigmoid)
    }

    fn apply(self, g: &mut Graph, x: Var) -> Var {
        match self {
            Activation::Tanh => g.unary(Unary::Tanh, x),
            Activation::Sigmoid => g.unary(Unary::Sigmoid, x),
            Activation::Softplus => g.unary(Unary::Softplus, x),
            Activation::Relu => {
                let zero = g.scalar(0.0);
                g.binary(Binary::Max, x, zero)
            }
            // x Φ(x) (Hendrycks & Gimpel 2016).
            Activation::Gelu => {
                let p = g.unary(Unary::Phi, x);
                g.mul(x, p)
            }
            Activation::Silu => {
                let p = g.unary(Unary::Sigmoid, x);
                g.mul(x, p)
            }
        }
    }
}

/// A network with its weights.
#[derive(Clone, Debug)]
pub struct Network {
    inputs: usize,
    /// Weights `[outputs, inputs]` and biases of each layer.
    layers: Vec<(Val, Val)>,
    activation: Activation,
    /// Place of its name.
    span: Span,
}

impl<'m> Lower<'m> {
    /// `param name: type [= value]` or `param name = mlp(inputs, [hidden…], outputs, activation)`
    pub fn param_stmt(&mut self, id: &'m Ident, kind: &'m ParamKind) -> Res<()> {
        if self.here != ROOT {
            return Err(Diagnostic::new(id.span, "params are declared outside plates and loops"));
        }
        match kind {
            ParamKind::Value { ty, init } => self.typed_param(id, ty, init.as_ref()),
            ParamKind::Network(call) => self.network(id, call),
        }
    }

    fn typed_param(&mut self, id: &'m Ident, ty: &'m Type, init: Option<&'m Expr>) -> Res<()> {
        let t = self.ty(ty)?;
        let given = self.given_param(&id.name, id.span, &t.dims)?;
        let known = match (given, init) {
            (Some(v), _) => v,
            (None, Some(e)) => self.expr(e)?,
            (None, None) => self.default_param(id, &t)?,
        };
        self.fits(&id.name, id.span, &known, &t)?;
        if known.known().is_none() {
            return Err(Diagnostic::new(id.span, "the starting value of a param must not depend on latents or params"));
        }
        self.check_constraint(&id.name, id.span, &known, &t)?;
        let from = match self.params.contains_key(&id.name) {
            true => "its value in the parameter file",
            false => "its initial value",
        };
        let v = self.held(&id.name, id.span, &t, known)?;
        if !self.trainable {
            self.note(NoteKind::Info, id.span, format!("param `{}` is held at {from}", id.name));
        }
        self.declare(id, Binding::Val(v))
    }

    /// The value that the parameter file has.
    fn given_param(&mut self, name: &str, span: Span, dims: &[usize]) -> Res<Option<Val>> {
        let Some(values) = self.params.get(name) else { return Ok(None) };
        if values.len() != dims.iter().product::<usize>() {
            return Err(Diagnostic::new(
                span,
                format!("the parameter file has {} numbers for `{name}` of shape {dims:?}", values.len()),
            ));
        }
        Ok(Some(Val::constant(values.clone(), dims.to_vec())))
    }

    /// Records a param; for a trainer it becomes an input of the graph, in free coordinates.
    fn held(&mut self, name: &str, span: Span, t: &Ty, known: Val) -> Res<Val> {
        let value = known.known().map(|c| c.to_vec()).unwrap_or_default();
        let constraint = match t.structure {
            Some(s) => s.name().to_string(),
            None => {
                let end = |v: &Option<Val>, none| v.as_ref().map_or(Some(none), |v| v.known_uniform());
                super::latent::interval_name(&[end(&t.lower, f64::NEG_INFINITY), end(&t.upper, f64::INFINITY)])
            }
        };
        let (mut v, mut input) = (known, None);
        if self.trainable && matches!(self.mode, Mode::Density) {
            let start = self.free_param(name, span, t, &value)?;
            let shape = if t.structure.is_some() { Shape::new(&[start.len()]) } else { Shape::new(&t.dims) };
            let node = self.g.input(name, shape, Spread::Shared);
            v = self.constrained_param(node, t, span)?;
            let value = self.node(&v);
            input = Some(ParamInput { node, start, value });
        }
        self.held.push(Param { name: name.to_string(), span, dims: t.dims.clone(), constraint, value, input });
        Ok(v)
    }

    /// Free coordinates of a value.
    fn free_param(&mut self, name: &str, span: Span, t: &Ty, x: &[f64]) -> Res<Vec<f64>> {
        let wrong = |m: String| {
            Diagnostic::new(span, format!("param `{name}` has no free coordinates: {m}"))
                .help("start it strictly inside its constraint")
        };
        if let Some(s) = t.structure {
            let event = &t.dims[t.dims.len() - s.event_rank()..];
            let size = event.iter().product::<usize>().max(1);
            let parts = x.chunks(size).map(|c| s.unconstrain(c, event).map_err(wrong));
            return Ok(parts.collect::<Res<Vec<_>>>()?.concat());
        }
        let ends = [(&t.lower, f64::NEG_INFINITY), (&t.upper, f64::INFINITY)].map(|(b, none)| match b {
            Some(b) => self.lift(b, ROOT, &t.dims).known().map(|c| c.to_vec()).unwrap_or_default(),
            None => vec![none; x.len()],
        });
        (0..x.len()).map(|j| interval_inverse(x[j], ends[0][j], ends[1][j]).map_err(wrong)).collect()
    }

    /// `mlp(inputs, [hidden…], outputs, activation)`: weights and biases of every layer are params.
    fn network(&mut self, id: &'m Ident, c: &'m Call) -> Res<()> {
        if c.name.name != "mlp" {
            return Err(Diagnostic::new(c.name.span, format!("there is no network `{}`", c.name.name))
                .help("write `mlp(inputs, [hidden…], outputs, activation)`"));
        }
        if super::call::is_callable(self, &id.name) {
            return Err(Diagnostic::new(id.span, format!("`{}` is already a function or a law", id.name)));
        }
        let (widths, activation) = self.architecture(c)?;
        let mut layers = vec![];
        let mut rng = Stream::new(self.seed, &format!("param {}", id.name), 0);
        let (mut count, mut given) = (0, 0);
        for (k, w) in widths.windows(2).enumerate() {
            let normal = k + 2 < widths.len() && !activation.saturates();
            let weights = Val::constant(initial(&mut rng, w[0], w[1], normal), vec![w[1], w[0]]);
            let biases = Val::constant(vec![0.0; w[1]], vec![w[1]]);
            let mut part = |l: &mut Self, letter: &str, start: Val| -> Res<Val> {
                let name = format!("{}.{letter}{}", id.name, k + 1);
                let t = Ty { dims: start.dims.clone(), structure: None, lower: None, upper: None, int: false };
                let known = l.given_param(&name, id.span, &t.dims)?;
                count += start.count();
                given += known.as_ref().map_or(0, |v| v.count());
                l.held(&name, id.span, &t, known.unwrap_or(start))
            };
            layers.push((part(self, "W", weights)?, part(self, "b", biases)?));
        }
        if !self.trainable {
            let from = match given {
                0 => format!("their initial values, drawn with seed {}", self.seed),
                n if n == count => "their values in the parameter file".into(),
                n => format!("their values in the parameter file ({n}) or initial ones"),
            };
            self.note(
                NoteKind::Info,
                id.span,
                format!("the {count} weights of network `{}` are held at {from}", id.name),
            );
        }
        self.env.networks.insert(id.name.clone(), Network { inputs: widths[0], layers, activation, span: id.span });
        Ok(())
    }

    /// Widths of all layers, inputs and outputs included, and the activation.
    fn architecture(&mut self, c: &'m Call) -> Res<(Vec<usize>, Activation)> {
        let [inputs, hidden, outputs, activation] = &c.args[..] else {
            return Err(Diagnostic::new(c.span, format!("`mlp` takes 4 arguments, found {}", c.args.len()))
                .help("write `mlp(inputs, [hidden…], outputs, activation)`"));
        };
        if let Some(n) = c.args.iter().find_map(|a| a.name.as_ref()) {
            return Err(Diagnostic::new(n.span, "`mlp` takes no named argument"));
        }
        let mut exprs = vec![&inputs.value];
        match &hidden.value.kind {
            ExprKind::List(items) => exprs.extend(items),
            _ => {
                return Err(Diagnostic::new(hidden.value.span, "the hidden layers are a list of widths")
                    .help("write `[64, 64]`"));
            }
        }
        exprs.push(&outputs.value);
        let mut widths = vec![];
        for e in exprs {
            let v = self.expr(e)?;
            let n = self.known_int(e.span, &v, "the width of a layer")?;
            match usize::try_from(n) {
                Ok(n) if n > 0 => widths.push(n),
                _ => return Err(Diagnostic::new(e.span, format!("the width of a layer must be positive, found {n}"))),
            }
        }
        for w in widths.windows(2) {
            self.room(c.span, ROOT, w)?;
        }
        let word = match &activation.value.kind {
            ExprKind::Name(n) => n.as_str(),
            _ => "",
        };
        let names = || Activation::ALL.iter().map(|a| a.0);
        match Activation::ALL.iter().find(|a| a.0 == word) {
            Some(a) => Ok((widths, a.1)),
            None => {
                let d = Diagnostic::new(activation.value.span, "this is no activation of a network");
                Err(match did_you_mean(word, names()) {
                    Some(n) => d.help(format!("did you mean `{n}`?")),
                    None => d.help(format!("the activations are {}", names().collect::<Vec<_>>().join(", "))),
                })
            }
        }
    }

    /// `f(x)`: a vector to a vector, a matrix row by row.
    pub fn network_call(&mut self, c: &Call) -> Res<Val> {
        let name = &c.name.name;
        if self.env.depth > 0 {
            return Err(Diagnostic::new(c.span, format!("network `{name}` is called inside a function"))
                .label("a function reads its arguments, data and consts")
                .help("call the network outside and hand over its result"));
        }
        let net = self.env.networks[name].clone();
        let args = self.arguments(c)?;
        self.expect_args(c, &args, 1)?;
        let mut x = args[0].clone();
        if x.dims.is_empty() || x.dims.len() > 2 || x.dims.last() != Some(&net.inputs) {
            return Err(Diagnostic::new(
                c.span,
                format!(
                    "network `{name}` takes a vector of {}, or a matrix with one in each row, found {}",
                    net.inputs,
                    x.type_name()
                ),
            )
            .note(net.span, "declared here"));
        }
        for (k, (w, b)) in net.layers.iter().enumerate() {
            let hidden = (k + 1 < net.layers.len()).then_some(net.activation);
            x = self.dense(c.span, &x, w, b, hidden)?;
        }
        Ok(x)
    }

    /// act(W x + b) for every vector of `x` at once: one matrix product, whatever the rows.
    fn dense(&mut self, span: Span, x: &Val, w: &Val, b: &Val, hidden: Option<Activation>) -> Res<Val> {
        let (out, inside) = (w.dims[0], w.dims[1]);
        let mut dims = x.dims.clone();
        *dims.last_mut().expect("a vector or a matrix") = out;
        self.room(span, x.level, &dims)?;
        let build = |g: &mut Graph, v: &[Var], shape: Shape| {
            let rows = g.shape(v[0]).count() / inside;
            let flat = g.reshape(v[0], Shape::new(&[rows, inside]));
            let product = g.matmul(flat, v[1], false, true);
            let bias = g.broadcast(v[2], Shape::new(&[rows, out]));
            let sum = g.add(product, bias);
            let y = hidden.map_or(sum, |a| a.apply(g, sum));
            g.reshape(y, shape)
        };
        if matches!(x.home, Home::Step(_)) {
            let shape = Shape::new(&dims);
            return self.in_step(span, &[x, w, b], dims, false, &mut |g, v| build(g, v, shape));
        }
        let shape = self.shape(x.level, &dims);
        let home = self.emit(&[x.clone(), w.clone(), b.clone()], shape, &mut |g, v| build(g, v, shape));
        Ok(Val { home, dims, level: x.level, int: false })
    }
}

/// Starting weights of a layer: N(0, 2 / inputs) (He et al. 2015, equation 10), or uniform on ±√(6 / (inputs +
/// outputs)) (Glorot & Bengio 2010, equation 16).
fn initial(rng: &mut Stream, inputs: usize, outputs: usize, normal: bool) -> Vec<f64> {
    let scale = match normal {
        true => (2.0 / inputs as f64).sqrt(),
        false => (6.0 / (inputs + outputs) as f64).sqrt(),
    };
    (0..inputs * outputs).map(|_| scale * if normal { rng.normal() } else { 2.0 * rng.uniform() - 1.0 }).collect()
}
