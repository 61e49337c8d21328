"""What every learning rate promises; a new one is tested by being in LEARNING_RATES."""

import functools
import pickle
import re

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from sklearn.base import clone

from skvae import BalancedVAE
from skvae.learning_rates import (
    LEARNING_RATES,
    Constant,
    Cosine,
    Cyclical,
    OneCycle,
    StepDecay,
)
from skvae.learning_rates import __all__ as public
from skvae.learning_rates._curve import Curve

X = np.random.RandomState(0).standard_normal((20, 3))
SMALL = {"hidden_layer_sizes": (4,), "max_iter": 4, "tol": 1e3, "random_state": 0}

MEMBERS = [cls() for cls in LEARNING_RATES.values()] + [
    OneCycle(rise=0.5, start=0.2, end=0.1),
    Cosine(n_cycles=3, growth=2.0, lowest=0.1),
    Cyclical(n_cycles=3, lowest=0.0, shape="cosine", decay=0.5),
    StepDecay(factor=0.5, at=[0.9, 0.2]),
]
every_member = pytest.mark.parametrize("rate", MEMBERS, ids=repr)

# A valid value and one that is refused, for each parameter of each class.
SETTINGS = {
    (OneCycle, "rise"): (0.1, 1.0),
    (OneCycle, "start"): (0.5, 0.0),
    (OneCycle, "end"): (0.5, -0.1),
    (Cosine, "n_cycles"): (3, 0),
    (Cosine, "growth"): (2.0, 0.5),
    (Cosine, "lowest"): (0.5, 1.5),
    (Cyclical, "n_cycles"): (3, 1.5),
    (Cyclical, "lowest"): (0.5, -1.0),
    (Cyclical, "shape"): ("cosine", "square"),
    (Cyclical, "decay"): (0.5, 0.0),
    (StepDecay, "factor"): (0.5, 1.0),
    (StepDecay, "at"): ((0.125,), "half"),
}


def fit(learning_rate, **params):
    return BalancedVAE(1, learning_rate=learning_rate, **{**SMALL, **params}).fit(X)


def test_all_members_are_public_and_named():
    assert set(public) == {
        "LEARNING_RATES",
        "LearningRate",
        *(cls.__name__ for cls in LEARNING_RATES.values()),
    }


@every_member
def test_factors_are_between_zero_and_one(rate):
    rate.check()
    factors = [rate(step / 1000) for step in range(1001)]
    assert all(type(factor) is float for factor in factors)
    assert all(0.0 <= factor <= 1.0 for factor in factors)
    assert max(factors) == pytest.approx(1.0, abs=1e-3)


@every_member
def test_settings_are_all_there_is(rate):
    for again in (
        clone(rate),
        pickle.loads(pickle.dumps(rate)),
        eval(repr(rate), {cls.__name__: cls for cls in LEARNING_RATES.values()}),
    ):
        assert again.get_params() == rate.get_params()
        assert [again(p / 7) for p in range(8)] == [rate(p / 7) for p in range(8)]


@every_member
def test_history_shows_it(rate):
    vae = fit(rate, early_stopping=False, batch_size=20)
    # The rate of the last of 20 steps of each epoch.
    expected = [0.003 * rate((20 * epoch + 19) / 80) for epoch in range(4)]
    np.testing.assert_allclose(vae.history_["learning_rate"], expected, rtol=1e-6)
    again = pickle.loads(pickle.dumps(vae))
    assert_array_equal(again.transform(X), vae.transform(X))


@pytest.mark.parametrize("name", LEARNING_RATES)
def test_a_name_is_the_class_with_its_defaults(name):
    by_name, by_class = fit(name), fit(LEARNING_RATES[name]())
    assert_array_equal(by_name.transform(X), by_class.transform(X))


def test_every_setting_is_listed():
    assert set(SETTINGS) == {
        (cls, name) for cls in LEARNING_RATES.values() for name in cls().get_params()
    }


@pytest.mark.parametrize(("cls", "name"), SETTINGS)
def test_setting_is_searched_and_checked(cls, name):
    valid, invalid = SETTINGS[cls, name]
    vae = BalancedVAE(1, learning_rate=cls(), **SMALL)
    vae.set_params(**{f"learning_rate__{name}": valid})
    curves = [[rate(p / 90) for p in range(91)] for rate in (cls(), vae.learning_rate)]
    # `growth` is without effect where there is one cycle.
    assert (curves[0] == curves[1]) == (name == "growth")
    vae.fit(X).set_params(**{f"learning_rate__{name}": invalid})
    before = dict(vars(vae))
    match = f"The '{name}' parameter of {cls.__name__} must be .* Got {invalid!r}"
    with pytest.raises(ValueError, match=match):
        vae.fit(X)
    assert dict(vars(vae)) == before


@pytest.mark.parametrize(
    "at", [(0.5, 1.0), [0.0], (-0.5,), ("0.5",), [[0.5]], (np.nan,)]
)
def test_step_outside_of_the_training(at):
    with pytest.raises(ValueError, match="at of StepDecay must hold fractions of"):
        fit(StepDecay(at=at))


def halves(progress):
    return 0.5


def ends_badly(progress):
    return 0.9 - progress


def missing(progress):
    return None


def test_function_in_place_of_a_class():
    vae = fit(halves)
    assert_array_equal(vae.history_["learning_rate"], np.float32(0.0015))
    half = fit(Constant(), learning_rate_init=0.0015)
    assert_array_equal(vae.transform(X), half.transform(X))
    again = pickle.loads(pickle.dumps(vae))
    assert again.learning_rate is halves
    assert clone(vae).learning_rate is halves
    # A factor may be above 1, of any type that is a real number.
    history = fit(np.exp).history_
    assert history["learning_rate"][-1] > 0.003


@pytest.mark.parametrize(
    ("function", "found"),
    [
        (ends_badly, r"returned -0\.0\d+ for 0\.9\d"),
        (missing, r"returned None for 0\.0"),
        (np.log, r"returned .*-inf.* for 0\.0"),
        (complex, "is a class. Pass an instance, such as complex"),
        (Cyclical, r"is a class. Pass an instance, such as Cyclical\(\)"),
    ],
)
@pytest.mark.filterwarnings("ignore:divide by zero")
def test_function_that_gives_no_factor(function, found):
    vae = fit("constant")
    before = dict(vars(vae))
    vae.set_params(learning_rate=function)
    error = TypeError if isinstance(function, type) else ValueError
    with pytest.raises(error, match=f"learning_rate=.*{found}") as caught:
        vae.fit(X)
    if error is ValueError:
        assert re.search("a finite number of at least 0", str(caught.value))
    assert vars(vae) == {**before, "learning_rate": function}


class FailsAt:
    """Callable that returns no number from some call on."""

    def __init__(self, call):
        self.call, self.n_calls = call, 0

    def __call__(self, progress):
        self.n_calls += 1
        return 1.0 if self.n_calls < self.call else np.nan


def test_function_that_fails_between_the_fractions_tried():
    # 101 are tried, and the training has 80 steps.
    fit(FailsAt(200))
    with pytest.raises(ValueError, match=r"returned nan for 0\.6125"):
        fit(FailsAt(151))


def test_function_that_cannot_be_pickled():
    with pytest.raises(ValueError, match=r"cannot be pickled.* in place of a lambda"):
        fit(lambda progress: 1.0)


def test_function_inside_of_partial_ones_is_looked_at():
    # As in a script, whose functions pickle may not find there.
    def hidden(progress, power):
        return (1.0 - progress) ** power

    hidden.__qualname__ = "hidden"
    Curve(functools.partial(functools.partial(hidden, power=2.0))).check()
