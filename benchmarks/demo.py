"""Search beta and the balance policy on two real tables, beside linear models.

    make demo
    python -m benchmarks.demo --seeds 5

A Pipeline of StandardScaler and BalancedVAE goes through GridSearchCV; every number
is a mean over the held-out rows of three folds, in nats per row, and over seeds. Behind
the elbo stands its standard deviation over seeds.
"""

import argparse
import sys
import time
import warnings
from collections import Counter
from pathlib import Path

import numpy as np
from sklearn.datasets import load_breast_cancer, load_digits
from sklearn.decomposition import PCA, FactorAnalysis
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import r2_score
from sklearn.model_selection import GridSearchCV, KFold, cross_validate
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from benchmarks.common.markdown import table
from skvae import BalancedVAE

TABLES = {
    "breast cancer": (load_breast_cancer, 5),
    "digits": (load_digits, 8),
}
BETAS = [0.1, 0.3, 1.0, 3.0]
POLICIES = ["learned_variance", "optimal_variance", "running_average"]
FOLDS = KFold(3, shuffle=True, random_state=0)
METRICS = ["rate", "distortion", "elbo", "explained_variance", "active_latents"]


COLUMNS = (
    "model {model} | beta {beta:g} | rate {rate} | distortion {distortion} | "
    "elbo {elbo} | over seeds {spread} | explained variance {explained_variance:.3f} | "
    "active latents {active_latents:.1f}"
)


def shown(row):
    """Nats with two decimals, or an exponent where a model fails on a held-out row."""
    nats = {
        key: f"{row[key]:.2f}" if abs(row[key]) < 1e5 else f"{row[key]:.1e}"
        for key in ("rate", "distortion", "elbo")
    }
    has_seeds = row["spread"] is not None
    return {**nats, "spread": f"± {row['spread']:.2f}" if has_seeds else None}


def over_seeds(runs):
    """Means of a model's metrics over its runs, one a seed."""
    means = {m: np.mean([run[m] for run in runs]) for m in METRICS}
    elbos = [run["elbo"] for run in runs]
    spread = np.std(elbos, ddof=1) if len(runs) > 1 else None
    return {**runs[0], **means, "spread": spread}


def metrics_of(X, Z, reconstruction, rate, distortion, elbo):
    """All metrics of held-out rows X with latents Z."""
    explained = r2_score(X, reconstruction, multioutput="variance_weighted")
    return {
        "rate": rate.mean(),
        "distortion": distortion.mean(),
        "elbo": elbo.mean(),
        "explained_variance": explained,
        "active_latents": np.sum(Z.var(axis=0) > 0.01),
    }


def score_vae(pipeline, X, y=None):
    """Metrics of a pipeline that ends in a BalancedVAE."""
    vae, X = pipeline[-1], pipeline[:-1].transform(X)
    rate, distortion = vae.rate_distortion(X)
    Z = vae.transform(X)
    progress(f"scored a fold of {vae.balance}, beta {vae.beta:g}")
    elbo = -(rate + distortion)
    return metrics_of(X, Z, vae.inverse_transform(Z), rate, distortion, elbo)


def score_linear(pipeline, X, y=None):
    """Metrics of PCA or FactorAnalysis as latent-variable models.

    Their posterior is exact, so that the elbo is the log-likelihood itself.
    """
    model, X = pipeline[-1], pipeline[:-1].transform(X)
    noise = np.broadcast_to(model.noise_variance_, X.shape[1])
    loadings = model.components_
    if isinstance(model, PCA):
        above_noise = model.explained_variance_ - model.noise_variance_
        loadings = np.sqrt(above_noise)[:, None] * loadings
    precision = np.eye(len(loadings)) + (loadings / noise) @ loadings.T
    Z = np.linalg.solve(precision, (loadings / noise) @ (X - model.mean_).T).T
    covariance = np.linalg.inv(precision)
    constant = np.trace(covariance) - len(loadings) + np.linalg.slogdet(precision)[1]
    rate = 0.5 * (np.square(Z).sum(axis=1) + constant)
    elbo = model.score_samples(X)
    return metrics_of(X, Z, Z @ loadings + model.mean_, rate, -(elbo + rate), elbo)


def search(X, n_components, n_jobs, seed):
    """Metrics of all settings, and the chosen setting."""
    vae = BalancedVAE(
        n_components, hidden_layer_sizes=(64, 64), max_iter=60, random_state=seed
    )
    grid = [
        {"balancedvae__balance": ["constant"], "balancedvae__beta": BETAS},
        {"balancedvae__balance": POLICIES},
    ]
    found = GridSearchCV(
        make_pipeline(StandardScaler(), vae),
        grid,
        scoring=score_vae,
        refit="elbo",
        cv=FOLDS,
        n_jobs=n_jobs,
    ).fit(X)
    rows = []
    for i, params in enumerate(found.cv_results_["params"]):
        metrics = {m: found.cv_results_[f"mean_test_{m}"][i] for m in METRICS}
        beta = params.get("balancedvae__beta", vae.beta)
        rows.append({"model": params["balancedvae__balance"], "beta": beta, **metrics})
    best = found.best_params_
    return rows, {key.removeprefix("balancedvae__"): v for key, v in best.items()}


