"""Leapfrog steps after warm-up per effective draw, against Stan's, over the timed posteriors of posteriordb.

usage: python3 benches/leapfrogs.py POSTERIORDB [SEEDS]

POSTERIORDB has `stan_timings.json`, `index.json` and `data/`. Build `target/release/thalweg` first. An effective draw is one of the least
bulk ESS over the latents. Both programs run 4 chains of 1000 + 1000; the median over the seeds counts.
"""
import json
import math
import os
import re
import statistics
import subprocess
import sys

HERE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
# Without a model here (differential equations), or without a usable effective sample size in Stan.
LEFT_OUT = {"hudson_lynx_hare-lotka_volterra", "one_comp_mm_elim_abs-one_comp_mm_elim_abs",
            "GLMM_Poisson_data-GLMM_Poisson_model", "eight_schools-eight_schools_centered"}


def ours(model, data, seed):
    command = [f"{HERE}/target/release/thalweg", "sample", model, "--data", data, "--json", "--seed", str(seed)]
    result = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    reports = re.findall(r"^\s*report\s+(\w+)", open(model).read(), re.M)
    ess = [p["ess_bulk"] for name, p in result["parameters"].items()
           if name.split("[")[0] not in reports and p["ess_bulk"] is not None]
    return (result["gradients"] - result["warmup_gradients"]) / min(ess), result["divergences"]


def main():
    folder, seeds = sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 8
    timings = json.load(open(f"{folder}/stan_timings.json"))["results"]
    logs = []
    print(f"{'posterior':62}{'Stan':>8}{'median':>8}{'least':>8}{'most':>8}{'ratio':>8}{'div.':>6}")
    for row in timings:
        name = row["posterior"]
        if name in LEFT_OUT or not row.get("nuts"):
            continue
        data = f"{folder}/data/{name.split('-')[0]}.json"
        stan = row["nuts"]["n_leapfrog_sampling"] / row["nuts"]["min_ess_bulk"]
        runs = [ours(f"{HERE}/models/posteriordb/{name}.thal", data, seed) for seed in range(1, seeds + 1)]
        costs = [cost for cost, _ in runs]
        ratio = statistics.median(costs) / stan
        logs.append(math.log(ratio))
        print(f"{name:62}{stan:8.2f}{statistics.median(costs):8.2f}{min(costs):8.2f}{max(costs):8.2f}{ratio:8.2f}"
              f"{statistics.median(d for _, d in runs):6.0f}", flush=True)
    print(f"geometric mean {math.exp(sum(logs) / len(logs)):.2f}, worst {math.exp(max(logs)):.2f} (below 1: fewer than Stan)")


main()
