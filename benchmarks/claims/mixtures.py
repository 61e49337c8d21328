"""The default against normal mixtures, on tables without grids: `pages/regret.md`."""

import numpy as np
import pandas as pd
from sklearn.base import clone
from sklearn.mixture import GaussianMixture

from benchmarks.claims import regret
from benchmarks.common.benchmark import Benchmark, product
from benchmarks.common.clocks import timed
from benchmarks.common.markdown import goal, table
from benchmarks.common.tables import load, split
from skvae import BalancedVAE

# Numbers of latents, from which held-out rows choose, and of components of a mixture.
SETTINGS = {**regret.SETTINGS, "n_components": [2, 5, 10, 20]}
QUICK = {**regret.QUICK, "n_components": [2, 5]}
SIZES = [1, 2, 3, 5, 8, 12, 16, 20]


def grid_step(column):
    """Step of the grid that a column was recorded on, 0 if it was on none.

    A tenth of the gaps between its values are no wider. The smallest gap is often no
    step, where a range was cut off at a number beside the grid.
    """
    values = np.unique(column.round(9))
    if 2 * len(values) > len(column):
        return 0.0
    return np.quantile(np.diff(values), 0.1, method="lower")


def dequantise(parts, seed):
    """Parts of a table with uniform noise over each step, and how many columns got it.

    On a grid a density has no upper limit. With noise as wide as a step, its logarithm
    is at most that of the probabilities on the grid.
    """
    rows = np.vstack(parts)
    steps = np.array([grid_step(column) for column in rows.T])
    noise = np.random.default_rng([seed, 1]).uniform(-0.5, 0.5, rows.shape)
    ends = np.cumsum([len(part) for part in parts])[:-1]
    return np.split(rows + steps * noise, ends), int(np.count_nonzero(steps))


def repeated(rows):
    """Proportion of cells whose value another row has too."""
    counts = [np.unique(column, return_counts=True)[1] for column in rows.T]
    return 1 - float(np.mean([np.sum(count == 1) / len(rows) for count in counts]))


def best_mixture(rows):
    """The mixture of normals with full covariances that is best by BIC."""
    mixtures = (
        GaussianMixture(size, reg_covar=1e-4, random_state=0).fit(rows)
        for size in SIZES
        # More components have too few rows to estimate a covariance each.
        if size * 2 * rows.shape[1] <= len(rows) or size == 1
    )
    return min(mixtures, key=lambda mixture: mixture.bic(rows))


def keys(settings):
    return product(seed=range(settings["n_seeds"]), table=settings["tables"])


def measure(settings, table, seed):
    """The default at several sizes and a mixture, on a table without its grids."""
    parts = split(load(table), seed, settings["max_rows"])
    on_grid = float(best_mixture(parts[0]).score(parts[2]))
    parts, n_gridded = dequantise(parts, seed)
    train, valid, test = parts
    models, sizes = [], []
    for k in sorted({min(k, train.shape[1] - 1) for k in settings["n_components"]}):
        vae = BalancedVAE(**regret.params_of(settings, k, seed))
        _, seconds = timed(lambda vae=vae: vae.fit(train))
        kept = regret.record(vae, k, valid, test, seconds, settings)
        sizes.append({**kept, "held out": float(vae.elbo_)})
        models.append(vae)
    chosen = max(models, key=lambda vae: vae.elbo_)
    # The same weights: a prior is learned when training has ended.
    mixed = clone(chosen).set_params(prior="mixture").fit(train)
    nats = mixed.log_likelihood(test, settings["n_samples"])
    without = float(best_mixture(train).score(test)) if n_gridded else on_grid
    return {
        "n_gridded": n_gridded,
        "repeated": repeated(train),
        "GaussianMixture on the grid": on_grid,
        "GaussianMixture": without,
        "sizes": sizes,
        "chosen": chosen.n_components,
        "mixture prior": float(nats.mean()),
        "n_mixture_prior": mixed.prior_.n_components_,
    }


def score_of(run, k):
    """Log-likelihood with k latents, or with the most there are."""
    fitted = [size for size in run["sizes"] if size["model"] <= k]
    return max(fitted, key=lambda size: size["model"])["log_likelihood"]


def summary(results):
    """Runs beside the score at each size and what follows of it, and their means."""
    runs = pd.DataFrame(results["runs"])
    for k in results["settings"]["n_components"]:
        runs[f"k = {k}"] = [score_of(run, k) for run in results["runs"]]
    runs["default"] = [score_of(run, run["chosen"]) for run in results["runs"]]
    runs["lead"] = runs["default"] - runs["GaussianMixture"]
    runs["gain"] = runs["mixture prior"] - runs["default"]
    runs["both"] = runs["lead"] + runs["gain"]
    by_table = runs.groupby("table", sort=False)
    rows = by_table.mean(numeric_only=True)
    rows["n_gridded"] = by_table["n_gridded"].first()
    rows["chosen"] = by_table["chosen"].agg(lambda each: ", ".join(map(str, each)))
    return runs, rows


def choice_table(rows, sizes):
    """The default with any number of latents, and with a mixture for a prior."""
    listed = " | ".join(f"k = {k} {{k = {k}:.2f}}" for k in sizes)
    columns = (
        "table {table} | columns on a grid {n_gridded} | repeated {repeated:.0%} | "
        "mixture with grids {GaussianMixture on the grid:.2f} | "
        f"mixture {{GaussianMixture:.2f}} | {listed} | "
        "chosen {chosen} | default {default:.2f} | default - mixture {lead:+.2f} | "
        "mixture prior adds {gain:+.2f} | both - mixture {both:+.2f}"
    )
    return table(columns, rows.reset_index())


def described(values):
    return (
        f"{values.mean():+.2f} nats per row in the mean over tables, median "
        f"{values.median():+.2f}, above 0 on {(values > 0).sum()} of {len(values)}"
    )


def verdict(rows):
    """The goal of the default beside the mixture."""
    lead = rows["lead"]
    text = (
        "Without grids and with any number of latents, the default minus the mixture "
        f"is {described(lead)} (at least 0 on each)"
    )
    return goal(text, lead.min() >= 0)


def findings(runs, rows):
    """The default against the mixture, and what a mixture prior adds."""
    lead, gain = rows["lead"], rows["gain"]
    first, most = lead.idxmax(), gain.idxmax()
    return [
        f"- The default minus the mixture is {described(lead)}. It is "
        f"{lead.drop(first).mean():+.2f} in the mean without {first}, where it is "
        f"{lead[first]:+.2f}. Of single runs, a table and seed each, it is above 0 in "
        f"{(runs['lead'] > 0).sum()} of {len(runs)}.",
        f'- `prior="mixture"` adds {gain.mean():+.2f} nats per '
        f"row in the mean, median {gain.median():+.2f}, {gain[most]:+.2f} at most "
        f"({most}). The default minus the mixture is then {described(rows['both'])}.",
    ]


def slots(results):
    sizes, (runs, rows) = results["settings"]["n_components"], summary(results)
    return {
        "findings": "\n".join(findings(runs, rows)),
        "goals": verdict(rows),
        "listed": f"{', '.join(map(str, sizes[:-1]))} or {sizes[-1]}",
        "by_choice": choice_table(rows, sizes),
    }


BENCHMARK = Benchmark(
    "mixtures", "regret", SETTINGS, QUICK, keys, measure, slots, n_jobs=2
)

if __name__ == "__main__":
    BENCHMARK.main(__doc__)
