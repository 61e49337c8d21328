"""One model for every beta of a range."""

import pickle
import re

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone
from sklearn.datasets import load_breast_cancer, load_digits, load_wine
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import scale

from skvae import BalancedVAE
from skvae._curve import fit_multirate
from skvae._linear_model import LinearModel
from skvae._runs import fit_betas
from skvae.balance import Linear, MultiRate, Ramp
from skvae.divergences import MMD
from skvae.likelihoods import Gaussian
from skvae.networks import MLP, Network

# These ask for more weight than latents can bear.
may_collapse = pytest.mark.filterwarnings(
    "ignore::skvae.exceptions.PosteriorCollapseWarning"
)


WINE = load_wine().data
# The tolerance says that few epochs are meant to be enough.
SHORT = {"hidden_layer_sizes": (8,), "max_iter": 5, "tol": 1e3, "random_state": 0}


def make(n_components=3, **params):
    return BalancedVAE(n_components, **{"balance": "multirate", **SHORT, **params})


@pytest.fixture(scope="module")
def vae():
    return make().fit(WINE)


def fitted_of(vae):
    """What a fit says of itself."""
    names = ("beta_", "theta_", "variance_", "rate_", "distortion_", "elbo_")
    return {name: getattr(vae, name) for name in (*names, "active_units_", "n_iter_")}


@may_collapse
@pytest.mark.parametrize("beta", [0.01, 0.2, 4.0])
def test_at_beta_is_the_fit_at_that_beta(vae, beta):
    other, moved = make(beta=beta).fit(WINE), vae.at_beta(beta)
    assert moved.beta == moved.beta_ == moved.theta_ == beta
    for name, value in fitted_of(other).items():
        assert_array_equal(getattr(moved, name), value, err_msg=name)
    assert_array_equal(moved.transform(WINE), other.transform(WINE))
    assert_array_equal(moved.score_samples(WINE), other.score_samples(WINE))
    assert_array_equal(moved.sample(3, random_state=0), other.sample(3, random_state=0))
    for name, entries in other.history_.items():
        assert_array_equal(moved.history_[name], entries, err_msg=name)
    # Training goes on from there the same way.
    for one in (moved, other):
        one.partial_fit(WINE)
    assert_array_equal(moved.transform(WINE), other.transform(WINE))
    assert moved.beta_ == beta


def test_at_beta_leaves_the_estimator_as_it_is(vae):
    before = pickle.dumps(vae)
    moved = vae.at_beta(0.05)
    assert pickle.dumps(vae) == before
    assert moved is not vae
    assert vae.beta == vae.beta_ == 1.0
    # There and back again.
    back = moved.at_beta(1.0)
    assert_array_equal(back.transform(WINE), vae.transform(WINE))
    assert fitted_of(back).keys() == fitted_of(vae).keys()
    for name, value in fitted_of(vae).items():
        assert_array_equal(getattr(back, name), value, err_msg=name)
    assert clone(moved).get_params()["beta"] == 0.05


def test_pickled_it_can_still_be_moved(vae):
    again = pickle.loads(pickle.dumps(vae))
    moved, expected = again.at_beta(0.3), vae.at_beta(0.3)
    assert_array_equal(moved.transform(WINE), expected.transform(WINE))
    assert_array_equal(moved.variance_, expected.variance_)


def test_rate_falls_and_error_rises_along_the_range(vae):
    models = [vae.at_beta(beta) for beta in np.geomspace(0.01, 10.0, 7)]
    assert (np.diff([model.rate_ for model in models]) < 0.0).all()
    assert (np.diff([model.variance_.mean() for model in models]) > 0.0).all()
    assert models[0].active_units_.sum() == 3
    assert models[-1].active_units_.sum() == 0


