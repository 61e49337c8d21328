"""Linear models end at the set points of their policies, as the closed form has it."""

import math
import pickle

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.datasets import load_wine

from skvae import BalancedVAE
from skvae.balance import Capacity, Constant, Control, Dynamic, FreeBits, Geco
from skvae.divergences import KL, Divergence
from skvae.likelihoods import Gaussian
from skvae.linear._model import LinearModel
from skvae.networks import MLP

SPECTRA = {
    # With the numbers that tests/promises/test_exact.py has.
    "six": np.array([4.0, 2.0, 1.0, 0.5, 0.25, 0.25]),
    "eight": np.array([3.0, 1.5, 0.9, 0.6, 0.3, 0.2, 0.1, 0.05]),
}
N_ROWS = 64


# These ask for more weight than latents can bear.
may_collapse = pytest.mark.filterwarnings(
    "ignore::skvae.exceptions.PosteriorCollapseWarning"
)


def rows_of(spectrum):
    """Rows of mean zero and maximum-likelihood covariance diag(eigenvalues)."""
    eigenvalues = SPECTRA[spectrum]
    rng = np.random.default_rng(0)
    normal = rng.normal(size=(N_ROWS, len(eigenvalues)))
    basis = np.linalg.qr(np.column_stack([np.ones(N_ROWS), normal]))[0][:, 1:]
    return math.sqrt(N_ROWS) * basis * np.sqrt(eigenvalues)


def linear_model_of(X, n_components):
    return LinearModel.from_rows(X, np.ones(len(X)), n_components)


def constant(n_features):
    """Nats of a reconstruction without error, at unit variance."""
    return 0.5 * n_features * math.log(2.0 * math.pi)


def linear(n_components, balance, **params):
    """A linear model trained on the whole table at once."""
    settings = {
        # From a random start, so that it is the policy that gets there.
        "network": MLP((), linear_path=False),
        "early_stopping": False,
        "learning_rate_init": 0.05,
        "batch_size": 10_000,
        "max_iter": 60,
        "random_state": 0,
        "precision": "float64",
        "standardize": False,
        "likelihood": Gaussian(variance=1.0),
        **params,
    }
    return BalancedVAE(n_components, balance=balance, **settings)


def small(balance, **params):
    """A model that is soon trained, on columns that are standardized."""
    settings = {
        "hidden_layer_sizes": (4,),
        "likelihood": "gaussian",
        "max_iter": 5,
        # Says that five epochs are meant to be enough.
        "tol": 1e3,
        "early_stopping": False,
        "precision": "float64",
        "random_state": 0,
        **params,
    }
    return BalancedVAE(2, balance=balance, **settings)


# --- Where training ends ------------------------------------------------------------

# Spectrum, number of latents and rate, and where training starts: more latents than
# stay active, and as many as do, with a tail that they do not reach.
SET_POINTS = [
    pytest.param("six", 6, 3.0, False, id="six-random"),
    pytest.param("eight", 4, 2.0, True, id="eight-closed-form"),
    pytest.param("six", 6, 3.0, True, id="six-closed-form", marks=pytest.mark.slow),
    pytest.param("eight", 4, 2.0, False, id="eight-random", marks=pytest.mark.slow),
]


# A controller needs steps to settle, whatever the learning rate is.
EPOCHS = {Capacity: 50, Dynamic: 60, Control: 120, Geco: 150}


@pytest.mark.parametrize(
    ("spectrum", "n_components", "rate", "linear_path"), SET_POINTS
)
@pytest.mark.parametrize("cls", EPOCHS)
def test_ends_at_the_set_point(cls, spectrum, n_components, rate, linear_path):
    X = rows_of(spectrum)
    model = linear_model_of(X, n_components)
    theta = model.theta_at_rate(rate)
    distortion = 0.5 * model.squared_error(theta) + constant(model.n_features)
    settings = {"target": distortion if cls is Geco else rate}
    if cls is Capacity:
        # The less a missing nat costs, the more steps go into the distortion.
        settings["weight"] = 2.0

    network = MLP((), linear_path=linear_path)
    vae = linear(
        n_components, cls(**settings), network=network, max_iter=EPOCHS[cls]
    ).fit(X)

    rates, distortions = vae.rate_distortion(X)
    assert rates.mean() == pytest.approx(rate, rel=0.02)
    assert distortions.mean() == pytest.approx(distortion, rel=0.02)
    assert vae.rate_ == pytest.approx(rate, rel=0.02)
    assert vae.distortion_ == pytest.approx(distortion, rel=0.02)
    expected = 2.0 if cls is Capacity else pytest.approx(theta, rel=0.02)
    assert vae.theta_ == vae.beta_ == expected


