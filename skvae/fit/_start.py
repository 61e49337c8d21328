"""The state that a training starts from."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from skvae import training
from skvae.balance._base import Sizes
from skvae.fit._linear_rows import linear_rows
from skvae.likelihoods._groups import is_gaussian
from skvae.linear._start import LinearStarts
from skvae.model._module import Module

if TYPE_CHECKING:
    from skvae.fit._prepared import Prepared
    from skvae.fitted._fitted import Fitted
    from skvae.likelihoods import Likelihood
    from skvae.likelihoods._dispersion import Dispersion

Floats = NDArray[np.floating]


class Replica(NamedTuple):
    """Settings of one of the models that are trained side by side."""

    beta: float
    """Weight of the rate."""
    scope: str
    """One decoder variance for all features, "shared", or one for each, "feature"."""


class Start(NamedTuple):
    """Where a training starts."""

    state: training.TrainingState
    sizes: Sizes
    """Sizes and variances that the policy starts with."""


def start_of(
    prepared: Prepared, module: Module, replicas: Sequence[Replica], seed: int
) -> Start:
    """Start of replicas: at linear models in closed form, or at random.

    Parameters
    ----------
    prepared : Prepared
        The table to train on.
    module : Module
        The model.
    replicas : sequence of Replica
    seed : int
        Of the random weights.
    """
    spec, scaling = prepared.spec, prepared.view.scaling
    likelihood, policy, n_features = spec.likelihood, spec.policy, spec.n_features

    def tensor(values: ArrayLike) -> Tensor:
        return torch.tensor(
            values, dtype=prepared.rows.like.dtype, device=prepared.rows.like.device
        )

    precision = torch.finfo(prepared.rows.like.dtype)
    levels = _levels(module.dispersion, scaling.variance, precision.tiny**0.8)
    bias = prepared.null_model.output
    is_exact = is_gaussian(likelihood, n_features)
    linear = linear_starts(prepared, is_exact, levels)
    starts = noise = prior = None
    if linear is not None and spec.network.starts_linear:
        found = [
            linear.of(
                spec.weight_of(replica.beta),
                None if policy.variance_policy is None else replica.scope,
            )
            for replica in replicas
        ]
        n_inputs = len(likelihood.input_columns(n_features))
        starts = [
            linear.columns.weights(each.weights, bias, n_inputs, spec.indicator_columns)
            for each in found
        ]
        noise = tensor(np.stack([each.noise for each in found]))
        prior = tensor(np.maximum([each.left for each in found], levels.least))
    per_feature = None
    if spec.scope == "auto" and prepared.held_out is not None:
        per_feature = tensor([float(r.scope == "feature") for r in replicas])
    sizes = Sizes(
        n_replicas=len(replicas),
        n_features=n_features,
        n_components=spec.n_components,
        variance=tensor(levels.unmoved),
        data_variance=tensor(levels.of_data),
        noise_variance=noise,
        per_feature=per_feature,
        linear_model=linear.model if linear and is_exact else None,
        log_jacobian=prepared.jacobian.train,
    )
    state = training.init(
        module,
        policy,
        sizes,
        beta=tensor([replica.beta for replica in replicas]),
        floor=tensor(levels.least),
        seed=seed,
        start=training.StartValues(
            linear=starts,
            prior=prior,
            bias=torch.tensor(bias, dtype=torch.float64),
            shared=module.shared(scaling.center, scaling.scale),
        ),
    )
    return Start(state, sizes)


def last_values(
    last: Fitted, likelihood: Likelihood, state: training.TrainingState
) -> Tensor:
    """Weights of the last fit, for each replica of a warm start.

    Parameters
    ----------
    last : Fitted
        The last fit.
    likelihood : Likelihood
        That of the new one.
    state : TrainingState
        Start of the new one as it would be without the last.
    """
    if type(likelihood) is not type(last.spec.likelihood):
        raise ValueError(
            "warm_start=True goes on from the weights of the last fit, whose "
            f"likelihood was {last.spec.likelihood} and is now {likelihood}. Keep the "
            "likelihood, or set warm_start=False."
        )
    if state.shapes != last.shapes:
        raise ValueError(
            "warm_start=True goes on from the weights of the last fit, but their "
            f"shapes are {last.shapes} and the parameters now ask for "
            f"{state.shapes}. Keep n_components, hidden_layer_sizes, network, "
            "likelihood and the scope of balance, or set warm_start=False."
        )
    return torch.tensor(last.values).to(state.values).repeat(len(state.values), 1)


def linear_starts(
    prepared: Prepared, is_exact: bool, levels: DispersionLevels
) -> LinearStarts | None:
    """Linear models of the columns that can have one, if there are any.

    Parameters
    ----------
    prepared : Prepared
        The table to train on.
    is_exact : bool
        Whether a linear model is exact for all columns.
    levels : DispersionLevels
        Dispersions of the columns that have one.
    """
    spec = prepared.spec
    likelihood = spec.likelihood
    if not (spec.network.starts_linear or is_exact):
        # Nothing starts there, and set points need the linear model of numbers alone.
        return None
    columns = likelihood.linear_columns(spec.n_features)
    if columns is None or not len(columns.features):
        return None
    held_out = None
    if prepared.held_out is not None:
        held_out = linear_rows(prepared.held_out, likelihood, columns)
    return LinearStarts(
        columns,
        linear_rows(prepared.rows, likelihood, columns),
        held_out,
        spec.n_components,
        levels.unmoved,
        levels.least,
        levels.of_data,
        levels.columns,
    )


class DispersionLevels(NamedTuple):
    """Dispersions of the columns that have one; without columns where none has."""

    columns: NDArray[np.bool_]
    """Columns that have one, of shape (n_features,)."""
    unmoved: Floats
    """Where no policy moves them, of shape (1,) or (n_dispersed,)."""
    least: Floats
    """Smallest that may be learned, of shape (n_dispersed,)."""
    of_data: Floats
    """At the variance of each column, of shape (n_dispersed,)."""


def _levels(
    dispersion: Dispersion | None, variance: Floats, smallest: float
) -> DispersionLevels:
    """Dispersions of columns whose variances are given, none below the smallest."""
    if dispersion is None:
        none: Floats = np.empty(0)
        return DispersionLevels(np.zeros(len(variance), dtype=bool), none, none, none)
    return DispersionLevels(
        dispersion.columns,
        dispersion.unmoved,
        np.maximum(dispersion.least(variance), smallest),
        np.maximum(dispersion.at(variance), smallest),
    )
