//! Autocovariance of a series by fast Fourier transform.

use std::f64::consts::PI;

/// Plans and buffers for autocovariances of series of one length; reused over parameters and chains.
#[derive(Clone, Debug)]
pub struct Autocov {
    draws: usize,
    /// exp(-2 pi i k / m) for k < m / 2, m the transform's length.
    twiddle: Vec<(f64, f64)>,
    re: Vec<f64>,
    im: Vec<f64>,
}

impl Autocov {
    /// For series of `draws` numbers.
    pub fn new(draws: usize) -> Autocov {
        // Twice the length, so that the circular correlation does not wrap around.
        let m = (2 * draws).next_power_of_two().max(2);
        let angle = |k: usize| -2.0 * PI * k as f64 / m as f64;
        let twiddle = (0..m / 2).map(|k| (angle(k).cos(), angle(k).sin())).collect();
        Autocov { draws, twiddle, re: vec![0.0; m], im: vec![0.0; m] }
    }

    /// Autocovariances at lags 0..draws of `x` and `y` around their means, divided by the number of draws
    /// (the biased estimate, Geyer 1992, eq 2.1). Two real series share one complex transform.
    pub fn pair(&mut self, x: &[f64], y: Option<&[f64]>, out_x: &mut [f64], out_y: Option<&mut [f64]>) {
        let n = self.draws;
        self.re.fill(0.0);
        self.im.fill(0.0);
        centre(x, &mut self.re);
        if let Some(y) = y {
            centre(y, &mut self.im);
        }
        forward(&mut self.re, &mut self.im, &self.twiddle);
        self.to_powers();
        // The power spectra are real and even, so a forward transform inverts them up to the factor m.
        forward(&mut self.re, &mut self.im, &self.twiddle);
        let scale = 1.0 / (self.re.len() as f64 * n as f64);
        for (k, out) in out_x.iter_mut().enumerate() {
            *out = self.re[k] * scale;
        }
        if let Some(out_y) = out_y {
            for (k, out) in out_y.iter_mut().enumerate() {
                *out = self.im[k] * scale;
            }
        }
    }

    /// Replaces the transform of x + iy by |X|^2 + i |Y|^2, with X_k = (Z_k + conj Z_-k) / 2 and
    /// Y_k = (Z_k - conj Z_-k) / 2i.
    fn to_powers(&mut self) {
        let m = self.re.len();
        for k in 0..=m / 2 {
            let l = (m - k) % m;
            let (a, b, c, d) = (self.re[k], self.im[k], self.re[l], self.im[l]);
            let px = 0.25 * ((a + c).powi(2) + (b - d).powi(2));
            let py = 0.25 * ((b + d).powi(2) + (a - c).powi(2));
            (self.re[k], self.im[k]) = (px, py);
            (self.re[l], self.im[l]) = (px, py);
        }
    }
}

fn centre(x: &[f64], out: &mut [f64]) {
    let mean = x.iter().sum::<f64>() / x.len() as f64;
    for (o, x) in out.iter_mut().zip(x) {
        *o = x - mean;
    }
}

/// In-place radix-2 transform, decimation in time (Cooley & Tukey 1965).
fn forward(re: &mut [f64], im: &mut [f64], twiddle: &[(f64, f64)]) {
    let m = re.len();
    let shift = usize::BITS - m.trailing_zeros();
    for i in 0..m {
        let j = i.reverse_bits() >> shift;
        if i < j {
            re.swap(i, j);
            im.swap(i, j);
        }
    }
    let mut half = 1;
    while half < m {
        let stride = m / (2 * half);
        for (re, im) in re.chunks_exact_mut(2 * half).zip(im.chunks_exact_mut(2 * half)) {
            let (re_a, re_b) = re.split_at_mut(half);
            let (im_a, im_b) = im.split_at_mut(half);
            for k in 0..half {
                let (c, s) = twiddle[k * stride];
                let (br, bi) = (re_b[k] * c - im_b[k] * s, re_b[k] * s + im_b[k] * c);
                let (ar, ai) = (re_a[k], im_a[k]);
                (re_a[k], im_a[k]) = (ar + br, ai + bi);
                (re_b[k], im_b[k]) = (ar - br, ai - bi);
            }
        }
        half *= 2;
    }
}
