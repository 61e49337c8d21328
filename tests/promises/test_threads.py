"""Threads: one fitted model in many, and many fits at once, do not disturb each other.

The interpreter switches threads a thousand times as often as it does by default.
"""

import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from numpy.testing import assert_array_equal, assert_equal
from sklearn.base import clone

from skvae import BalancedVAE
from skvae.balance import LearnedVariance
from skvae.networks import MLP

N_THREADS = 8
RANDOM = np.random.RandomState(0)
N_ROWS = 60
# One column or two for each likelihood.
COLUMNS = {
    "gaussian": RANDOM.normal(size=(N_ROWS, 2)),
    "student_t": RANDOM.standard_t(5, size=(N_ROWS, 1)),
    "laplace": RANDOM.laplace(size=(N_ROWS, 1)),
    "log_normal": RANDOM.lognormal(size=(N_ROWS, 1)),
    "bernoulli": RANDOM.randint(2, size=(N_ROWS, 1)),
    "continuous_bernoulli": RANDOM.uniform(size=(N_ROWS, 1)),
    "beta": RANDOM.uniform(size=(N_ROWS, 1)),
    "categorical": RANDOM.randint(4, size=(N_ROWS, 2)),
    "ordinal": RANDOM.randint(3, size=(N_ROWS, 1)),
    "poisson": RANDOM.poisson(3.0, size=(N_ROWS, 1)),
    "negative_binomial": RANDOM.negative_binomial(2, 0.3, size=(N_ROWS, 1)),
    "zero_inflated_negative_binomial": RANDOM.poisson(0.5, size=(N_ROWS, 1)),
}
X = np.hstack(list(COLUMNS.values())).astype(float)
X_WITH_GAPS = np.where(RANDOM.uniform(size=X.shape) < 0.2, np.nan, X)


def likelihoods():
    ends = np.cumsum([part.shape[1] for part in COLUMNS.values()])
    return [
        (name, list(range(end - part.shape[1], end)))
        for (name, part), end in zip(COLUMNS.items(), ends, strict=True)
    ]


def small(**params):
    settings = {"hidden_layer_sizes": (4,), "max_iter": 2, "tol": 1e3}
    return BalancedVAE(2, **{**settings, "random_state": 0, "device": "cpu", **params})


@pytest.fixture
def switch_often():
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


def in_threads(calls):
    """Results of functions without arguments, called in several threads at once."""
    with ThreadPoolExecutor(N_THREADS) as pool:
        return [each.result() for each in [pool.submit(call) for call in calls]]


def global_states():
    return torch.get_rng_state().numpy().copy(), np.random.get_state()


def test_eight_threads_draw_from_one_model_as_one_does(switch_often):
    vae = small(likelihood=likelihoods()).fit(X_WITH_GAPS)

    def draw(seed):
        rows = X_WITH_GAPS[seed % 7 :: 7]
        imputed = vae.impute(rows, 5, n_draws=2, random_state=seed)
        return [vae.sample(20, random_state=seed), *imputed]

    seeds = range(20)
    expected = [draw(seed) for seed in seeds]
    before = global_states()
    calls = [lambda seed=seed: draw(seed) for seed in [*seeds] * 4]
    found = in_threads(calls)
    assert_equal(global_states(), before)
    for one, other in zip(found, expected * 4, strict=True):
        assert_equal(one, other)
    # Each seed has draws of its own.
    assert len({each[0].tobytes() for each in expected}) == len(expected)


def test_draws_of_others_from_the_global_generator_are_not_disturbed(switch_often):
    vae = small().fit(COLUMNS["gaussian"])

    def of_others():
        return torch.cat([torch.rand(1) for _ in range(2000)])

    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(0)
        expected = of_others()
        torch.default_generator.manual_seed(0)
        sampling = [lambda: vae.sample(5, random_state=0)] * 200
        found, *samples = in_threads([of_others, *sampling])
    assert torch.equal(found, expected)
    for sample in samples:
        assert_array_equal(sample, samples[0])


FITS = {
    "default": small(),
    "without held-out rows": small(early_stopping=False, random_state=1),
    "own parts": small(network=MLP((4,), posterior="full"), balance=LearnedVariance()),
    "mixed": small(likelihood=likelihoods(), balance="constant"),
}


def test_fits_in_threads_are_those_of_one_after_the_other(switch_often):
    before = global_states()
    # Two of each, which share the instances of their parts.
    estimators = [clone(vae) for vae in FITS.values() for _ in range(2)]
    for name in ("network", "balance"):
        shared = [getattr(vae, name) for vae in estimators[4:6]]
        estimators[5].set_params(**{name: shared[0]})
    fitted = in_threads([lambda vae=vae: vae.fit(X) for vae in estimators])
    assert_equal(global_states(), before)
    for i, vae in enumerate(FITS.values()):
        alone = clone(vae).fit(X)
        for other in fitted[2 * i : 2 * i + 2]:
            assert_array_equal(other._fitted.values, alone._fitted.values)
            assert_array_equal(other.score_samples(X), alone.score_samples(X))
            assert_equal(other.history_, alone.history_)


def test_model_is_used_while_others_are_fitted(switch_often):
    vae = small().fit(X)
    expected = vae.score_samples(X), vae.transform(X)

    def use():
        return vae.score_samples(X), vae.transform(X)

    calls = [use, lambda: small().fit(X), use, lambda: clone(vae).fit(X)] * 3
    for result in in_threads(calls):
        if isinstance(result, tuple):
            assert_array_equal(result[0], expected[0])
            assert_array_equal(result[1], expected[1])
        else:
            assert_array_equal(result._fitted.values, vae._fitted.values)
