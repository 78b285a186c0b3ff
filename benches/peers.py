"""Value and gradient of six models, Thalweg beside JAX and NumPyro, in one run on one core.

usage: python3 benches/peers.py PEERS_FOLDER PEERS_PYTHON

PEERS_FOLDER has `t1_gradients.py`, PEERS_PYTHON is a Python with JAX and NumPyro. Build `target/release/thalweg` first.
Times are CPU nanoseconds per particle, the least of at least nine batches; rounds alternate between the programs, and the least of
all rounds counts. Ratios are peer / Thalweg: above 1 Thalweg is faster.
"""
import json
import math
import os
import subprocess
import sys

MODELS = {"eight_schools": "eight_schools", "logistic": "logistic", "glmm": "poisson_glmm", "gp": "gp_regression",
          "ar5": "ar5", "funnel": "funnel_neal_100"}
ROUNDS = 2
HERE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


def last_json(command, **options):
    text = subprocess.run(command, capture_output=True, text=True, check=True, **options).stdout
    return json.loads([line for line in text.splitlines() if line.startswith("{")][-1])


def ours(folder):
    command = ["taskset", "-c", "0", f"{HERE}/target/release/thalweg", "check", f"{HERE}/models/{folder}", "--bench", "--json"]
    widths = last_json(command)["widths"]
    return {width: widths[width]["gradient_ns"] for width in ("1", "64")}


def peer(folder, python, model, program, width):
    command = [python, "t1_gradients.py", "--model", model, "--impl", program, "--batch", width]
    row = last_json(command, cwd=folder)
    return 1e3 * row["quality"]["cpu_us_per_grad"]


def main():
    folder, python = sys.argv[1:3]
    logs = {"1": [], "64": []}
    print(f"{'model':15}{'width':>6}{'Thalweg ns':>12}{'NumPyro ns':>12}{'JAX ns':>12}{'ratio to the faster':>21}")
    for model, name in MODELS.items():
        best = {}
        for _ in range(ROUNDS):
            for width, ns in ours(name).items():
                best[width, "ours"] = min(ns, best.get((width, "ours"), math.inf))
            for width in ("1", "64"):
                for program in ("numpyro", "jax"):
                    ns = peer(folder, python, model, program, width)
                    best[width, program] = min(ns, best.get((width, program), math.inf))
        for width in ("1", "64"):
            us, numpyro, jax = (best[width, k] for k in ("ours", "numpyro", "jax"))
            ratio = min(numpyro, jax) / us
            logs[width].append(math.log(ratio))
            print(f"{model:15}{width:>6}{us:12.1f}{numpyro:12.1f}{jax:12.1f}{ratio:21.2f}", flush=True)
    for width, values in logs.items():
        print(f"width {width}: geometric mean {math.exp(sum(values) / len(values)):.2f}, least {math.exp(min(values)):.2f}")


main()
