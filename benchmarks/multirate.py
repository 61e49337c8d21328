"""One model for every beta against models that are trained for one each.

    python benchmarks/multirate.py

Tables are split as in `benchmarks/regret.py`. On the first part one model is trained
with `balance="multirate"`, and ten with `balance="constant"`, side by side, once more
with another seed. All are scored on new rows, at the ten betas. Of each model:

- `gap`: by how much its distortion is above the curve of the separate models at the
  same rate, between whose points the curve is straight, as a share of the range of
  distortions;
- `elbo_gap`: by how much its elbo is below that of the separate model at the same beta,
  as a share of the range of elbos.

The gaps of the separate models of the other seed say how much of that is chance. The
cost is the processor time of one fit, over that of a fit with constant beta.
"""

import argparse
import json
import os
import platform
import time
import warnings
from datetime import date
from pathlib import Path

import numpy as np
from regret import load, split
from sklearn.base import clone

from skvae import BalancedVAE, __version__
from skvae._runs import fit_betas

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "results" / "multirate.json"

BETAS = np.geomspace(0.01, 10.0, 10)
# Rows to train on, and epochs: enough for all models to come to rest.
TABLES = {
    "breast cancer": (10_000, 300),
    "pen digits": (4_000, 300),
    "california housing": (8_000, 150),
}


def points(models, X):
    """Rate, distortion and elbo of each model, of shape (n_models, 3)."""
    found = np.array([model.rate_distortion(X) for model in models]).mean(axis=2)
    return np.column_stack([found, -found.sum(axis=1)])


def gaps(found, reference):
    """Distance of each point to the curve of reference, as shares of its ranges."""
    order = np.argsort(reference[:, 0])
    curve = np.interp(found[:, 0], reference[order, 0], reference[order, 1])
    return {
        "gap": (found[:, 1] - curve) / np.ptp(reference[:, 1]),
        "elbo_gap": (reference[:, 2] - found[:, 2]) / np.ptp(reference[:, 2]),
    }


def timed(vae, X):
    """Fitted estimator, and the processor time that it took."""
    start = time.process_time()
    fitted = clone(vae).fit(X)
    return fitted, time.process_time() - start


def compare(name, n_rows, max_iter):
    """All that is kept of a table."""
    train, _, test = split(load(name), 0)
    train = train[:n_rows]
    vae = BalancedVAE(5, hidden_layer_sizes=(64, 64), max_iter=max_iter, random_state=0)
    # The first fit of a process also pays for what it loads.
    clone(vae).set_params(max_iter=2).fit(train)
    one, seconds = timed(vae.set_params(balance="multirate"), train)
    constant, seconds_constant = timed(vae.set_params(balance="constant"), train)
    separate = points(fit_betas(vae, train, BETAS), test)
    again = points(fit_betas(vae.set_params(random_state=1), train, BETAS), test)
    found = points([one.at_beta(beta) for beta in BETAS], test)
    return {
        "table": name,
        "n_rows": len(train),
        "n_features": train.shape[1],
        "max_iter": max_iter,
        "columns": ["rate", "distortion", "elbo"],
        "one_model": found.tolist(),
        "separate": separate.tolist(),
        "other_seed": again.tolist(),
        **{key: value.tolist() for key, value in gaps(found, separate).items()},
        "other_seed_gap": gaps(again, separate)["gap"].tolist(),
        "seconds": seconds,
        "n_iter": one.n_iter_,
        "seconds_constant": seconds_constant,
        "n_iter_constant": constant.n_iter_,
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tables", nargs="*", default=list(TABLES))
    args = parser.parse_args()

    import torch

    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
    warnings.simplefilter("ignore")
    tables = []
    for name in args.tables:
        found = compare(name, *TABLES[name])
        tables.append(found)
        per_epoch = [
            found[f"seconds{kind}"] / found[f"n_iter{kind}"]
            for kind in ("", "_constant")
        ]
        print(f"{name}: {per_epoch[0] / per_epoch[1]:.2f} times the cost of an epoch")
        for key in ("gap", "other_seed_gap", "elbo_gap"):
            print(f"  {key}, %:", np.round(100.0 * np.array(found[key]), 1))
        results = {
            "betas": BETAS.tolist(),
            "environment": {
                "skvae": __version__,
                "python": platform.python_version(),
                "date": date.today().isoformat(),
            },
            "tables": tables,
        }
        RESULTS.parent.mkdir(parents=True, exist_ok=True)
        RESULTS.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
