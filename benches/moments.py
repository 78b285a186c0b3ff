"""Moments of draws by `--method auto` against a long plain NUTS run, as a table in Markdown: German credit.

usage: python3 benches/moments.py german_credit.csv [SEED...] > benches/moments.md

Build `target/release/thalweg` first (another program: variable THALWEG). The long run has 8 chains of 4000 draws at an acceptance of 0.95.
"""
import json
import math
import os
import subprocess
import sys

HERE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
THALWEG = os.environ.get("THALWEG", f"{HERE}/target/release/thalweg")
MODEL = "german_credit_sparse"


def sample(data, options):
    words = [THALWEG, "sample", f"{HERE}/models/{MODEL}", "--data", data, "--json", "--quiet", *options]
    return json.loads(subprocess.run(words, capture_output=True, text=True, check=True).stdout)


def compare(a, b):
    """z of mean and standard deviation of every value, errors of both runs combined."""
    z = {}
    for name, p in a.items():
        q = b[name]
        for moment, error in (("mean", "mcse_mean"), ("sd", "mcse_sd")):
            z[f"{moment} of {name}"] = (p[moment] - q[moment]) / math.hypot(p[error], q[error])
    return z


def main():
    data, seeds = sys.argv[1], sys.argv[2:] or [str(s) for s in range(1, 7)]
    long = sample(data, ["--chains", "8", "--draws", "4000", "--target-accept", "0.95", "--seed", "1000"])
    runs = [(["--method", "auto"], seed) for seed in seeds] + [(["--target-accept", "0.95"], seeds[0])]
    print("# Moments against a long run\n")
    print(f"`python3 benches/moments.py german_credit.csv {' '.join(seeds)}`: 4 chains of 1000 draws each of {MODEL}; z of mean and sd of all "
          f"{len(long['parameters'])} values against plain NUTS, 8 chains of 4000 draws (least bulk ESS "
          f"{min(p['ess_bulk'] for p in long['parameters'].values()):.0f}, R-hat {max(p['rhat'] for p in long['parameters'].values()):.3f}). "
          "The last row is plain NUTS of the same length as the others. The values are correlated.\n")
    print("| options | seed | method used | largest abs z | of | mean z² | least bulk ESS | R-hat | divergences | gradients |")
    print("|---|---|---|---|---|---|---|---|---|---|")
    for options, seed in runs:
        done = sample(data, [*options, "--seed", seed])
        p = done["parameters"]
        z = compare(p, long["parameters"])
        worst = max(z, key=lambda k: abs(z[k]))
        rhat = max((q["rhat"] for q in p.values() if q.get("rhat")), default=math.nan)
        print(f"| {' '.join(options)} | {seed} | {done.get('method', {}).get('name', 'nuts')} | {abs(z[worst]):.1f} | {worst} | "
              f"{sum(v * v for v in z.values()) / len(z):.2f} | {min(q['ess_bulk'] for q in p.values()):.0f} | {rhat:.3f} | "
              f"{done['divergences']} | {done['gradients']} |", flush=True)


main()
