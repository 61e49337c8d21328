"""Missing cells filled by `impute` against scikit-learn's imputers."""

import numpy as np
import pandas as pd

# Makes IterativeImputer importable.
from sklearn.experimental import enable_iterative_imputer  # noqa: F401
from sklearn.impute import IterativeImputer, KNNImputer, SimpleImputer

from benchmarks.common.benchmark import Benchmark, product
from benchmarks.common.markdown import goal, table
from benchmarks.common.statistics import groups, means
from benchmarks.common.tables import FRAMES, categories, parts
from skvae import BalancedVAE

TABLES = ["wine", "breast cancer", "california housing", "bike sharing"]
TABLES += ["communities", "adult", "titanic"]
# Tables with categories, and what is run on no others.
MIXED, CODED = ["adult", "titanic"], "IterativeImputer, codes"
SETTINGS = {"n_seeds": 3, "max_rows": 2000, "max_scored": 500, "share": 0.3}
QUICK = {"n_seeds": 1, "max_rows": 150, "max_scored": 50}
OURS = "skvae"
# The relative distance to the best that still counts as equal to it.
MARGIN = 0.02


def missing_at_random(frame, share, random):
    """Which cells are taken out: each alike."""
    return random.uniform(size=frame.shape) < share


def missing_by_another(frame, share, random):
    """Which cells are taken out, by the values of columns that stay."""
    n_columns = frame.shape[1]
    order = random.permutation(n_columns)
    stays, goes = np.split(order, [max(1, n_columns // 3)])
    probability = np.zeros(frame.shape)
    for d in goes:
        driver = frame.iloc[:, random.choice(stays)]
        if driver.dtype == "category":
            driver = driver.cat.codes
        rank = driver.rank(pct=True).fillna(0.5).to_numpy()
        probability[:, d] = 2 * share * (rank if random.uniform() < 0.5 else 1 - rank)
    return random.uniform(size=frame.shape) < probability


MECHANISMS = {"at random": missing_at_random, "dependent": missing_by_another}


class Numbers:
    """A table as numbers, learned from one with gaps, and back.

    Categories become indicators, or codes from 0 as numbers.
    """

    def __init__(self, frame, is_coded):
        self.is_coded = is_coded
        self.codes = categories(frame)
        self.numbers = [name for name in frame if name not in self.codes]
        self.center = frame[self.numbers].mean()
        self.scale = frame[self.numbers].std().replace(0, 1).fillna(1)

    def to_array(self, frame):
        """Scaled numbers, then indicators; all of a missing category are missing."""
        blocks = [(frame[self.numbers] - self.center) / self.scale]
        for name in self.codes:
            if self.is_coded:
                codes = frame[[name]].apply(lambda column: column.cat.codes)
                blocks.append(codes.astype(float).replace(-1, np.nan))
                continue
            block = pd.get_dummies(frame[name], dtype=float)
            block[frame[name].isna()] = np.nan
            blocks.append(block)
        return np.concatenate([block.to_numpy(float) for block in blocks], axis=1)

    def to_frame(self, array, like):
        """Frame with the columns and categories of another."""
        filled, start = like.copy(), len(self.numbers)
        for i, name in enumerate(self.numbers):
            filled[name] = array[:, i] * self.scale[name] + self.center[name]
        for name in self.codes:
            levels = like[name].cat.categories
            width = 1 if self.is_coded else len(levels)
            block = array[:, start : start + width]
            start += width
            codes = block[:, 0].round() if self.is_coded else block.argmax(axis=1)
            codes = codes.clip(0, len(levels) - 1).astype(int)
            filled[name] = pd.Categorical.from_codes(codes, levels)
        return filled[list(like)]


def by_imputer(imputer, is_coded=False):
    """A function that fits an imputer of scikit-learn and fills the second table."""

    def fill(train, test, seed):
        numbers = Numbers(train, is_coded)
        imputer.set_params(keep_empty_features=True)
        if "random_state" in imputer.get_params():
            imputer.set_params(random_state=seed)
        imputer.fit(numbers.to_array(train))
        return numbers.to_frame(imputer.transform(numbers.to_array(test)), test)

    return fill


def by_skvae(train, test, seed):
    return BalancedVAE(random_state=seed).fit(train).impute(test)


MODELS = {
    OURS: by_skvae,
    "mean and mode": by_imputer(SimpleImputer()),
    "KNNImputer": by_imputer(KNNImputer()),
    "IterativeImputer": by_imputer(IterativeImputer()),
    CODED: by_imputer(IterativeImputer(), is_coded=True),
}


def keys(settings):
    seeds = range(settings["n_seeds"])
    every = product(seed=seeds, table=TABLES, mechanism=MECHANISMS, model=MODELS)
    return [key for key in every if key["model"] != CODED or key["table"] in MIXED]


def measure(settings, table, mechanism, model, seed):
    """Errors over the cells that were taken out of rows that were not fitted on."""
    sizes = (0.7, settings["max_rows"]), (0.3, settings["max_scored"])
    complete = parts(FRAMES[table](), seed, *sizes)
    rows = pd.concat(complete, ignore_index=True)
    taken = MECHANISMS[mechanism](rows, settings["share"], np.random.default_rng(seed))
    gaps = rows.mask(taken)
    n_train = len(complete[0])
    # Levels that no row fitted on shows are missing for everybody.
    for name in categories(rows):
        seen = gaps[name].iloc[:n_train].dropna().unique()
        gaps[name] = gaps[name].cat.set_categories(sorted(seen))
    train, test = gaps.iloc[:n_train], gaps.iloc[n_train:]
    filled = MODELS[model](train, test, seed)
    truth, taken = rows.iloc[n_train:], taken[n_train:]
    scale = complete[0].std(numeric_only=True)
    squares, hits = [], []
    for d, name in enumerate(rows):
        asked = taken[:, d] & truth[name].notna().to_numpy()
        expected, found = (each[name].to_numpy()[asked] for each in (truth, filled))
        levels = np.unique(rows[name].dropna())
        if name in scale and len(levels) > 2:
            squares.extend(((expected - found) / (scale[name] or 1.0)) ** 2)
            continue
        if name in scale:
            # Of the two numbers that the column has, the nearer one.
            found = np.where(found > levels.mean(), levels[-1], levels[0])
        hits.extend(expected == found)
    return {
        "NRMSE": float(np.sqrt(np.mean(squares))),
        "accuracy": float(np.mean(hits)) if hits else None,
        "n_rows": n_train,
        "n_columns": rows.shape[1],
        "n_categories": len(categories(rows)),
    }


def short(scores, is_error):
    """Relative distance of skvae to the best of the others; above 0, it is worse."""
    others = [score for name, score in scores.items() if name != OURS]
    if is_error:
        return scores[OURS] / min(others) - 1
    return 1 - scores[OURS] / max(others)


def by_case(runs, value):
    """Means over seeds as ``found[table, mechanism][model]``."""
    return {
        where: means(group, value, "model")
        for where, group in groups(runs, "table", "mechanism").items()
        if group[0][value] is not None
    }


def score_table(scores, is_error):
    models = dict.fromkeys(name for row in scores.values() for name in row)
    listed = " | ".join(f"{name} {{{name}:.3f}}" for name in models)
    columns = (
        f"table {{table}} | cells missing {{mechanism}} | {listed} | "
        f"{OURS} worse than the best by {{short:+.1%}}"
    )
    rows = [
        {
            **dict.fromkeys(models),
            **row,
            "table": name,
            "mechanism": mechanism,
            "short": short(row, is_error),
        }
        for (name, mechanism), row in scores.items()
    ]
    return table(columns, rows)


def verdict(scores, value, is_error):
    found = {where: short(row, is_error) for where, row in scores.items()}
    worst = max(found, key=found.get)
    good = sum(margin <= MARGIN for margin in found.values())
    text = (
        f"{value}: at most {100 * MARGIN:.0f} % worse than the best of the others in "
        f"{good} of {len(found)} cases; worst {100 * found[worst]:+.1f} % "
        f"({worst[0]}, {worst[1]}); goal: all"
    )
    return goal(text, good == len(found))


def slots(results):
    runs, percent = results["runs"], 100 * results["settings"]["share"]
    errors, hits = by_case(runs, "NRMSE"), by_case(runs, "accuracy")
    sizes = {}
    for name, group in groups(runs, "table").items():
        sizes[name] = "{table} {n_rows:,} x {n_columns}".format(**group[0])
        if group[0]["n_categories"]:
            sizes[name] += f" ({group[0]['n_categories']} of categories)"
    goals = [verdict(errors, "NRMSE", True), verdict(hits, "Accuracy", False)]
    return {
        "percent": f"{percent:.0f}",
        "twice": f"{2 * percent:.0f}",
        "goals": "\n".join(goals),
        "sizes": ", ".join(sizes.values()),
        "errors": score_table(errors, True),
        "hits": score_table(hits, False),
    }


BENCHMARK = Benchmark("imputation", "imputation", SETTINGS, QUICK, keys, measure, slots)

if __name__ == "__main__":
    BENCHMARK.main(__doc__)