@pytest.mark.parametrize("cls", EPOCHS)
def test_auto_ends_at_probabilistic_pca(cls):
    X = rows_of("six")
    balance = cls(weight=2.0) if cls is Capacity else cls()
    vae = linear(2, balance, max_iter=EPOCHS[cls]).fit(X)

    # The variance is the mean of the last four eigenvalues, the error D times that.
    rates, distortions = vae.rate_distortion(X)
    assert rates.mean() == pytest.approx(1.732868, rel=0.02)
    assert distortions.mean() == pytest.approx(0.5 * 6 * 0.5 + constant(6), rel=0.02)
    if cls is not Capacity:
        assert vae.theta_ == pytest.approx(0.5, rel=0.02)


@pytest.mark.parametrize(
    ("balance", "beta", "theta"),
    [
        # Each of the three latents carries more at that level, at least 0.6 nats.
        (FreeBits(0.5), 0.3, 0.3),
        # 0.86 nats in all at that level: more than one floor, less than the other.
        pytest.param(FreeBits(0.8, "total"), 1.2, 1.2, marks=pytest.mark.slow),
        pytest.param(
            *(FreeBits(2.0, "total"), 1.2, 8.0 ** (1.0 / 3.0) * math.exp(-4.0 / 3.0)),
            marks=pytest.mark.slow,
        ),
    ],
)
def test_free_bits_at_a_water_level(balance, beta, theta):
    X = rows_of("six")
    model = linear_model_of(X, 3)
    vae = linear(3, balance, beta=beta).fit(X)
    rates, distortions = vae.rate_distortion(X)
    assert rates.mean() == pytest.approx(model.rate(theta), rel=0.02)
    distortion = 0.5 * model.squared_error(theta) + constant(6)
    assert distortions.mean() == pytest.approx(distortion, rel=0.02)
    assert vae.beta_ == beta


@pytest.mark.slow
@may_collapse
def test_free_bits_fill_the_floor_of_each_latent():
    X, beta = rows_of("six"), 5.0
    # Nothing is worth that much a nat.
    assert linear(3, Constant(), beta=beta).fit(X).rate_ < 0.01
    for floor in (0.2, 0.5):
        vae = linear(3, FreeBits(floor), beta=beta).fit(X)
        assert vae.rate_ == pytest.approx(3 * floor, rel=0.02)
        # Latents along the principal axes do no better.
        error = (SPECTRA["six"][:3] * math.exp(-2.0 * floor)).sum() + 1.0
        assert vae.distortion_ <= 1.001 * (0.5 * error + constant(6))
        assert vae.active_units_.all()


@pytest.mark.slow
def test_free_bits_for_rows_cost_more():
    X = rows_of("six")
    row, latent = (linear(3, FreeBits(0.3, kind)).fit(X) for kind in ("row", "latent"))
    # Rows near the mean may carry 0.3 nats of each latent for nothing.
    assert row.rate_ > latent.rate_
    assert row.rate_ > 3 * 0.3


@pytest.mark.slow
@may_collapse
def test_weight_of_capacity_that_is_too_small_ends_at_its_water_level():
    X = rows_of("six")
    match = r"reaches from 1.04 to inf. .* a larger weight, which lowers the first"
    with pytest.warns(UserWarning, match=match):
        vae = linear(6, Capacity(target=0.5, weight=2.0), beta=0.5).fit(X)
    assert vae.beta_ == 1.0
    assert vae.rate_ == pytest.approx(1.039721, rel=0.02)


@pytest.mark.parametrize("share", [0.5, 0.8])
def test_geco_at_a_share_of_explained_variance(share):
    """As the docstring has it, on columns that are standardized."""
    X = load_wine().data
    n_features = X.shape[1]
    target = 0.5 * n_features * (1.0 - share + math.log(2.0 * math.pi))
    target += np.log(X.std(axis=0)).sum()
    vae = linear(6, Geco(target=target), standardize=True, max_iter=80).fit(X)
    assert vae.distortion_ == pytest.approx(target, rel=0.02)
    assert 2.0 * (vae.distortion_ - target) == pytest.approx(0.0, abs=0.1)


