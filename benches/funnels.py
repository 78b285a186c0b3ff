"""Funnels behind maps against their exact moments, as a table in Markdown.

usage: python3 benches/funnels.py [SEED...] > benches/funnels.md

Build `target/release/thalweg` first (another program: variable THALWEG). Needs numpy and scipy. Errors are those of effective sample sizes by
Geyer's initial positive sequence, of each quantity's own chains.
"""
import csv
import glob
import json
import math
import os
import subprocess
import sys
import tempfile

import numpy as np
from scipy import integrate, optimize, stats

HERE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
THALWEG = os.environ.get("THALWEG", f"{HERE}/target/release/thalweg")


def effective(x):
    """Effective sample size of chains [m, n]."""
    m, n = x.shape
    centred = x - x.mean(axis=1, keepdims=True)
    spectrum = np.fft.rfft(centred, 2 * n)
    cov = np.fft.irfft(spectrum * np.conj(spectrum))[:, :n].mean(axis=0) / n
    total = cov[0] + x.mean(axis=1).var(ddof=1) * (m > 1)
    if total == 0:
        return m * n
    rho = 1 - (cov[0] * n / (n - 1) - cov) / total
    pairs = rho[0:n - 1:2] + rho[1:n:2]
    stop = np.argmax(pairs < 0) if (pairs < 0).any() else len(pairs)
    pairs = np.minimum.accumulate(pairs[:stop])
    return m * n / max(2 * pairs.sum() - 1, 1 / math.log10(m * n))


def z_mean(x, truth):
    sd = x.std(ddof=1)
    if sd == 0:  # An event that never happened: the error of the truth, of as many independent draws.
        sd = math.sqrt(truth * (1 - truth))
    return (x.mean() - truth) / (sd / math.sqrt(effective(x)))


def quantile_of_x(p):
    """Quantile of x with x ~ N(0, e^v), v ~ N(0, 9)."""
    cdf = lambda x: integrate.quad(lambda v: stats.norm.pdf(v, 0, 3) * stats.norm.cdf(x / math.exp(v / 2)), -30, 30, limit=500)[0]
    return 0.0 if p == 0.5 else optimize.brentq(lambda x: cdf(x) - p, -1e4, 1e4)


def neal(v, x, quantiles):
    tests = {"mean v": (v, 0.0), "var v": (v ** 2, 9.0), "P(v > 6)": (v > 6, stats.norm.sf(2)), "P(v > 3)": (v > 3, stats.norm.sf(1)),
             "P(v < -6)": (v < -6, stats.norm.sf(2)),
             "E|x|e^(-v/2)": (np.abs(x).mean(axis=2) * np.exp(-v / 2), math.sqrt(2 / math.pi))}
    tests.update({f"{p:.0%} of x_1": (x[:, :, 0] <= q, p) for p, q in quantiles.items()})
    return tests


def neutra(x):
    first = x[:, :, 0]
    return {"mean x_0": (first, 0.0), "var x_0": (first ** 2, 1.0),
            "E|x|e^(-x_0)": (np.abs(x[:, :, 1:]).mean(axis=2) * np.exp(-first), math.sqrt(2 / math.pi))}


def run(model, options, seed):
    with tempfile.TemporaryDirectory() as out:
        words = [THALWEG, "sample", f"{HERE}/models/{model}", *options, "--seed", str(seed), "--json", "--out", out]
        done = json.loads(subprocess.run(words, capture_output=True, text=True, check=True).stdout)
        chains = []
        for path in sorted(glob.glob(f"{out}/chain_*.csv")):
            with open(path) as f:
                rows = list(csv.reader(line for line in f if not line.startswith("#")))
            chains.append((rows[0], np.array(rows[1:], dtype=float)))
    names = chains[0][0]
    return done, names, np.stack([c[1] for c in chains])


def show(x):
    return "" if x is None else f"{x:.3f}"


def main():
    seeds = sys.argv[1:] or [str(s) for s in range(1, 7)]
    quantiles = {p: quantile_of_x(p) for p in (0.05, 0.5, 0.95)}
    print("# Funnels behind maps\n")
    print(f"`python3 benches/funnels.py {' '.join(seeds)}`: 4 chains of 1000 draws each. The largest |z| of mean, variance and P(v > 6) of v (of mean "
          "and variance of x_0), then of P(v > 3), P(v < -6), E|x_i|e^(-v/2), and quantiles of x_1, against exact values.\n")
    print("| model | method | seed | least bulk ESS | divergences | R-hat | abs z | of | abs z of the rest | of | gradients |")
    print("|---|---|---|---|---|---|---|---|---|---|---|")
    for model, options in (("funnel_neal_100", ["--transport"]), ("funnel_neal_10", ["--method", "auto"]),
                           ("funnel_neutra_100", ["--transport"])):
        for seed in seeds:
            done, names, draws = run(model, options, seed)
            column = lambda name: draws[:, :, names.index(name)]
            several = lambda name: draws[:, :, [k for k, n in enumerate(names) if n.startswith(name + ".")]]
            if model == "funnel_neutra_100":
                tests = neutra(np.concatenate([column("x0")[:, :, None], several("x")], axis=2))
            else:
                tests = neal(column("v"), several("x"), quantiles)
            z = {name: z_mean(np.asarray(x, dtype=float), truth) for name, (x, truth) in tests.items()}
            first = [k for k in z if k in ("mean v", "var v", "P(v > 6)", "mean x_0", "var x_0")]
            worst = [max(group, key=lambda k: abs(z[k]), default=None) for group in (first, [k for k in z if k not in first])]
            shown = " | ".join(f"{abs(z[k]):.1f} | {k.replace('|', '&#124;')}" if k else " | " for k in worst)
            p = done["parameters"].values()
            print(f"| {model} | {' '.join(options)} | {seed} | {min(q['ess_bulk'] for q in p):.0f} | {done['divergences']} | "
                  f"{show(max((q['rhat'] for q in p if q.get('rhat')), default=None))} | {shown} | {done['gradients']} |", flush=True)


main()
