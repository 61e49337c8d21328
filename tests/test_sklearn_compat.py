import numpy as np
import pytest
from numpy.testing import assert_array_equal
from sklearn.base import BaseEstimator, clone

from skvae._sklearn_compat import StandInSupport, check_sample_weight, with_stand_ins

X = np.zeros((4, 1))


def test_ordinary_weights_are_returned_as_they_are():
    weight = np.array([1e-300, 0.0, 1.0, 1e100])
    assert_array_equal(check_sample_weight(weight, X), weight)
    assert_array_equal(check_sample_weight(None, X), 1.0)


@pytest.mark.parametrize("exponent", [-1060, -500, 500, 1022])
def test_extreme_weights_are_divided_by_a_power_of_two(exponent):
    weight = np.array([1.0, 0.75, 0.5, 0.0])
    found = check_sample_weight(np.ldexp(weight, exponent), X)
    assert_array_equal(found, 0.5 * weight)


def test_a_weight_above_zero_stays_so():
    found = check_sample_weight(np.array([1e300, 1e-300, 0.0, 1e308]), X)
    assert_array_equal(found > 0.0, [True, True, False, True])
    assert np.isfinite(found.sum())


# --- Stand-ins for callbacks ----------------------------------------------------------


class Counter(StandInSupport, BaseEstimator):
    """An estimator that counts to three."""

    @with_stand_ins
    def fit(self, X):
        root = self._init_callback_context(max_subtasks=3)
        root.call_on_fit_task_begin(estimator=self, X=X)
        for n in range(3):
            task = root.subcontext(task_name="epoch")
            task.call_on_fit_task_begin(estimator=self, X=X)
            if task.call_on_fit_task_end(
                estimator=self, X=X, reconstruction_attributes=lambda n=n: {"n_": n}
            ):
                break
        self.n_ = n
        root.call_on_fit_task_end(estimator=self, X=X)
        return self


class Observer:
    """A callback that notes its calls."""

    def __init__(self, stop_at=None, fails=()):
        self.stop_at, self.fails, self.calls = stop_at, fails, []

    def note(self, name, context):
        self.calls.append(f"{name} {context.task_name} {context.task_id}")
        if name in self.fails:
            raise ZeroDivisionError(name)

    def setup(self, estimator, context):
        self.note("setup", context)
        assert context.max_subtasks == 3

    def teardown(self, estimator, context):
        self.note("teardown", context)

    def on_fit_task_begin(self, estimator, context):
        self.note("begin", context)

    def on_fit_task_end(self, estimator, context, *, X=None, metadata=None):
        self.note("end", context)
        assert X == "table"
        assert metadata is None
        assert context.task_name == "fit" or context.parent.task_name == "fit"
        return context.task_id == self.stop_at


class Keeper(Observer):
    """One that asks for the model of each epoch."""

    def on_fit_task_end(self, estimator, context, *, fitted_estimator=None):
        self.calls.append(fitted_estimator)


def test_stand_ins_call_each_hook():
    observer, keeper = Observer(), Keeper()
    estimator = Counter().set_callbacks(observer, keeper).fit("table")
    epochs = [f"{name} epoch {n}" for n in range(3) for name in ("begin", "end")]
    ends = ["end fit 0", "teardown fit 0"]
    assert observer.calls == ["setup fit 0", "begin fit 0", *epochs, *ends]
    models = [each for each in keeper.calls if not isinstance(each, str)]
    assert [model and model.n_ for model in models] == [0, 1, 2, None]
    assert estimator.n_ == 2
    assert set(vars(estimator)) == {"_skl_callbacks", "n_"}
    assert clone(estimator)._skl_callbacks == [observer, keeper]
    assert vars(clone(estimator.set_callbacks())) == {}


def test_stand_ins_stop():
    assert Counter().set_callbacks(Observer(1), Observer()).fit("table").n_ == 1


@pytest.mark.parametrize("fails", ["setup", "begin", "end", "teardown"])
def test_stand_ins_are_torn_down_however_the_fit_ends(fails):
    first, second = Observer(fails=[fails]), Observer()
    estimator = Counter().set_callbacks(first, second)
    with pytest.raises(ZeroDivisionError, match=fails):
        estimator.fit("table")
    assert first.calls[-1] == "teardown fit 0"
    # Only what was set up is torn down.
    assert (second.calls[-1:] == ["teardown fit 0"]) == (fails != "setup")
    assert set(vars(estimator)) <= {"_skl_callbacks", "n_"}


@pytest.mark.parametrize("callback", [Observer, "text", object()])
def test_stand_ins_take_instances_of_the_protocol(callback):
    match = "callbacks must be instances following the FitCallback protocol, with"
    with pytest.raises(TypeError, match=match):
        Counter().set_callbacks(callback)
