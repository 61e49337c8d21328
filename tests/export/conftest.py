"""Small fitted models of every likelihood and network, with their tables."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.datasets import load_digits, load_wine
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import (
    MaxAbsScaler,
    MinMaxScaler,
    RobustScaler,
    StandardScaler,
)
from torch import nn

from skvae import BalancedVAE
from skvae.likelihoods import LIKELIHOODS, Bernoulli
from skvae.networks import MLP, ConvNet, TorchNetwork
from skvae.priors import Mixture

N_ROWS = 60
WINE = load_wine().data[:N_ROWS, :4]
DIGITS = load_digits().data[:N_ROWS] / 16.0
RANDOM = np.random.RandomState(0)
COUNTS = RANDOM.poisson(3.0, (N_ROWS, 4)).astype(float)
UNIT = RANDOM.uniform(size=(N_ROWS, 4))
LEVELS = RANDOM.randint(3, size=(N_ROWS, 4)) + 2.0
BITS = (UNIT > 0.5).astype(float)
MIXED = np.column_stack([WINE[:, :2], LEVELS[:, :2], COUNTS[:, 0], BITS[:, 0]])
# Measured, rounded, counted, zero-inflated and constant columns.
RANKED = np.column_stack(
    [WINE[:, :2], WINE[:, 2].round(), COUNTS[:, 0], UNIT[:, 0], np.full(N_ROWS, 3.5)]
)
RANKED[BITS[:, 0] > 0.0, 4] = 0.0
TABLES = {
    "gaussian": WINE,
    "student_t": WINE,
    "laplace": WINE,
    "log_normal": WINE,
    "bernoulli": BITS,
    "continuous_bernoulli": UNIT,
    "beta": UNIT,
    "categorical": LEVELS,
    "ordinal": LEVELS,
    "poisson": COUNTS,
    "negative_binomial": COUNTS,
    "zero_inflated_negative_binomial": COUNTS,
}
BY_COLUMNS = [
    ("gaussian", [0, 1]),
    ("categorical", [2]),
    ("ordinal", [3]),
    ("poisson", [4]),
    ("bernoulli", [5]),
]


def small(n_components=2, **params):
    settings = {"hidden_layer_sizes": (8,), "max_iter": 3, "tol": 1e3}
    settings |= {"random_state": 0, "device": "cpu"}
    return BalancedVAE(n_components, **{**settings, **params})


def frame():
    return pd.DataFrame(
        {
            "size": WINE[:, 0],
            "kind": pd.Categorical(["u", "v", "w"] * (N_ROWS // 3)),
            "count": COUNTS[:, 0].astype(int),
            "flag": [True, False] * (N_ROWS // 2),
        }
    )


def torch_encoder(n_inputs, n_components):
    return nn.Sequential(nn.Linear(n_inputs, 8), nn.SiLU(), nn.Linear(8, 4))


def on_knots_and_between():
    """Rows on, beside, between and beyond all values of a table, NaN included."""
    X = np.sort(RANKED, axis=0)
    beside = np.nextafter(X, np.inf), np.nextafter(X, -np.inf)
    between = 0.5 * (X[1:] + X[:-1]), 0.9 * X[1:] + 0.1 * X[:-1]
    rows = np.concatenate([X, *beside, *between, 3.0 * X[-1:], -X[-1:]])
    return with_gaps(np.concatenate([rows, rows.astype(np.float32)]))


def with_gaps(X):
    X = X.copy()
    X[[1, 7, 7], [0, 1, 3]] = np.nan
    return X


def scaled(*scalers):
    return make_pipeline(*scalers, small())


CASES: dict[str, tuple[Any, Any]] = {
    **{
        name: (small(likelihood=name, balance="constant"), with_gaps(TABLES[name]))
        for name in LIKELIHOODS
    },
    "by columns": (small(likelihood=BY_COLUMNS), with_gaps(MIXED)),
    "threshold": (small(likelihood=Bernoulli(0.3), balance="constant"), UNIT),
    "linear": (small(hidden_layer_sizes=()), WINE),
    "full posterior": (small(3, network=MLP((8,), posterior="full")), WINE),
    "pictures": (
        small(
            network=ConvNet((1, 8, 8), (4,), hidden_layer_sizes=(8,)),
            likelihood="continuous_bernoulli",
            balance="constant",
        ),
        DIGITS,
    ),
    "torch modules": (small(network=TorchNetwork(torch_encoder, nn.Linear)), WINE),
    "mixture": (small(prior=Mixture(2)), WINE),
    "robust": (small(standardize="robust"), WINE),
    "quantile": (small(standardize="quantile"), with_gaps(RANKED)),
    "quantile, float32": (
        small(standardize="quantile"),
        with_gaps(RANKED.astype(np.float32)),
    ),
    "quantile, by columns": (
        small(likelihood=BY_COLUMNS, standardize="quantile", prior=Mixture(2)),
        with_gaps(MIXED.round(1)),
    ),
    "quantile, full posterior": (
        small(3, network=MLP((8,), posterior="full"), standardize="quantile"),
        with_gaps(RANKED),
    ),
    "quantile, no atoms": (small(standardize="quantile"), UNIT),
    "not scaled": (small(standardize=False), WINE / WINE.max(axis=0)),
    "constant column": (small(), np.column_stack([WINE, np.full(N_ROWS, 7.5)])),
    "float32": (small(), WINE.astype(np.float32)),
    **{
        activation: (
            small(network=MLP((8, 8), activation, layer_norm=True, residual=True)),
            WINE,
        )
        for activation in (*("relu", "leaky_relu", "elu", "gelu", "tanh", "softplus"),)
    },
    "standard scaler": (scaled(StandardScaler()), with_gaps(WINE)),
    "half a scaler": (scaled(StandardScaler(with_mean=False)), WINE),
    "min-max": (scaled(MinMaxScaler((-1.0, 2.0), clip=True)), WINE),
    "robust scaler": (scaled(RobustScaler(), "passthrough"), WINE),
    "two scalers": (
        make_pipeline(make_pipeline(MaxAbsScaler(), MinMaxScaler()), small()),
        WINE,
    ),
}


@dataclass(frozen=True)
class Case:
    """A fitted estimator and rows for it."""

    estimator: Any
    X: np.ndarray

    @property
    def rows(self):
        """Rows, and ones that are far off where the columns are real numbers."""
        if self.X is WINE:
            return np.concatenate([self.X, [self.X[0] * 3.0, self.X[0] - 1e12]])
        return self.X

    def expected(self, method, rows):
        return np.asarray(getattr(self.estimator, method)(rows))


@pytest.fixture(scope="session")
def fitted_cases():
    return {}


@pytest.fixture(params=CASES)
def case(request, fitted_cases):
    name = request.param
    if name not in fitted_cases:
        estimator, X = CASES[name]
        fitted_cases[name] = Case(estimator.fit(X), X)
    return fitted_cases[name]
