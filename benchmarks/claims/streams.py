"""Held-out elbo of `partial_fit` on chunks with that of `fit`: `pages/streams.md`."""

from itertools import pairwise

import numpy as np
import pandas as pd

from benchmarks.common.benchmark import Benchmark, product
from benchmarks.common.markdown import goal, table
from benchmarks.common.tables import FRAMES, load, parts
from skvae import BalancedVAE

SETTINGS = {
    "tables": ["california housing", "pen digits", "page blocks", "gas sensors"],
    "long_tables": ["california housing", "pen digits"],
    # Tables of categories and numbers, whose unit is not changed.
    "mixed_tables": ["adult", "bike hours"],
    "n_components": 3,
    "n_chunks": 16,
    "long": 20,
    "factors": [1.0, 0.01, 100.0],
    "n_seeds": 3,
    "max_rows": 8000,
    "max_scored_rows": 2000,
}
QUICK = {
    "tables": ["page blocks"],
    "long_tables": ["page blocks"],
    "mixed_tables": ["adult"],
    "long": 2,
    "n_seeds": 1,
    "max_rows": 400,
}
FIRST = {1.0: "as the others", 0.01: "100 times smaller", 100.0: "100 times larger"}


def rows_of(settings, seed, name):
    """Rows to train on, and rows to score."""
    sizes = settings["max_rows"], settings["max_scored_rows"]
    if name in settings["mixed_tables"]:
        return parts(FRAMES[name](), seed, *sizes)
    rows, new = parts(pd.DataFrame(load(name)), seed, *sizes)
    # A value further outside the range of the rows than that range is wide is a
    # recording error, and would decide a mean of squares alone.
    low, high = rows.min(), rows.max()
    width = high - low
    return rows, new[((new >= low - width) & (new <= high + width)).all(axis=1)]


def measure(settings, seed, table, factor, n_passes, model):
    """Elbo of new rows in the unit of most, after as many passes."""
    rows, new = rows_of(settings, seed, table)
    bounds = np.linspace(0, len(rows), settings["n_chunks"] + 1, dtype=int)
    chunks = [rows[i:j] for i, j in pairwise(bounds)]
    if factor != 1.0:
        chunks[0] = chunks[0] * factor
    vae = BalancedVAE(settings["n_components"], random_state=seed)
    if model == "fit":
        vae.set_params(max_iter=n_passes, tol=1e3).fit(pd.concat(chunks))
    else:
        vae.set_params(max_iter=n_passes * len(chunks))
        for _ in range(n_passes):
            for chunk in chunks:
                vae.partial_fit(chunk)
    return {"elbo": float(vae.score(new))}


def keys(settings):
    numbers, mixed = settings["tables"], settings["mixed_tables"]
    every = product(
        seed=range(settings["n_seeds"]),
        table=[*numbers, *mixed],
        factor=settings["factors"],
        n_passes=[1, settings["long"]],
        model=["fit", "partial_fit"],
    )
    return [
        key
        for key in every
        if (key["factor"] == 1.0 or key["table"] in numbers)
        and (key["n_passes"] == 1 or key["table"] in settings["long_tables"])
    ]


def slots(results):
    runs = pd.DataFrame(results["runs"])
    names = ["table", "factor", "n_passes"]
    by_seed = runs.pivot(index=[*names, "seed"], columns="model", values="elbo")
    by_seed["loss"] = by_seed["fit"] - by_seed["partial_fit"]
    means = by_seed.groupby(names, sort=False).mean()
    means["most"] = by_seed.groupby(names, sort=False).loss.max()
    seconds = runs.groupby([*names, "model"], sort=False).seconds.mean().unstack()
    means["times"] = seconds["partial_fit"] / seconds["fit"]
    means = means.reset_index()
    means["first"] = means.factor.map(FIRST)
    is_plain = means.factor == 1.0
    goals = {}
    for text, some in (
        ("of a stream in one unit", means[is_plain]),
        ("of a stream whose first chunk has another unit", means[~is_plain]),
    ):
        worst = some.loc[some.loss.idxmax()]
        goals[
            f"The loss in held-out elbo {text} is at most {worst.loss:+.2f} nats per "
            f"row against `fit` at as many passes, on {worst.table} (at most 0.3)"
        ] = worst.loss <= 0.3
    n_chunks = results["settings"]["n_chunks"]
    return {
        "answer": f"After as many passes, `partial_fit` on {n_chunks} chunks loses at "
        f"most {means.loss.max():.2f} nats per row of held-out elbo against "
        f"`fit` on all rows at once, in the means over seeds of {len(means)} "
        f"comparisons, and takes "
        f"{means.times.min():.0f} to {means.times.max():.0f} times the time.",
        "goals": "\n".join(goal(text, is_met) for text, is_met in goals.items()),
        "elbo": table(
            "table {table} | first chunk {first} | passes {n_passes} | `fit` {fit:.2f} "
            "| `partial_fit` {partial_fit:.2f} | loss {loss:+.2f} | "
            "largest loss {most:+.2f} | times the time {times:.1f}",
            means,
        ),
    }


BENCHMARK = Benchmark("streams", "streams", SETTINGS, QUICK, keys, measure, slots)

if __name__ == "__main__":
    BENCHMARK.main(__doc__)
