//! Tests of the special functions: tables in high precision, identities, edges.

use super::*;

#[allow(clippy::approx_constant)]
#[rustfmt::skip]
mod tables;

use tables::*;

const INF: f64 = f64::INFINITY;

/// Asserts `|got - want| <= absolute + relative |want|`.
fn check(what: &str, at: &[f64], got: f64, want: f64, relative: f64, absolute: f64) {
    let error = (got - want).abs();
    let fine = got == want || error <= absolute + relative * want.abs();
    assert!(fine, "{what}{at:?} = {got:e}, not {want:e}: off by {error:e}, relative {:e}", error / want.abs());
}

#[test]
fn polygamma_and_beta() {
    for [x, tri, tetra] in POLYGAMMA {
        let relative = if x > 0.0 { 2e-15 } else { 1e-13 };
        check("trigamma", &[x], trigamma(x), tri, relative, 0.0);
        check("tetragamma", &[x], tetragamma(x), tetra, relative, 0.0);
    }
    for [a, b, want] in LBETA {
        check("lbeta", &[a, b], lbeta(a, b), want, 1e-14, 2e-15);
        assert_eq!(lbeta(a, b), lbeta(b, a));
    }
    for [n, k, want] in LCHOOSE {
        check("lchoose", &[n, k], lchoose(n, k), want, 1e-14, 1e-14);
    }
    assert!(lbeta(-1.0, 2.0).is_nan() && lbeta(f64::NAN, 1.0).is_nan());
    assert_eq!((lbeta(0.0, 2.0), lbeta(2.0, INF), trigamma(-3.0)), (INF, -INF, INF));
    assert_eq!((lchoose(7.0, 0.0), lchoose(7.0, 7.0)), (0.0, 0.0));
}

#[test]
fn normal_distribution() {
    for [x, log, slope] in NORMAL_LOG {
        check("normal_lcdf", &[x], normal_lcdf(x), log, 1e-15, 0.0);
        check("normal_lcdf_deriv", &[x], normal_lcdf_deriv(x), slope, 3e-15, 0.0);
    }
    for [p, want] in INV_PHI {
        check("inv_phi", &[p], inv_phi(p), want, 5e-16, 0.0);
    }
    assert_eq!((inv_phi(0.0), inv_phi(1.0), inv_phi(0.5)), (-INF, INF, 0.0));
    assert!(inv_phi(-0.1).is_nan() && inv_phi(1.1).is_nan() && inv_phi(f64::NAN).is_nan());
    assert_eq!((normal_lcdf(-INF), normal_lcdf(INF)), (-INF, 0.0));
}

#[test]
fn owen() {
    for [h, a, want] in OWENS_T {
        for (h, a, want) in [(h, a, want), (-h, a, want), (h, -a, -want)] {
            check("owens_t", &[h, a], owens_t(h, a), want, 1e-14, 0.0);
        }
    }
    assert_eq!((owens_t(1.0, 0.0), owens_t(INF, 1.0)), (0.0, 0.0));
    check("owens_t", &[0.0, INF], owens_t(0.0, INF), 0.25, 1e-15, 0.0);
    check("owens_t", &[1.0, INF], owens_t(1.0, INF), 0.5 * normal_cdf(-1.0), 1e-15, 0.0);
    assert!(owens_t(f64::NAN, 1.0).is_nan());
}

#[test]
fn incomplete_gamma() {
    for [a, x, log_p, log_q, slope] in INC_GAMMA {
        let at = [a, x];
        check("log_gamma_p", &at, log_gamma_p(a, x), log_p, 1e-14, 1e-14);
        check("log_gamma_q", &at, log_gamma_q(a, x), log_q, 1e-14, 1e-14);
        check("gamma_p", &at, gamma_p(a, x), log_p.exp(), 1e-14 + 5e-16 * log_p.abs(), 0.0);
        check("gamma_q", &at, gamma_q(a, x), log_q.exp(), 1e-14 + 5e-16 * log_q.abs(), 0.0);
        check("gamma_p_da", &at, gamma_p_da(a, x), slope, 1e-12, 1e-15);
    }
    assert_eq!((gamma_p(2.0, 0.0), gamma_p(2.0, INF), gamma_p(0.0, 1.0)), (0.0, 1.0, 1.0));
    assert_eq!((log_gamma_p(2.0, 0.0), log_gamma_q(2.0, INF)), (-INF, -INF));
    assert!(gamma_p(-1.0, 1.0).is_nan() && gamma_q(1.0, -1.0).is_nan() && gamma_p(1.0, f64::NAN).is_nan());
}