@pytest.mark.parametrize("early_stopping", [True, False])
@pytest.mark.parametrize("beta", [0.037, 0.5, 2.5])
def test_variance_is_calibrated_at_the_beta(early_stopping, beta):
    """As if the rows were looked at there, and not at a grid around it."""
    params = {"n_components": 2, "batch_size": len(WINE)}
    vae = make(early_stopping=early_stopping, **params).fit(WINE).at_beta(beta)
    plain = make(balance="constant", beta=beta, max_iter=2, **params)
    plain.set_params(early_stopping=early_stopping, warm_start=True).fit(WINE)
    plain._values, plain._shapes = vae._values, vae._shapes
    # Nothing but the calibration is left for this fit to do.
    plain.set_params(learning_rate_init=1e-30).fit(WINE)
    assert_allclose(plain.transform(WINE), vae.transform(WINE), atol=1e-5)
    assert_allclose(vae.variance_, plain.variance_, rtol=0.02)
    assert vae.rate_ == pytest.approx(plain.rate_, abs=0.01)
    assert vae.score(WINE) == pytest.approx(plain.score(WINE), abs=0.05)


def linear_rate_and_error(vae, X):
    """Rate and squared error per row, from the units of the likelihood."""
    rate, _ = vae.rate_distortion(X)
    noise = vae._model(X.dtype)
    return rate.mean(), np.sum(noise.variance) * X.shape[1] / noise.variance.size


@may_collapse
@pytest.mark.parametrize("learning_rate_init", [1e-30, 0.003])
def test_one_linear_model_lies_on_the_whole_rate_distortion_curve(learning_rate_init):
    X = scale(WINE)
    params = {"hidden_layer_sizes": (), "early_stopping": False, "max_iter": 40}
    params["learning_rate_init"] = learning_rate_init
    params["batch_size"] = len(X)
    balance = MultiRate(low=0.05, high=4.0)
    vae = make(13, balance=balance, precision="float64", **params).fit(X)
    model = LinearModel.from_rows(X, np.ones(len(X)), 13)
    for beta in np.geomspace(0.05, 4.0, 12):
        rate, error = linear_rate_and_error(vae.at_beta(beta), X)
        # A latent that is off has a millinat, as its gate is not quite closed.
        assert rate == pytest.approx(model.rate(beta), rel=0.01, abs=0.02)
        assert error == pytest.approx(model.squared_error(beta), rel=0.01)


@may_collapse
@pytest.mark.parametrize("beta", [0.001, 11.0, 0])
def test_beta_outside_of_the_range_names_it(vae, beta):
    match = (
        r"balance=MultiRate\(\) trains the betas from 0\.01 to 10, but "
        rf"beta={beta!r} is outside of that range"
    )
    with pytest.raises(ValueError, match=match):
        vae.at_beta(beta)
    with pytest.raises(ValueError, match=match):
        make(beta=beta).fit(WINE)
    make(beta=11.0, balance=MultiRate(high=20.0), max_iter=2).fit(WINE)


def test_at_beta_needs_a_range():
    with pytest.raises(NotFittedError):
        make().at_beta(0.1)
    plain = make(balance="constant").fit(WINE)
    match = (
        r"at_beta\(beta=0\.1\) needs a model that was trained for a range of betas, "
        r"but this one was fitted with balance=Constant\(\)\. Fit with "
        r"balance='multirate'"
    )
    with pytest.raises(ValueError, match=match):
        plain.at_beta(0.1)
    # A fit forgets the range of the last one.
    again = make().fit(WINE).set_params(balance="constant").fit(WINE)
    with pytest.raises(ValueError, match=match):
        again.at_beta(0.1)


@pytest.mark.parametrize(
    "balance", [Linear(policy=MultiRate()), Linear(policy=Ramp(MultiRate(0.1, 1.0)))]
)
def test_wrapped_range(balance):
    match = (
        rf"balance={re.escape(repr(balance))} is wrapped around MultiRate\(.*none to"
    )
    with pytest.raises(ValueError, match=match):
        make(balance=balance).fit(WINE)


def test_network_without_gates():
    class Own(Network):
        pass

    match = (
        r"MultiRate\(\) needs a network with gates.*network=Own\(\) has no such form"
    )
    with pytest.raises(ValueError, match=match):
        make(network=Own()).fit(WINE)
    make(network=MLP((4,), posterior="full"), max_iter=2).fit(WINE).at_beta(0.1)


def test_other_divergence():
    with pytest.raises(ValueError, match="is built on the KL divergence itself"):
        make(divergence=MMD()).fit(WINE)


