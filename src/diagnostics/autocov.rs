//! Autocovariances of chains: the first lags by direct sums, all of them by fast Fourier transform.

use std::f64::consts::PI;

/// Lags up to which direct sums are cheaper than the transform.
const DIRECT: usize = 128;

/// Autocovariances averaged over chains, computed lag by lag as they are asked for.
///
/// acov_t = mean over chains of (1/n) sum_i (x_i - mean)(x_(i+t) - mean), the biased estimate (Geyer 1992, eq 2.1).
#[derive(Clone, Debug, Default)]
pub struct Autocov {
    draws: usize,
    /// Centred chains, one after another.
    centred: Vec<f64>,
    /// Lags known so far.
    lags: Vec<f64>,
    /// exp(-2 pi i k / m) for k < m / 2, m the transform's length.
    twiddle: Vec<(f64, f64)>,
    re: Vec<f64>,
    im: Vec<f64>,
}

impl Autocov {
    /// Loads chains of equal length and returns their means.
    pub fn load<'a>(&mut self, chains: impl Iterator<Item = &'a [f64]>) -> Vec<f64> {
        self.centred.clear();
        self.lags.clear();
        let mut means = Vec::new();
        for chain in chains {
            self.draws = chain.len();
            let mean = chain.iter().sum::<f64>() / chain.len() as f64;
            self.centred.extend(chain.iter().map(|x| x - mean));
            means.push(mean);
        }
        means
    }

    /// Autocovariance at lag `t` < draws.
    pub fn at(&mut self, t: usize) -> f64 {
        while self.lags.len() <= t {
            if self.lags.len() < DIRECT { self.next_direct() } else { self.transform() }
        }
        self.lags[t]
    }

    fn next_direct(&mut self) {
        let t = self.lags.len();
        let sum: f64 = self.centred.chunks_exact(self.draws).map(|c| dot(&c[..c.len() - t], &c[t..])).sum();
        self.lags.push(sum / self.centred.len() as f64);
    }

    /// All lags at once; two real chains share one complex transform.
    fn transform(&mut self) {
        let n = self.draws;
        self.prepare();
        let (mut re, mut im) = (std::mem::take(&mut self.re), std::mem::take(&mut self.im));
        self.lags.clear();
        self.lags.resize(n, 0.0);
        for pair in self.centred.chunks(2 * n) {
            re.fill(0.0);
            im.fill(0.0);
            re[..n].copy_from_slice(&pair[..n]);
            im[..pair.len() - n].copy_from_slice(&pair[n..]);
            forward(&mut re, &mut im, &self.twiddle);
            to_powers(&mut re, &mut im);
            // The power spectra are real and even, so a forward transform inverts them up to the factor m.
            forward(&mut re, &mut im, &self.twiddle);
            for (lag, (a, b)) in self.lags.iter_mut().zip(re.iter().zip(&im)) {
                *lag += a + b;
            }
        }
        let scale = 1.0 / (re.len() as f64 * self.centred.len() as f64);
        self.lags.iter_mut().for_each(|l| *l *= scale);
        (self.re, self.im) = (re, im);
    }

    fn prepare(&mut self) {
        // Twice the length, so that the circular correlation does not wrap around.
        let m = (2 * self.draws).next_power_of_two();
        if self.re.len() != m {
            let angle = |k: usize| -2.0 * PI * k as f64 / m as f64;
            self.twiddle = (0..m / 2).map(|k| (angle(k).cos(), angle(k).sin())).collect();
            self.re = vec![0.0; m];
            self.im = vec![0.0; m];
        }
    }
}

/// Inner product with eight partial sums.
fn dot(a: &[f64], b: &[f64]) -> f64 {
    const LANES: usize = 8;
    let mut s = [0.0; LANES];
    let (a_blocks, b_blocks) = (a.chunks_exact(LANES), b.chunks_exact(LANES));
    let tail: f64 = a_blocks.remainder().iter().zip(b_blocks.remainder()).map(|(x, y)| x * y).sum();
    for (x, y) in a_blocks.zip(b_blocks) {
        for k in 0..LANES {
            s[k] += x[k] * y[k];
        }
    }
    s.iter().sum::<f64>() + tail
}

/// Replaces the transform Z of x + iy by |X|^2 + i |Y|^2, with X_k = (Z_k + conj Z_-k) / 2 and
/// Y_k = (Z_k - conj Z_-k) / 2i.
fn to_powers(re: &mut [f64], im: &mut [f64]) {
    let m = re.len();
    for k in 0..=m / 2 {
        let l = (m - k) % m;
        let (a, b, c, d) = (re[k], im[k], re[l], im[l]);
        let px = 0.25 * ((a + c).powi(2) + (b - d).powi(2));
        let py = 0.25 * ((b + d).powi(2) + (a - c).powi(2));
        (re[k], im[k]) = (px, py);
        (re[l], im[l]) = (px, py);
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn direct_sums_and_transform_agree() {
        // Three chains, so that the last transform holds one chain alone; an odd length above DIRECT.
        let x: Vec<f64> = (0..3 * 301).map(|i| ((i * i) % 97) as f64 + (i as f64 * 0.1).sin()).collect();
        let mut a = Autocov::default();
        a.load(x.chunks_exact(301));
        let direct: Vec<f64> = (0..DIRECT).map(|t| a.at(t)).collect();
        a.transform();
        for (t, d) in direct.iter().enumerate() {
            assert!((a.lags[t] - d).abs() < 1e-11 * direct[0], "lag {t}: {} against {d}", a.lags[t]);
        }
        assert_eq!(a.lags.len(), 301);
    }
}
