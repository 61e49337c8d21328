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
from skvae.likelihoods import Likelihood
from skvae.linear._start import LinearStarts
from skvae.model._module import Module
from skvae.model._spec import fixed_variance

if TYPE_CHECKING:
    from skvae.fit._prepared import Prepared

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
            values, dtype=prepared.rows.x.dtype, device=prepared.rows.x.device
        )

    columns = dispersed(likelihood, n_features)
    variance = fixed_variance(likelihood, int(columns.sum()))
    # A likelihood without a variance gets the policy's, which it does not read.
    of_columns = scaling.variance[columns]
    floor = likelihood.least_dispersion(scaling.variance)
    if not likelihood.has_variance:
        floor = 0.0 * of_columns
    dispersion = likelihood.dispersion_of(of_columns)
    bias: Floats = np.zeros(n_features)
    if not likelihood.is_gaussian:
        bias = likelihood.start(n_features, scaling.center, scaling.scale)
    linear = linear_starts(prepared, variance, floor, dispersion)
    starts = noise = prior = None
    if linear is not None and spec.network.starts_linear:
        found = [
            linear.of(
                spec.weight_of(replica.beta),
                None if policy.variance_policy is None else replica.scope,
            )
            for replica in replicas
        ]
        n_inputs = likelihood.n_inputs(n_features)
        starts = [
            linear.columns.weights(each.weights, bias, n_inputs, spec.indicator_columns)
            for each in found
        ]
        noise = tensor(np.stack([each.noise for each in found]))
        prior = tensor(np.maximum([each.left for each in found], floor))
    per_feature = None
    if len({replica.scope for replica in replicas}) > 1:
        per_feature = tensor([float(r.scope == "feature") for r in replicas])
    sizes = Sizes(
        n_replicas=len(replicas),
        n_features=n_features,
        n_components=spec.n_components,
        variance=tensor(variance),
        data_variance=tensor(dispersion),
        noise_variance=noise,
        per_feature=per_feature,
        linear_model=linear.model if linear and likelihood.is_gaussian else None,
        log_jacobian=prepared.jacobian.train,
    )
    state = training.init(
        module,
        policy,
        sizes,
        beta=tensor([replica.beta for replica in replicas]),
        floor=tensor(floor),
        seed=seed,
        starts=starts,
        prior=prior,
        bias=torch.tensor(bias, dtype=torch.float64),
        shared=module.shared(scaling.center, scaling.scale),
    )
    return Start(state, sizes)


def linear_starts(
    prepared: Prepared, variance: Floats, floor: Floats, dispersion: Floats
) -> LinearStarts | None:
    """Linear models of the columns that can have one, if there are any.

    Parameters
    ----------
    prepared : Prepared
        The table to train on.
    variance : ndarray of shape (1,) or (n_dispersed,)
        Decoder variance where nothing moves it.
    floor : ndarray of shape (n_dispersed,)
        Smallest one that may be learned.
    dispersion : ndarray of shape (n_dispersed,)
        Dispersion of the features without a model.
    """
    spec = prepared.spec
    likelihood = spec.likelihood
    if not (spec.network.starts_linear or likelihood.is_gaussian):
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
        variance,
        floor,
        dispersion,
        dispersed(likelihood, spec.n_features),
    )


def dispersed(likelihood: Likelihood, n_features: int) -> NDArray[np.bool_]:
    """Columns with a dispersion; all of them where the likelihood has none."""
    columns = likelihood.dispersed(n_features)
    return columns if likelihood.has_variance else ~columns
