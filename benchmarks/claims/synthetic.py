"""Synthetic rows of `sample` at the defaults against CTGAN's TVAE at 300 epochs.

    python -m benchmarks.claims.synthetic

Both learn from the same rows, at most 10,000, and draw as many. TVAE is told which
columns are categories, as the types of the frame tell skvae. It cannot take a missing
cell; those of adult are all in categories, and become a level of their own, as its
users do. In rows that are drawn, that level is a missing cell again. skvae takes
missing cells as they are, and draws rows without any; a second line of it, with the
same level of its own as TVAE has, draws rows with them.
"""

import time

import numpy as np

from benchmarks.common.benchmark import Benchmark
from benchmarks.common.fidelity import associations, classifier_auc, copies, usefulness
from benchmarks.common.frames import FRAMES, categories, parts
from benchmarks.pages.synthetic_page import synthetic_page
from skvae import BalancedVAE

# What is predicted from the other columns, and those that would give it away.
TARGETS = {
    "adult": ("income", []),
    "bike hours": ("cnt", ["casual", "registered"]),
}
# A level for the missing cells of categories.
ABSENT = "?"
SETTINGS = {"n_seeds": 3, "max_rows": 4_000, "max_scored": 5000, "n_epochs": 300}
QUICK = {"n_seeds": 1, "max_rows": 600, "max_scored": 300, "n_epochs": 3}


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
    """A generator that is given missing categories as a level of their own."""

    def generate(train, settings, seed):
        filled = train.copy()
        for name in categories(train):
            if train[name].isna().any():
                filled[name] = train[name].cat.add_categories(ABSENT).fillna(ABSENT)
        return generator(filled, settings, seed)

    return generate


GENERATORS = {
    "skvae": by_skvae,
    "skvae, missing as a level": with_level(by_skvae),
    "TVAE": with_level(by_tvae),
}


def keys(settings):
    for seed in range(settings["n_seeds"]):
        for table in TARGETS:
            yield {"table": table, "seed": seed}


def measure(settings, table, seed):
    """All generators on the same rows, for times that compare."""
    sizes = (0.7, settings["max_rows"]), (0.3, settings["max_scored"])
    train, test = parts(FRAMES[table](), seed, *sizes)
    target, given_away = TARGETS[table]
    real = {
        "classifier": classifier_auc(train, test, seed),
        "usefulness": usefulness(train, test, target, given_away, seed),
        "copies": copies(train, test),
    }
    expected = associations(test)
    real["association"] = float(np.abs(associations(train) - expected).mean())
    found = {"training rows": real}
    for name, generator in GENERATORS.items():
        if name == "skvae, missing as a level" and not train.isna().any(axis=None):
            continue
        # Of this process, whatever else the machine is doing.
        start = time.process_time()
        rows = generator(train, settings, seed)
        seconds = time.process_time() - start
        # The types of the table, where a level of its own is a missing cell again.
        rows = rows[list(train)].astype(train.dtypes)
        useful = usefulness(rows, test, target, given_away, seed)
        error = associations(rows) - expected
        found[name] = {
            "classifier": classifier_auc(rows, test, seed),
            "usefulness": useful / real["usefulness"],
            "association": float(np.abs(error).mean()),
            "copies": copies(train, rows),
            "fit_seconds": seconds,
        }
        print(" ", name, {k: round(v, 3) for k, v in found[name].items()}, flush=True)
    return {
        "n_rows": len(train),
        "n_columns": train.shape[1],
        "n_categories": len(categories(train)),
        "generators": found,
    }


BENCHMARK = Benchmark("synthetic", SETTINGS, QUICK, keys, measure, synthetic_page)

if __name__ == "__main__":
    BENCHMARK.main(__doc__)