def linear_models(X, n_components):
    """Metrics of PCA and FactorAnalysis, which have no seed."""
    rows = []
    for model in (PCA(n_components), FactorAnalysis(n_components)):
        progress(f"cross-validating {type(model).__name__}")
        scores = cross_validate(
            make_pipeline(StandardScaler(), model), X, scoring=score_linear, cv=FOLDS
        )
        metrics = {m: scores[f"test_{m}"].mean() for m in METRICS}
        rows.append({"model": type(model).__name__, "beta": None, **metrics})
    return rows


def progress(text):
    """Print a step that begins or ends, with the time of day."""
    print(f"{time.strftime('%H:%M:%S')}  {text}", file=sys.stderr, flush=True)


def draw(results, path):
    """Draw rate against distortion of all models, one panel for each data set."""
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(
        1, len(results), figsize=(5.0 * len(results), 4.6), layout="constrained"
    )
    markers = dict(zip([*POLICIES, "PCA", "FactorAnalysis"], "osD^v", strict=True))
    for ax, (name, rows) in zip(axes, results.items(), strict=True):
        constant = [row for row in rows if row["model"] == "constant"]
        x, y = ([row[key] for row in constant] for key in ("rate", "distortion"))
        ax.plot(x, y, ".-", color="0.45", label="constant, by beta")
        for row in constant:
            at, label = (row["rate"], row["distortion"]), f"{row['beta']:g}"
            ax.annotate(label, at, (5, 5), textcoords="offset points", fontsize=8)
        for row in rows:
            model, distortion = row["model"], row["distortion"]
            if model not in markers:
                continue
            if distortion < 3.0 * max(y):
                ax.plot(row["rate"], distortion, markers[model], ms=7, label=model)
                continue
            note = f"{model}: {distortion:.1e}, off the chart"
            ax.text(0.98, 0.96, note, transform=ax.transAxes, ha="right", fontsize=8)
        # Along a line of slope -1 the elbo is the same.
        best = max(row["elbo"] for row in rows)
        ax.margins(0.08)
        span, bounds = np.array(ax.get_xlim()), ax.get_ylim()
        ax.plot(span, -best - span, ":", color="0.6", label="best elbo", zorder=0)
        ax.set(xlim=span, ylim=bounds, title=name, xlabel="rate (nats per row)")
    axes[0].set_ylabel("distortion (nats per row)")
    lines = axes[0].get_legend_handles_labels()
    figure.legend(*lines, loc="outside lower center", ncols=4, frameon=False)
    figure.suptitle("Rate and distortion on held-out rows")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    picture = Path("build/rate_distortion.png")
    parser.add_argument("--picture", type=Path, default=picture)
    parser.add_argument("--n-jobs", type=int, default=2)
    parser.add_argument("--seeds", type=int, default=1, help="number of seeds")
    args = parser.parse_args()

    # A short search; the last fit of a search is not kept.
    warnings.simplefilter("ignore", ConvergenceWarning)
    start, results = time.perf_counter(), {}
    n_fits = 3 * (len(BETAS) + len(POLICIES)) * args.seeds
    progress(f"takes about {2 * args.seeds} minutes on two cores")
    for i, (name, (load, n_components)) in enumerate(TABLES.items()):
        X = load().data
        progress(f"table {i + 1} of {len(TABLES)}, {name}: {n_fits} fits")
        runs, chosen = zip(
            *(search(X, n_components, args.n_jobs, seed) for seed in range(args.seeds)),
            strict=True,
        )
        rows = [over_seeds(of_model) for of_model in zip(*runs, strict=True)]
        rows += [over_seeds([row]) for row in linear_models(X, n_components)]
        n_rows, n_columns = X.shape
        print(f"\n{name}: {n_rows} rows, {n_columns} columns, {n_components} latents\n")
        print(table(COLUMNS, [{**row, **shown(row)} for row in rows]))
        found = Counter(
            ", ".join(f"{k}={v}" for k, v in each.items()) for each in chosen
        )
        print("\nchosen by held-out elbo:", end=" ")
        print("; ".join(f"{each} ({n} of {args.seeds})" for each, n in found.items()))
        results[name] = rows
    progress("drawing")
    draw(results, args.picture)
    print(f"picture: {args.picture.resolve()}")
    progress(f"took {time.perf_counter() - start:.0f} s")


if __name__ == "__main__":
    main()
