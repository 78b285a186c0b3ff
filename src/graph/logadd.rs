//! Sums of exponentials in log space, elementwise over several nodes.

use super::Graph;
use super::op::{Binary, Unary, Var};

impl Graph {
    /// log(e^a + e^b), elementwise; neither is lost whatever their distance, and the derivatives are right to
    /// full precision of both. They are 1/2 where both are -inf.
    pub fn log_add_exp(&mut self, a: Var, b: Var) -> Var {
        self.binary(Binary::LogAddExp, a, b)
    }

    /// log Σ exp of several nodes, elementwise; -inf where there are none, and where all are -inf.
    pub fn log_sum_exp_of(&mut self, v: &[Var]) -> Var {
        match v {
            [] => self.scalar(f64::NEG_INFINITY),
            [a] => *a,
            [a, b] => self.log_add_exp(*a, *b),
            [first, rest @ ..] => {
                let high = rest.iter().fold(*first, |m, x| self.binary(Binary::Max, m, *x));
                let high = self.stop_gradient(high);
                let mut sum = self.scalar(0.0);
                for &x in v {
                    let gap = self.sub(x, high);
                    let e = self.exp(gap);
                    sum = self.add(sum, e);
                }
                let rest = self.log(sum);
                let sum = self.add(high, rest);
                let size = self.unary(Unary::Abs, high);
                let limit = self.scalar(f64::INFINITY);
                let infinite = self.binary(Binary::Eq, size, limit);
                self.select(infinite, high, sum)
            }
        }
    }
}