# --- Around training ----------------------------------------------------------------

BALANCES = {
    "capacity": Capacity(),
    "free_bits": FreeBits(),
    "geco": Geco(),
    "control": Control(),
    "dynamic": Dynamic(),
}
every_balance = pytest.mark.parametrize("balance", BALANCES.values(), ids=BALANCES)


@every_balance
def test_units_do_not_matter(balance):
    X = load_wine().data
    # Powers of two are exact; 1000 is for the ones who doubt it.
    one, same, other = (small(balance).fit(scale * X) for scale in (1.0, 1024.0, 1e3))
    assert_allclose(same.transform(1024.0 * X), one.transform(X), rtol=1e-9)
    assert_allclose(other.transform(1e3 * X), one.transform(X), atol=1e-6)
    assert other.rate_ == pytest.approx(one.rate_, rel=1e-6)
    assert other.beta_ == pytest.approx(one.beta_, rel=1e-6)
    nats = X.shape[1] * math.log(1e3)
    assert other.distortion_ == pytest.approx(one.distortion_ + nats, rel=1e-6)


@every_balance
def test_halves_of_partial_fit_are_one_run(balance):
    X = load_wine().data[:60]
    whole, first = small(balance, batch_size=20), small(balance, batch_size=20)
    for _ in range(6):
        whole.partial_fit(X)
    for _ in range(3):
        first.partial_fit(X)
    second = pickle.loads(pickle.dumps(first))
    for _ in range(3):
        second.partial_fit(X)
    assert_array_equal(second.transform(X), whole.transform(X))
    assert_array_equal(second.history_["beta"], whole.history_["beta"])
    assert second.beta_ == whole.beta_


@pytest.mark.parametrize("cls", [Geco, Control, Dynamic])
def test_beta_is_where_the_controller_starts(cls):
    X = load_wine().data
    for start in (0.3, 3.0):
        # One step.
        beta = small(cls(), beta=start).partial_fit(X).beta_
        assert beta == pytest.approx(start, rel=0.1)


@pytest.mark.parametrize("balance", [Capacity(), Geco(), Control(), Dynamic()])
def test_auto_needs_a_variance(balance):
    X = (load_wine().data > 2.0).astype(float)
    match = "but the likelihood has none. Pass target as a number of nats per row"
    for likelihood in ("bernoulli", "auto"):
        with pytest.raises(ValueError, match=match):
            small(balance, likelihood=likelihood).fit(X)
    # The remedy works.
    balance = type(balance)(target=2.0)
    assert math.isfinite(small(balance, likelihood="bernoulli").fit(X).elbo_)


def test_warning_is_given_once_a_fit():
    X = load_wine().data
    with pytest.warns(UserWarning, match="reaches from") as caught:
        small(Geco(target=1e6)).fit(X)
    assert sum("reaches from" in str(w.message) for w in caught) == 1


# --- The KL itself ------------------------------------------------------------------


class Halved(Divergence):
    """Half of the KL divergence, and not the KL divergence."""

    def __call__(self, draws):
        return 0.5 * draws.rate


class Renamed(KL):
    """The KL divergence by another name."""


@pytest.mark.parametrize("balance", ["capacity", "free_bits", "control", "dynamic"])
def test_policies_of_the_kl_refuse_another_divergence(balance):
    X = load_wine().data
    match = (
        rf"divergence=Halved\(\) cannot be weighed by balance='{balance}', which is "
        r"built on the KL divergence itself\. Use divergence='kl', or a balance that "
        r"weighs any divergence, such as 'constant'\."
    )
    with pytest.raises(ValueError, match=match):
        small(balance, divergence=Halved()).fit(X)
    assert small(balance, divergence=Renamed(), max_iter=2).fit(X).n_iter_ == 2


@pytest.mark.parametrize("balance", [Constant(), Geco()])
def test_other_policies_take_any_divergence(balance):
    X = load_wine().data
    half = small(balance, divergence=Halved()).fit(X)
    whole = small(balance).fit(X)
    assert np.abs(half.transform(X) - whole.transform(X)).max() > 1e-6
