//! The list of all laws.

use super::law::Law;
use super::{
    bernoulli, beta, categorical, gamma, lkj, logistic, multi_normal, normal, point, poisson, simplex, student,
    weibull, wishart,
};

static LAWS: &[&dyn Law] = &[
    &normal::NORMAL,
    &normal::STD_NORMAL,
    &student::STUDENT_T,
    &student::CAUCHY,
    &logistic::DOUBLE_EXPONENTIAL,
    &logistic::LOGISTIC,
    &logistic::GUMBEL,
    &normal::LOGNORMAL,
    &gamma::EXPONENTIAL,
    &gamma::GAMMA,
    &gamma::INV_GAMMA,
    &gamma::CHI_SQUARE,
    &gamma::INV_CHI_SQUARE,
    &weibull::WEIBULL,
    &weibull::PARETO,
    &beta::BETA,
    &beta::BETA_PROPORTION,
    &beta::UNIFORM,
    &beta::VON_MISES,
    &normal::HALF_NORMAL,
    &student::HALF_CAUCHY,
    &student::HALF_STUDENT_T,
    &normal::SKEW_NORMAL,
    &multi_normal::MULTI_NORMAL,
    &multi_normal::MULTI_NORMAL_PREC,
    &multi_normal::MULTI_NORMAL_CHOLESKY,
    &multi_normal::MULTI_STUDENT_T,
    &simplex::DIRICHLET,
    &lkj::LKJ_CORR_CHOLESKY,
    &lkj::LKJ_CORR,
    &wishart::WISHART,
    &wishart::INV_WISHART,
    &bernoulli::BERNOULLI,
    &bernoulli::BERNOULLI_LOGIT,
    &bernoulli::BINOMIAL,
    &bernoulli::BINOMIAL_LOGIT,
    &bernoulli::BETA_BINOMIAL,
    &poisson::POISSON,
    &poisson::POISSON_LOG,
    &poisson::NEG_BINOMIAL_2,
    &poisson::NEG_BINOMIAL_2_LOG,
    &bernoulli::GEOMETRIC,
    &categorical::CATEGORICAL,
    &categorical::CATEGORICAL_LOGIT,
    &simplex::MULTINOMIAL,
    &categorical::ORDERED_LOGISTIC,
    &point::FLAT,
    &point::DIRAC,
];

/// Every law, in the order of the documentation.
pub fn all() -> &'static [&'static dyn Law] {
    LAWS
}

/// The law of a name.
pub fn law(name: &str) -> Option<&'static dyn Law> {
    LAWS.iter().copied().find(|l| l.name() == name)
}
