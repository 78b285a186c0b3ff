//! Exact second derivatives: columns of the Hessian and of the Jacobian of the values, by forward mode
//! over reverse mode.

use nalgebra::{Cholesky, DMatrix, Dyn};

use super::OptimizeError;
use crate::base::simd::Isa;
use crate::density::LogDensity;
use crate::graph::jvp::jvp;
use crate::graph::program::{Options, Program};
use crate::graph::{Spread, Var};
use crate::model::compiled::Compiled;

/// A pivot smaller than this share of its diagonal element is rounding.
const PIVOT: f64 = 1e-12;

/// Curvature below which a coordinate on a log scale has run off: a standard error of 1000.
const EDGE: f64 = 1e-6;

/// The program that maps a point and a direction to the derivatives of the gradient and of the values.
pub struct Curvature {
    program: Program,
    /// Coordinates of each site.
    free: Vec<usize>,
    /// Elements of each output.
    counts: Vec<usize>,
    dim: usize,
}

/// Second derivatives of the objective, first derivatives of the values.
pub struct Derivatives {
    /// Hessian, `[dim, dim]`.
    pub hessian: DMatrix<f64>,
    /// d values / d coordinates, `[width, dim]`.
    pub jacobian: DMatrix<f64>,
}

impl Curvature {
    /// Differentiates the gradient of a compiled density.
    pub fn new(compiled: &Compiled) -> Curvature {
        let p = &compiled.posterior;
        let (graph, grads) = compiled.differentiated();
        let mut g = graph.clone();
        let inputs: Vec<Var> = p.sites.iter().map(|s| s.input).collect();
        let mut outputs = grads.to_vec();
        outputs.extend(p.sites.iter().map(|s| s.value));
        outputs.extend(p.reports.iter().map(|(_, k)| k.node));
        let counts = outputs.iter().map(|v| g.shape(*v).count()).collect();
        let tangents: Vec<Var> = inputs
            .iter()
            .map(|v| {
                let shape = g.shape(*v);
                g.input("direction", shape, Spread::Particle)
            })
            .collect();
        let outputs = jvp(&mut g, &outputs, &inputs, &tangents);
        Curvature {
            program: Program::compile(&g, &outputs, &Options { lanes: 1, isa: Isa::detect() }),
            free: p.sites.iter().map(|s| s.free).collect(),
            counts,
            dim: p.dim,
        }
    }

    /// Derivatives at a point, one run per coordinate.
    pub fn at(&self, x: &[f64]) -> Derivatives {
        let width = self.counts.iter().sum::<usize>() - self.dim;
        let mut hessian = DMatrix::zeros(self.dim, self.dim);
        let mut jacobian = DMatrix::zeros(width, self.dim);
        let mut ws = vec![0.0; self.program.scratch()];
        let mut out = vec![0.0; self.dim + width];
        let mut direction = vec![0.0; self.dim];
        for j in 0..self.dim {
            direction[j] = 1.0;
            let mut inputs = self.parts(x);
            inputs.extend(self.parts(&direction));
            let mut rest = &mut out[..];
            let mut outputs = vec![];
            for c in &self.counts {
                let (a, b) = rest.split_at_mut(*c);
                outputs.push(a);
                rest = b;
            }
            self.program.run(&inputs, &mut outputs, &mut ws);
            hessian.column_mut(j).copy_from_slice(&out[..self.dim]);
            jacobian.column_mut(j).copy_from_slice(&out[self.dim..]);
            direction[j] = 0.0;
        }
        let transposed = hessian.transpose();
        Derivatives { hessian: (hessian + transposed) * 0.5, jacobian }
    }

    fn parts<'a>(&self, x: &'a [f64]) -> Vec<&'a [f64]> {
        let mut rest = x;
        let mut parts = vec![];
        for f in &self.free {
            let (a, b) = rest.split_at(*f);
            parts.push(a);
            rest = b;
        }
        parts
    }

    /// sqrt(diag(J (-H)^-1 Jᵀ)) for the values at a maximum.
    pub fn standard_errors(&self, compiled: &Compiled, x: &[f64]) -> Result<Vec<f64>, OptimizeError> {
        debug_assert_eq!(compiled.dim(), self.dim);
        let d = self.at(x);
        let name = |j: usize| compiled.posterior.coordinate_names().swap_remove(j);
        if let Some(j) = self.edge(compiled, &d.hessian) {
            return Err(OptimizeError::AtEdge { coordinate: name(j) });
        }
        let refuse = |j| OptimizeError::NotDefinite { coordinate: name(j) };
        let factor = precision_factor(&d.hessian).ok_or_else(|| refuse(weakest(&d.hessian)))?;
        let half = factor
            .l_dirty()
            .solve_lower_triangular(&d.jacobian.transpose())
            .unwrap_or_else(|| DMatrix::zeros(self.dim, 0));
        Ok(half.column_iter().map(|c| c.norm()).collect())
    }

    /// A constrained coordinate, on the scale of a logarithm or a logit, without curvature.
    fn edge(&self, compiled: &Compiled, hessian: &DMatrix<f64>) -> Option<usize> {
        let mut start = 0;
        for site in &compiled.posterior.sites {
            let own = start..start + site.free;
            start = own.end;
            let constrained = site.constraint != "real";
            if let Some(j) = own.clone().find(|&j| constrained && hessian[(j, j)].abs() < EDGE) {
                return Some(j);
            }
        }
        None
    }
}

/// Cholesky factor of -H, where it is positive definite beyond rounding.
pub fn precision_factor(hessian: &DMatrix<f64>) -> Option<Cholesky<f64, Dyn>> {
    let factor = Cholesky::new(-hessian)?;
    let l = factor.l_dirty();
    let definite = |j: usize| l[(j, j)] * l[(j, j)] > PIVOT * -hessian[(j, j)];
    (0..hessian.nrows()).all(definite).then_some(factor)
}

/// The coordinate that weighs most in the direction of least curvature, in units that make the
/// diagonal 1.
fn weakest(hessian: &DMatrix<f64>) -> usize {
    let n = hessian.nrows();
    if let Some(j) = (0..n).find(|&j| hessian[(j, j)] >= 0.0 || hessian[(j, j)].is_nan()) {
        return j;
    }
    let scale = |j: usize| (-hessian[(j, j)]).sqrt();
    let scaled = DMatrix::from_fn(n, n, |i, j| -hessian[(i, j)] / (scale(i) * scale(j)));
    let eigen = scaled.symmetric_eigen();
    let direction = eigen.eigenvectors.column(eigen.eigenvalues.imin());
    direction.iamax()
}
