"""Codes by explained variance and by what they tell of a target: `pages/codes.md`."""

import numpy as np
import pandas as pd
import torch
from sklearn import datasets
from sklearn.decomposition import PCA, FactorAnalysis, KernelPCA
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import r2_score
from sklearn.model_selection import train_test_split
from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from benchmarks.common.benchmark import Benchmark, product
from benchmarks.common.markdown import goal
from benchmarks.common.markdown import table as markdown_table
from benchmarks.common.peers import tutorial
from benchmarks.common.tables import anomaly, data_file
from skvae import BalancedVAE

CRIME = "ViolentCrimesPerPop"


def numbers(name, target, drop=()):
    """Numeric columns without missing cells, and the target."""
    frame = pd.read_parquet(data_file(f"{name}.parquet"))
    frame = frame[frame[target].notna()]
    X = frame.drop(columns=[target, *drop]).select_dtypes("number")
    return X.loc[:, X.notna().all()].to_numpy(float), frame[target].to_numpy()


def crime():
    """The census columns: the last 18 are counts and rates of crimes."""
    columns = pd.read_parquet(data_file("communities_crime.parquet")).columns[-18:]
    return numbers("communities_crime", CRIME, columns.drop(CRIME))


# Rows and target, and whether it is a class.
TABLES = {
    "wine": (lambda: datasets.load_wine(return_X_y=True), True),
    "breast cancer": (lambda: datasets.load_breast_cancer(return_X_y=True), True),
    "digits": (lambda: datasets.load_digits(return_X_y=True), True),
    "diabetes": (lambda: datasets.load_diabetes(return_X_y=True, scaled=False), False),
    "gas sensors": (
        lambda: numbers("gas_sensor_drift", "gas", ["batch", "concentration_ppmv"]),
        True,
    ),
    "satellite": (lambda: anomaly("satellite"), True),
    "communities and crime": (crime, False),
    "california housing": (
        lambda: numbers("california_housing", "median_house_value"),
        False,
    ),
    "abalone": (lambda: numbers("abalone", "rings"), False),
    "bike sharing": (
        lambda: numbers(
            "bike_sharing_hourly", "cnt", ["instant", "casual", "registered"]
        ),
        False,
    ),
}
OURS = ["default", "learned_variance", "optimal_variance"]
MODELS = [*OURS, "textbook VAE", "PCA", "FactorAnalysis", "KernelPCA", "UMAP"]
SETTINGS = {
    "n_seeds": 3,
    "n_components": [2, 5],
    "max_rows": 2000,
    "epochs": 200,
    "max_iter": 100,
    "tables": list(TABLES),
}
QUICK = {"n_seeds": 1, "n_components": [2], "max_rows": 200, "epochs": 5}
QUICK |= {"max_iter": 5, "tables": ["wine", "diabetes"]}
MEASURES = {
    "explained": "explained variance",
    "nearest": "5-nearest-neighbour score",
    "linear": "linear score",
}


def keys(settings):
    return product(
        seed=range(settings["n_seeds"]),
        table=settings["tables"],
        n_components=settings["n_components"],
        model=MODELS,
    )


class Textbook:
    """The VAE of a tutorial, with one learned variance, as a transformer."""

    def __init__(self, n_components, epochs, seed):
        self.n_components, self.epochs, self.seed = n_components, epochs, seed

    def fit(self, X):
        torch.manual_seed(self.seed)
        x = torch.tensor(X, dtype=torch.float32)
        self.model, epoch = tutorial(x, self.n_components, (128, 128), 128)
        for _ in range(self.epochs):
            epoch()
        return self

    @torch.no_grad()
    def transform(self, X):
        x = torch.tensor(X, dtype=torch.float32)
        return self.model.encoder(x).chunk(2, dim=-1)[0].numpy()

    @torch.no_grad()
    def inverse_transform(self, Z):
        return self.model.decoder(torch.tensor(Z)).numpy()


class FactorScores(FactorAnalysis):
    """Factor analysis with its reconstruction."""

    def inverse_transform(self, Z):
        return Z @ self.components_ + self.mean_


def transformer(model, n_components, settings, seed):
    """A transformer by the name of its line in the tables."""
    if model == "textbook VAE":
        return Textbook(n_components, settings["epochs"], seed)
    if model == "UMAP":
        from umap import UMAP

        return UMAP(n_components=n_components, random_state=seed)
    if model == "KernelPCA":
        return KernelPCA(n_components, kernel="rbf", fit_inverse_transform=True)
    if model in OURS:
        balance = {} if model == "default" else {"balance": model}
        return BalancedVAE(
            n_components, max_iter=settings["max_iter"], random_state=seed, **balance
        )
    return {"PCA": PCA, "FactorAnalysis": FactorScores}[model](n_components)


