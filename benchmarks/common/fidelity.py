"""Fidelity of drawn rows: measures on frames of mixed columns."""

import itertools

import numpy as np
import pandas as pd
from sklearn import ensemble
from sklearn.metrics import r2_score, roc_auc_score
from sklearn.model_selection import cross_val_predict

from benchmarks.common.tables import categories

# Rows whose distances are computed at a time.
PER_PASS = 500
# Quantile of the distances of real rows below which a row is near to one learned from.
NEAREST = 0.05
# Frequency below which a level is rare.
RARE = 0.01


def classifier_auc(rows, real, seed):
    """AUROC of a classifier that tells rows from real ones; 0.5 if it cannot.

    Gradient boosting in five folds, on as many rows of either.
    """
    n = min(len(rows), len(real))
    X = pd.concat([rows.iloc[:n], real.iloc[:n]], ignore_index=True)
    y = np.repeat([0, 1], n)
    boosting = ensemble.HistGradientBoostingClassifier(
        categorical_features="from_dtype", random_state=seed
    )
    # Folds of random rows: those of `cross_val_predict` are stratified.
    order = np.random.default_rng(seed).permutation(len(X))
    X, y = X.iloc[order], y[order]
    probability = cross_val_predict(boosting, X, y, cv=5, method="predict_proba")
    return float(roc_auc_score(y, probability[:, 1]))


def usefulness(rows, real, target, given_away, seed):
    """Score on real rows of a model trained on these rows to predict a column.

    AUROC for a category of two levels, R² for a number.
    """
    left_out = [target, *given_away]
    X, X_real = rows.drop(columns=left_out), real.drop(columns=left_out)
    settings = {"categorical_features": "from_dtype", "random_state": seed}
    if target not in categories(real):
        model = ensemble.HistGradientBoostingRegressor(**settings).fit(X, rows[target])
        return float(r2_score(real[target], model.predict(X_real)))
    level = real[target].cat.categories[1]
    # All rows may have one level.
    if rows[target].nunique() < 2:
        return 0.5
    model = ensemble.HistGradientBoostingClassifier(**settings)
    model.fit(X, rows[target] == level)
    probability = model.predict_proba(X_real)[:, 1]
    return float(roc_auc_score(real[target] == level, probability))


def associations(frame):
    """Association of each pair of columns, from 0 to 1, of numbers from -1.

    Pearson's correlation of two numbers, the correlation ratio of a number and a
    category, Cramér's V of two categories. Rows that lack either do not count.
    """
    codes, found = set(categories(frame)), []
    for first, second in itertools.combinations(frame, 2):
        pair = frame[[first, second]].dropna()
        a, b = pair[first], pair[second]
        if first in codes and second in codes:
            found.append(_cramer(a, b))
        elif first in codes or second in codes:
            found.append(_ratio(a, b) if first in codes else _ratio(b, a))
        else:
            varies = a.std() > 0 and b.std() > 0
            found.append(float(np.corrcoef(a, b)[0, 1]) if varies else 0.0)
    return np.array(found)


def _cramer(a, b):
    counts = pd.crosstab(a, b).to_numpy(float)
    n, smaller = counts.sum(), min(counts.shape) - 1
    if smaller < 1:
        return 0.0
    expected = counts.sum(axis=1, keepdims=True) * counts.sum(axis=0) / n
    return float(np.sqrt(((counts - expected) ** 2 / expected).sum() / (n * smaller)))


def _ratio(codes, values):
    """Correlation ratio: the root of the variance between categories over the total."""
    groups = values.groupby(codes, observed=True)
    between = (groups.size() * (groups.mean() - values.mean()) ** 2).sum()
    within = ((values - values.mean()) ** 2).sum()
    return float(np.sqrt(between / within)) if within > 0 else 0.0


def copies(train, rows):
    """Share of the rows that are the same as a row of `train` in all cells."""
    known = set(_tuples(train))
    return float(np.mean([row in known for row in _tuples(rows)]))


def _tuples(frame):
    """Rows that compare equal where their missing cells are the same."""
    frame = frame.astype(object).where(frame.notna(), None)
    return frame.itertuples(index=False, name=None)


def closeness(train, rows, real):
    """Distances of rows to the closest of `train`, against those of real rows.

    `near` is the share of the rows that are no further away than the nearest 5 % of
    real ones, and `distance` the median relative to that of real ones.
    """
    own, others = distances(train, rows), distances(train, real)
    return {
        "near": float(np.mean(own <= np.quantile(others, NEAREST))),
        "distance": float(np.median(own) / np.median(others)),
    }


def distances(train, rows):
    """Distance of each row to the closest of `train`.

    The sum over columns: of numbers the difference of their ranks among `train`, from
    0 to 1, of categories 1 where they differ. A missing cell is 1 from any other.
    """
    places = [
        (_places(train[name], rows[name]), _places(train[name], train[name]))
        for name in train
    ]
    found = np.empty(len(rows))
    for start in range(0, len(rows), PER_PASS):
        part = slice(start, start + PER_PASS)
        apart = sum(_apart(cells[part, None], known) for cells, known in places)
        found[part] = apart.min(axis=1)
    return found


def _places(known, cells):
    """Ranks of numbers among known ones, or codes of levels; NaN where missing."""
    if isinstance(known.dtype, pd.CategoricalDtype):
        codes = cells.cat.codes
        return codes.where(codes >= 0).to_numpy(float)
    values, counts = np.unique(known.dropna().to_numpy(float), return_counts=True)
    ranks = (np.cumsum(counts) - counts / 2) / counts.sum()
    # Of a number between two known ones in proportion.
    return np.interp(cells.to_numpy(float, na_value=np.nan), values, ranks)


def _apart(first, second):
    """Differences of places, 1 at most."""
    apart = np.minimum(np.abs(first - second), 1.0)
    return np.where(
        np.isnan(first) & np.isnan(second), 0.0, np.nan_to_num(apart, nan=1)
    )


def rare_levels(train, rows):
    """How often levels of less than 1 % of `train` are in rows, against `train`.

    `rare` is the number of their cells relative to that in as many rows of `train`,
    `rare_error` its binomial error, and `rare_spread` the root of the mean square over
    levels of the difference, in binomial errors of the level. None without such levels.
    """
    counts = []
    for name in categories(train):
        both = {"learned": train[name], "drawn": rows[name]}
        counts.append(pd.DataFrame({k: v.value_counts() for k, v in both.items()}))
    found = pd.concat(counts, ignore_index=True).fillna(0)
    learned, drawn = found["learned"], found["drawn"] * len(train) / len(rows)
    is_rare = (learned > 0) & (learned < RARE * len(train))
    if not is_rare.any():
        return {"n_rare": 0, "rare": None, "rare_error": None, "rare_spread": None}
    learned, drawn = learned[is_rare], drawn[is_rare]
    variance = learned * (1 - learned / len(train))
    return {
        "n_rare": int(is_rare.sum()),
        "rare": float(drawn.sum() / learned.sum()),
        "rare_error": float(np.sqrt(variance.sum()) / learned.sum()),
        "rare_spread": float(np.sqrt(np.mean((drawn - learned) ** 2 / variance))),
    }
