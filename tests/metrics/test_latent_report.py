"""The report on a fitted model, against closed forms and the model itself."""

import re
from copy import deepcopy

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.datasets import load_breast_cancer, load_wine
from sklearn.decomposition import PCA
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LinearRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skvae import BalancedVAE
from skvae.exceptions import PosteriorCollapseWarning
from skvae.likelihoods import Gaussian
from skvae.metrics import LatentReport, latent_report
from skvae.metrics._verdict import verdict_on
from skvae.networks import MLP

X = load_wine().data
N_ROWS, N_FEATURES = X.shape
SMALL = {
    "hidden_layer_sizes": (16,),
    "max_iter": 8,
    "tol": 1e3,
    "random_state": 0,
    "precision": "float64",
}

LATENTS = [
    "latent_rate",
    "latent_activity",
    "active_units",
    "collapsed_units",
    "latent_explained",
    "latent_mutual_information",
    "latent_mismatch",
    "latent_variance",
]
NUMBERS = [
    "rate",
    "distortion",
    "elbo",
    "explained",
    "mutual_information",
    "mismatch",
    "max_information",
    "variance_deviation",
]


@pytest.fixture(scope="module")
def vae():
    return BalancedVAE(3, **SMALL).fit(X)


@pytest.fixture(scope="module")
def report(vae):
    return latent_report(vae, X)


@pytest.fixture(scope="module")
def linear():
    """At a fixed theta of 1, where two of four latents are active, and its report."""
    vae = BalancedVAE(
        4,
        balance="constant",
        likelihood=Gaussian(variance=1.0),
        **{**SMALL, "hidden_layer_sizes": (), "max_iter": 60, "early_stopping": False},
        beta=1.5,
    ).fit(X)
    eigenvalues = np.linalg.eigvalsh(np.corrcoef(X.T))[::-1]
    return vae, eigenvalues[:4]


@pytest.fixture(scope="module")
def collapsed():
    params = {**SMALL, "hidden_layer_sizes": (), "beta": 100.0, "balance": "constant"}
    with pytest.warns(PosteriorCollapseWarning):
        return BalancedVAE(3, **params).fit(X)


# --- numbers --------------------------------------------------------------------------


def test_terms_are_those_of_the_model(vae, report):
    rate, distortion = vae.rate_distortion(X)
    assert report.rate == pytest.approx(rate.mean(), abs=1e-10)
    assert report.distortion == pytest.approx(distortion.mean(), abs=1e-10)
    assert report.elbo == pytest.approx(vae.score(X), abs=1e-10)
    assert report.rate + report.distortion == pytest.approx(-report.elbo, abs=1e-10)


def test_parts_sum_to_the_rate(report):
    assert report.latent_rate.sum() == pytest.approx(report.rate, abs=1e-10)
    both = report.mutual_information + report.mismatch
    assert both == pytest.approx(report.rate, abs=1e-10)
    # Of a diagonal posterior each latent is split in the same way.
    each = report.latent_mutual_information + report.latent_mismatch
    assert_allclose(each, report.latent_rate, atol=1e-10)


def test_information_has_its_limits(report):
    assert report.max_information == pytest.approx(np.log(N_ROWS))
    assert 0.0 < report.mutual_information <= report.max_information
    assert (report.latent_mutual_information <= report.mutual_information).all()
    assert report.n_samples == report.n_mixture_rows == N_ROWS


def test_activity_is_that_of_the_codes(vae, report):
    spread = vae.transform(X).var(axis=0)
    assert_allclose(report.latent_activity, spread)
    assert_array_equal(report.active_units, spread > 0.01)
    deviation = report.latent_variance.mean() - 1.0
    assert report.variance_deviation == pytest.approx(deviation, abs=1e-12)


def test_explained_nats_are_a_distortion_without_the_latent(vae, report):
    """Recomputed from the decoder: a Gaussian's distortion is a mean squared error."""
    from skvae.model._evaluate import quadrature

    posterior = vae._fitted.on("cpu").posterior(X)
    mean, deviation = posterior.mean[0].numpy(), (0.5 * posterior.log_variance[0]).exp()
    z = mean + deviation.numpy() * quadrature(3)[:, None]
    variance = vae.variance_ * vae._fitted.view.scaling.scale**2

    def distortion(mask):
        decoded = vae.inverse_transform((z * mask).reshape(-1, 3))
        return np.square(decoded.reshape(-1, *X.shape) - X).mean((0, 1)) / variance

    whole = distortion(np.ones(3)).sum()
    for latent in range(3):
        rise = 0.5 * (distortion(np.arange(3) != latent).sum() - whole)
        assert report.latent_explained[latent] == pytest.approx(rise, rel=1e-9)
    rise = 0.5 * (distortion(np.zeros(3)).sum() - whole)
    assert report.explained == pytest.approx(rise, rel=1e-9)


