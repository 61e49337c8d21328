"""Synthetic rows against TVAE, a Gaussian copula and ARF: `pages/synthetic.md`."""

from importlib import import_module
from unittest import mock

import numpy as np
import pandas as pd

from benchmarks.common.benchmark import Benchmark, product
from benchmarks.common.clocks import timed
from benchmarks.common.fidelity import (
    associations,
    classifier_auc,
    closeness,
    copies,
    rare_levels,
    usefulness,
)
from benchmarks.common.markdown import goal, table
from benchmarks.common.statistics import reference
from benchmarks.common.tables import FRAMES, categories, parts
from skvae import BalancedVAE

# The column predicted from the others, and columns that would reveal it.
TARGETS = {
    "adult": ("income", []),
    "bike hours": ("cnt", ["casual", "registered"]),
    "abalone": ("rings", []),
    "titanic": ("Survived", []),
}
# A level for the missing cells of categories, and of the column that marks numbers.
ABSENT = "?"
SETTINGS = {"n_seeds": 3, "max_rows": 2000, "max_scored": 5000, "n_epochs": 300}
QUICK = {"n_seeds": 1, "max_rows": 600, "max_scored": 300, "n_epochs": 3}
REAL, MARGINALS, DEFAULT, OURS = (
    "training rows",
    "marginals",
    "skvae",
    "skvae, quantile",
)
TVAE, COPULA, FORESTS = "TVAE", "Gaussian copula", "ARF"
PACKAGES = {TVAE: "ctgan", COPULA: "copulas.multivariate", FORESTS: "arfpy"}
PEERS = [MARGINALS, TVAE, COPULA, FORESTS]
# 1 where more is better, -1 where less is, and the value to reach.
GOALS = {"classifier": (-1, 0.8), "usefulness": (1, 0.97)}
MAX_TIME = 0.5


def by_marginals(train, settings, seed):
    """Each column in an order of its own."""
    rng = np.random.default_rng(seed)
    columns = {name: rng.permutation(len(train)) for name in train}
    return pd.DataFrame(
        {name: train[name].take(order).array for name, order in columns.items()}
    )


def by_skvae(**parameters):
    def generate(train, settings, seed):
        vae = BalancedVAE(**parameters, random_state=seed).fit(train)
        return vae.sample(len(train), random_state=seed)

    return generate


def by_tvae(train, settings, seed):
    from ctgan import TVAE

    codes = categories(train)
    tvae = TVAE(epochs=settings["n_epochs"], enable_gpu=False)
    tvae.set_random_state(seed)
    tvae.fit(train.astype(dict.fromkeys(codes, object)), codes)
    return tvae.sample(len(train))


def by_copula(train, settings, seed):
    """A category is a number that is uniform in the interval of its level.

    The intervals divide (0, 1) by the frequency of the levels, the most frequent first.
    """
    from copulas.multivariate import GaussianMultivariate

    rng = np.random.default_rng(seed)
    numbers, levels = train.copy(), {}
    for name in categories(train):
        frequency = train[name].value_counts(normalize=True)
        upper = frequency.cumsum()
        low, width = upper - frequency, frequency
        cell = train[name].astype(object)
        numbers[name] = cell.map(low) + rng.random(len(train)) * cell.map(width)
        levels[name] = upper
    copula = GaussianMultivariate(random_state=seed)
    copula.fit(numbers.astype(float))
    rows = copula.sample(len(train))
    for name, upper in levels.items():
        index = np.searchsorted(upper, rows[name]).clip(max=len(upper) - 1)
        rows[name] = upper.index.to_numpy(object)[index]
    return rows


def by_forests(train, settings, seed):
    """Adversarial random forests, of `arfpy`.

    It reads `in1d` of older numpy, and flags of columns by their position.
    """
    from arfpy.arf import arf

    np.random.seed(seed)  # noqa: NPY002 (arfpy draws from the global generator)
    with mock.patch.object(np, "in1d", np.isin, create=True):
        forests = arf(
            train.set_axis(range(train.shape[1]), axis=1),
            verbose=False,
            random_state=seed,
        )
        forests.forde()
        return forests.forge(len(train)).set_axis(list(train), axis=1)


