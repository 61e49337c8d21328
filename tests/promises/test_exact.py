"""Linear models reach their closed-form optima, and start at them where they may.

All but the last group train from a random start, so that they test the training.
"""

import math

import numpy as np
import pytest
from numpy.testing import assert_allclose
from sklearn.datasets import load_breast_cancer, load_digits, load_wine
from sklearn.decomposition import PCA, FactorAnalysis

from skvae import BalancedVAE
from skvae.balance import (
    Cosine,
    Cyclical,
    LearnedVariance,
    Linear,
    RunningAverage,
    Sigmoid,
)
from skvae.likelihoods import Gaussian
from skvae.networks import MLP

# Nats per row that may be missing at the optimum.
TOLERANCE = {"float64": 1e-3, "float32": 1e-2}

EIGENVALUES = np.array([4.0, 2.0, 1.0, 0.5, 0.25, 0.25])
N_FEATURES = len(EIGENVALUES)
LOG_2_PI = math.log(2.0 * math.pi)

LOADERS = {
    "wine": load_wine,
    "breast_cancer": load_breast_cancer,
    "digits": load_digits,
}


# More points of the same formula.
slow = pytest.mark.slow

# These ask for more weight than latents can bear.
may_collapse = pytest.mark.filterwarnings(
    "ignore::skvae.exceptions.PosteriorCollapseWarning"
)


def linear(n_components, **params):
    """A linear model trained on the whole table at once, from a random start."""
    settings = {
        "network": MLP((), linear_path=False),
        "balance": "learned_variance",
        "early_stopping": False,
        "learning_rate_init": 0.05,
        "batch_size": 10_000,
        "max_iter": 60,
        "random_state": 0,
        **params,
    }
    return BalancedVAE(n_components, **settings)


@pytest.fixture(scope="module")
def spectrum():
    """64 rows of mean zero and maximum-likelihood covariance diag(EIGENVALUES)."""
    rng = np.random.default_rng(0)
    columns = np.column_stack([np.ones(64), rng.normal(size=(64, N_FEATURES))])
    basis = np.linalg.qr(columns)[0][:, 1:]
    X = 8.0 * basis * np.sqrt(EIGENVALUES)
    assert_allclose(X.T @ X / 64, np.diag(EIGENVALUES), atol=1e-13)
    return X


def standardized(name):
    """Columns of a real table that vary, standardised."""
    X = LOADERS[name]().data
    X = X[:, X.std(axis=0) > 0]
    return (X - X.mean(axis=0)) / X.std(axis=0)


def ppca_log_likelihood(X, n_components):
    """Maximum log-likelihood of probabilistic PCA, from scikit-learn's PCA.

    Its variances have n - 1 in the denominator, which moves the score by a constant.
    """
    n, n_features = X.shape
    ratio = n / (n - 1)
    correction = 0.5 * n_features * (math.log(ratio) + 1.0 / ratio - 1.0)
    return PCA(n_components, svd_solver="full").fit(X).score(X) + correction


@pytest.mark.parametrize(
    ("theta", "rate", "squared_error", "n_active", "precision"),
    [
        (0.10, 6.214608, 0.60, 6, "float64"),
        (0.50, 2.079442, 2.50, 3, "float32"),
        (2.0, 0.346574, 6.00, 1, "float32"),
        (4.0, 0.0, 8.00, 0, "float64"),
        pytest.param(0.10, 6.214608, 0.60, 6, "float32", marks=slow),
        pytest.param(0.25, 3.465736, 1.50, 4, "float64", marks=slow),
        pytest.param(0.25, 3.465736, 1.50, 4, "float32", marks=slow),
        pytest.param(0.50, 2.079442, 2.50, 3, "float64", marks=slow),
        pytest.param(1.0, 1.039721, 4.00, 2, "float64", marks=slow),
        pytest.param(1.0, 1.039721, 4.00, 2, "float32", marks=slow),
        pytest.param(2.0, 0.346574, 6.00, 1, "float64", marks=slow),
        pytest.param(4.0, 0.0, 8.00, 0, "float32", marks=slow),
    ],
)
@may_collapse
def test_fixed_theta_is_on_the_rate_distortion_function(
    spectrum, theta, rate, squared_error, n_active, precision
):
    vae = linear(
        N_FEATURES,
        beta=theta,
        balance="constant",
        likelihood=Gaussian(variance=1.0),
        standardize=False,
        precision=precision,
    ).fit(spectrum)

    rates, distortions = vae.rate_distortion(spectrum)
    error = 2.0 * distortions.mean() - N_FEATURES * LOG_2_PI
    objective = distortions.mean() + theta * rates.mean()
    optimum = 0.5 * (squared_error + N_FEATURES * LOG_2_PI) + theta * rate
    assert objective == pytest.approx(optimum, abs=TOLERANCE[precision])
    # The objective is flat at its optimum, so its two terms are known less exactly.
    assert rates.mean() == pytest.approx(rate, abs=0.02)
    assert error == pytest.approx(squared_error, abs=0.02)
    if theta not in EIGENVALUES:
        assert vae.active_units_.sum() == n_active
    assert vae.theta_ == theta
    assert vae.variance_ == 1.0


