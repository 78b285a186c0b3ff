//! What every law of the language provides.

use crate::base::rng::Stream;
use crate::graph::{Graph, Var};

/// An argument of a law.
#[derive(Clone, Copy, Debug)]
pub struct Param {
    /// Name in the documentation and in messages.
    pub name: &'static str,
    /// Axes of one argument: 0 number, 1 vector, 2 matrix.
    pub event_rank: usize,
    /// Must be an integer.
    pub integer: bool,
    /// Where the law is defined.
    pub domain: Domain,
}

/// Where an argument may lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Domain {
    /// Any number.
    Real,
    /// Above 0.
    Positive,
    /// 0 or above.
    NonNegative,
    /// Within [0, 1].
    UnitInterval,
    /// Nonnegative, sums to 1.
    Simplex,
    /// Every element above 0.
    PositiveVector,
    /// Strictly increasing.
    Ordered,
    /// Symmetric positive definite.
    Covariance,
    /// Lower triangular with positive diagonal.
    CholeskyFactor,
}

/// A limit of a support.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Limit {
    /// No limit.
    None,
    /// A number.
    Fixed(f64),
    /// The value of the k-th argument.
    Arg(usize),
    /// The size of the k-th argument (its last axis).
    SizeOf(usize),
    /// The size of the k-th argument (its last axis) plus one.
    SizePlusOne(usize),
}

/// Where the value of a law lies.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Support {
    /// Numbers (or vectors of numbers) between two limits; integers where the law is discrete.
    Interval(Limit, Limit),
    /// Nonnegative vectors that sum to 1.
    Simplex,
    /// Correlation matrices.
    CorrMatrix,
    /// Lower Cholesky factors of correlation matrices.
    CorrCholesky,
    /// Symmetric positive definite matrices.
    CovMatrix,
    /// Vectors of counts that sum to a total (multinomial).
    Counts,
}

/// An argument's value for the sampler: row-major data of its event shape.
#[derive(Clone, Copy, Debug)]
pub struct Value<'a> {
    /// Elements.
    pub data: &'a [f64],
    /// Sizes; empty for a number.
    pub dims: &'a [usize],
}

impl Value<'_> {
    /// The number, for an argument of event rank 0.
    pub fn number(&self) -> f64 {
        self.data[0]
    }
}

/// A probability law with Stan's name and parametrisation.
///
/// Graph methods work on a batch. `y` and every argument are either batched, with one leading axis of
/// the batch size in front of the event shape, or unbatched, with the event shape alone; an unbatched
/// one serves the whole batch. The result has the shape `[batch]`, or is a scalar where nothing is
/// batched. Laws of event rank 0 may use elementwise nodes directly: scalars broadcast.
pub trait Law: Sync {
    /// Name in the language.
    fn name(&self) -> &'static str;

    /// Density or mass function as text, with the arguments' names.
    fn formula(&self) -> &'static str;

    /// The arguments in order.
    fn params(&self) -> &'static [Param];

    /// Axes of one value: 0 number, 1 vector, 2 matrix.
    fn event_rank(&self) -> usize {
        0
    }

    /// True for laws on integers.
    fn is_discrete(&self) -> bool {
        false
    }

    /// Where the values lie.
    fn support(&self) -> Support;

    /// False for a density that does not integrate to 1; its sampler returns NaN.
    fn is_proper(&self) -> bool {
        true
    }

    /// Shape of one value from the arguments' event shapes; rank 0 laws return nothing.
    fn event_dims(&self, _args: &[&[usize]]) -> Vec<usize> {
        vec![]
    }

    /// What is wrong with the event shapes of a value and its arguments; `None` where they go
    /// together: each has its rank and all axes of vectors and matrices have one size.
    fn shape_problem(&self, y: &[usize], args: &[&[usize]]) -> Option<String> {
        let ranks = self.params().iter().map(|p| (p.name, p.event_rank));
        let all = || ranks.clone().zip(args.iter().copied()).chain([(("the value", self.event_rank()), y)]);
        let size = all().find_map(|(_, dims)| dims.first().copied());
        all().find_map(|((name, rank), dims)| {
            let expected = vec![size.unwrap_or(0); rank];
            (dims != expected).then(|| format!("{name} of {} has shape {dims:?}; expected {expected:?}", self.name()))
        })
    }

    /// Positions of location and scale where `(y - location) / scale` has a law free of both.
    fn location_scale(&self) -> Option<(usize, usize)> {
        None
    }

    /// Log density (or mass) at `y` inside the support, every normalising constant kept. Outside the
    /// support the value is unspecified: the caller guards.
    fn lpdf(&self, g: &mut Graph, y: Var, args: &[Var]) -> Var;

    /// log P(Y <= y); `None` where the law has no such function. Event rank 0 only.
    fn lcdf(&self, _g: &mut Graph, _y: Var, _args: &[Var]) -> Option<Var> {
        None
    }

    /// log P(Y > y); `None` where the law has no such function.
    fn lccdf(&self, _g: &mut Graph, _y: Var, _args: &[Var]) -> Option<Var> {
        None
    }

    /// P(Y <= y) as a number, for truncated draws and tests.
    fn cdf(&self, _y: f64, _args: &[f64]) -> Option<f64> {
        None
    }

    /// One exact draw; `out` has the event shape. NaN where an argument is outside its domain.
    fn sample(&self, rng: &mut Stream, args: &[Value<'_>], out: &mut [f64]);
}
