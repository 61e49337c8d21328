"""Synthetic rows at the defaults against TVAE of ctgan: `pages/synthetic.md`."""

import numpy as np
import pandas as pd

from benchmarks.common.benchmark import Benchmark, product
from benchmarks.common.clocks import timed
from benchmarks.common.fidelity import associations, classifier_auc, copies, usefulness
from benchmarks.common.markdown import goal, table
from benchmarks.common.statistics import reference
from benchmarks.common.tables import FRAMES, categories, parts
from skvae import BalancedVAE

# The column predicted from the others, and columns that would reveal it.
TARGETS = {"adult": ("income", []), "bike hours": ("cnt", ["casual", "registered"])}
# A level for the missing cells of categories.
ABSENT = "?"
SETTINGS = {"n_seeds": 3, "max_rows": 4000, "max_scored": 5000, "n_epochs": 300}
QUICK = {"n_seeds": 1, "max_rows": 600, "max_scored": 300, "n_epochs": 3}
REAL, OURS, THEIRS = "training rows", "skvae", "TVAE"
LEVEL = "skvae, missing as a level"
# 1 where more is better, -1 where less is.
SIGNS = {"classifier": -1, "usefulness": 1, "association": -1}


def by_skvae(train, settings, seed):
    vae = BalancedVAE(random_state=seed).fit(train)
    return vae.sample(len(train), random_state=seed)


def by_tvae(train, settings, seed):
    from ctgan import TVAE

    codes = categories(train)
    tvae = TVAE(epochs=settings["n_epochs"], enable_gpu=False)
    tvae.set_random_state(seed)
    tvae.fit(train.astype(dict.fromkeys(codes, object)), codes)
    return tvae.sample(len(train))


def with_level(generator):
    """The generator, given missing categories as a level of their own."""

    def generate(train, settings, seed):
        filled = train.copy()
        for name in categories(train):
            if train[name].isna().any():
                filled[name] = train[name].cat.add_categories(ABSENT).fillna(ABSENT)
        return generator(filled, settings, seed)

    return generate


GENERATORS = {
    REAL: lambda train, settings, seed: train,
    OURS: by_skvae,
    LEVEL: with_level(by_skvae),
    THEIRS: with_level(by_tvae),
}


def keys(settings):
    seeds = range(settings["n_seeds"])
    every = product(seed=seeds, table=TARGETS, generator=GENERATORS)
    # Only adult has missing cells.
    return [k for k in every if k["generator"] != LEVEL or k["table"] == "adult"]


def measure(settings, table, generator, seed):
    """Fidelity of the rows of a generator, and the processor time it takes."""
    sizes = settings["max_rows"], settings["max_scored"]
    train, test = parts(FRAMES[table](), seed, *sizes)
    rows, fit_seconds = timed(lambda: GENERATORS[generator](train, settings, seed))
    # A level for missing cells becomes a missing cell again.
    rows = rows[list(train)].astype(train.dtypes)
    error = associations(rows) - associations(test)
    return {
        "classifier": classifier_auc(rows, test, seed),
        "usefulness": usefulness(rows, test, *TARGETS[table], seed),
        "association": float(np.abs(error).mean()),
        "copies": copies(train, test if generator == REAL else rows),
        "fit_seconds": fit_seconds,
        "n_rows": len(train),
        "n_columns": train.shape[1],
        "n_categories": len(categories(train)),
    }


def relative(runs):
    """Runs with usefulness relative to real rows, and time relative to TVAE."""
    cases, generator = runs[["table", "seed"]], runs["generator"]
    useful, seconds = runs["usefulness"], runs["fit_seconds"]
    time = seconds / reference(seconds, generator == THEIRS, cases)
    return runs.assign(
        usefulness=useful / reference(useful, generator == REAL, cases),
        time=time.where(generator != REAL),
    )


def verdict(name, ours, theirs):
    better = [m for m, sign in SIGNS.items() if sign * (ours[m] - theirs[m]) > 0]
    text = (
        f"{name}, {ours.name}: better than TVAE in {len(better)} of {len(SIGNS)} "
        f"measures ({', '.join(better) or 'none'}), in {ours['time']:.2f} of its time; "
        "goal: all, in at most a third"
    )
    return goal(text, len(better) == len(SIGNS) and ours["time"] <= 1 / 3)


def slots(results):
    columns = (
        "rows {generator} | classifier {classifier:.3f} | useful {usefulness:.3f} | "
        "association {association:.4f} | copies {copies:.2%} | time {time:.2f}"
    )
    heading = (
        "**{table}**: {n_rows:,} rows learned from, {n_columns} columns, "
        "{n_categories} of them categories"
    )
    goals, sections = [], []
    runs = relative(pd.DataFrame(results["runs"]))
    for name, group in runs.groupby("table", sort=False):
        rows = group.groupby("generator", sort=False).mean(numeric_only=True)
        if THEIRS in rows.index:
            ours = rows.loc[rows.index.isin([OURS, LEVEL])]
            goals += [
                verdict(name, row, rows.loc[THEIRS]) for _, row in ours.iterrows()
            ]
        sections.append(heading.format(**group.iloc[0]))
        sections.append(table(columns, rows.reset_index()))
    return {"goals": "\n".join(goals), "tables": "\n\n".join(sections)}


BENCHMARK = Benchmark("synthetic", "synthetic", SETTINGS, QUICK, keys, measure, slots)

if __name__ == "__main__":
    BENCHMARK.main(__doc__)
