"""What common mistakes cost: the tables of `pages/pitfalls.md`."""

import numpy as np
import pandas as pd
from sklearn.base import clone
from sklearn.datasets import load_breast_cancer, load_digits, load_wine
from sklearn.model_selection import KFold, train_test_split

from benchmarks.common.benchmark import Benchmark, product
from benchmarks.common.markdown import table
from benchmarks.common.tables import data_file
from skvae import BalancedVAE
from skvae.likelihoods import Categorical, Ordinal

SETTINGS = {"n_seeds": 3, "n_splits": 4, "n_drawn": 10_000, "max_iter": 100}
QUICK = {"n_seeds": 1, "n_splits": 1, "n_drawn": 500, "max_iter": 3}
ALARMS = {"wine": load_wine, "breast cancer": load_breast_cancer}
OTHERS = ["age", "education_num", "hours_per_week"]
AMOUNTS = {
    "real rows": "*real rows*",
    "gaussian": "`gaussian`",
    "student_t": "`student_t`",
    "log": "`gaussian` on log(1 + x)",
    "noisy log": "the same with [noise](#repeated-values), rounded down",
    "negative_binomial": "`negative_binomial`",
    "zero_inflated_negative_binomial": "`zero_inflated_negative_binomial`",
    "flag": "flag and `log_normal`",
}
LEVELS = ["ordinal", "categorical", "continuous_bernoulli", "beta", "gaussian"]
# Their probabilities need no noise.
OF_LEVELS = LEVELS[:2]


def keys(settings):
    parts = {"alarms": ALARMS, "amounts": AMOUNTS, "levels": LEVELS}
    return [
        {"part": part, **key}
        for part, models in parts.items()
        for key in product(seed=range(settings["n_seeds"]), model=models)
    ]


def measure(settings, part, seed, model):
    vae = BalancedVAE(random_state=seed, max_iter=settings["max_iter"])
    return {"alarms": alarms, "amounts": amounts, "levels": levels}[part](
        vae, settings, seed, model
    )


def alarms(vae, settings, seed, name):
    """Proportion of new rows below the 5 % quantile of some scores."""
    X, found = ALARMS[name]().data, []
    vae.set_params(n_components=5)

    def below(model, new, scores):
        return np.mean(model.score_samples(new) < np.quantile(scores, 0.05))

    for i in range(settings["n_splits"]):
        split = seed * settings["n_splits"] + i
        rows, new = train_test_split(X, test_size=0.25, random_state=split)
        half, held_out = train_test_split(rows, test_size=1 / 3, random_state=split)
        model = clone(vae).fit(half)
        folds = KFold(5, shuffle=True, random_state=0).split(rows)
        pooled = [clone(vae).fit(rows[a]).score_samples(rows[b]) for a, b in folds]
        found.append(
            {
                "fitted": below(model, new, model.score_samples(half)),
                "held_out": below(model, new, model.score_samples(held_out)),
                "pooled": below(clone(vae).fit(rows), new, np.concatenate(pooled)),
            }
        )
    means = pd.DataFrame(found).mean()
    return {
        "n_rows": len(half),
        **{name: float(value) for name, value in means.items()},
    }


