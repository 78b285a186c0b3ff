//! Special functions of one or a few scalars, with Stan's names. Errors are stated in each doc comment: in units in the
//! last place (ulp) or relative.

mod bessel;
mod dual;
mod gamma;
mod inc_beta;
mod inc_gamma;
mod logs;
mod normal;
mod owens;

pub use bessel::{bessel_i_ratio, log_bessel_i, log_bessel_i0};
pub use gamma::{digamma, lbeta, lchoose, lgamma, tetragamma, trigamma};
pub use inc_beta::{IncBetaGrad, inc_beta, inc_beta_grad, log_inc_beta, student_t_cdf, student_t_lcdf};
pub use inc_gamma::{gamma_p, gamma_p_da, gamma_q, log_gamma_p, log_gamma_q};
pub use logs::{inv_logit, log_diff_exp, log_inv_logit, log_sum_exp, log1m_exp, log1p_exp, log1pmx, logit};
pub use normal::{erf, erfc, inv_phi, normal_cdf, normal_lcdf, normal_lcdf_deriv};
pub use owens::owens_t;

#[cfg(test)]
mod tests;
