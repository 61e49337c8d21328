"""The specification of a model: parts looked up by name and checked together."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from skvae.balance import (
    POLICIES,
    BalancePolicy,
    Constant,
    RunningAverage,
)
from skvae.data._columns import Columns
from skvae.divergences import DIVERGENCES, Divergence
from skvae.likelihoods import Likelihood
from skvae.likelihoods._dispersion import Dispersion
from skvae.likelihoods._groups import groups_of
from skvae.likelihoods._resolve import likelihood_of
from skvae.model._parts import check_settings, resolved
from skvae.model._settings import Settings
from skvae.networks import MLP, NETWORKS, Inputs, Network
from skvae.networks._base import Widths
from skvae.priors import PRIORS, Prior

if TYPE_CHECKING:
    from torch import Tensor

    from skvae.model._module import Module


class ModelSpec(NamedTuple):
    """The parts and sizes of a model; the parts are copies of what the user passed."""

    policy: BalancePolicy
    likelihood: Likelihood
    divergence: Divergence
    network: Network
    prior: Prior
    n_features: int
    n_components: int
    indicator_columns: tuple[int, ...] = ()
    """Columns that get a missingness indicator as an input of the encoder."""

    @classmethod
    def from_params(
        cls,
        vae: Settings,
        likelihood: Any,
        X: NDArray[np.floating],
        columns: Columns,
        betas: Sequence[float],
    ) -> ModelSpec:
        """Build the parts from an estimator's parameters, and check them.

        Parameters
        ----------
        vae : BalancedVAE
            With its parameters.
        likelihood : str, Likelihood or list
            The likelihood, as `located` returns it.
        X : ndarray of shape (n_samples, n_features)
            The table, which likelihood="auto" examines.
        columns : Columns
            Contents of the columns of the user's table.
        betas : sequence of float
            Requested weights of the rate.
        """
        from skvae.model._device import training_device

        # Before a pass over a large table.
        training_device(vae.device, vae.precision)
        n_features = X.shape[1]
        network = vae.network
        if network is None:
            network = MLP(tuple(vae.hidden_layer_sizes), vae.activation)
        likelihood = likelihood_of(likelihood, X, columns, vae.handle_unknown)
        for group in groups_of(likelihood, n_features):
            check_settings(group.likelihood)
        n_components = vae.n_components
        if n_components == "auto":
            n_components = min(10, max(1, n_features // 2))
        spec = cls(
            policy=_policy_for(vae, likelihood.column_dispersion(n_features)),
            likelihood=likelihood,
            divergence=resolved(vae.divergence, DIVERGENCES),
            network=resolved(network, NETWORKS),
            prior=resolved(vae.prior, PRIORS),
            n_features=n_features,
            n_components=n_components,
        )
        _check_divergence(vae, spec, max(betas))
        for beta in betas:
            # Raises where a policy cannot work with it.
            spec.weight_of(beta)
        return spec

    def weight_of(self, beta: float) -> float:
        """Weight of the rate at a beta."""
        return self.policy.weight_of(beta, self.n_features, self.n_components)

    @property
    def scope(self) -> str:
        """Variances that the decoder ends with: "shared", "feature" or "auto"."""
        policy = self.policy.variance_policy
        return "auto" if policy is None else policy.scope

    def remedy(self, beta: float) -> str:
        """Sentences on what to change where latents have collapsed."""
        policy = self.policy
        remedy = policy.remedy(beta)
        dispersion = self.likelihood.column_dispersion(self.n_features)
        is_free = dispersion is not None and dispersion.is_free
        if policy.ends_at_beta and policy.variance_policy is None and is_free:
            remedy += (
                " Or use balance='running_average' with beta=1, which finds the "
                "variance that suits the data."
            )
        return remedy

    def with_gaps(self, gaps: tuple[int, ...]) -> ModelSpec:
        """Specification for a table with missing cells in some columns."""
        if gaps and self.network.indicates_every_column:
            gaps = tuple(range(self.n_features))
        return self._replace(indicator_columns=gaps)

    def check_network(self, like: Tensor) -> None:
        """Raise an error where the network cannot work with this table.

        Parameters
        ----------
        like : Tensor
            A tensor on the device and in the precision of the training.
        """
        columns = self.likelihood.input_columns(self.n_features)
        widths = Widths(
            n_features=self.n_features,
            n_inputs=Inputs(columns, self.indicator_columns),
            n_components=self.n_components,
            n_outputs=self.likelihood.n_parameters(self.n_features),
            n_likelihoods=len(groups_of(self.likelihood, self.n_features)),
        )
        self.network.check(widths, like)

    def module(self) -> Module:
        """Functions of the model."""
        from skvae.model._module import Module

        return Module(
            self.network,
            self.likelihood,
            self.divergence,
            self.n_features,
            self.n_components,
            self.indicator_columns,
        )


def _policy_for(vae: Settings, dispersion: Dispersion | None) -> BalancePolicy:
    """Policy of an estimator, without a variance where the likelihood has none."""
    is_auto = isinstance(vae.balance, str) and vae.balance == "auto"
    policy = RunningAverage() if is_auto else resolved(vae.balance, POLICIES)
    mover = policy.variance_policy
    if mover is None or (dispersion is not None and dispersion.is_free):
        return policy
    has_free_hand = isinstance(vae.likelihood, str) and vae.likelihood == "auto"
    if not is_auto and (dispersion is not None or not has_free_hand):
        raise ValueError(
            f"balance={vae.balance!r} moves the variance of the decoder, but "
            f"likelihood={vae.likelihood!r} has none that is free to move. "
            "Use balance='constant', or likelihood='gaussian' for columns of "
            "real numbers."
        )
    return mover.replaced_by(Constant())


def _check_divergence(vae: Settings, spec: ModelSpec, beta: float) -> None:
    """Raise ValueError where a policy and a divergence have no common minimum."""
    if spec.divergence.is_bound and beta > 1.0:
        raise ValueError(
            f"divergence={vae.divergence!r} bounds the log-likelihood by several "
            f"draws, and with beta={beta!r}, above 1, would reward a large distortion. "
            "Use a beta of at most 1, or divergence='kl'."
        )
    reason = spec.policy.conflict_with(spec.divergence)
    if reason:
        raise ValueError(
            f"divergence={vae.divergence!r} cannot be weighed by "
            f"balance={vae.balance!r}, which {reason}. Use divergence='kl', or a "
            "balance that weighs any divergence, such as 'constant'."
        )
