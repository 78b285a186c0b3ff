"""What amortized guides of binary images lose, by family and by encoder, as tables in Markdown.

usage: python3 benches/gaps.py REPOSITORY > benches/gaps.md

REPOSITORY has `target/release/thalweg`, built first (another program: variable THALWEG), and `models/`. One thread; four trainings of
equal length, then their gaps on the same held-out rows (the decomposition of Cremer, Li & Duvenaud 2018, table 2).
"""
import json
import os
import subprocess
import sys
import tempfile
import time

REPOSITORY = sys.argv[1] if len(sys.argv) == 2 else sys.exit(__doc__)
THALWEG = os.environ.get("THALWEG", f"{REPOSITORY}/target/release/thalweg")
GUIDES = [("normal", ["--guide", "mean-field"]), ("flow, realnvp(4)", ["--guide", "realnvp(4)"])]
ENCODERS = [("small, 16", ["--encoder", "16"]), ("large, 256-256", ["--encoder", "256,256"])]
TRAINING = ["--steps", "3000", "--rate", "0.003", "--batch", "100", "--heldout", "0.2", "--seed", "1"]
LOOK = ["--rows", "40", "--seed", "1"]


def run(words):
    environment = {**os.environ, "RAYON_NUM_THREADS": "1"}
    done = subprocess.run([THALWEG, *words, "--json"], capture_output=True, text=True, env=environment)
    if done.returncode:
        sys.exit(f"{' '.join(words)}: {done.stderr}")
    return json.loads(done.stdout)


def margin(value, error):
    return f"{value:.3f} ± {1.96 * error:.3f}"


def between(low, high):
    return f"{low:.3f} to {high:.3f}"


def measure(guide, encoder):
    model = f"{REPOSITORY}/models/vae_digits"
    with tempfile.TemporaryDirectory() as folder:
        path = f"{folder}/guide.json"
        fit = run(["fit", model, "--amortize", *guide, *encoder, *TRAINING, "--out", path])
        if fit["skipped"]:
            sys.exit(f"{guide} {encoder}: {fit['skipped']} steps of the training were left out; {fit['remarks']}")
        gaps = {on: run(["gap", model, "--guide", path, "--on", on, *LOOK]) for on in ("heldout", "train")}
    return fit, gaps


def row(name, encoder, g):
    total = (g["log_px_lower"] - g["elbo"] - 1.96 * g["elbo_se"], g["log_px_upper"] - g["elbo"] + 1.96 * g["elbo_se"])
    cells = [name, encoder, between(g["log_px_lower"], g["log_px_upper"]), margin(g["elbo"], g["elbo_se"]),
             margin(g["best_elbo"], g["best_elbo_se"]), between(*g["approximation_gap"]),
             margin(g["amortization_gap"], g["amortization_gap_se"]), between(*total), str(g["untrusted_rows"])]
    return "| " + " | ".join(cells) + " |"


def main():
    begin = time.time()
    measured = [(g, e, *measure(guide, encoder)) for g, guide in GUIDES for e, encoder in ENCODERS]
    print("# Approximation and amortization gaps of guides for binary images\n")
    print(f"`python3 benches/gaps.py .`: `fit models/vae_digits --amortize {' '.join(TRAINING)}`, then `gap {' '.join(LOOK)}` on held-out rows "
          "and on rows of the training; one thread.\n")
    print("Nats a row, means over the same 40 rows. log p(x) is between lower and upper 95 % limits of Monte Carlo; the approximation gap, log p(x) "
          "less the ELBO of each row's best guide, and the whole gap are intervals for that reason; ± is 1.96 standard errors. These are errors "
          "of the draws, not of the choice of rows. Each training has its own decoder, so log p(x) differs between lines. Not trusted: rows with "
          "k-hat above 0.7.\n")
    head = "| guide | encoder | log p(x) | ELBO | ELBO of best guides | approximation gap | amortization gap | whole gap | not trusted |\n" + "|---" * 9 + "|"
    for on, title in (("heldout", "Held-out rows"), ("train", "Rows of the training")):
        print(f"## {title}\n\n{head}")
        for guide, encoder, _, gaps in measured:
            print(row(guide, encoder, gaps[on]))
        print()
    print("| guide | encoder | weights | seconds of training |\n|---|---|---|---|")
    for guide, encoder, fit, _ in measured:
        print(f"| {guide} | {encoder} | {fit['parameters']} | {fit['seconds']:.0f} |")
    print(f"\n{(time.time() - begin) / 60:.1f} minutes in all.")


main()
