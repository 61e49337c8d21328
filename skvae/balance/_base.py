"""Base of the balance policies: frozen settings, state in, state out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, TypeVar

from sklearn.base import BaseEstimator, clone

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

    from skvae.linear._model import LinearModel


class RateTerm(Protocol):
    """The properties of a divergence on which it depends whether a policy suits it."""

    @property
    def is_rate(self) -> bool:
        """True for the KL divergence, which is the rate."""

    @property
    def is_bound(self) -> bool:
        """True for a bound on the log-likelihood by several draws."""


class Sizes(NamedTuple):
    """Inputs of a policy before training starts."""

    n_replicas: int
    n_features: int
    n_components: int
    variance: Tensor
    """Decoder variance where no policy moves it, of shape (1,) or (n_dispersed,), one
    for each column whose likelihood has a variance; of shape (0,) where none has."""
    data_variance: Tensor
    """Variance of each such column as the model sees it, of shape (n_dispersed,)."""
    noise_variance: Tensor | None = None
    """Noise variances of the linear models that training starts at, of shape
    (n_replicas, n_dispersed), where it does."""
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
    """Distortion, of shape (n_replicas,)."""
    divergence: Tensor
    """Term that beta weighs, of shape (n_replicas,): the rate where it is the KL."""
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
    """State of a policy during training.

    A policy that has more to remember has a named tuple of its own, with these two
    and its own entries: tensors with the replica axis first, or the state of a policy
    that it is wrapped around.
    """

    beta: Tensor
    """Weight of the divergence in force, of shape (n_replicas,)."""
    variance: Tensor
    """Decoder variance, of shape (n_replicas, 1) or (n_replicas, n_dispersed); of shape
    (n_replicas, 0) for a likelihood without one."""


class PolicyState(Protocol):
    """`BalanceState`, or a named tuple with these entries and others."""

    @property
    def beta(self) -> Tensor:
        """Weight of the divergence in force."""
        ...

    @property
    def variance(self) -> Tensor:
        """Decoder variance."""
        ...


State = TypeVar("State", bound=PolicyState)


class BalancePolicy(BaseEstimator):
    """Base of the policies that weigh the rate against the distortion.

    A policy holds the settings that the user chose and nothing else. What changes
    during training is a state that goes in and comes out: a named tuple of tensors
    with the replica axis first, so that a policy can be batched, pickled and resumed.
    As it stands, the base is constant beta; a policy overrides what differs. Methods
    use tensors alone and never decide in Python on a tensor's value.

    See Also
    --------
    VariancePolicy : Base of the policies that move the decoder's variance.
    Wrapper : A policy around another one.

    Notes
    -----
    A policy does not depend on numbers of epochs or batches: `update` is given the
    completed fraction of the planned steps. It never reduces over the first axis, as
    replicas are different models.

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

    #: True where the weight of the rate at the end is `weight_of` the requested beta:
    #: the condition for the prediction of a collapse before a fit.
    ends_at_beta = False

    @property
    def variance_policy(self) -> VariancePolicy | None:
        """The policy as one that moves the decoder's variance; None if it does not."""
        return None

    @property
    def is_weighted_sum(self) -> bool:
        """True where the objective is the distortion plus beta times the divergence."""
        return type(self).objective is BalancePolicy.objective

    @property
    def settled_at(self) -> float:
        """Fraction of the planned steps after which the requested beta is reached."""
        return 0.0

    def weight_of(self, beta: Any, n_features: int, n_components: int) -> Any:
        """Weight of the rate at a beta, with all constants kept."""
        return beta

    def conflict_with(self, divergence: RateTerm) -> str:
        """Return why the policy cannot weigh a divergence; nothing if it can.

        Parameters
        ----------
        divergence : Divergence
            The divergence that replaces the rate.

        Returns
        -------
        reason : str
            Completes "the policy ..."; empty if there is none.
        """
        return ""

    def remedy(self, beta: float) -> str:
        """Return a sentence on what to change where latents have collapsed.

        Parameters
        ----------
        beta : float
            The requested weight.

        Returns
        -------
        remedy : str
        """
        return f"Lower beta (now {beta:.4g})."

    def init_state(self, beta: Tensor, sizes: Sizes) -> Any:
        """State before the first step.

        Parameters
        ----------
        beta : Tensor of shape (n_replicas,)
            The requested weight.
        sizes : Sizes
            Shapes and variances.

        Returns
        -------
        state : BalanceState or the like
        """
        return BalanceState(beta=beta, variance=self.start_variance(sizes))

    def start_variance(self, sizes: Sizes) -> Tensor:
        """Decoder variance before the first step, replica axis first."""
        return sizes.variance.repeat(sizes.n_replicas, 1)

    def objective(self, terms: Terms, state: Any) -> Tensor:
        """Objective of each replica, of shape (n_replicas,), in nats per row."""
        return terms.distortion + state.beta * terms.divergence

    def update(self, state: State, terms: Terms, progress: float | Tensor) -> State:
        """State after a step.

        Parameters
        ----------
        state : BalanceState or the like
            State before the step.
        terms : Terms
            Terms of the step's batch, detached.
        progress : float or Tensor of shape ()
            Fraction of the planned steps that are done, in (0, 1].

        Returns
        -------
        state : BalanceState or the like
        """
        return state


