"""Normal scores by rank against plain numbers, for each job: `pages/synthetic.md`."""

import numpy as np
import pandas as pd
from sklearn.metrics import r2_score

from benchmarks.claims import codes, synthetic
from benchmarks.common.benchmark import Benchmark, product
from benchmarks.common.clocks import timed
from benchmarks.common.fidelity import classifier_auc
from benchmarks.common.internals import log_probability
from benchmarks.common.markdown import goal
from benchmarks.common.markdown import table as markdown_table
from benchmarks.common.tables import FRAMES, categories, parts
from skvae import BalancedVAE

PLAIN, RANKS = "True", "quantile"
STANDARDIZE = {PLAIN: True, RANKS: "quantile"}
MIXED = list(synthetic.TARGETS)
NUMBERS = ["wine", "breast cancer", "digits", "california housing"]
SETTINGS = {
    "n_seeds": 3,
    "max_rows": 2000,
    "max_scored": 1000,
    "n_samples": 100,
    "max_iter": 100,
    "tables": [*MIXED, *NUMBERS],
}
QUICK = {"n_seeds": 1, "max_rows": 200, "max_scored": 100, "n_samples": 10}
QUICK |= {"max_iter": 3, "tables": ["titanic", "wine"]}
# Name of each measure, and 1 where more is better.
MEASURES = {
    "score": ("log-probability of new rows", 1),
    "classifier": ("classifier of drawn rows", -1),
    "explained": ("explained variance", 1),
    "nearest": ("5-nearest-neighbour score", 1),
    "linear": ("linear score", 1),
}


def frame_of(name):
    """Columns of a table, the target, and whether it is a class."""
    if name in MIXED:
        frame, (target, given_away) = FRAMES[name](), synthetic.TARGETS[name]
        y = frame[target]
        is_class = isinstance(y.dtype, pd.CategoricalDtype)
        return frame.drop(columns=[target, *given_away]), y, is_class
    load, is_class = codes.TABLES[name]
    X, y = load()
    return pd.DataFrame(X).add_prefix("column "), pd.Series(y), is_class


def steps_of(frame):
    """Smallest difference of two values of each number, 1 for other columns."""
    found = np.ones(frame.shape[1])
    for d, name in enumerate(frame):
        cells = frame[name]
        if name in categories(frame) or set(cells.dropna()) <= {0, 1}:
            continue
        values = np.unique(cells.dropna().to_numpy(float))
        # Differences of rounded numbers are no multiples of a step.
        gaps = np.diff(values)
        found[d] = gaps[gaps > 1e-9 * np.ptp(values)].min()
    return found


def keys(settings):
    return product(
        seed=range(settings["n_seeds"]),
        table=settings["tables"],
        standardize=STANDARDIZE,
    )


def measure(settings, table, standardize, seed):
    """Scores of new rows, of drawn ones, and of codes."""
    X, y, is_class = frame_of(table)
    sizes = settings["max_rows"], settings["max_scored"]
    (train, test), (target, new) = (
        parts(each, seed, *sizes) for each in (X, y.to_frame("y"))
    )
    varies = [name for name in train if train[name].nunique() > 1]
    train, test = train[varies], test[varies]
    vae = BalancedVAE(
        standardize=STANDARDIZE[standardize],
        max_iter=settings["max_iter"],
        random_state=seed,
    )
    _, fit_seconds = timed(lambda: vae.fit(train))
    steps = steps_of(pd.concat([train, test]))
    nats = log_probability(vae, test, steps, settings["n_samples"])
    rows = vae.sample(len(test), random_state=seed)
    of_codes = vae.transform(train), target["y"], vae.transform(test), new["y"]
    return {
        "score": float(nats.mean()),
        # Drawn rows lack no cells.
        "classifier": classifier_auc(rows, test.dropna(), seed),
        "explained": explained(vae, train, test),
        **codes.of_target(*of_codes, is_class),
        "fit_seconds": fit_seconds,
    }


def explained(vae, train, test):
    """Explained variance of the numbers of new rows, each standardized."""
    numbers = [name for name in train if name not in categories(train)]
    rows, back = test[numbers], vae.inverse_transform(vae.transform(test))[numbers]
    known = rows.notna().all(axis=1).to_numpy()
    rows, back = (
        part[known].to_numpy(float) / train[numbers].std().to_numpy()
        for part in (rows, back)
    )
    return float(r2_score(rows, back, multioutput="variance_weighted"))


def summary(results):
    """Measures of both settings, and their differences, by table: means over seeds."""
    runs = pd.DataFrame(results["runs"])
    means = runs.pivot_table(list(MEASURES), "table", "standardize", sort=False)
    found = {}
    for name in MEASURES:
        for setting in STANDARDIZE:
            found[f"{name} {setting}"] = means[name][setting]
        found[name] = means[name][RANKS] - means[name][PLAIN]
    return pd.DataFrame(found).reindex(runs["table"].unique())


def verdict(rows):
    """What normal scores by rank change, for each measure."""
    lines = []
    for name, (text, sign) in MEASURES.items():
        gain = sign * rows[name]
        lines.append(
            f"- {text}: better on {(gain > 0).sum()} of {len(gain)} tables, median "
            f"{rows[name].median():+.3f}, at worst {rows[name][gain.idxmin()]:+.3f} "
            f"({gain.idxmin()}), at best {rows[name][gain.idxmax()]:+.3f} "
            f"({gain.idxmax()})."
        )
    return "\n".join(lines)


def default_verdict(rows):
    """Whether normal scores by rank could be the default."""
    density_and_codes = rows[["score", "explained", "nearest", "linear"]]
    worse = rows.index[density_and_codes.min(axis=1) < 0]
    text = (
        "As a default, no density and no codes may be worse than those of "
        f"`standardize=True`; some are on {', '.join(worse) or 'no table'}"
    )
    return goal(text, worse.empty)


def slots(results):
    rows, n_seeds = summary(results), results["settings"]["n_seeds"]
    forms = {name: ".2f" if name == "score" else ".3f" for name in MEASURES}
    cells = [
        f"{name} {{{name} {PLAIN}:{form}}} | by rank {{{name} {RANKS}:{form}}}"
        for name, form in forms.items()
    ]
    columns = " | ".join(["table {table}", *cells])
    return {
        "goals": default_verdict(rows),
        "verdict": verdict(rows),
        "seeds": "one seed" if n_seeds == 1 else f"{n_seeds} seeds",
        "by_table": markdown_table(columns, rows.reset_index()),
    }


BENCHMARK = Benchmark("ranks", "synthetic", SETTINGS, QUICK, keys, measure, slots)

if __name__ == "__main__":
    BENCHMARK.main(__doc__)
