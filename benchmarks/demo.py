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

from skvae import BalancedVAE

TABLES = {
    "breast cancer": (load_breast_cancer, 5),
    "digits": (load_digits, 8),
}
BETAS = [0.1, 0.3, 1.0, 3.0]
POLICIES = ["learned_variance", "optimal_variance", "running_average"]
METRICS = ["rate", "distortion", "elbo", "explained_variance", "active_latents"]


def explained_variance(X, reconstruction):
    """Share of the total variance, the columns weighted by theirs."""
    return r2_score(X, reconstruction, multioutput="variance_weighted")


def score_vae(pipeline, X, y=None):
    """All metrics of a pipeline that ends in a BalancedVAE, on held-out rows."""
    vae, X = pipeline[-1], pipeline[:-1].transform(X)
    rate, distortion = vae.rate_distortion(X)
    Z = vae.transform(X)
    return {
        "rate": rate.mean(),
        "distortion": distortion.mean(),
        "elbo": -(rate + distortion).mean(),
        "explained_variance": explained_variance(X, vae.inverse_transform(Z)),
        "active_latents": np.sum(Z.var(axis=0) > 0.01),
    }


def score_linear(pipeline, X, y=None):
    """The same of PCA or FactorAnalysis, as the latent-variable models that they are.

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
    return {
        "rate": rate.mean(),
        "distortion": -(elbo + rate).mean(),
        "elbo": elbo.mean(),
        "explained_variance": explained_variance(X, Z @ loadings + model.mean_),
        "active_latents": np.sum(Z.var(axis=0) > 0.01),
    }


def search(X, n_components, n_jobs):
    """Return rows of (name, settings, metrics) for all settings and both models."""
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
    )
    show_progress(found)
    found.fit(X)
    rows = []
    for i, params in enumerate(found.cv_results_["params"]):
        balance = params["balancedvae__balance"]
        beta = params.get("balancedvae__beta", vae.beta)
        metrics = {m: found.cv_results_[f"mean_test_{m}"][i] for m in METRICS}
        rows.append((balance, beta, metrics))
    for model in (PCA(n_components), FactorAnalysis(n_components)):
        scores = cross_validate(
            make_pipeline(StandardScaler(), model), X, scoring=score_linear, cv=folds
        )
        metrics = {m: scores[f"test_{m}"].mean() for m in METRICS}
        rows.append((type(model).__name__, None, metrics))
    return rows, found.best_params_


def show_progress(search):
    """Show a progress bar on a terminal, where scikit-learn has one."""
    if not sys.stderr.isatty():
        return
    try:
        from sklearn.callback import ProgressBar
    except ImportError:  # scikit-learn < 1.9
        search.set_params(verbose=2)
    else:
        search.set_callbacks(ProgressBar(max_propagation_depth=1))


def nats(value):
    """Two decimals, or an exponent where a model fails on a held-out row."""
    return f"{value:.2f}" if abs(value) < 1e5 else f"{value:.1e}"


def print_table(name, shape, n_components, rows, best):
    """Print the rows of one data set in Markdown."""
    print(f"\n{name}: {shape[0]} rows, {shape[1]} columns, {n_components} latents\n")
    header = ["model", "beta", *(m.replace("_", " ") for m in METRICS)]
    cells = [header, ["---", *["---:"] * (len(header) - 1)]]
    for model, beta, metrics in rows:
        numbers = [nats(metrics[m]) for m in METRICS[:3]]
        numbers += [f"{metrics[METRICS[3]]:.3f}", f"{metrics[METRICS[4]]:.1f}"]
        cells.append([model, "" if beta is None else f"{beta:g}", *numbers])
    widths = [max(len(row[i]) for row in cells) for i in range(len(header))]
    for row in cells:
        padded = (
            cell.ljust(w) if i == 0 else cell.rjust(w)
            for i, (cell, w) in enumerate(zip(row, widths, strict=True))
        )
        print("| " + " | ".join(padded) + " |")
    chosen = {key.removeprefix("balancedvae__"): v for key, v in best.items()}
    print(f"\nchosen by held-out elbo: {chosen}")


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
        path_rows = [(b, m) for model, b, m in rows if model == "constant"]
        x = [m["rate"] for _, m in path_rows]
        y = [m["distortion"] for _, m in path_rows]
        ax.plot(x, y, ".-", color="0.45", label="constant, by beta")
        for (beta, _), xi, yi in zip(path_rows, x, y, strict=True):
            ax.annotate(
                f"{beta:g}", (xi, yi), (5, 5), textcoords="offset points", fontsize=8
            )
        off_chart = 3.0 * max(y)
        for model, _, m in rows:
            if model in markers and m["distortion"] < off_chart:
                ax.plot(m["rate"], m["distortion"], markers[model], ms=7, label=model)
            elif model in markers:
                note = f"{model}: {m['distortion']:.1e}, off the chart"
                ax.text(
                    0.98, 0.96, note, transform=ax.transAxes, ha="right", fontsize=8
                )
        # Along a line of slope -1 the elbo is the same.
        best = max(m["elbo"] for _, _, m in rows)
        ax.margins(0.08)
        span, bounds = np.array(ax.get_xlim()), ax.get_ylim()
        ax.plot(span, -best - span, ":", color="0.6", label="best elbo", zorder=0)
        ax.set(xlim=span, ylim=bounds, title=name, xlabel="rate (nats per row)")
    axes[0].set_ylabel("distortion (nats per row)")
    figure.legend(
        *axes[0].get_legend_handles_labels(),
        loc="outside lower center",
        ncols=4,
        fontsize=9,
        frameon=False,
    )
    figure.suptitle("Rate and distortion on held-out rows")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--picture", type=Path, default=Path("build/rate_distortion.png")
    )
    parser.add_argument("--n-jobs", type=int, default=2)
    args = parser.parse_args()

    # A short search; its last fit is not meant to be kept.
    warnings.simplefilter("ignore", ConvergenceWarning)
    start, results = time.perf_counter(), {}
    for name, (load, n_components) in TABLES.items():
        X = load().data
        rows, best = search(X, n_components, args.n_jobs)
        print_table(name, X.shape, n_components, rows, best)
        results[name] = rows
    draw(results, args.picture)
    print(f"\npicture: {args.picture.resolve()}")
    print(f"took {time.perf_counter() - start:.0f} s", file=sys.stderr)


if __name__ == "__main__":
    main()
