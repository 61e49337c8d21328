"""Modules of torch as networks: those that work, and those that `fit` refuses."""

import functools
import pickle
import threading

import numpy as np
import pytest
import torch
from sklearn.datasets import load_wine
from sklearn.model_selection import GridSearchCV
from torch import nn

from skvae import BalancedVAE
from skvae.exceptions import TrainingDivergedError
from skvae.networks import TorchNetwork

X = load_wine().data[:, :6]
SHORT = {"max_iter": 2, "tol": 1e3, "batch_size": 50, "random_state": 0}


def layers(n_in, n_out, *between, width=8):
    return nn.Sequential(nn.Linear(n_in, width), *between, nn.Linear(width, n_out))


def encoder(n_inputs, n_components, width=8):
    return layers(n_inputs, 2 * n_components, nn.SiLU(), width=width)


def wide(n_inputs, n_components):
    return encoder(n_inputs, n_components, width=32)


def full(n_inputs, n_components):
    n_below = n_components * (n_components - 1) // 2
    return layers(n_inputs, 2 * n_components + n_below, nn.SiLU())


def fit(make_encoder=encoder, make_decoder=nn.Linear, X=X, posterior=None, **params):
    network = TorchNetwork(make_encoder, make_decoder, posterior or "diagonal")
    return BalancedVAE(3, network=network, **{**SHORT, **params}).fit(X)


@pytest.mark.parametrize("precision", ["float32", "float64"])
@pytest.mark.parametrize("balance", ["auto", "constant", "learned_variance"])
def test_learns(balance, precision):
    before = torch.get_rng_state()
    vae = fit(balance=balance, precision=precision, max_iter=30)
    assert vae.elbo_ > fit(balance=balance, precision=precision).elbo_ + 0.5
    assert not vae.network.starts_linear
    assert torch.equal(torch.get_rng_state(), before)
    again = fit(balance=balance, precision=precision, max_iter=30)
    np.testing.assert_array_equal(again.transform(X), vae.transform(X))


@pytest.mark.parametrize("likelihood", ["gaussian", "poisson", "beta"])
def test_latents_of_zero_start_at_the_mean_of_each_column(likelihood):
    rows = np.random.RandomState(0).poisson([1.0, 30.0, 500.0], (200, 3)).astype(float)
    if likelihood == "beta":
        rows /= rows.max(axis=0)
    vae = fit(X=rows, likelihood=likelihood, learning_rate_init=1e-9)
    found = vae.inverse_transform(np.zeros((1, 3)))[0]
    np.testing.assert_allclose(found, rows.mean(axis=0), rtol=0.02)


def test_full_posterior():
    vae = fit(full, posterior="full")
    assert np.isfinite(vae.score(X))


def test_missing_cells_double_the_inputs():
    seen = []

    class Watching(nn.Linear):
        def __init__(self, n_inputs, n_components):
            seen.append(n_inputs)
            super().__init__(n_inputs, 2 * n_components)

        def forward(self, x):
            if x.shape[1] == 12 and len(x) > 100 and not torch.is_grad_enabled():
                values, gaps = x.chunk(2, dim=1)
                assert set(gaps.unique().tolist()) == {0.0, 1.0}
                assert (gaps.any(dim=0) == torch.arange(6).eq(2)).all()
                assert (values[gaps.bool()] == 0.0).all()
                seen.append("gaps")
            return super().forward(x)

    def fitted(X):
        seen.clear()
        # As at the top of a notebook, where pickle may not find it either.
        Watching.__qualname__ = "Watching"
        fit(Watching, X=X)
        return set(seen)

    gaps = X.copy()
    gaps[::5, 2] = np.nan
    assert fitted(X) == {6}
    assert fitted(gaps) == {12, "gaps"}


def test_settings_can_be_searched():
    search = GridSearchCV(
        BalancedVAE(2, network=TorchNetwork(encoder, nn.Linear), **SHORT),
        {"network__make_encoder": [encoder, wide, functools.partial(wide)]},
        cv=2,
        error_score="raise",
    ).fit(X)
    narrow, first, second = search.cv_results_["mean_test_score"]
    assert narrow != first
    assert first == second
    stored = pickle.loads(pickle.dumps(search.best_estimator_))
    np.testing.assert_array_equal(stored.transform(X), search.transform(X))


