"""The evidence of models with known answers, and the calibration of its errors, as a table in Markdown.

usage: python3 benches/evidence.py POSTERIORDB [SEED] > benches/evidence.md

POSTERIORDB has `data/`. Build `target/release/thalweg` and the example `evidence_of_density` first. Known values are in
`models/*/reference.json`; those without such a file stand here with their source.
"""
import json
import math
import os
import re
import subprocess
import sys

HERE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
# model, arguments, data of posteriordb, known value where no reference.json has it
ROWS = [
    ("eight_schools", [], None, None), ("radiata_pine_1", [], None, None), ("radiata_pine_2", [], None, None),
    ("pima", [], None, None),
    # Quadrature, error below 1e-6.
    ("pima", ["--set", "prior_sd=1"], None, -247.30358006395912),
    ("iris_logistic", [], None, None), ("linear_regression", [], None, None),
    ("sblri", [], "sblri", None),
    # Quadrature, error below 3e-7; half-normal priors normalised.
    ("posteriordb/gp_pois_regr-gp_regr.thal", [], "gp_pois_regr", -27.555455584811455),
    ("radon_pooled", [], None, None), ("radon_partially_pooled", [], None, None),
    ("sleep_h0", [], None, None), ("sleep_h1", [], None, None),
    ("surgical_pooled", [], "surgical_data", None), ("surgical_independent", [], "surgical_data", None),
    ("brownian", [], None, None), ("seeds", [], None, None),
]
CALIBRATED = [("eight_schools", None, None), ("iris_logistic", None, None),
              ("posteriordb/gp_pois_regr-gp_regr.thal", "gp_pois_regr", -27.555455584811455)]
REPLICATES = 64


def command(model, rest, data):
    out = [f"{HERE}/target/release/thalweg", "evidence", f"{HERE}/models/{model}", "--json", *rest]
    return out + (["--data", f"{sys.argv[1]}/data/{data}.json"] if data else [])


def run(words):
    return json.loads(subprocess.run(words, capture_output=True, text=True, check=True).stdout)


def known_value(model, known):
    if known is not None:
        return known
    with open(f"{HERE}/models/{model}/reference.json") as f:
        return json.load(f)["log_evidence"]["value"]


def show(x):
    return "" if x is None else f"{x:.4f}"


def wrong_way(bounds, sign):
    """The largest step of bounds against their direction, in standard errors of the step."""
    steps = [0.0]
    for a, b in zip(bounds, bounds[1:]):
        error = math.hypot(a["estimate"]["mcse"], b["estimate"]["mcse"])
        steps.append(sign * (a["estimate"]["value"] - b["estimate"]["value"]) / error)
    return max(steps)


def bayes_factor(seed):
    """Both models of the pines: the log Bayes factor, and its difference from the known one."""
    words = [f"{HERE}/target/release/thalweg", "compare", f"{HERE}/models/radiata_pine_2", f"{HERE}/models/radiata_pine_1"]
    c = run(words + ["--json", "--seed", seed])
    truth = known_value("radiata_pine_2", None) - known_value("radiata_pine_1", None)
    return c["log_bayes_factor"], c["mcse"], truth


def main():
    seed = sys.argv[2] if len(sys.argv) > 2 else "1"
    print("# Evidence against known answers\n")
    print(f"`python3 benches/evidence.py POSTERIORDB {seed}`, seed {seed}; error is estimate minus known value.\n")
    print("| model | log p(x) known | error | MCSE | error / MCSE | lower | upper | inside | k-hat | method | verdict |")
    print("|---|---|---|---|---|---|---|---|---|---|---|")
    bounds = []
    for model, rest, data, known in ROWS:
        truth = known_value(model, known)
        e = run(command(model, ["--seed", seed, *rest], data))
        error = e["log_z"] - truth
        inside = (e["lower"] is None or e["lower"] <= truth) and (e["upper"] is None or truth <= e["upper"])
        print(f"| {' '.join([model, *rest])} | {truth:.4f} | {error:+.4f} | {e['mcse']:.4f} | {error / e['mcse']:+.1f} | "
              f"{show(e['lower'])} | {show(e['upper'])} | {'yes' if inside else 'NO'} | {show(e['khat'])} | {e['method']} | "
              f"{e['verdict']} |", flush=True)
        low, high = e["lower_bounds"], e["upper_bounds"]
        gap = f"{high[-1]['estimate']['value'] - low[-1]['estimate']['value']:+.4f}" if high else ""
        error = math.hypot(high[-1]["estimate"]["mcse"], low[-1]["estimate"]["mcse"]) if high else 0.0
        bounds.append((" ".join([model, *rest]), wrong_way(low, 1), wrong_way(high, -1), gap, error))
    for dim, truth in ((2, -5.804132363794471), (5, -19.732428739025615)):
        words = [f"{HERE}/target/release/examples/evidence_of_density", str(dim), seed]
        text = subprocess.run(words, capture_output=True, text=True, check=True).stdout
        value, mcse, low, high, method, verdict = re.search(
            r"log p\(x\) = (\S+) \(MCSE (\S+)\) in \[(\S+), (\S+)\] by (.+?): ([\w ]+);", text).groups()
        error = float(value) - truth
        inside = float(low) <= truth <= float(high)
        print(f"| Rosenbrock in a box, d = {dim} (example) | {truth:.4f} | {error:+.4f} | {mcse} | {error / float(mcse):+.1f} | {low} | "
              f"{high} | {'yes' if inside else 'NO'} | | {method} | {verdict} |", flush=True)
    value, mcse, truth = bayes_factor(seed)
    print(f"\nThe second model of the pines against the first: log Bayes factor {value:.4f} (MCSE {mcse:.4f}), known "
          f"{truth:.4f}: {(value - truth) / mcse:+.1f} errors.")
    print("\n## Bounds\n\nL_K does not fall and U_K does not rise with K: the largest step the wrong way, in standard errors of a "
          "step. Then U_K - L_K at the largest K of each.\n")
    print("| model | L_K | U_K | U_K - L_K | its error |\n|---|---|---|---|---|")
    for name, low, high, gap, error in bounds:
        print(f"| {name} | {low:.1f} | {high:.1f} | {gap} | {error:.4f} |", flush=True)
    print(f"\n## Calibration\n\nImportance sampling with the guide retrained for each of {REPLICATES} seeds.\n")
    print("| model | stated 95 % intervals that cover | rms z | mean z | spread |\n|---|---|---|---|---|")
    for model, data, known in CALIBRATED:
        truth = known_value(model, known)
        s = run(command(model, ["--replicates", str(REPLICATES), "--known", str(truth)], data))
        print(f"| {model} | {s['covered']} of {REPLICATES} | {s['rms_z']:.2f} | {s['mean_z']:+.2f} | {s['sd']:.4f} |", flush=True)


main()