@pytest.mark.parametrize(
    ("n_components", "variance", "log_likelihood", "precision"),
    [
        (1, 0.800000, -8.648920, "float32"),
        (2, 0.500000, -8.167058, "float64"),
        (4, 0.250000, -7.820484, "float32"),
        pytest.param(1, 0.800000, -8.648920, "float64", marks=slow),
        pytest.param(2, 0.500000, -8.167058, "float32", marks=slow),
        pytest.param(3, 0.333333, -7.905434, "float64", marks=slow),
        pytest.param(3, 0.333333, -7.905434, "float32", marks=slow),
        pytest.param(4, 0.250000, -7.820484, "float64", marks=slow),
    ],
)
def test_learned_variance_is_probabilistic_pca(
    spectrum, n_components, variance, log_likelihood, precision
):
    vae = linear(n_components, standardize=False, precision=precision, max_iter=40).fit(
        spectrum
    )

    assert vae.score(spectrum) == pytest.approx(
        log_likelihood, abs=TOLERANCE[precision]
    )
    assert vae.variance_ == pytest.approx(variance, rel=0.01)
    assert ppca_log_likelihood(spectrum, n_components) == pytest.approx(
        log_likelihood, abs=1e-6
    )


@pytest.mark.parametrize(
    ("n_components", "beta", "variance", "loss"),
    [
        (2, 0.5, 0.4, 7.089338),
        pytest.param(2, 3.0, 1.333333, 9.376677, marks=slow),
        pytest.param(4, 1.5, 0.666667, 8.856817, marks=slow),
        pytest.param(2, 1.5, 0.666667, 8.856817, marks=slow),
        pytest.param(2, 2.0, 1.0, 9.206778, marks=slow),
        pytest.param(4, 0.5, 0.125, 5.394469, marks=slow),
        pytest.param(4, 2.0, 1.0, 9.206778, marks=slow),
        pytest.param(4, 3.0, 1.333333, 9.376677, marks=slow),
    ],
)
@may_collapse
def test_learned_variance_at_other_betas(spectrum, n_components, beta, variance, loss):
    vae = linear(
        n_components,
        beta=beta,
        standardize=False,
        precision="float64",
    ).fit(spectrum)

    rates, distortions = vae.rate_distortion(spectrum)
    objective = distortions.mean() + beta * rates.mean()
    assert objective == pytest.approx(loss, abs=1e-3)
    assert vae.variance_ == pytest.approx(variance, rel=0.02)


@pytest.mark.parametrize(
    ("name", "n_components", "max_iter"),
    [
        # The more latents, the closer the eigenvalues that they have to tell apart.
        ("wine", 2, 60),
        pytest.param("breast_cancer", 5, 300, marks=slow),
        pytest.param("wine", 5, 300, marks=slow),
        pytest.param("breast_cancer", 2, 60, marks=slow),
        pytest.param("digits", 2, 60, marks=slow),
        pytest.param("digits", 5, 200, marks=slow),
    ],
)
def test_real_tables_reach_pca(name, n_components, max_iter):
    X = standardized(name)
    vae = linear(n_components, precision="float64", max_iter=max_iter).fit(X)

    assert vae.score(X) == pytest.approx(ppca_log_likelihood(X, n_components), abs=1e-3)


@pytest.mark.parametrize(
    ("name", "n_components"),
    [
        ("breast_cancer", 2),
        pytest.param("wine", 2, marks=slow),
        pytest.param("wine", 5, marks=slow),
        pytest.param("breast_cancer", 5, marks=slow),
        pytest.param("digits", 2, marks=slow),
        pytest.param("digits", 5, marks=slow),
    ],
)
def test_real_tables_reach_pca_in_float32_with_batches(name, n_components):
    X = standardized(name)
    vae = linear(n_components, batch_size=512).fit(X)

    assert vae.score(X) == pytest.approx(ppca_log_likelihood(X, n_components), abs=1e-2)


