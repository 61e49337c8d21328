"""Search beta and the balance policy on two real tables, beside linear models.

    make demo

A Pipeline of StandardScaler and BalancedVAE goes through GridSearchCV; every number
is a mean over the held-out rows of three folds, in nats per row.
"""

import argparse
import sys
import time
import warnings
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
METRICS = ["rate", "distortion", "elbo", "explained_variance", "active_latents"]


COLUMNS = (
    "model {model} | beta {beta:g} | rate {rate} | distortion {distortion} | "
    "elbo {elbo} | explained variance {explained_variance:.3f} | "
    "active latents {active_latents:.1f}"
)


def shown(row):
    """Nats with two decimals, or an exponent where a model fails on a held-out row."""
    return {
        key: f"{row[key]:.2f}" if abs(row[key]) < 1e5 else f"{row[key]:.1e}"
        for key in ("rate", "distortion", "elbo")
    }


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


def search(X, n_components, n_jobs):
    """Metrics of all settings and both linear models, and the chosen setting."""
    folds = KFold(3, shuffle=True, random_state=0)
    vae = BalancedVAE(
        n_components, hidden_layer_sizes=(64, 64), max_iter=60, random_state=0
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
        cv=folds,
        n_jobs=n_jobs,
    ).fit(X)
    rows = []
    for i, params in enumerate(found.cv_results_["params"]):
        metrics = {m: found.cv_results_[f"mean_test_{m}"][i] for m in METRICS}
        beta = params.get("balancedvae__beta", vae.beta)
        rows.append({"model": params["balancedvae__balance"], "beta": beta, **metrics})
    for model in (PCA(n_components), FactorAnalysis(n_components)):
        progress(f"cross-validating {type(model).__name__}")
        scores = cross_validate(
            make_pipeline(StandardScaler(), model), X, scoring=score_linear, cv=folds
        )
        metrics = {m: scores[f"test_{m}"].mean() for m in METRICS}
        rows.append({"model": type(model).__name__, "beta": None, **metrics})
    return rows, found.best_params_


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
    args = parser.parse_args()

    # A short search; the last fit of a search is not kept.
    warnings.simplefilter("ignore", ConvergenceWarning)
    start, results = time.perf_counter(), {}
    n_fits = 3 * (len(BETAS) + len(POLICIES))
    progress("takes about two minutes on two cores")
    for i, (name, (load, n_components)) in enumerate(TABLES.items()):
        X = load().data
        progress(f"table {i + 1} of {len(TABLES)}, {name}: {n_fits} fits")
        rows, best = search(X, n_components, args.n_jobs)
        n_rows, n_columns = X.shape
        print(f"\n{name}: {n_rows} rows, {n_columns} columns, {n_components} latents\n")
        print(table(COLUMNS, [{**row, **shown(row)} for row in rows]))
        chosen = {key.removeprefix("balancedvae__"): v for key, v in best.items()}
        print(f"\nchosen by held-out elbo: {chosen}\n", flush=True)
        results[name] = rows
    progress("drawing")
    draw(results, args.picture)
    print(f"picture: {args.picture.resolve()}")
    progress(f"took {time.perf_counter() - start:.0f} s")


if __name__ == "__main__":
    main()
