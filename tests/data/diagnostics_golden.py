"""Writes the stored draws and ArviZ's numbers for them (ArviZ 0.23.4, numpy 2); run in this folder."""
import csv
import warnings

import numpy as np

warnings.simplefilter("ignore")
import arviz as az
from arviz.stats.diagnostics import _mcse_mean, _mcse_quantile, _mcse_sd, _rhat, _split_chains, _z_scale

rng = np.random.default_rng(20260101)


def ar1(chains, draws, rho):
    x = np.empty((chains, draws))
    x[:, 0] = rng.normal(size=chains)
    for t in range(1, draws):
        x[:, t] = rho * x[:, t - 1] + np.sqrt(1 - rho**2) * rng.normal(size=chains)
    return x


DRAWS = {
    "slow": ar1(4, 120, 0.8),
    "antithetic": ar1(4, 100, -0.6),
    "odd": ar1(3, 101, 0.3),
    "one_chain": ar1(1, 200, 0.5),
    "ties": np.round(ar1(4, 100, 0.5)),
    "cauchy": rng.standard_cauchy((4, 90)),
    "shifted": ar1(4, 80, 0.2) + np.array([[0.0], [0.0], [0.0], [1.5]]),
    "spread": ar1(4, 80, 0.2) * np.array([[1.0], [1.0], [1.0], [4.0]]),
    "trend": ar1(2, 301, 0.995),
    "tiny": ar1(2, 4, 0.0),
    "seven": ar1(2, 7, 0.0),
}
DRAWS = {k: np.round(v, 6) for k, v in DRAWS.items()}
WEIGHTS = {
    "light": np.round(0.3 * rng.normal(size=400), 6),
    "heavy": np.round(1.5 * rng.normal(size=400), 6),
    "pareto": np.round(rng.exponential(size=1000) * 0.9, 6),
}


def rhat(x):
    """az.rhat without its refusal of a single chain, which splits into two like any other."""
    halves = _split_chains(x)
    return max(_rhat(_z_scale(halves)), _rhat(_z_scale(np.abs(halves - np.median(halves)))))


assert rhat(DRAWS["odd"]) == az.rhat(DRAWS["odd"])
STATISTICS = {
    "rhat": rhat,
    "ess_bulk": lambda x: az.ess(x, method="bulk"),
    "ess_tail": lambda x: az.ess(x, method="tail"),
    "ess_mean": lambda x: az.ess(x, method="mean"),
    "ess_sd": lambda x: az.ess(x, method="sd"),
    "ess_q10": lambda x: az.ess(x, method="quantile", prob=0.1),
    "mcse_mean": _mcse_mean,
    "mcse_sd": _mcse_sd,
    "mcse_q10": lambda x: _mcse_quantile(x, 0.1),
    "bfmi0": lambda x: az.bfmi(x[:1])[0],
}

with open("diagnostics_draws.csv", "w", newline="") as f:
    out = csv.writer(f, lineterminator="\n")
    out.writerow(["name", "chain", "draws"])
    for name, x in DRAWS.items():
        for c, row in enumerate(x):
            out.writerow([name, c, " ".join(f"{v:.6g}" if v != 0 else "0" for v in row)])
    for name, x in WEIGHTS.items():
        out.writerow([name, 0, " ".join(f"{v:.6g}" if v != 0 else "0" for v in x)])

# The numbers are those of the draws as stored.
stored = {}
with open("diagnostics_draws.csv") as f:
    for row in csv.DictReader(f):
        stored.setdefault(row["name"], []).append([float(v) for v in row["draws"].split()])
with open("diagnostics_golden.csv", "w", newline="") as f:
    out = csv.writer(f, lineterminator="\n")
    out.writerow(["name", "statistic", "value"])
    for name in DRAWS:
        x = np.array(stored[name])
        for statistic, function in STATISTICS.items():
            out.writerow([name, statistic, repr(float(np.asarray(function(x))))])
    for name in WEIGHTS:
        x = np.array(stored[name][0])
        smoothed, k = az.psislw(x.copy(), normalize=True)
        out.writerow([name, "khat", repr(float(k))])
        out.writerow([name, "psis_max", repr(float(smoothed.max()))])
        out.writerow([name, "psis_ess", repr(float(1 / np.exp(2 * smoothed).sum()))])