@pytest.mark.parametrize(
    ("name", "n_components", "max_iter", "precision"),
    [
        ("wine", 2, 80, "float64"),
        pytest.param("wine", 2, 80, "float32", marks=slow),
        pytest.param("wine", 3, 300, "float64", marks=slow),
        # One column is nearly a function of the others: a variance of 0.0003.
        pytest.param("breast_cancer", 2, 1500, "float64", marks=slow),
    ],
)
def test_variance_per_feature_is_factor_analysis(
    name, n_components, max_iter, precision
):
    X = standardized(name)
    analysis = FactorAnalysis(
        n_components, tol=1e-9, max_iter=20_000, svd_method="lapack"
    ).fit(X)
    vae = linear(
        n_components,
        balance=LearnedVariance(scope="feature"),
        precision=precision,
        learning_rate_init=0.02,
        max_iter=max_iter,
    ).fit(X)

    assert vae.score(X) == pytest.approx(analysis.score(X), abs=TOLERANCE[precision])
    assert_allclose(vae.variance_, analysis.noise_variance_, atol=0.02)


@pytest.mark.slow
def test_variance_per_feature_is_not_below_factor_analysis():
    """With five factors some variances go to zero, and EM has not converged after
    20,000 iterations; what scikit-learn's own tolerance reaches is reached."""
    X = standardized("wine")
    vae = linear(
        5, balance=LearnedVariance(scope="feature"), precision="float64", max_iter=120
    ).fit(X)

    assert vae.score(X) > FactorAnalysis(5).fit(X).score(X) - 1e-3


@pytest.mark.parametrize(
    ("name", "balance"),
    [
        ("spectrum", "optimal_variance"),
        ("spectrum", RunningAverage()),
        ("wine", RunningAverage(variant="ema")),
        pytest.param("spectrum", RunningAverage(variant="ema"), marks=slow),
        pytest.param("wine", "optimal_variance", marks=slow),
        pytest.param("wine", RunningAverage(), marks=slow),
        pytest.param("breast_cancer", "optimal_variance", marks=slow),
        pytest.param("breast_cancer", RunningAverage(), marks=slow),
        pytest.param("breast_cancer", RunningAverage(variant="ema"), marks=slow),
    ],
)
def test_closed_form_policies_end_at_the_ppca_variance(name, balance, spectrum):
    X = spectrum if name == "spectrum" else standardized(name)
    vae = linear(2, balance=balance, standardize=False, precision="float64").fit(X)

    expected = np.linalg.eigvalsh(np.cov(X.T, bias=True))[:-2].mean()
    assert vae.theta_ == pytest.approx(expected, rel=0.02)
    assert vae.variance_ == pytest.approx(expected, rel=0.02)
    assert vae.score(X) == pytest.approx(ppca_log_likelihood(X, 2), abs=1e-3)


@pytest.fixture(scope="module")
def ppca(spectrum):
    """Model at the optimum with three latents."""
    return linear(3, standardize=False, precision="float64").fit(spectrum)


def test_variance_law(ppca, spectrum):
    """Variance of the posterior mean plus mean posterior variance is 1."""
    eigenvalues = EIGENVALUES[:3]
    explained = np.sort(ppca.transform(spectrum).var(axis=0))[::-1]
    assert_allclose(explained, 1.0 - (1.0 / 3.0) / eigenvalues, atol=0.01)
    # The rate is a function of the two alone where their sum is 1.
    posterior_variance = 1.0 - explained
    rate, _ = ppca.rate_distortion(spectrum)
    assert rate.mean() == pytest.approx(
        -0.5 * np.log(posterior_variance).sum(), abs=0.02
    )


def test_importance_weights_have_no_variance_at_the_optimum(ppca, spectrum):
    """Every weight is p(x), so that one draw says as much as a thousand."""
    one = ppca.log_likelihood(spectrum, n_importance_samples=1)
    many = ppca.log_likelihood(spectrum, n_importance_samples=1000)
    assert_allclose(one, many, atol=0.05)
    assert_allclose(many, ppca.score_samples(spectrum), atol=0.01)
    assert many.mean() == pytest.approx(-7.905434, abs=1e-3)


@pytest.mark.parametrize(
    ("beta", "log_likelihood", "elbo", "shortfall"),
    [
        # A posterior that is too narrow rarely draws what weighs most, so that the
        # bound is still short of the likelihood.
        (0.5, -8.065505, -8.399926, 0.1),
        (2.0, -8.194546, -8.473910, 0.02),
    ],
)
@may_collapse
def test_away_from_the_optimum_the_bound_is_loose(
    spectrum, beta, log_likelihood, elbo, shortfall
):
    """With another beta the encoder is not the decoder's posterior."""
    vae = linear(
        N_FEATURES,
        beta=beta,
        balance="constant",
        likelihood=Gaussian(variance=0.5),
        standardize=False,
        precision="float64",
    ).fit(spectrum)

    assert vae.score(spectrum) == pytest.approx(elbo, abs=0.01)
    bound = vae.log_likelihood(spectrum, n_importance_samples=3000).mean()
    assert log_likelihood - shortfall < bound < log_likelihood + 0.02


