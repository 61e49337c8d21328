"""What every balance policy is: frozen settings, state in, state out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from sklearn.base import BaseEstimator

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

    from skvae.linear._model import LinearModel


class Sizes(NamedTuple):
    """What a policy may know before training starts."""

    n_replicas: int
    n_features: int
    n_components: int
    variance: Tensor
    """Decoder variance that nothing moves, of shape (1,) or (n_features,)."""
    data_variance: Tensor
    """Variance of each column as the model sees it, of shape (n_features,)."""
    noise_variance: Tensor | None = None
    """Noise variances of the linear models that training starts at, of shape
    (n_replicas, n_features), where it does."""
    per_feature: Tensor | None = None
    """With scope="auto" and held-out rows to choose by: 1 for a replica that starts
    with a variance for each feature, else 0, of shape (n_replicas,)."""
    linear_model: Callable[[], LinearModel] | None = None
    """Computes the linear model of the same size, of the columns in units of the
    decoder's standard deviation, so that its water level is beta; None for a
    likelihood without a variance."""
    log_jacobian: float = 0.0
    """Nats that the distortion gains in the units of X."""


class Terms(NamedTuple):
    """The terms of the objective on one batch, replica axis first, in nats per row."""

    distortion: Tensor
    """Of shape (n_replicas,)."""
    divergence: Tensor
    """What beta weighs, of shape (n_replicas,): the rate where it is the KL."""
    kl: Tensor
    """KL of every row and latent, of shape (n_replicas, n_rows, n_components)."""
    weight: Tensor
    """Weight of each row in the batch mean, of shape (n_rows,)."""

    def mean(self, values: Tensor) -> Tensor:
        """Mean over the rows of values of shape (n_replicas, n_rows)."""
        return values @ self.weight

    @property
    def latent_rate(self) -> Tensor:
        """Rate of each latent, of shape (n_replicas, n_components)."""
        return (self.weight[:, None] * self.kl).sum(dim=1)

    @property
    def rate(self) -> Tensor:
        """KL(q(z given x), p(z)), of shape (n_replicas,)."""
        return self.mean(self.kl.sum(dim=2))


class BalanceState(NamedTuple):
    """What moves while a policy runs.

    A policy that has more to remember has a named tuple of its own, with these two
    and its own entries: tensors with the replica axis first, or the state of a policy
    that it is wrapped around.
    """

    beta: Tensor
    """Weight of the divergence in force, of shape (n_replicas,)."""
    variance: Tensor
    """Decoder variance, of shape (n_replicas, 1) or (n_replicas, n_features)."""


class BalancePolicy(BaseEstimator):
    """Base of the policies that weigh the rate against the distortion.

    A policy holds the settings that the user chose and nothing else. What changes
    during training is a state that goes in and comes out: a named tuple of tensors
    with the replica axis first, so that a policy can be batched, pickled and resumed.
    As it stands, the base is constant beta; a policy overrides what differs. Methods
    use tensors alone and never decide in Python on a tensor's value.

    See Also
    --------
    Wrapper : A policy around another one.
    ClosedFormVariance : A policy that sets the variance from the squared error.

    Notes
    -----
    A policy does not know numbers of epochs or batches: `update` is given the share of
    the planned steps that is done. It never reduces over the first axis, as replicas
    are different models.

    Examples
    --------
    A policy that charges the square of the rate, with a setting that can be searched:

    >>> from skvae.balance import BalancePolicy
    >>> class Squared(BalancePolicy):
    ...     def __init__(self, unit=1.0):
    ...         self.unit = unit
    ...
    ...     def objective(self, terms, state):
    ...         return terms.distortion + state.beta * terms.rate**2 / self.unit
    >>> Squared(unit=2.0)
    Squared(unit=2.0)
    """

    _parameter_constraints: dict[str, list] = {}

    #: Whether the policy moves the decoder's variance, and so needs a likelihood
    #: that has one which the user left free.
    moves_variance = False

    #: Whether the objective or the controller is built on the KL itself, so that no
    #: other divergence can take its place.
    weighs_kl = False

    #: One decoder variance for all features ("shared"), one for each ("feature"), or
    #: the better one on held-out rows ("auto").
    scope = "auto"

    #: Which rows' error a moved variance follows.
    source = "auto"

    @property
    def is_weighted_sum(self) -> bool:
        """Whether the objective is the distortion plus beta times the divergence."""
        return type(self).objective is BalancePolicy.objective

    @property
    def settled_at(self) -> float:
        """Share of the planned steps after which the beta asked for is reached."""
        return 0.0

    def weight_of(self, beta: Any, n_features: int, n_components: int) -> Any:
        """Weight of the rate that a beta asks for, with all constants kept."""
        return beta

    def init_state(self, beta: Tensor, sizes: Sizes) -> Any:
        """State before the first step.

        Parameters
        ----------
        beta : Tensor of shape (n_replicas,)
            The weight asked for.
        sizes : Sizes
            Shapes and variances.

        Returns
        -------
        state : BalanceState or the like
        """
        return BalanceState(beta=beta, variance=self.start_variance(sizes))

    def start_variance(self, sizes: Sizes) -> Tensor:
        """Decoder variance before the first step, replica axis first."""
        if not self.moves_variance:
            return sizes.variance.repeat(sizes.n_replicas, 1)
        if sizes.noise_variance is not None:
            return pool(sizes.noise_variance, self.scope)
        return pool(sizes.data_variance, self.scope).repeat(sizes.n_replicas, 1)

    def init_parameters(self, sizes: Sizes) -> dict[str, Tensor]:
        """Start values of what the policy trains by gradient, replica axis first."""
        return {}

    def move_variance(
        self,
        state: Any,
        error: Tensor,
        parameters: dict[str, Tensor],
        floor: Tensor,
    ) -> Any:
        """State with the decoder variance that this step's distortion uses.

        Parameters
        ----------
        state : BalanceState or the like
            State before the step.
        error : Tensor of shape (n_replicas, n_features)
            Mean error of each feature on the batch, detached: its
            maximum-likelihood variance.
        parameters : dict of str to Tensor
            What `init_parameters` returned, as trained so far.
        floor : Tensor of shape (n_features,)
            Smallest variance allowed.

        Returns
        -------
        state : BalanceState or the like
        """
        return state

    def judged(self, state: Any, ratio: Tensor) -> Any:
        """State after an epoch, when held-out rows have been judged.

        Parameters
        ----------
        state : BalanceState or the like
            State after the epoch's last step.
        ratio : Tensor of shape (n_replicas, 1 or n_features)
            Variance that explains the held-out rows best, relative to the error on
            the epoch's batches.

        Returns
        -------
        state : BalanceState or the like
        """
        return state

    def objective(self, terms: Terms, state: Any) -> Tensor:
        """Objective of each replica, of shape (n_replicas,), in nats per row."""
        return terms.distortion + state.beta * terms.divergence

    def update(self, state: Any, terms: Terms, progress: float | Tensor) -> Any:
        """State after a step.

        Parameters
        ----------
        state : BalanceState or the like
            State before the step.
        terms : Terms
            Terms of the step's batch, detached.
        progress : float or Tensor of shape ()
            Share of the planned steps that are done, in (0, 1].

        Returns
        -------
        state : BalanceState or the like
        """
        return state


def pool(values: Tensor, scope: str) -> Tensor:
    """Mean over features, whose axis is the last, where the scope is "shared"."""
    return values.mean(dim=-1, keepdim=True) if scope == "shared" else values


def map_state(function: Callable[[Any], Any], state: Any) -> Any:
    """State with a function applied to each tensor, those of inner states too."""
    return type(state)(
        *(
            map_state(function, part) if isinstance(part, tuple) else function(part)
            for part in state
        )
    )


def tensors_of(state: Any) -> list[Tensor]:
    """All tensors of a state, those of inner states too, in the order of its fields."""
    found: list[Tensor] = []
    for part in state:
        found.extend(tensors_of(part) if isinstance(part, tuple) else [part])
    return found


def share_of(progress: float | Tensor, like: Tensor) -> Tensor:
    """Share of the planned steps that are done, as a tensor beside another one.

    A step that is recorded to be replayed gets its progress as a tensor, and what
    depends on it must be computed there.
    """
    import torch

    return torch.as_tensor(progress, dtype=like.dtype, device=like.device)
