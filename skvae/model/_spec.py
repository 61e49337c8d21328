"""From parameters to the parts of a model: names looked up, settings checked."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from sklearn.base import clone

from skvae._sklearn_compat import validate_parameter_constraints
from skvae.balance import (
    POLICIES,
    BalancePolicy,
    ClosedFormVariance,
    Constant,
    Geco,
    Normalized,
    Wrapper,
)
from skvae.data._columns import Columns
from skvae.divergences import DIVERGENCES, KL, Divergence
from skvae.likelihoods import Likelihood
from skvae.likelihoods._resolve import likelihood_of
from skvae.networks import MLP, NETWORKS, Network

if TYPE_CHECKING:
    import torch

    from skvae.model._module import Module


# The default policy moves a variance where there is one, and otherwise weighs by beta.
_DEFAULT = "running_average"


class Parts(NamedTuple):
    """The parts of a model, as copies of what the user passed."""

    policy: BalancePolicy
    likelihood: Likelihood
    divergence: Divergence
    network: Network
    masked: tuple[int, ...] = ()
    """Columns that had missing cells, of which the encoder is told which are."""

    @classmethod
    def from_params(
        cls, vae: Any, likelihood: Any, X: NDArray[np.floating], columns: Columns
    ) -> Parts:
        """Build the parts that an estimator's parameters ask for.

        Parameters
        ----------
        vae : BalancedVAE
            With its parameters.
        likelihood : str, Likelihood or list
            The one asked for, as `located` returns it.
        X : ndarray of shape (n_samples, n_features)
            What likelihood="auto" looks at.
        columns : Columns
            What the columns of the user's table hold.
        """
        network = vae.network
        if network is None:
            network = MLP(tuple(vae.hidden_layer_sizes), vae.activation)
        policy = _resolved(vae.balance, POLICIES)
        likelihood = likelihood_of(likelihood, X, columns)
        for member in likelihood.members:
            _check_settings(member)
        divergence = _resolved(vae.divergence, DIVERGENCES)
        network = _resolved(network, NETWORKS)
        if policy.moves_variance and not likelihood.has_free_variance:
            is_asked_for = vae.likelihood != "auto" and vae.balance != _DEFAULT
            if is_asked_for or likelihood.has_variance:
                raise ValueError(
                    f"balance={vae.balance!r} moves the variance of the decoder, but "
                    f"likelihood={vae.likelihood!r} has none that is free to move. "
                    "Use balance='constant', or likelihood='gaussian' for columns of "
                    "real numbers."
                )
            policy = _without_variance(policy)
        _check_divergence(vae, policy, divergence)
        return cls(policy, likelihood, divergence, network)

    def with_shared_variance(self) -> Parts:
        """Parts whose policy has one variance for all features, however wrapped."""
        policy = clone(self.policy)
        innermost = policy
        while isinstance(innermost, Wrapper):
            innermost = innermost.inner
        innermost.set_params(scope="shared")
        return self._replace(policy=policy)

    def module(self, n_features: int, n_components: int) -> Module:
        """Module that the parts make up."""
        from skvae.model._module import Module

        return Module(
            self.network,
            self.likelihood,
            self.divergence,
            n_features,
            n_components,
            self.masked,
        )


def _check_divergence(vae: Any, policy: BalancePolicy, divergence: Divergence) -> None:
    """Raise ValueError where a policy and a divergence have no common minimum."""
    if policy.weighs_kl and not isinstance(divergence, KL):
        raise ValueError(
            f"balance={vae.balance!r} is built on the KL divergence itself, but "
            f"divergence={vae.divergence!r} is another one, which it would not "
            "use. Use divergence='kl', or a balance that weighs any divergence, "
            "such as 'constant'."
        )
    if not divergence.needs_log_likelihood or divergence.n_draws == 1:
        return
    bound = f"divergence={vae.divergence!r} bounds the log-likelihood by several draws"
    if vae.beta > 1.0:
        raise ValueError(
            f"{bound}, and with beta={vae.beta!r}, above 1, would reward a large "
            "distortion. Use a beta of at most 1, or divergence='kl'."
        )
    reasons: dict[type, str] = {
        Normalized: "multiplies beta by n_features / n_components, to above 1",
        Geco: "raises beta as far as its target asks for, above 1 too",
        ClosedFormVariance: "sets the decoder's variance to the squared error of "
        "draws that count equally, which the bound does not let them",
    }
    for part in _with_inner(policy):
        for kind, reason in reasons.items():
            if isinstance(part, kind):
                raise ValueError(
                    f"{bound}, but balance={vae.balance!r} {reason}. Use "
                    "balance='learned_variance' or 'constant', or divergence='kl'."
                )


def _with_inner(policy: BalancePolicy) -> Iterator[BalancePolicy]:
    """Yield a policy and those that it is wrapped around."""
    yield policy
    for value in policy.get_params(deep=False).values():
        if isinstance(value, BalancePolicy):
            yield from _with_inner(value)


def _resolved(part: Any, members: Mapping[str, type]) -> Any:
    """Copy of a part with checked settings, built from its name if it is one."""
    part = members[part]() if isinstance(part, str) else clone(part)
    _check_settings(part)
    return part


def _without_variance(policy: BalancePolicy) -> BalancePolicy:
    """Constant beta in place of a policy that moves the variance, as wrapped as it."""
    if not isinstance(policy, Wrapper):
        return Constant()
    return clone(policy).set_params(policy=_without_variance(policy.inner))


def _check_settings(part: Any) -> None:
    """Check the settings of a part, and of a part that it is wrapped around."""
    settings = part.get_params(deep=False)
    validate_parameter_constraints(
        part._parameter_constraints, settings, type(part).__name__
    )
    for value in settings.values():
        if hasattr(value, "_parameter_constraints"):
            _check_settings(value)


def torch_device(name: str, *, or_cpu: bool = False) -> torch.device:
    """Return torch device of a name; if it is not there, the CPU or ValueError."""
    import torch

    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
        # There and back: the meta device takes tensors but holds no numbers.
        torch.empty(0, device=device).cpu()
    except (RuntimeError, AssertionError, ImportError) as error:
        if or_cpu:
            return torch.device("cpu")
        n_gpus = torch.cuda.device_count()
        raise ValueError(
            f"device={name!r} is not available here: torch sees the CPU and {n_gpus} "
            "CUDA devices. Use device='cpu' or device='auto'."
        ) from error
    return device


def fixed_variance(likelihood: Likelihood, n_features: int) -> NDArray[np.float64]:
    """Decoder variance for a policy that does not move it: the user's, or 1."""
    variance = likelihood.variance
    variance = np.atleast_1d(1.0 if variance is None else np.asarray(variance, float))
    is_possible = ((variance > 0) & (variance < np.inf)).all()
    if variance.shape not in {(1,), (n_features,)} or not is_possible:
        raise ValueError(
            f"The variance of {type(likelihood).__name__} must be a number above 0 or "
            f"one for each of the {n_features} features, got {likelihood.variance!r}."
        )
    return variance