class Constants(nn.Module):
    """A layer between a frozen one and integers."""

    def __init__(self, n_inputs, n_components):
        super().__init__()
        self.frozen = nn.Linear(n_inputs, n_inputs)
        nn.init.eye_(self.frozen.weight)
        nn.init.zeros_(self.frozen.bias)
        self.frozen.requires_grad_(False)
        self.last = nn.Linear(n_inputs, 2 * n_components)
        self.register_buffer("order", torch.arange(n_inputs).flip(0))

    def forward(self, x):
        return self.last(self.frozen(x)[:, self.order])


def test_constants_are_not_weights():
    function = TorchNetwork(Constants, nn.Linear).encoder(6, 3)
    assert set(function.shapes) == {"encoder.last.weight", "encoder.last.bias"}
    vae = fit(Constants, precision="float64")
    stored = pickle.loads(pickle.dumps(vae))
    np.testing.assert_array_equal(stored.transform(X), vae.transform(X))


def test_threads_call_one_function_with_weights_of_their_own():
    function = TorchNetwork(wide, nn.Linear).encoder(6, 3)
    x = torch.ones(300, 6)
    weights = [
        {
            name: torch.full((1, *shape), 0.01 * i)
            for name, shape in function.shapes.items()
        }
        for i in range(4)
    ]
    expected = [function(each, x) for each in weights]
    differing = []

    def repeat(i):
        for _ in range(50):
            if not torch.equal(function(weights[i], x), expected[i]):
                differing.append(i)

    threads = [threading.Thread(target=repeat, args=(i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not differing


def test_memory_is_bounded_by_the_widest_operation():
    class Wide(nn.Module):
        def __init__(self, n_inputs, n_components):
            super().__init__()
            self.last = nn.Linear(n_inputs, 2 * n_components)

        def forward(self, x):
            # Larger than any layer; the transposed weights do not grow with the rows.
            pairs = x[:, :, None] * x[:, None]
            return nn.functional.linear(pairs.sum(2), self.last.weight.t().t())

    assert TorchNetwork(Wide, nn.Linear).encoder(40, 300).cells_per_row == 1600
    assert TorchNetwork(Wide, nn.Linear).decoder(3, 70).cells_per_row == 70


# What is refused.


class Normed(nn.Sequential):
    def __init__(self, n_inputs, n_components):
        norm = nn.BatchNorm1d(8)
        super().__init__(*layers(n_inputs, 2 * n_components, norm))


class OverRows(nn.Sequential):
    def __init__(self, n_inputs, n_components):
        norm = nn.BatchNorm1d(8, track_running_stats=False)
        super().__init__(*layers(n_inputs, 2 * n_components, norm))


class Centred(nn.Linear):
    def __init__(self, n_inputs, n_components):
        super().__init__(n_inputs, 2 * n_components)

    def forward(self, x):
        return super().forward(x - x.mean(dim=0))


class Counted(Centred):
    def __init__(self, n_inputs, n_components):
        super().__init__(n_inputs, n_components)
        self.register_buffer("calls", torch.zeros(()))

    def forward(self, x):
        self.calls = self.calls + 1
        return nn.Linear.forward(self, x)


class Dropped(nn.Sequential):
    def __init__(self, n_inputs, n_components):
        super().__init__(*layers(n_inputs, 2 * n_components, nn.Dropout(0.5)))


class Item(nn.Linear):
    def __init__(self, n_inputs, n_components):
        super().__init__(n_inputs, 2 * n_components)

    def forward(self, x):
        return super().forward(x) / self.weight.abs().max().item()


class Branch(Item):
    def forward(self, x):
        y = nn.Linear.forward(self, x)
        return y if self.weight.sum() > 0.0 else -y


class Detached(Item):
    def forward(self, x):
        return nn.Linear.forward(self, x).detach()


class Whole(Item):
    def __init__(self, n_inputs, n_components):
        super().__init__(n_inputs, n_components)
        counts = torch.arange(n_inputs)
        self.counts = nn.Parameter(counts, requires_grad=False)


class Empty(nn.Flatten):
    def __init__(self, n_inputs, n_components):
        super().__init__()


class Lazy(nn.LazyLinear):
    def __init__(self, n_inputs, n_components):
        super().__init__(2 * n_components)


class RandomConstant(Item):
    def __init__(self, n_inputs, n_components):
        super().__init__(n_inputs, n_components)
        self.register_buffer("directions", torch.randn(n_inputs))


class NumpyStart(Item):
    def __init__(self, n_inputs, n_components):
        super().__init__(n_inputs, n_components)
        draws = np.random.default_rng().standard_normal(self.bias.shape)
        self.bias = nn.Parameter(torch.from_numpy(draws))


class OfTwo(Item):
    def forward(self, x):
        return nn.Linear.forward(self, x).chunk(2, dim=1)


class Single(Item):
    def forward(self, x):
        return nn.Linear.forward(self, x).float()


class WrongWidth(nn.Linear):
    def __init__(self, n_inputs, n_components):
        super().__init__(n_inputs + 1, 2 * n_components)


def not_a_module(n_inputs, n_components):
    return encoder(n_inputs, n_components).forward


REFUSED = {
    Normed: "changes its buffer '1.running_mean' .* as BatchNorm does.*nn.LayerNorm",
    Counted: r"changes its buffer 'calls' .* or a module in its eval\(\) mode",
    OverRows: "other numbers for a row alone .*nn.GroupNorm in place of BatchNorm",
    Centred: "other numbers for a row alone .*keep the axis of rows",
    Dropped: "different numbers for the same rows, as with nn.Dropout.*use alpha",
    Item: r"for several models at once, by torch.func.vmap .*no .item\(\)",
    Branch: "for several models at once, .*torch.where in place of an if",
    Detached: r"differentiated for several models .*or .detach\(\)",
    Whole: "parameter 'counts' of torch.int64, .*Use register_buffer",
    Empty: "has no parameters to train. Use layers with weights",
    Lazy: r"is lazy: 'weight' has no shape yet. .* here \(6, 3\), such as nn.Linear in",
    RandomConstant: "constant 'directions' that differs .*Make it an nn.Parameter",
    NumpyStart: "start values 'bias' that do not follow from random_state. Draw them",
    Single: "must return torch.float64, the precision of its rows, got torch.float32",
    WrongWidth: r"fails on rows of shape \(4, 6\) .*was called with \(6, 3\)",
    nn.Linear: r"must return 6 numbers a row, the mean and .*got \(4, 3\). Change the",
}


@pytest.mark.parametrize("make", REFUSED, ids=lambda make: make.__name__)
def test_fit_refuses_what_cannot_work(make):
    with pytest.raises(ValueError, match=REFUSED[make]) as caught:
        fit(make, precision="float64")
    assert not isinstance(caught.value, TrainingDivergedError)
    assert "make_encoder" in str(caught.value)


def test_the_decoder_is_tried_too():
    with pytest.raises(
        ValueError, match=r"module of make_decoder, .* 5 numbers a row, the p"
    ):
        fit(make_decoder=encoder, X=np.tile(X, 2)[:, :5])


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            not_a_module,
            "make_encoder must return a torch.nn.Module, got method. Return",
        ),
        (
            OfTwo,
            r"one tensor of shape \(4, 6\), got tuple. Return the mean and the log",
        ),
        (nn.Linear(6, 6), "builds a module, got a module, Linear, .*Pass its class"),
    ],
    ids=["function", "tuple", "module"],
)
def test_fit_refuses_what_is_no_module(make, message):
    with pytest.raises(TypeError, match=message):
        fit(make)


def test_fit_refuses_what_cannot_be_pickled():
    class Local(Constants):
        pass

    message = "cannot be pickled, .* a function that is defined at the top of a module"
    for make in (lambda *widths: Constants(*widths), Local, functools.partial(Local)):
        with pytest.raises(ValueError, match=message):
            fit(make)


def test_what_is_no_callable_is_refused():
    with pytest.raises(
        ValueError, match=r"'make_encoder' parameter .* must be a callable"
    ):
        fit("encoder")


def test_modules_in_eval_mode_are_left_there():
    assert np.isfinite(fit(evaluated).score(X))


def evaluated(n_inputs, n_components):
    norm = nn.BatchNorm1d(8)
    return layers(n_inputs, 2 * n_components, norm, nn.Dropout(0.5)).eval()