#[test]
fn incomplete_beta() {
    for [a, b, x, log, da, db, dx] in INC_BETA {
        let at = [a, b, x];
        check("log_inc_beta", &at, log_inc_beta(a, b, x), log, 1e-13, 1e-13);
        let grad = inc_beta_grad(a, b, x);
        check("inc_beta", &at, grad.value, log.exp(), 1e-13, 0.0);
        check("da", &at, grad.da, da, 1e-11, 1e-14);
        check("db", &at, grad.db, db, 1e-11, 1e-14);
        check("dx", &at, grad.dx, dx, 1e-12, 0.0);
        let complement = inc_beta(b, a, 1.0 - x);
        // Rounding 1 - x moves the value by the density times 1e-16.
        check("complement", &at, grad.value + complement, 1.0, 2e-13 + 2e-16 * dx, 0.0);
    }
    assert_eq!((inc_beta(2.0, 3.0, 0.0), inc_beta(2.0, 3.0, 1.0)), (0.0, 1.0));
    assert!(inc_beta(2.0, 3.0, 1.1).is_nan() && inc_beta(0.0, 3.0, 0.5).is_nan());
    let edge = inc_beta_grad(1.0, 3.0, 0.0);
    assert_eq!((edge.value, edge.da, edge.db), (0.0, 0.0, 0.0));
    check("dx", &[], edge.dx, 3.0, 1e-15, 0.0);
}

#[test]
fn student_t() {
    for [nu, t, log] in STUDENT_T {
        check("student_t_lcdf", &[nu, t], student_t_lcdf(nu, t), log, 1e-13, 1e-14);
        check("student_t_cdf", &[nu, t], student_t_cdf(nu, t), log.exp(), 1e-13 * log.abs().max(1.0), 0.0);
    }
    assert_eq!((student_t_cdf(3.0, -INF), student_t_cdf(3.0, INF), student_t_lcdf(3.0, -INF)), (0.0, 1.0, -INF));
    assert_eq!(student_t_cdf(INF, -1.0), normal_cdf(-1.0));
    assert!(student_t_cdf(-1.0, 0.3).is_nan() && student_t_cdf(3.0, f64::NAN).is_nan());
}

#[test]
fn bessel() {
    for [nu, x, log, ratio] in BESSEL {
        let scale = 4e-16 * ((x + nu) * (x + nu + 1.0).ln() + 1.0);
        check("log_bessel_i", &[nu, x], log_bessel_i(nu, x), log, 1e-14, if nu == 0.0 { 0.0 } else { scale });
        check("bessel_i_ratio", &[nu, x], bessel_i_ratio(nu, x), ratio, 3e-15, 0.0);
        if nu == 0.0 {
            assert_eq!(log_bessel_i0(-x), log_bessel_i(0.0, x));
        }
    }
    assert_eq!((log_bessel_i(0.0, 0.0), log_bessel_i(1.0, 0.0), log_bessel_i(1.0, INF)), (0.0, -INF, INF));
    assert_eq!((bessel_i_ratio(0.0, 0.0), bessel_i_ratio(0.0, INF)), (0.0, 1.0));
    assert!(log_bessel_i(-1.0, 1.0).is_nan() && bessel_i_ratio(0.0, -1.0).is_nan());
}

#[test]
fn logs_and_exponentials() {
    check("log1m_exp", &[], log1m_exp(-1e-20), 1e-20f64.ln(), 1e-15, 0.0);
    check("log1m_exp", &[], log1m_exp(-50.0), -(-50.0f64).exp(), 1e-15, 0.0);
    check("log_diff_exp", &[], log_diff_exp(1000.0, 999.0), 1000.0 + (-(-1.0f64).exp()).ln_1p(), 1e-15, 0.0);
    check("log_sum_exp", &[], log_sum_exp(-1000.0, -1001.0), -1000.0 + (-1.0f64).exp().ln_1p(), 1e-15, 0.0);
    assert_eq!((log_diff_exp(2.0, 2.0), log_diff_exp(-INF, -INF), log_diff_exp(3.0, -INF)), (-INF, -INF, 3.0));
    assert!(log_diff_exp(1.0, 2.0).is_nan() && log1m_exp(0.1).is_nan() && log_diff_exp(INF, INF).is_nan());
    assert_eq!((log_sum_exp(-INF, -INF), log_sum_exp(-INF, 2.0), log_sum_exp(INF, -INF)), (-INF, 2.0, INF));
    assert!(log_sum_exp(f64::NAN, INF).is_nan() && log_sum_exp(1.0, f64::NAN).is_nan());
    for x in [-700.0, -30.0, -1.0, -1e-9, 0.0, 0.3, 0.5, 5.0, 30.0] {
        check("logit", &[x], logit(inv_logit(x)), x, 1e-15, 3e-16 * (1.0 + x.exp()));
        check("log_inv_logit", &[x], log_inv_logit(x), inv_logit(x).ln(), 1e-15, 2e-16);
        check("log1p_exp", &[x], log1p_exp(x) - log1p_exp(-x), x, 1e-15, 1e-16);
    }
    assert_eq!((logit(0.0), logit(1.0), logit(0.5)), (-INF, INF, 0.0));
    // Its series: -x²/2 + x³/3 - x⁴/4, the next term below 1e-15 relative at 1e-5.
    for x in [1e-5f64, -1e-5, 1e-9] {
        check("log1pmx", &[x], log1pmx(x), x * x * (-0.5 + x * (1.0 / 3.0 - x * (0.25 - 0.2 * x))), 1e-15, 0.0);
    }
    for x in [-0.9f64, -0.41, -0.39, 0.69, 0.71, 3.0] {
        check("log1pmx", &[x], log1pmx(x), x.ln_1p() - x, 1e-14, 0.0);
    }
}