class VariancePolicy(BalancePolicy):
    """Base of the policies that move the decoder's variance.

    They need a likelihood with a variance that the user left free. A subclass
    overrides `move_variance`.

    See Also
    --------
    ClosedFormVariance : A policy that sets the variance from the squared error.

    Examples
    --------
    A variance that follows the squared error of each batch:

    >>> from skvae.balance import VariancePolicy
    >>> class BatchError(VariancePolicy):
    ...     def move_variance(self, state, error, parameters, floor):
    ...         error = error.mean(dim=1, keepdim=True)
    ...         return state._replace(variance=error.maximum(floor.mean()))
    >>> BatchError()
    BatchError()
    """

    #: One decoder variance for all features ("shared"), one for each ("feature"), or
    #: the better one on held-out rows ("auto").
    scope = "shared"

    #: Rows whose error the variance follows; "validation" needs held-out rows.
    source = "auto"

    @property
    def variance_policy(self) -> VariancePolicy | None:
        """The policy itself."""
        return self

    def with_shared_variance(self) -> BalancePolicy:
        """Copy with one variance for all features."""
        if self.scope == "shared":
            return self
        return clone(self).set_params(scope="shared")

    def replaced_by(self, policy: BalancePolicy) -> BalancePolicy:
        """Another policy in the place of this one, with the same wrappers around it."""
        return policy

    def remedy(self, beta: float) -> str:
        """Return a sentence on what to change where latents have collapsed."""
        if beta > 1.0:
            return (
                f"Lower beta (now {beta:.4g}): the variance finds the balance by "
                "itself at beta=1."
            )
        return (
            "New rows seem to share little of what the columns have in common: use "
            "fewer n_components, or more rows."
        )

    def start_variance(self, sizes: Sizes) -> Tensor:
        """Decoder variance before the first step, replica axis first."""
        if sizes.noise_variance is not None:
            return pool(sizes.noise_variance, self.scope)
        return pool(sizes.data_variance, self.scope).repeat(sizes.n_replicas, 1)

    def init_parameters(self, sizes: Sizes) -> dict[str, Tensor]:
        """Start values of parameters trained by gradient, replica axis first."""
        return {}

    def move_variance(
        self,
        state: State,
        error: Tensor,
        parameters: dict[str, Tensor],
        floor: Tensor,
    ) -> State:
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

    def after_validation(self, state: State, ratio: Tensor) -> State:
        """State after an epoch, when held-out rows have been evaluated.

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


def needs_rate(divergence: RateTerm) -> str:
    """Conflict of a policy that is built on the KL divergence with another one."""
    return "" if divergence.is_rate else "is built on the KL divergence itself"


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


def fraction_of(progress: float | Tensor, like: Tensor) -> Tensor:
    """Fraction of the planned steps that are done, as a tensor beside another one.

    A step that is recorded to be replayed gets its progress as a tensor, and what
    depends on it must be computed there.
    """
    import torch

    return torch.as_tensor(progress, dtype=like.dtype, device=like.device)