def prepared(generator):
    """The generator, given a table without missing cells and its whole numbers.

    Missing categories are a level of their own. A missing number is replaced by one of
    another row, and a column of two categories marks it.
    """

    def generate(train, settings, seed):
        rng = np.random.default_rng(seed)
        # For each column with missing cells, the column whose level marks them.
        filled, marks = train.copy(), {}
        for name in train.columns[train.isna().any()]:
            cells, absent = train[name], train[name].isna()
            if name in categories(train):
                marks[name] = name
                filled[name] = cells.cat.add_categories(ABSENT).fillna(ABSENT)
            else:
                marks[name] = f"{name} is missing"
                filled.loc[absent, name] = rng.choice(cells.dropna(), absent.sum())
                levels = absent.map({True: ABSENT, False: "known"})
                filled[marks[name]] = levels.astype("category")
        rows = generator(filled, settings, seed).copy()
        for name, mark in marks.items():
            absent = (rows[mark] == ABSENT).to_numpy()
            rows[name] = rows[name].astype(object).mask(absent)
        whole = train.select_dtypes("integer").columns
        rows[whole] = rows[whole].astype(float).round()
        return rows[list(train)].astype(train.dtypes)

    return generate


GENERATORS = {
    REAL: lambda train, settings, seed: train,
    MARGINALS: by_marginals,
    DEFAULT: prepared(by_skvae()),
    OURS: prepared(by_skvae(standardize="quantile", prior="mixture")),
    TVAE: prepared(by_tvae),
    COPULA: prepared(by_copula),
    FORESTS: prepared(by_forests),
}


def keys(settings):
    seeds = range(settings["n_seeds"])
    return product(seed=seeds, table=TARGETS, generator=GENERATORS)


def measure(settings, table, generator, seed):
    """Fidelity of the rows of a generator, and the processor time it takes."""
    sizes = settings["max_rows"], settings["max_scored"]
    train, test = parts(FRAMES[table](), seed, *sizes)
    # Imports are no part of the time.
    import_module(PACKAGES.get(generator, "skvae"))
    rows, fit_seconds = timed(lambda: GENERATORS[generator](train, settings, seed))
    error = associations(rows) - associations(test)
    # What the rows learned from are compared with, and these are not themselves.
    others = test.iloc[: len(train)] if generator == REAL else rows
    return {
        "classifier": classifier_auc(rows, test, seed),
        "usefulness": usefulness(rows, test, *TARGETS[table], seed),
        "association": float(np.abs(error).mean()),
        "copies": copies(train, others),
        **closeness(train, others, test),
        **rare_levels(train, others),
        "fit_seconds": fit_seconds,
        "n_rows": len(train),
        "n_columns": train.shape[1],
        "n_categories": len(categories(train)),
    }


def relative(runs):
    """Runs with usefulness relative to real rows, and time relative to TVAE."""
    cases, generator = runs[["table", "seed"]], runs["generator"]
    useful, seconds = runs["usefulness"], runs["fit_seconds"]
    time = seconds / reference(seconds, generator == TVAE, cases)
    return runs.assign(
        usefulness=useful / reference(useful, generator == REAL, cases),
        time=time.where(generator != REAL),
    )


def verdict(name, ours, peers):
    """Goals of the setting for drawn rows on a table, and whether it meets them."""
    limits, won, met = [], [], ours["time"] <= MAX_TIME
    for measure, (sign, limit) in GOALS.items():
        best = (sign * peers[measure]).idxmax()
        is_best = sign * (ours[measure] - peers.loc[best, measure]) > 0
        met &= is_best and sign * (ours[measure] - limit) >= 0
        side = "at least" if sign > 0 else "at most"
        limits.append(f"{measure} {ours[measure]:.3f} ({side} {limit:.2f})")
        won.append(f"{measure} {peers.loc[best, measure]:.3f} of {best}")
    text = (
        f"{name}, {OURS}: {', '.join(limits)}, {ours['time']:.2f} of the time of TVAE "
        f"(at most {MAX_TIME:.2f}); best of the others: {', '.join(won)}"
    )
    return goal(text, bool(met))


