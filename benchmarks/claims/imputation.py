"""Missing cells filled by `impute` against scikit-learn's imputers."""

import numpy as np
import pandas as pd
from sklearn.ensemble import ExtraTreesRegressor

# Makes IterativeImputer importable.
from sklearn.experimental import enable_iterative_imputer  # noqa: F401
from sklearn.impute import IterativeImputer, KNNImputer, SimpleImputer

from benchmarks.common.benchmark import Benchmark, product
from benchmarks.common.markdown import goal, table
from benchmarks.common.tables import FRAMES, categories, parts
from skvae import BalancedVAE
from skvae.networks import MLP

TABLES = ["wine", "breast cancer", "california housing", "bike sharing"]
TABLES += ["communities", "adult", "titanic"]
# Tables with categories, and what is run on no others.
MIXED, CODED = ["adult", "titanic"], "IterativeImputer, codes"
SETTINGS = {"n_seeds": 3, "max_rows": 2000, "max_scored": 500, "share": 0.3}
QUICK = {"n_seeds": 1, "max_rows": 150, "max_scored": 50}
OURS, QUANTILE = "skvae", "skvae, quantile"
# In the place of missForest, as in scikit-learn's comparison of imputers. Trees split
# codes as well as indicators, of which there are many more.
TREES = ExtraTreesRegressor(n_estimators=10, random_state=0)
# The relative distance to the best that still counts as equal to it.
MARGIN = 0.01