def test_columns_sum_to_what_the_model_gains_on_independent_columns(vae, report):
    cells = vae.score_cells(X).mean(axis=0)
    assert_allclose(report.column_distortion, cells, atol=1e-10)
    gain = report.column_null_distortion - report.column_distortion
    assert_array_equal(report.column_explained, gain)
    total = report.null_distortion - report.distortion
    assert report.column_explained.sum() == pytest.approx(total, abs=1e-10)
    normal = 0.5 * np.log(2.0 * np.pi * np.e * X.var(axis=0))
    assert_allclose(report.column_null_distortion, normal, atol=1e-10)


def test_linear_model_in_closed_form(linear):
    vae, eigenvalues = linear
    found = latent_report(vae, X)
    order = np.argsort(-found.latent_rate)
    level = np.maximum(eigenvalues / 1.5, 1.0)
    assert_allclose(found.latent_rate[order], 0.5 * np.log(level), atol=0.02)
    assert_allclose(found.latent_activity[order], 1.0 - 1.0 / level, atol=0.02)
    assert_array_equal(found.active_units[order], [True, True, False, False])
    assert_array_equal(found.collapsed_units[order], [False, False, True, True])
    # Of unit variance: half the eigenvalue that is left, instead of half of theta.
    rise = 0.5 * np.maximum(eigenvalues - 1.5, 0.0)
    assert_allclose(found.latent_explained[order], rise, atol=0.05)
    assert found.explained == pytest.approx(rise.sum(), abs=0.05)
    assert_allclose(found.latent_variance, 1.0, atol=0.02)
    # The aggregate posterior is the prior, as far as wines are normal.
    assert abs(found.mismatch) < 0.1
    assert_allclose(found.latent_mismatch, 0.0, atol=0.1)


def test_baseline_is_probabilistic_pca(report):
    rows = (X - X.mean(axis=0)) / X.std(axis=0)
    # scikit-learn divides by n - 1.
    shrunk = rows * np.sqrt((N_ROWS - 1) / N_ROWS)
    pca = PCA(3, svd_solver="full").fit(shrunk)
    # At its maximum the mean of the likelihood depends on the variances alone.
    covariance = np.cov(rows.T, bias=True)
    noise = np.linalg.eigvalsh(covariance)[:-3].mean()
    loading = pca.components_.T * np.sqrt(
        np.linalg.eigvalsh(covariance)[::-1][:3] - noise
    )
    model = loading @ loading.T + noise * np.eye(N_FEATURES)
    nats = N_FEATURES * np.log(2.0 * np.pi) + np.linalg.slogdet(model)[1]
    nats += np.trace(np.linalg.solve(model, covariance))
    expected = -0.5 * nats - np.log(X.std(axis=0)).sum()
    assert report.pca.elbo == pytest.approx(expected, abs=1e-8)
    assert report.pca.rate + report.pca.distortion == pytest.approx(-expected, abs=1e-8)


def test_baseline_counts_the_jacobian_of_the_likelihood():
    """PCA of the logarithms, as a model of the columns themselves."""
    vae = BalancedVAE(3, likelihood="log_normal", **SMALL).fit(X)
    logs = BalancedVAE(3, **SMALL).fit(np.log(X))
    expected = latent_report(logs, np.log(X)).pca.elbo - np.log(X).sum(axis=1).mean()
    assert latent_report(vae, X).pca.elbo == pytest.approx(expected, abs=1e-10)


def test_table_with_gaps_has_no_baseline(vae):
    gaps = X.copy()
    gaps[3, 4] = np.nan
    assert latent_report(vae, gaps).pca is None


def test_baseline_is_what_a_linear_model_ends_at():
    params = {**SMALL, "hidden_layer_sizes": (), "max_iter": 20}
    vae = BalancedVAE(3, balance="learned_variance", early_stopping=False, **params)
    found = latent_report(vae.fit(X), X)
    assert found.elbo == pytest.approx(found.pca.elbo, abs=0.02)
    assert found.rate == pytest.approx(found.pca.rate, abs=0.1)


