//! The list of all laws.

use super::law::Law;
use super::{beta, gamma, logistic, normal, student, weibull};

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
];

/// Every law, in the order of the documentation.
pub fn all() -> &'static [&'static dyn Law] {
    LAWS
}

/// The law of a name.
pub fn law(name: &str) -> Option<&'static dyn Law> {
    LAWS.iter().copied().find(|l| l.name() == name)
}