def measure(settings, table, n_components, model, seed):
    """Explained variance of new rows, and scores of their target from codes."""
    load, is_class = TABLES[table]
    X, y = load()
    train, test, target, new = train_test_split(
        X,
        y,
        train_size=min(settings["max_rows"], int(0.7 * len(X))),
        test_size=min(1000, int(0.3 * len(X))),
        random_state=seed,
        stratify=y if is_class else None,
    )
    varies = train.std(axis=0) > 0
    scaler = StandardScaler().fit(train[:, varies])
    train, test = (scaler.transform(part[:, varies]) for part in (train, test))
    found = transformer(model, n_components, settings, seed).fit(train)
    Z, Z_new = found.transform(train), found.transform(test)
    explained = None
    if model != "UMAP":
        back = found.inverse_transform(Z_new)
        explained = float(r2_score(test, back, multioutput="variance_weighted"))
    return {"explained": explained, **of_target(Z, target, Z_new, new, is_class)}


def of_target(Z, target, Z_new, new, is_class):
    """Scores of the target of new rows from their codes, by two models."""
    nearest = (KNeighborsClassifier if is_class else KNeighborsRegressor)(5)
    linear = LogisticRegression(max_iter=1000) if is_class else Ridge()
    linear = make_pipeline(StandardScaler(), linear)
    return {
        "nearest": float(nearest.fit(Z, target).score(Z_new, new)),
        "linear": float(linear.fit(Z, target).score(Z_new, new)),
    }


def summary(runs):
    """Mean of each measure, and mean rank over tables and sizes, by model."""
    found = {}
    for name in MEASURES:
        mean = runs.pivot_table(name, ["table", "n_components"], "model")
        found[name] = mean.mean()
        found[f"{name} rank"] = mean.rank(axis=1, ascending=False).mean()
    time = runs.pivot_table("seconds", ["table", "n_components", "seed"], "model")
    found["time"] = time.div(time["default"], axis=0).median()
    return pd.DataFrame(found).reindex(MODELS)


def row_of(model, line):
    """Cells of a line; a model without a reconstruction explains nothing."""
    cells = {key: None if np.isnan(value) else value for key, value in line.items()}
    return {"name": f"`{model}`" if "_" in model else model, **cells}


def answer(lines):
    """The best setting by each measure, in a sentence."""
    best = {name: lines[f"{name} rank"].idxmin() for name in MEASURES}
    kept, first = lines["explained"], best["explained"]
    shown = {
        name: f"`{model}`" if "_" in model else f"the {model}"
        for name, model in best.items()
    }
    return (
        f"The codes of {shown['explained']} explain most of the variance of new rows: "
        f"{kept[first]:.2f}, where the default explains {kept['default']:.2f} and PCA "
        f"{kept['PCA']:.2f}. By mean rank, the codes of {shown['nearest']} are the "
        "best for nearest neighbours, and those of "
        f"{shown['linear']} for a linear model."
    )


def slots(results):
    runs = pd.DataFrame(results["runs"]).dropna(subset=["nearest"])
    lines = summary(runs).dropna(how="all")
    best = "learned_variance"
    others = lines.drop(index=OURS)
    goals = [
        goal(
            f"`{best}`, {text}: mean rank {lines[f'{name} rank'][best]:.2f}, best of "
            f"the others {others[f'{name} rank'].min():.2f} "
            f"({others[f'{name} rank'].idxmin()}; target: the best)",
            lines[f"{name} rank"][best] <= others[f"{name} rank"].min(),
        )
        for name, text in MEASURES.items()
    ]
    columns = " | ".join(
        f"{text} {{{name}:.3f}} | rank {{{name} rank:.1f}}"
        for name, text in MEASURES.items()
    )
    columns = f"model {{name}} | {columns} | time {{time:.2g}}"
    listed = [row_of(model, line) for model, line in lines.iterrows()]
    tables = {"goals": "\n".join(goals), "means": markdown_table(columns, listed)}
    for name in MEASURES:
        each = runs.pivot_table(name, ["table", "n_components"], "model", sort=False)
        each = each.reindex(columns=[m for m in MODELS if m in each])
        shown = [
            {"case": f"{case[0]}, {case[1]}", **row_of(case[0], line)}
            for case, line in each.iterrows()
        ]
        heads = " | ".join(f"{model} {{{model}:.3f}}" for model in each)
        tables[name] = markdown_table(f"table {{case}} | {heads}", shown)
    tables["answer"] = answer(lines)
    return {**tables, "n_tables": str(runs["table"].nunique())}


BENCHMARK = Benchmark("codes", "codes", SETTINGS, QUICK, keys, measure, slots, n_jobs=2)

if __name__ == "__main__":
    BENCHMARK.main(__doc__)