@pytest.mark.parametrize(
    "schedule",
    [
        Linear(),
        Cyclical(warmup=0.5),
        # Other shapes of the same rise.
        pytest.param(Sigmoid(), marks=slow),
        pytest.param(Cosine(), marks=slow),
    ],
    ids=repr,
)
def test_schedule_around_a_learned_variance_ends_at_ppca(spectrum, schedule):
    balance = schedule.set_params(policy=LearnedVariance())
    vae = linear(
        3, balance=balance, standardize=False, precision="float64", max_iter=40
    ).fit(spectrum)

    assert vae.score(spectrum) == pytest.approx(-7.905434, abs=1e-3)
    assert vae.theta_ == pytest.approx(1.0 / 3.0, abs=0.01)
    assert vae.beta_ == 1.0


# From the closed form: it is at the optimum before the first step.


def at_the_start(n_components, **params):
    """A model whose training is too short to get anywhere."""
    settings = {
        "hidden_layer_sizes": (),
        "early_stopping": False,
        "learning_rate_init": 1e-8,
        "max_iter": 1,
        "precision": "float64",
        "random_state": 0,
        **params,
    }
    return BalancedVAE(n_components, **settings)


one_epoch = pytest.mark.filterwarnings("ignore:Training ended after max_iter=1 epochs")


@one_epoch
@pytest.mark.parametrize(
    ("name", "n_components", "balance", "hidden"),
    [
        ("wine", 2, "running_average", ()),
        ("wine", 5, "geco", (8,)),
        ("breast_cancer", 2, "learned_variance", (8,)),
        ("breast_cancer", 5, "geco", ()),
        ("digits", 2, "geco", ()),
        ("digits", 5, "running_average", (8,)),
    ],
)
def test_start_is_at_probabilistic_pca(name, n_components, balance, hidden):
    X = standardized(name)
    if balance == "geco":
        # Its own variance is fixed; beta is the variance of probabilistic PCA.
        beta = np.linalg.eigvalsh(np.cov(X.T, bias=True))[:-n_components].mean()
    else:
        beta = 1.0
    vae = at_the_start(
        n_components, balance=balance, beta=beta, hidden_layer_sizes=hidden
    ).fit(X)
    assert vae.score(X) == pytest.approx(ppca_log_likelihood(X, n_components), abs=1e-3)
    assert_allclose(vae.log_likelihood(X, 1), vae.score_samples(X), atol=0.05)


@one_epoch
@pytest.mark.parametrize(
    ("name", "n_components"),
    [
        ("wine", 2),
        ("wine", 5),
        ("breast_cancer", 5),
        pytest.param("wine", 3, marks=slow),
        pytest.param("breast_cancer", 2, marks=slow),
        pytest.param("digits", 2, marks=slow),
        pytest.param("digits", 5, marks=slow),
    ],
)
def test_start_is_not_below_factor_analysis(name, n_components):
    X = standardized(name)
    balance = RunningAverage(scope="feature")
    vae = at_the_start(n_components, balance=balance).fit(X)
    analysis = FactorAnalysis(n_components, svd_method="lapack").fit(X)
    assert vae.score(X) > analysis.score(X) - 1e-3


@one_epoch
@pytest.mark.parametrize("n_components", [2, 3])
def test_start_is_factor_analysis(n_components):
    X = standardized("wine")
    analysis = FactorAnalysis(
        n_components, tol=1e-9, max_iter=20_000, svd_method="lapack"
    ).fit(X)
    balance = RunningAverage(scope="feature")
    vae = at_the_start(n_components, balance=balance).fit(X)
    assert vae.score(X) == pytest.approx(analysis.score(X), abs=1e-3)
    assert_allclose(vae.variance_, analysis.noise_variance_, atol=2e-3)


@one_epoch
@pytest.mark.parametrize("theta", [0.3, 1.5])
@may_collapse
def test_start_at_a_fixed_theta_is_on_the_rate_distortion_function(spectrum, theta):
    params = {
        "beta": theta,
        "balance": "constant",
        "likelihood": Gaussian(variance=1.0),
        "standardize": False,
    }
    vae = at_the_start(N_FEATURES, **params).fit(spectrum)
    rate = 0.5 * np.log(EIGENVALUES / theta).clip(min=0.0).sum()
    assert vae.rate_ == pytest.approx(rate, abs=5e-3)
    assert vae.active_units_.sum() == (theta < EIGENVALUES).sum()


@pytest.mark.parametrize("balance", ["running_average", "learned_variance"])
@pytest.mark.parametrize("name", ["wine", "breast_cancer"])
def test_training_stays_at_the_optimum(name, balance):
    X = standardized(name)
    params = {"balance": balance, "learning_rate_init": 0.003, "max_iter": 20}
    # The noise of small batches would move it a little further.
    params["batch_size"] = 256
    vae = at_the_start(2, **params).fit(X)
    assert vae.score(X) == pytest.approx(ppca_log_likelihood(X, 2), abs=2e-3)