def test_as_many_latents_as_columns_have_a_baseline():
    vae = BalancedVAE(4, **SMALL).fit(X[:, :4])
    assert np.isfinite(latent_report(vae, X[:, :4]).pca).all()


def test_binary_columns_have_no_baseline():
    binary = (np.median(X, axis=0) < X).astype(float)
    vae = BalancedVAE(3, **SMALL).fit(binary)
    found = latent_report(vae, binary)
    assert found.pca is None
    assert "PCA" not in str(found)
    assert found.explained > 1.0
    assert found.elbo == pytest.approx(vae.score(binary), abs=1e-10)


def test_collapsed_model_says_nothing(collapsed):
    found = latent_report(collapsed, X)
    assert found.collapsed_units.all()
    assert not found.active_units.any()
    assert found.rate < 0.01
    assert abs(found.explained) < 0.1
    assert found.mutual_information == pytest.approx(0.0, abs=0.01)
    assert found.variance_deviation == pytest.approx(0.0, abs=0.01)


def test_full_covariance():
    network = MLP((16,), posterior="full")
    vae = BalancedVAE(3, network=network, **SMALL).fit(X)
    found = latent_report(vae, X)
    assert found.latent_rate.sum() == pytest.approx(found.rate, abs=1e-10)
    assert found.rate == pytest.approx(vae.rate_distortion(X)[0].mean(), abs=1e-10)
    assert found.mutual_information <= found.max_information
    factor = vae._fitted.on("cpu").posterior(X).factor[0]
    variance = factor.square().sum(dim=-1).mean(dim=0).numpy()
    assert_allclose(found.latent_variance, found.latent_activity + variance)


# --- rows, weights, pipelines ---------------------------------------------------------


def same(one, other, atol=1e-9):
    for name in [*LATENTS, *NUMBERS]:
        assert_allclose(
            getattr(one, name), getattr(other, name), atol=atol, err_msg=name
        )


def test_pipeline_and_bare_model_report_the_same(vae):
    pipeline = make_pipeline(StandardScaler(), BalancedVAE(3, **SMALL)).fit(X)
    whole = latent_report(pipeline, X)
    part = latent_report(pipeline[-1], pipeline[0].transform(X))
    same(whole, part)
    assert whole.verdict == part.verdict
    alone = make_pipeline(BalancedVAE(3, **SMALL)).fit(X)
    same(latent_report(alone, X), latent_report(alone[-1], X))


def test_weights_are_repetition(vae):
    times = np.arange(60) % 3
    weighted = latent_report(vae, X[:60], sample_weight=times)
    repeated = latent_report(vae, X[:60].repeat(times, axis=0))
    exact = ["rate", "distortion", "elbo", "explained", "variance_deviation"]
    for name in [*LATENTS[:5], *exact, "latent_variance"]:
        assert_allclose(getattr(weighted, name), getattr(repeated, name), atol=1e-9)
    assert_allclose(weighted.pca, repeated.pca)
    assert weighted.n_samples == 40
    # Other draws of the same mixture.
    assert weighted.mutual_information == pytest.approx(
        repeated.mutual_information, abs=0.1
    )


def test_part_of_a_large_table(vae, report):
    found = latent_report(vae, X, max_rows=60)
    assert (found.n_samples, found.n_mixture_rows) == (N_ROWS, 60)
    assert found.max_information == pytest.approx(np.log(60))
    assert found.rate == report.rate
    assert_array_equal(found.latent_variance, report.latent_variance)
    assert_allclose(found.latent_explained, report.latent_explained, rtol=0.4)
    assert "178 rows (mixtures over 60 of them)" in str(found)
    same(found, latent_report(vae, X, max_rows=60), atol=0.0)
    other = latent_report(vae, X, max_rows=60, random_state=1)
    assert other.explained != found.explained


def test_memory_of_a_large_table_is_bounded(vae, monkeypatch):
    """No call compares more rows with each other than asked for."""
    from skvae.divergences import Posterior

    seen, compare = [], Posterior.log_prob_of_each

    def watched(self, z):
        seen.append(z.shape[1] * z.shape[2] * self.mean.shape[1] * 3)
        return compare(self, z)

    monkeypatch.setattr(Posterior, "log_prob_of_each", watched)
    many = np.tile(X, (40, 1))
    found = latent_report(vae, many, max_rows=1500)
    assert found.n_samples == 40 * N_ROWS
    assert max(seen) <= 4_000_000


