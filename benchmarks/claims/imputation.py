"""Missing cells filled by `impute` at the defaults against scikit-learn's imputers.

    python -m benchmarks.claims.imputation

Cells are taken out of all rows, those fitted on too: nobody sees the table complete.
What fills the cells of the rows that were not fitted on is compared with what was
there. Two mechanisms, 30 % of the cells that it concerns:

- at random: each cell alike;
- dependent: a third of the columns, at random, stay complete. Each other column depends
  on one of these: its cells are missing with a probability that goes with the rank of
  the row in that column from 0 to 60 %, or from 60 % to 0.

The imputers of scikit-learn need numbers: they get centred and scaled columns, and an
indicator for each category, of which the largest wins. `IterativeImputer` then finds
each indicator from the others of its column, which are missing with it, and hardly
leaves the means it starts at; it is therefore run with codes in their place, too, which
are rounded. `BalancedVAE` gets the table.
"""

import numpy as np
import pandas as pd

# Makes IterativeImputer importable.
from sklearn.experimental import enable_iterative_imputer  # noqa: F401
from sklearn.impute import IterativeImputer, KNNImputer, SimpleImputer

from benchmarks.common.benchmark import Benchmark
from benchmarks.common.frames import FRAMES, categories, parts
from benchmarks.pages.imputation_page import imputation_page
from skvae import BalancedVAE

TABLES = ["wine", "breast cancer", "california housing", "bike sharing"]
TABLES += ["communities", "adult", "titanic"]
# Tables with categories, and what is run on no others.
MIXED, CODED = ["adult", "titanic"], "IterativeImputer, codes"
SETTINGS = {"n_seeds": 3, "max_rows": 2000, "max_scored": 500, "share": 0.3}
QUICK = {"n_seeds": 1, "max_rows": 150, "max_scored": 50}


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
    "skvae": by_skvae,
    "mean and mode": by_imputer(SimpleImputer()),
    "KNNImputer": by_imputer(KNNImputer()),
    "IterativeImputer": by_imputer(IterativeImputer()),
    CODED: by_imputer(IterativeImputer(), is_coded=True),
}


def keys(settings):
    for seed in range(settings["n_seeds"]):
        for table in TABLES:
            models = [m for m in MODELS if m != CODED or table in MIXED]
            for mechanism in MECHANISMS:
                for model in models:
                    yield {
                        "table": table,
                        "mechanism": mechanism,
                        "model": model,
                        "seed": seed,
                    }


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


BENCHMARK = Benchmark("imputation", SETTINGS, QUICK, keys, measure, imputation_page)

if __name__ == "__main__":
    BENCHMARK.main(__doc__)