def by_another(frame, share, random):
    """Probability that a cell is taken out, by the values of columns that stay."""
    order = random.permutation(frame.shape[1])
    stays, goes = np.split(order, [max(1, len(order) // 3)])
    probability = np.zeros(frame.shape)
    for d in goes:
        driver = frame.iloc[:, random.choice(stays)]
        if driver.dtype == "category":
            driver = driver.cat.codes
        rank = driver.rank(pct=True).fillna(0.5).to_numpy()
        probability[:, d] = 2 * share * (rank if random.uniform() < 0.5 else 1 - rank)
    return probability


MECHANISMS = {"at random": lambda frame, share, random: share, "dependent": by_another}


class Numbers:
    """A table as scaled numbers, learned from one with gaps, and back.

    Categories become indicators, or codes from 0 as numbers.
    """

    def __init__(self, frame, is_coded):
        self.is_coded = is_coded
        self.numbers = list(frame.select_dtypes("number"))
        self.center = frame[self.numbers].mean().to_numpy()
        self.scale = frame[self.numbers].std().replace(0, 1).fillna(1).to_numpy()

    def to_array(self, frame):
        """Numbers, then categories; all indicators of a missing one are missing."""
        blocks = [((frame[self.numbers] - self.center) / self.scale).to_numpy().T]
        for name in categories(frame):
            codes = frame[name].cat.codes.to_numpy()
            levels = np.arange(len(frame[name].cat.categories))[:, None]
            block = codes if self.is_coded else codes == levels
            blocks.append(np.where(codes < 0, np.nan, block))
        return np.vstack(blocks).T

    def to_frame(self, array, like):
        """Frame with the columns and categories of another."""
        filled, start = like.copy(), len(self.numbers)
        filled[self.numbers] = array[:, :start] * self.scale + self.center
        for name in categories(like):
            levels = like[name].cat.categories
            block = array[:, start : start + (1 if self.is_coded else len(levels))]
            start += block.shape[1]
            codes = block[:, 0].round() if self.is_coded else block.argmax(axis=1)
            codes = codes.clip(0, len(levels) - 1).astype(int)
            filled[name] = pd.Categorical.from_codes(codes, levels)
        return filled


def by_imputer(imputer, is_coded=False):
    """A function that fits an imputer of scikit-learn and fills the second table."""

    def fill(train, test, seed):
        numbers = Numbers(train, is_coded)
        imputer.set_params(keep_empty_features=True).fit(numbers.to_array(train))
        return numbers.to_frame(imputer.transform(numbers.to_array(test)), test)

    return fill


def by_model(**settings):
    """A function that fits a `BalancedVAE` and fills the second table."""

    def fill(train, test, seed):
        return BalancedVAE(random_state=seed, **settings).fit(train).impute(test)

    return fill


MODELS = {
    OURS: by_model(),
    QUANTILE: by_model(standardize="quantile", network=MLP(posterior="full")),
    "mean and mode": by_imputer(SimpleImputer()),
    "KNNImputer": by_imputer(KNNImputer()),
    "IterativeImputer": by_imputer(IterativeImputer()),
    CODED: by_imputer(IterativeImputer(), is_coded=True),
    "IterativeImputer, trees": by_imputer(IterativeImputer(TREES), is_coded=True),
}


def keys(settings):
    seeds = range(settings["n_seeds"])
    every = product(seed=seeds, table=TABLES, mechanism=MECHANISMS, model=MODELS)
    return [key for key in every if key["model"] != CODED or key["table"] in MIXED]


def measure(settings, table, mechanism, model, seed):
    """Errors over the cells that were taken out of rows that were not fitted on."""
    sizes = settings["max_rows"], settings["max_scored"]
    complete = parts(FRAMES[table](), seed, *sizes)
    rows = pd.concat(complete, ignore_index=True)
    random = np.random.default_rng(seed)
    probability = MECHANISMS[mechanism](rows, settings["share"], random)
    taken = random.uniform(size=rows.shape) < probability
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


def short(name):
    """Column of how far one of ours is from the best of the others."""
    return f"{name} worse than the best by"


def cases(runs, value, best):
    """Means over seeds by table and mechanism, and how far ours are from the best.

    That is relative to the `best` of the others, "min" or "max"; above 0, one is worse.
    """
    grouped = runs.groupby(["table", "mechanism", "model"], sort=False)
    rows = grouped[value].mean().unstack().dropna(how="all")
    others = rows.drop(columns=[OURS, QUANTILE]).agg(best, axis=1)
    for name in (OURS, QUANTILE):
        ratio = rows[name] / others
        rows[short(name)] = ratio - 1 if best == "min" else 1 - ratio
    return rows.reset_index()


def score_table(rows):
    listed = " | ".join(f"{name} {{{name}:.3f}}" for name in MODELS)
    ours = " | ".join(
        f"{short(name)} {{{short(name)}:+.1%}}" for name in (OURS, QUANTILE)
    )
    columns = f"table {{table}} | cells missing {{mechanism}} | {listed} | {ours}"
    return table(columns, rows)


def n_good(rows, name):
    """In how many cases one of ours is at most a margin behind the best."""
    return f"{(rows[short(name)] <= MARGIN).sum()} of {len(rows)}"


def verdict(value, rows, name):
    behind = rows[short(name)]
    worst = rows.loc[behind.idxmax()]
    text = (
        f"{value}, {name}: at most {100 * MARGIN:.0f} % worse than the best of the "
        f"others in {n_good(rows, name)} cases; worst {100 * behind.max():+.1f} % "
        f"({worst['table']}, {worst['mechanism']}); target: all"
    )
    return goal(text, (behind <= MARGIN).all())


def answer(errors, hits):
    """In how many cases ours are at most a margin behind the best, in sentences."""
    return (
        f"`impute` is the best imputer, or within {100 * MARGIN:.0f} % of the best, in "
        f"{n_good(errors, OURS)} cases for numbers and in {n_good(hits, OURS)} cases "
        f"for categories. With the settings of *{QUANTILE}* it is so in "
        f"{n_good(errors, QUANTILE)} and {n_good(hits, QUANTILE)}."
    )


def slots(results):
    runs, percent = pd.DataFrame(results["runs"]), 100 * results["settings"]["share"]
    errors, hits = cases(runs, "NRMSE", "min"), cases(runs, "accuracy", "max")
    sizes = []
    for run in runs.drop_duplicates("table").to_dict("records"):
        size = "{table} {n_rows:,} x {n_columns}".format(**run)
        if run["n_categories"]:
            size += f" ({run['n_categories']} of categories)"
        sizes.append(size)
    return {
        "percent": f"{percent:.0f}",
        "twice": f"{2 * percent:.0f}",
        "answer": answer(errors, hits),
        "goals": "\n".join(
            verdict(value, rows, name)
            for value, rows in (("NRMSE", errors), ("Accuracy", hits))
            for name in (OURS, QUANTILE)
        ),
        "sizes": ", ".join(sizes),
        "errors": score_table(errors),
        "hits": score_table(hits),
    }


BENCHMARK = Benchmark("imputation", "imputation", SETTINGS, QUICK, keys, measure, slots)

if __name__ == "__main__":
    BENCHMARK.main(__doc__)
