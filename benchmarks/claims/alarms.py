"""Alarms of `OutlierVAE` on new normal rows, against what was asked for.

Both detectors are fitted to normal rows alone: `pages/anomaly.md`.
"""

import numpy as np
import pandas as pd
from sklearn.ensemble import IsolationForest

from benchmarks.claims.anomaly import SETTINGS as TABLES
from benchmarks.claims.anomaly import halves
from benchmarks.common.benchmark import Benchmark, product
from benchmarks.common.markdown import goal, table
from skvae import OutlierVAE

SETTINGS = {
    "n_seeds": 3,
    "max_rows": 2000,
    "max_iter": 100,
    "proportion": 0.05,
    "tables": TABLES["tables"],
}
QUICK = {"n_seeds": 1, "max_rows": 100, "max_iter": 3, "tables": ["wbc"]}
OURS, FOREST = "OutlierVAE", "IsolationForest"
# Standard errors that the proportion may be off.
MOST = 3.0


def keys(settings):
    return product(
        seed=range(settings["n_seeds"]), table=settings["tables"], model=[OURS, FOREST]
    )


def measure(settings, table, model, seed):
    """Proportion of new normal rows that raise an alarm, and of odd ones."""
    train, test, label = halves(table, "clean", seed, settings["max_rows"])
    asked = settings["proportion"]
    if model == OURS:
        detector = OutlierVAE(
            false_alarms=asked, max_iter=settings["max_iter"], random_state=seed
        )
    else:
        detector = IsolationForest(contamination=asked, random_state=seed)
    is_alarm = detector.fit(train).predict(test) == -1
    return {
        "n_fitted": len(train),
        "n_new": int((label == 0).sum()),
        "alarms": float(is_alarm[label == 0].mean()),
        "hits": float(is_alarm[label == 1].mean()),
    }


def slots(results):
    asked = results["settings"]["proportion"]
    runs = pd.DataFrame(results["runs"])
    # Of one seed: splits of the same rows overlap.
    runs["error"] = np.sqrt(
        asked * (1 - asked) * (1 / runs["n_fitted"] + 1 / runs["n_new"])
    )
    rows = runs.groupby(["table", "model"], sort=False).mean(numeric_only=True)
    rows = rows[["alarms", "hits", "error"]].unstack()
    rows.columns = [f"{name} {model}" for name, model in rows.columns]
    rows["error"] = rows[f"error {OURS}"]
    off = (rows[f"alarms {OURS}"] - asked).abs() / rows["error"]
    columns = " | ".join(
        f"{text} of {model} {{{name} {model}:.1%}}"
        for name, text in {"alarms": "false alarms", "hits": "odd rows found"}.items()
        for model in (OURS, FOREST)
    )
    met = (
        f"False alarms of `OutlierVAE`: within {MOST:g} standard errors of the "
        f"proportion asked for on {(off <= MOST).sum()} of "
    )
    return {
        "alarms": table(
            f"table {{table}} | {columns} | standard error {{error:.1%}}",
            rows.reset_index(),
        ),
        "goals": goal(f"{met}{len(off)} tables (all)", (off <= MOST).all()),
    }


BENCHMARK = Benchmark("alarms", "anomaly", SETTINGS, QUICK, keys, measure, slots)

if __name__ == "__main__":
    BENCHMARK.main(__doc__)
