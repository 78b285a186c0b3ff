//! The waist: what an inference method may ask of a target density.

/// A log density on R^dim, up to a constant that is the same for every call.
///
/// A bad point is a value, never an error: `-inf` means outside the support, `NaN` a numerical
/// failure. The caller owns the scratch space (one per thread), so no call allocates.
pub trait LogDensity: Sync {
    /// Number of unconstrained coordinates.
    fn dim(&self) -> usize;

    /// Scratch space in `f64`s that every call needs in `ws`.
    fn scratch(&self) -> usize {
        0
    }

    /// Log density at `x` (length `dim`).
    fn logp(&self, x: &[f64], ws: &mut [f64]) -> f64;

    /// Scratch space in `f64`s that the calls on several points need in `ws`.
    fn lanes_scratch(&self) -> usize {
        self.scratch()
    }

    /// Log density of `n = out.len()` points stored coordinate-major: coordinate `j` of point `p`
    /// is `x[j * n + p]`.
    fn logp_lanes(&self, x: &[f64], out: &mut [f64], ws: &mut [f64]) {
        let (n, d) = (out.len(), self.dim());
        let mut point = vec![0.0; d];
        for p in 0..n {
            for j in 0..d {
                point[j] = x[j * n + p];
            }
            out[p] = self.logp(&point, ws);
        }
    }
}

/// A log density with its gradient.
pub trait Gradient: LogDensity {
    /// Log density at `x`; writes its gradient (length `dim`) to `grad`.
    fn logp_grad(&self, x: &[f64], grad: &mut [f64], ws: &mut [f64]) -> f64;

    /// Value and gradient of `n = out.len()` points, coordinate-major like [`LogDensity::logp_lanes`].
    fn logp_grad_lanes(&self, x: &[f64], out: &mut [f64], grad: &mut [f64], ws: &mut [f64]) {
        let (n, d) = (out.len(), self.dim());
        let (mut point, mut g) = (vec![0.0; d], vec![0.0; d]);
        for p in 0..n {
            for j in 0..d {
                point[j] = x[j * n + p];
            }
            out[p] = self.logp_grad(&point, &mut g, ws);
            for j in 0..d {
                grad[j * n + p] = g[j];
            }
        }
    }
}

/// A smooth invertible map x = T(u) of R^dim onto R^dim: neural transport sees a flow through it.
///
/// As everywhere behind the waist, a bad point is a value: NaN where the map fails numerically.
pub trait Transport: Sync {
    /// Number of coordinates, the same on both sides.
    fn dim(&self) -> usize;

    /// Scratch space in `f64`s that every call needs in `ws`.
    fn scratch(&self) -> usize;

    /// Writes x = T(u); returns log |det dT/du| at u.
    fn forward(&self, u: &[f64], x: &mut [f64], ws: &mut [f64]) -> f64;

    /// Writes u = T⁻¹(x); returns log |det dT/du| at that u.
    fn inverse(&self, x: &[f64], u: &mut [f64], ws: &mut [f64]) -> f64;

    /// Value of `f(T(u)) + log |det dT/du|`, and in `gu` its gradient in u. `f` is called once: given the point T(u), it writes its
    /// own gradient there and returns its value. (One call and not two, so that the way back need not repeat the way there.)
    fn pull(&self, u: &[f64], f: Target<'_>, gu: &mut [f64], ws: &mut [f64]) -> f64;
}

/// A function of a point with its gradient, as [`Transport::pull`] takes it.
pub type Target<'a> = &'a mut dyn FnMut(&[f64], &mut [f64]) -> f64;

/// A normalised density that can be drawn from: its draws are a deterministic function of standard normals.
/// [`LogDensity::logp`] is its log density, constants included.
pub trait Proposal: LogDensity {
    /// Standard normals that one draw consumes.
    fn noise(&self) -> usize;

    /// Draws `n = log_q.len()` points from `noise` (draw-major, `n × noise()`) into `x` (coordinate-major,
    /// `x[j * n + p]`), and writes their log densities. Needs [`LogDensity::lanes_scratch`].
    fn draw(&self, noise: &[f64], x: &mut [f64], log_q: &mut [f64], ws: &mut [f64]);
}
