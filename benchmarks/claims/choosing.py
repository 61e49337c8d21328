"""The time in which a search finds beta, and what the beta is worth: `pages/speed.md`.

Each search runs in one process, so that its processor time is all of its time.
"""

import numpy as np
import pandas as pd
from sklearn.model_selection import GridSearchCV, KFold

from benchmarks.common.benchmark import Benchmark, product
from benchmarks.common.clocks import timed
from benchmarks.common.internals import betas_of
from benchmarks.common.markdown import goal, table
from benchmarks.common.tables import load
from skvae import BalancedVAE, BalancedVAECV

SETTINGS = {
    "n_seeds": 1,
    "tables": ["breast cancer", "california housing"],
    "balances": ["constant", "auto"],
    "max_rows": 1000,
    "n_betas": 20,
    "n_splits": 5,
    "max_iter": 100,
}
QUICK = {"max_rows": 100, "n_betas": 4, "n_splits": 2, "max_iter": 10}
FULL, HALVED = "`BalancedVAECV()`", "`BalancedVAECV(halving=True)`"
SEARCHES = ["`GridSearchCV`", FULL, HALVED]
# Of the time of a grid search.
MAX_FRACTION = 1 / 3


def keys(settings):
    return product(
        seed=range(settings["n_seeds"]),
        table=settings["tables"],
        balance=settings["balances"],
        search=SEARCHES,
    )


def measure(settings, seed, table, balance, search):
    """Processor seconds of a search with its last fit, its beta and all scores."""
    rows = np.random.default_rng(seed).permutation(load(table))[: settings["max_rows"]]
    params = {
        "balance": balance,
        "max_iter": settings["max_iter"],
        "random_state": seed,
    }
    betas = betas_of(BalancedVAE(**params), rows, settings["n_betas"])
    cv = KFold(settings["n_splits"], shuffle=True, random_state=seed)
    if search in (FULL, HALVED):
        params["halving"] = search == HALVED
        model = BalancedVAECV(betas, cv=cv, **params)
    else:
        grid = {"beta": betas.tolist()}
        model = GridSearchCV(BalancedVAE(**params), grid, cv=cv)
    model, spent = timed(lambda: model.fit(rows))
    name = "elbo" if search in (FULL, HALVED) else "score"
    return {
        "spent": spent,
        "beta": float(model.best_params_["beta"]),
        "index": int(model.best_index_),
        "elbo": model.cv_results_[f"mean_test_{name}"].tolist(),
        "deviation": model.cv_results_[f"std_test_{name}"].tolist(),
    }


def summary(results):
    """Lines of a table: each search beside the grid search on the same folds."""
    lines, n_splits = [], results["settings"]["n_splits"]
    runs = pd.DataFrame(results["runs"])
    for (_, name, balance), group in runs.groupby(
        ["seed", "table", "balance"], sort=False
    ):
        group = group.set_index("search")
        grid = group.loc[SEARCHES[0]]
        error = grid["deviation"][grid["index"]] / np.sqrt(n_splits - 1)
        for search in SEARCHES:
            run = group.loc[search]
            lines.append(
                {
                    "table": name,
                    "balance": balance,
                    "search": search,
                    "spent": run["spent"],
                    "fraction": run["spent"] / grid["spent"],
                    "beta": run["beta"],
                    "lost": grid["elbo"][grid["index"]] - grid["elbo"][run["index"]],
                    "error": error,
                }
            )
    return pd.DataFrame(lines)


def slots(results):
    lines = summary(results)
    halved = lines[lines["search"] == HALVED]
    is_near = halved["lost"] <= halved["error"]
    is_fast = halved["fraction"] <= MAX_FRACTION
    percent = 100 * halved["fraction"]
    return {
        "searches": table(
            "table {table} | balance `{balance}` | search {search} | seconds "
            "{spent:.0f} | of the grid search {fraction:.0%} | beta {beta:.4g} | "
            "nats below its best {lost:.2f} | standard error {error:.2f}",
            lines,
        ),
        "goals": "\n".join(
            [
                goal(
                    "With halving, the beta found is within a standard error of the "
                    f"grid search's best in {is_near.sum()} of {len(halved)} cases",
                    is_near.all(),
                ),
                goal(
                    f"With halving, a search takes {percent.min():.0f} to "
                    f"{percent.max():.0f} % of the time of the grid search "
                    f"(at most {100 * MAX_FRACTION:.0f} %)",
                    is_fast.all(),
                ),
            ]
        ),
    }


BENCHMARK = Benchmark("choosing", "speed", SETTINGS, QUICK, keys, measure, slots)

if __name__ == "__main__":
    BENCHMARK.main(__doc__)