def test_report_leaves_the_rows_alone(vae, report):
    rows = X.astype(np.float32)
    before = rows.copy()
    same(latent_report(vae, rows), report, atol=0.05)
    assert_array_equal(rows, before)


# --- forms ----------------------------------------------------------------------------


def test_frame_shows_the_arrays(report):
    frame = report.to_frame()
    assert frame.shape == (3, 8)
    assert list(frame.index) == ["balancedvae0", "balancedvae1", "balancedvae2"]
    assert frame.index.name == "latent"
    for column, name in zip(frame.columns, LATENTS[:4], strict=False):
        assert name.split("_")[0] in column or name.split("_")[-1] in column
        assert_array_equal(frame[column], getattr(report, name))
    assert_array_equal(frame["mismatch"], report.latent_mismatch)
    assert frame["active"].dtype == bool
    columns = report.to_frame("columns")
    assert columns.index.name == "column"
    assert list(columns.index) == [f"x{d}" for d in range(13)]
    assert_array_equal(columns["null"], report.column_null_distortion)
    assert_array_equal(columns["distortion"], report.column_distortion)
    assert_array_equal(columns["explained"], report.column_explained)
    with pytest.raises(ValueError, match="'latents' or 'columns', got 'rows'"):
        report.to_frame("rows")


def test_columns_that_latents_explain_most_of_come_first(report):
    _, (_, *lines) = report._tables()
    order = np.argsort(-report.column_explained)
    assert [line[0] for line in lines] == [*(f"x{d}" for d in order[:10]), "3 others"]
    rest = report.column_explained[order[10:]].sum()
    assert lines[-1][-1] == f"{rest:.3f}"


def test_text_is_a_table_and_sentences(report):
    lines = str(report).split("\n")
    assert lines[0] == "3 latents on 178 rows, nats per row"
    head, *body = lines[2:6]
    assert lines[7].split() == ["column", "null", "distortion", "explained"]
    assert head.split() == [
        *["latent", "rate", "activity", "active", "collapsed", "explained"],
        *["mutual", "information", "mismatch", "variance"],
    ]
    assert len({len(line) for line in lines[2:6]}) == 1
    assert body[0].split()[:5] == [
        "balancedvae0",
        f"{report.latent_rate[0]:.3f}",
        f"{report.latent_activity[0]:.3f}",
        "yes",
        "no",
    ]
    text = "\n".join(lines[6:])
    gain = report.null_distortion - report.distortion
    assert f"of which the latents explain {gain:.3f}" in text
    assert f"rate {report.rate:.3f} = mutual information" in text
    assert f"elbo {report.elbo:.3f}; without latents" in text
    assert f"PCA of the same size: rate {report.pca.rate:.3f}" in text
    assert f"variance law: {1.0 + report.variance_deviation:.3f}" in text
    assert lines[-1] == report.verdict
    assert repr(report) == f"<LatentReport: {report.verdict}>"


def test_html_has_the_same_cells_and_is_escaped(report):
    from dataclasses import replace

    page = report._repr_html_()
    cells = re.findall(r"<t[dh]>(.*?)</t[dh]>", page)
    shown = [cell for table in report._tables() for line in table for cell in line]
    assert cells == shown
    assert report.verdict in page
    odd = replace(report, names=np.array(["a<b", "b&", "c"]), verdict="1 < 2")
    assert "<th>a&lt;b</th>" in odd._repr_html_()
    assert "b&amp;" in odd._repr_html_()
    assert "1 &lt; 2" in odd._repr_html_()


def test_report_is_frozen(report):
    assert isinstance(report, LatentReport)
    with pytest.raises(AttributeError):
        report.rate = 0.0


# --- verdicts -------------------------------------------------------------------------


def test_healthy_model(report):
    assert report.verdict == "Healthy: all 3 latents are active."


def test_verdict_on_a_collapsed_model(collapsed):
    assert re.fullmatch(
        r"Collapsed: the latents say next to nothing, \S+ nats per row\. Lower beta "
        r"\(now 100\)\. Or use balance='running_average' with beta=1, which finds the "
        r"variance that suits the data\.",
        latent_report(collapsed, X).verdict,
    )