def amounts(vae, settings, seed, model):
    """Elbo of new rows and statistics of drawn amounts, most of which are zero."""
    frame = pd.read_parquet(data_file("adult.parquet")).sample(4000, random_state=seed)
    frame = frame[[*OTHERS, "capital_gain"]].astype(float).reset_index(drop=True)
    frame = frame.rename(columns={"capital_gain": "amount"})
    random = np.random.default_rng(seed)
    jacobian = 0.0
    if model.endswith("log"):
        noise = random.random(len(frame)) if model.startswith("noisy") else 0.0
        frame["amount"] = np.log1p(frame["amount"] + noise)
    elif "binomial" in model:
        frame = frame.astype({"amount": int})
    elif model == "flag":
        paid = frame["amount"] > 0
        frame = frame.assign(paid=paid, amount=frame["amount"].where(paid))
    likelihood = {"flag": "log_normal", "log": "gaussian", "noisy log": "gaussian"}
    pairs = [("gaussian", OTHERS), (likelihood.get(model, model), ["amount"])]
    if model == "flag":
        pairs.append(("bernoulli", ["paid"]))
    train, new = train_test_split(frame, test_size=0.3, random_state=seed)
    drawn, elbo = train["amount"], None
    if model != "real rows":
        vae = vae.set_params(n_components=2, likelihood=pairs).fit(train)
        if model.endswith("log"):
            jacobian = -new["amount"].to_numpy()
        elbo = float((vae.score_samples(new) + jacobian).mean())
        rows = vae.sample(settings["n_drawn"], random_state=0)
        drawn = rows["amount"]
        if model.endswith("log"):
            drawn = np.expm1(drawn)
        if model == "noisy log":
            drawn = np.floor(drawn)
        if model == "flag":
            drawn = drawn.where(rows["paid"], 0.0)
    return {
        "elbo": elbo,
        "zeros": float((drawn == 0).mean()),
        "negative": float((drawn < 0).mean()),
        "median": float(drawn[drawn > 0].median()),
        "quantile": float(drawn.quantile(0.99)),
    }


def levels(vae, settings, seed, model):
    """Elbo of grey levels, in units of a level, with and without noise."""
    X = load_digits().data
    found = {"levels": None, "noise": None}
    for name in found:
        if name == "noise" and model in OF_LEVELS:
            continue
        noise = np.random.default_rng(seed).random(X.shape) if name == "noise" else 0.0
        step = 1.0 if model in OF_LEVELS else 1.0 / (16 + (name == "noise"))
        train, new = train_test_split(
            (X + noise) * step, test_size=0.3, random_state=seed
        )
        # New digits may hold levels that those fitted on lack in a pixel.
        varies = train.std(axis=0) > 0
        train, new = (
            train[:, varies],
            new[:, varies].clip(
                train[:, varies].min(axis=0), train[:, varies].max(axis=0)
            ),
        )
        vae = clone(vae).set_params(
            n_components=8, hidden_layer_sizes=(64,), likelihood=likelihood_of(model)
        )
        elbo = vae.fit(train).score(new)
        found[name] = float(elbo + train.shape[1] * np.log(step))
    return found


def likelihood_of(model):
    """Likelihood of grey levels: those of levels know all 17 of them."""
    return {"ordinal": Ordinal(17), "categorical": Categorical(17)}.get(model, model)


def rounded(value):
    """Two significant digits."""
    return f"{float(f'{value:.1e}'):,.10g}"


def slots(results):
    runs = pd.DataFrame(results["runs"])
    means = runs.groupby(["part", "model"], sort=False).mean(numeric_only=True)
    means = means.astype(object).where(means.notna(), None)

    def rows(part):
        return [{"model": m, **line} for m, line in means.loc[part].iterrows()]

    money = [
        {
            **row,
            "label": AMOUNTS[row["model"]],
            "median": rounded(row["median"]),
            "quantile": rounded(row["quantile"]),
        }
        for row in rows("amounts")
    ]
    return {
        "n_alarm_splits": str(
            results["settings"]["n_seeds"] * results["settings"]["n_splits"]
        ),
        "alarms": table(
            "table {model} | rows fitted on {n_rows:.0f} | threshold from these rows "
            "{fitted:.0%} | from held-out rows {held_out:.0%} | from pooled folds, "
            "fitted to all {pooled:.0%}",
            rows("alarms"),
        ),
        "amounts": table(
            "model of the amounts {label} | elbo {elbo:.1f} | zeros drawn "
            "{zeros:.0%} | "
            "negative {negative:.0%} | median above 0 {median} | 99 % quantile "
            "{quantile}",
            money,
        ),
        "levels": table(
            "likelihood `{model}` | levels as they are {levels:.1f} | with noise "
            "{noise:.1f}",
            rows("levels"),
        ),
    }


BENCHMARK = Benchmark(
    "pitfalls", "pitfalls", SETTINGS, QUICK, keys, measure, slots, n_jobs=2
)

if __name__ == "__main__":
    BENCHMARK.main(__doc__)
