//! The closed set of operations and what a node is.

use std::sync::Arc;

use super::Graph;
use super::shape::{Index, Shape};

/// A node of a graph, by its position.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Var(pub(crate) u32);

impl Var {
    /// Position in the node list.
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

/// How often a value differs: once, once per row, or per particle.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Spread {
    /// The same for every lane.
    Shared,
    /// One value per row of a plate.
    Row,
    /// One value per lane.
    Particle,
}

/// Functions of one number, applied elementwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
pub enum Unary {
    Neg,
    Abs,
    /// -1, 0 or 1.
    Sign,
    Exp,
    Expm1,
    Log,
    Log1p,
    Sqrt,
    Square,
    Recip,
    Sin,
    Cos,
    Tan,
    Asin,
    Acos,
    Atan,
    Sinh,
    Cosh,
    Tanh,
    /// 1 / (1 + exp(-x))
    Sigmoid,
    /// log(1 + exp(x))
    Softplus,
    Lgamma,
    Digamma,
    Trigamma,
    Tetragamma,
    Erf,
    Erfc,
    /// Standard normal cdf.
    Phi,
    /// Log of the standard normal cdf.
    LogPhi,
    /// Inverse of the standard normal cdf.
    InvPhi,
    /// log I_0(x)
    LogBesselI0,
    /// I_1(x) / I_0(x)
    BesselRatio,
    Floor,
    Ceil,
    Round,
    /// 1 - x for a truth value.
    Not,
}

/// Functions of two numbers, applied elementwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
pub enum Binary {
    Add,
    Sub,
    Mul,
    /// Product that is 0 wherever the first factor is 0, also against inf and NaN (adjoints of
    /// branches not taken).
    MulZero,
    Div,
    Pow,
    Min,
    Max,
    Atan2,
    /// 1 where a < b, else 0; likewise below.
    Lt,
    Le,
    Eq,
    Ne,
    And,
    Or,
    /// C's fmod: the sign of the dividend.
    Mod,
    /// Regularised lower incomplete gamma P(a, x).
    GammaP,
    /// d P(a, x) / d a
    GammaPda,
    /// log(e^a + e^b); the infinity where both are the same one.
    LogAddExp,
    /// e^a / (e^a + e^b), the derivative of that in a; 1/2 where both are the same infinity.
    ShareExp,
}

/// Functions of three numbers, applied elementwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Ternary {
    /// `c != 0 ? a : b`
    Select,
    /// a * b + c in one rounding.
    Fma,
    /// Regularised incomplete beta I_x(a, b), arguments (a, b, x).
    IncBeta,
    /// d I_x(a, b) / d a
    IncBetaDa,
    /// d I_x(a, b) / d b
    IncBetaDb,
}

/// Reductions over the middle axis of `[outer, n, inner]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Fold {
    /// Sum; 0 where empty.
    Sum,
    /// Largest; -inf where empty.
    Max,
    /// log of the sum of exponentials; -inf where empty.
    LogSumExp,
}

/// A sequential loop: `len` runs of a body graph that hands a carry from step to step.
///
/// Arguments of the node: initial carries, then arrays with a leading axis of `len` (`xs`), then
/// values that every step reads. Outputs, read by [`Op::Proj`] in this order: final carries,
/// carry-in traces (`[len, …carry shape]`, the carry as step t received it), per-step outputs (`[len, …]`).
#[derive(Debug)]
pub struct Scan {
    /// Body; its inputs in order are carries, slices of the `xs`, values read by all steps.
    pub body: Graph,
    /// Number of steps.
    pub len: usize,
    /// Number of `xs`.
    pub xs: usize,
    /// Carry handed to the next step, one body node per carry.
    pub next: Vec<Var>,
    /// Per-step outputs.
    pub ys: Vec<Var>,
    /// Runs from the last step to the first.
    pub reverse: bool,
}

/// What a node computes from its arguments.
#[derive(Clone, Debug)]
pub enum Op {
    /// The k-th input of the graph.
    Input(u32),
    /// Data, row-major.
    Const(Arc<[f64]>),
    /// Elementwise, same shape.
    Unary(Unary),
    /// Elementwise: equal shapes, or one scalar.
    Binary(Binary),
    /// Elementwise: every argument has the output's shape or is a scalar.
    Ternary(Ternary),
    /// Same elements, other shape.
    Reshape,
    /// `out[j] = src[index(j)]` on flat positions.
    Gather(Index),
    /// `out[index(j)] += src[j]` on flat positions, from zeros of the output's shape.
    ScatterAdd(Index),
    /// Arguments one after another, flat.
    Concat,
    /// `[outer, n, inner] -> [outer, inner]`; `outer` and `inner` are counts of elements.
    Fold {
        /// Kind.
        fold: Fold,
        /// Elements in front of the folded axis.
        outer: usize,
        /// Size of the folded axis.
        n: usize,
        /// Elements behind the folded axis.
        inner: usize,
    },
    /// Running sum along the last axis, from the end where `reverse`.
    CumSum {
        /// From the last element to the first.
        reverse: bool,
    },
    /// Matrix product `[b?, m, k] x [b?, k, n]`; an argument is read transposed (its last two axes
    /// swapped) where its flag says so. Both have the leading batch axis or neither.
    MatMul {
        /// Read the left argument transposed.
        ta: bool,
        /// Read the right argument transposed.
        tb: bool,
    },
    /// Lower Cholesky factor of `[b?, n, n]` (lower triangle read); NaN where not positive definite.
    Cholesky,
    /// X with L X = B (or Lᵀ X = B): L `[b?, n, n]` lower (lower triangle read), B `[b?, n, m]`.
    TriSolve {
        /// Solve with Lᵀ.
        transposed: bool,
    },
    /// X with A X = B (or Aᵀ X = B) by LU with partial pivoting: A `[b?, n, n]`, B `[b?, n, m]`.
    Solve {
        /// Solve with Aᵀ.
        transposed: bool,
    },
    /// log |det A| of `[b?, n, n]`, shape `[b?]`.
    LogAbsDet,
    /// A loop; its outputs are read by `Proj`.
    Scan(Arc<Scan>),
    /// k-th output of a `Scan`.
    Proj(u32),
    /// Identity whose derivative is 0.
    StopGradient,
    /// First argument; its cotangent is multiplied by the second (same shape or scalar).
    ScaleGrad,
}

/// An operation with its arguments and what is known of its value.
#[derive(Clone, Debug)]
pub struct Node {
    /// What it computes.
    pub op: Op,
    /// From which nodes, all earlier in the list.
    pub args: Vec<Var>,
    /// Per-lane shape.
    pub shape: Shape,
    /// How often its value differs.
    pub spread: Spread,
    /// Where it comes from: an opaque label of the producer (a statement), for the provenance of NaN.
    pub origin: u32,
}