def test_verdict_on_half_of_the_latents(linear):
    vae, _ = linear
    found = latent_report(vae, X)
    names = ", ".join(found.names[found.collapsed_units])
    sentence = f"2 of 4 latents ({names}) have collapsed: n_components=2 suffices."
    assert found.verdict.startswith(sentence)


def test_verdict_on_a_model_below_pca():
    """Random weights: the latents say something, but not of the rows."""
    X = load_breast_cancer().data
    params = {**SMALL, "max_iter": 2, "learning_rate_init": 1e-9}
    network = MLP((16,), linear_path=False)
    vae = BalancedVAE(3, network=network, balance="constant", **params).fit(X)
    found = latent_report(vae, X)
    assert found.elbo < found.pca.elbo - 10.0
    assert re.search(
        r"Explains these rows by \d+ nats less than PCA of the same size would: raise "
        r"max_iter \(now 2\), or use the default balance with beta=1\.",
        found.verdict,
    )


def numbers(report, **changed):
    found = {name: getattr(report, name) for name in [*LATENTS, *NUMBERS]}
    return {**found, "pca": report.pca, "names": report.names, **changed}


def test_verdict_on_pca_allows_for_its_fit_to_the_rows(vae, report):
    """PCA of few rows is fitted to them; on others it would not be as good."""
    better = report.pca._replace(elbo=report.elbo + 0.3)
    assert verdict_on(vae, numbers(report, pca=better), 100.0).startswith("Healthy")
    assert "PCA" in verdict_on(vae, numbers(report, pca=better), 1e6)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (
            {"collapsed_units": np.array([True, True, False])},
            r"Mostly collapsed: 2 of 3 latents\. New rows seem to share",
        ),
        (
            {"collapsed_units": np.array([False, True, False])},
            r"1 of 3 latents \(balancedvae1\) have collapsed: n_components=2 suffices",
        ),
        (
            {"variance_deviation": 0.3},
            r"The variance of the latents is 1\.30 on average and not 1: raise "
            r"max_iter \(now 8\) or beta \(now 1\)\.",
        ),
        ({"variance_deviation": -0.3}, r"The variance of the latents is 0\.70"),
        (
            {"latent_mismatch": np.array([0.0, 9.0, 9.0])},
            r"Most nats of balancedvae1, balancedvae2 are a mismatch .* set "
            r"prior='mixture', transform skewed columns, or raise max_iter \(now 8\) "
            r"or beta \(now 1\)\.",
        ),
        (
            {"active_units": np.array([True, False, True])},
            r"Healthy: 2 of 3 latents are active\.",
        ),
    ],
)
def test_verdict_in_words(vae, report, change, says):
    assert re.match(says, verdict_on(vae, numbers(report, **change), 178.0))


def test_another_prior_follows_the_latents(vae, report):
    mixed = deepcopy(vae).set_params(prior="mixture")
    found = numbers(report, latent_mismatch=np.array([0.0, 9.0, 9.0]))
    assert verdict_on(mixed, found, 178.0).startswith("Healthy")


def test_verdict_on_a_single_latent():
    vae = BalancedVAE(1, **SMALL).fit(X)
    says = "Healthy: the latent carries what it should."
    assert latent_report(vae, X).verdict == says


# --- what is refused ------------------------------------------------------------------


def test_other_estimators_are_refused():
    match = re.escape(
        "latent_report takes a fitted BalancedVAE, a Pipeline that ends in one, or a "
        "search over either that has a best_estimator_, got LinearRegression()."
    )
    with pytest.raises(TypeError, match=match):
        latent_report(LinearRegression(), X)
    with pytest.raises(TypeError, match="a Pipeline that ends in one"):
        latent_report(make_pipeline(StandardScaler()).fit(X), X)


def test_model_has_to_be_fitted(vae):
    with pytest.raises(NotFittedError, match="not fitted yet"):
        latent_report(BalancedVAE(3), X)
    with pytest.raises(ValueError, match="expecting 13 features"):
        latent_report(vae, X[:, :5])
    with pytest.raises(ValueError, match=r"all zero|at least one non-zero"):
        latent_report(vae, X, sample_weight=np.zeros(N_ROWS))


@pytest.mark.parametrize("max_rows", [0, -1])
def test_rows_to_compare_are_at_least_one(vae, max_rows):
    match = rf"max_rows must be at least 1, got {max_rows}\."
    with pytest.raises(ValueError, match=match):
        latent_report(vae, X, max_rows=max_rows)