def apart(name, ours, real, n_drawn):
    """Whether drawn rows are as far from those learned from as real rows are."""
    limit = real["near"]
    most = limit + 2 * np.sqrt(limit * (1 - limit) / n_drawn)
    text = (
        f"{name}, {OURS}: {ours['near']:.1%} of the rows are near to one learned from "
        f"(real rows {limit:.1%}, at most {most:.1%} by two standard errors), median "
        f"distance {ours['distance']:.2f} of that of real rows"
    ).replace("%", " %")
    return goal(text, bool(ours["near"] <= most))


def rare(runs):
    """Whether rare levels are drawn as often as they were there."""
    # A single level is too few.
    rows = runs[runs["n_rare"] > 1].groupby(["table", "generator"], sort=False)
    found = rows.mean(numeric_only=True).assign(n_seeds=rows.size()).reset_index()
    found["rare_error"] /= np.sqrt(found["n_seeds"])
    goals = [
        goal(
            f"{line['table']}, {OURS}: {line['rare']:.2f} times as often "
            f"(1 within two binomial errors of {line['rare_error']:.2f})",
            abs(line["rare"] - 1) <= 2 * line["rare_error"],
        )
        for _, line in found[found["generator"] == OURS].iterrows()
    ]
    columns = (
        "table {table} | rows {generator} | levels {n_rare:.0f} | "
        "times as often {rare:.2f} | binomial error {rare_error:.2f} | "
        "spread over levels {rare_spread:.2f}"
    )
    return "\n\n".join(["\n".join(goals), table(columns, found)])


def answer(runs):
    """Both main measures of each generator, means over tables, in a sentence."""
    mean = runs.groupby(["generator", "table"]).mean(numeric_only=True)
    mean = mean.groupby("generator").mean()
    auc, use = mean["classifier"], mean["usefulness"]
    peer = auc[[name for name in PEERS if name in auc]].idxmin()
    return (
        f"A classifier tells the rows of *{OURS}* from real ones with a mean AUROC of "
        f"{auc[OURS]:.2f}, where the best of the other generators, {peer}, has "
        f"{auc[peer]:.2f} and real rows have {auc[REAL]:.2f}; models trained on them "
        f"are {use[OURS]:.2f} times as good as models trained on real rows."
    )


def slots(results):
    columns = (
        "rows {generator} | classifier {classifier:.3f} | useful {usefulness:.3f} | "
        "association {association:.4f} | copies {copies:.2%} | near {near:.1%} | "
        "distance {distance:.2f} | time {time:.2f}"
    )
    heading = (
        "**{table}**: {n_rows:,} rows learned from, {n_columns} columns, "
        "{n_categories} of them categories"
    )
    goals, distances, sections = [], [], []
    runs = relative(pd.DataFrame(results["runs"]))
    for name, group in runs.groupby("table", sort=False):
        rows = group.groupby("generator", sort=False).mean(numeric_only=True)
        if TVAE in rows.index:
            peers = rows.loc[rows.index.isin(PEERS)]
            goals.append(verdict(name, rows.loc[OURS], peers))
        n_drawn = group.loc[group["generator"] == OURS, "n_rows"].sum()
        distances.append(apart(name, rows.loc[OURS], rows.loc[REAL], n_drawn))
        sections.append(heading.format(**group.iloc[0]))
        sections.append(table(columns, rows.reset_index()))
    return {
        "answer": answer(runs),
        "goals": "\n".join(goals),
        "distances": "\n".join(distances),
        "rare": rare(runs),
        "tables": "\n\n".join(sections),
    }


BENCHMARK = Benchmark("synthetic", "synthetic", SETTINGS, QUICK, keys, measure, slots)

if __name__ == "__main__":
    BENCHMARK.main(__doc__)