def test_range_that_is_none():
    with pytest.raises(ValueError, match="needs low below high"):
        make(balance=MultiRate(low=2.0, high=1.0)).fit(WINE)


def test_zeros_and_ones():
    X = (np.median(WINE, axis=0) < WINE).astype(float)
    vae = make(likelihood="bernoulli", max_iter=20).fit(X)
    models = [vae.at_beta(beta) for beta in (0.03, 0.3, 3.0)]
    rates, distortions = np.array([m.rate_distortion(X) for m in models]).mean(axis=2).T
    assert (np.diff(rates) < -0.1).all()
    assert (np.diff(distortions) > 0.1).all()
    assert models[0].variance_ is models[0].theta_ is None


def test_fixed_variance_scales_theta():
    vae = make(likelihood=Gaussian(variance=0.5)).fit(WINE).at_beta(0.4)
    assert vae.variance_ == 0.5
    assert vae.theta_ == pytest.approx(0.2)


def test_partial_fit_goes_on():
    X = WINE[:100]
    vae = make(max_iter=10, beta=0.2)
    for _ in range(3):
        vae.partial_fit(X)
    assert vae.history_["rate"].shape == (3,)
    assert vae.beta_ == 0.2
    assert vae.at_beta(0.02).rate_ > vae.rate_ > vae.at_beta(2.0).rate_


def test_warm_start_goes_on_from_what_holds_for_all_betas():
    vae = make(warm_start=True, learning_rate_init=0.01).fit(WINE)
    low = vae.at_beta(0.05)
    again = vae.at_beta(2.0).set_params(learning_rate_init=1e-30).fit(WINE)
    found = again.at_beta(0.05).transform(WINE)
    assert_allclose(found, low.transform(WINE), atol=1e-5)
    # The plain model at one beta can be trained further at that beta.
    plain = low.set_params(balance="constant", learning_rate_init=1e-30)
    before = low.transform(WINE)
    assert_allclose(plain.fit(WINE).transform(WINE), before, atol=1e-5)
    with pytest.raises(ValueError, match="warm_start=True goes on from the weights"):
        plain.set_params(balance="multirate").fit(WINE)


def test_path_of_one_model():
    betas = [0.1, 1.0, 3.0]
    vae = make()
    models = fit_multirate(vae, WINE, betas, np.ones(len(WINE)))
    assert not hasattr(vae, "rate_")
    expected = make().fit(WINE)
    for beta, model in zip(betas, models, strict=True):
        assert model.beta_ == beta
        moved = expected.at_beta(beta)
        assert_array_equal(model.transform(WINE), moved.transform(WINE))


def test_held_out_rows_judge_a_mean_over_betas(vae):
    history = vae.history_
    assert_allclose(
        history["validation_elbo"],
        -(history["validation_rate"] + history["validation_distortion"]),
    )
    elbos = [vae.at_beta(beta).elbo_ for beta in np.geomspace(0.01, 10.0, 5)]
    # The noise that judges an epoch is not that of the report.
    assert history["validation_elbo"].max() == pytest.approx(np.mean(elbos), abs=0.5)


@pytest.mark.slow
@pytest.mark.parametrize("load", [load_breast_cancer, load_digits])
def test_one_training_is_close_to_separate_ones(load):
    """In rate and distortion of new rows; `benchmarks/multirate.py` has more tables."""
    X = load().data
    train, test = train_test_split(X, test_size=0.3, random_state=0)
    varies = train.std(axis=0) > 0.05
    train, test = train[:, varies], test[:, varies]
    betas = np.geomspace(0.01, 10.0, 10)
    params = {"max_iter": 60, "hidden_layer_sizes": (64, 64)}
    vae = make(**params).fit(train)
    separate = fit_betas(make(balance="constant", **params), train, betas)

    def curve(models):
        return np.array([m.rate_distortion(test) for m in models]).mean(axis=2).T

    rate, distortion = curve(separate)
    found, above = curve([vae.at_beta(beta) for beta in betas])
    above -= np.interp(found, rate[::-1], distortion[::-1])
    gap = np.abs(above) / np.ptp(distortion)
    assert gap.mean() < 0.03
    assert gap.max() < 0.1
