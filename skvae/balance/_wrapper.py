"""Base of the policies that are wrapped around another one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from sklearn.base import clone

from skvae.balance._base import BalancePolicy, Sizes, Terms, VariancePolicy
from skvae.balance._constant import Constant

if TYPE_CHECKING:
    from torch import Tensor

    from skvae.balance._base import RateTerm


class WrapperState(NamedTuple):
    """State of a `Wrapper`: values in force, and the inner policy's own state."""

    beta: Tensor
    variance: Tensor
    inner: Any


class Wrapper(VariancePolicy):
    """Base of the policies that change one thing about another policy.

    As it stands, a wrapper is the policy that it is wrapped around: it forwards
    everything but `ends_at_beta`, which is False as a subclass may weigh otherwise.
    A subclass changes the state that comes back. Wrappers can be wrapped
    again, so that a warm-up, a set point that moves and a learned variance combine
    independently.

    The inner policy keeps a state of its own, with its own beta. Training uses the
    `beta` of the outermost state: the objective of the inner policy is taken at that
    value.

    Parameters
    ----------
    policy : BalancePolicy or None, default=None
        The policy inside. None is `Constant()`.

    See Also
    --------
    Schedule : Wrappers that bring beta in.
    Ramp : A wrapper that moves a set point.

    Examples
    --------
    >>> from skvae.balance import Capacity, Linear, Ramp
    >>> Linear(policy=Ramp(Capacity(target=3.0)))
    Linear(policy=Ramp(policy=Capacity(target=3.0)))
    """

    _parameter_constraints: dict[str, list] = {"policy": [BalancePolicy, None]}

    def __init__(self, policy: BalancePolicy | None = None) -> None:
        self.policy = policy

    @property
    def inner(self) -> BalancePolicy:
        """The policy inside."""
        return Constant() if self.policy is None else self.policy

    @property
    def _moving(self) -> VariancePolicy:
        """The policy inside, or one that moves nothing."""
        return self.inner.variance_policy or VariancePolicy()

    @property
    def variance_policy(self) -> VariancePolicy | None:
        """The wrapper itself where the policy inside moves the variance, or None."""
        return None if self.inner.variance_policy is None else self

    @property
    def scope(self) -> str:  # type: ignore[override]
        """One decoder variance for all features, one for each, or what is better."""
        return self._moving.scope

    @property
    def source(self) -> str:  # type: ignore[override]
        """Rows whose error the variance of the policy inside follows."""
        return self._moving.source

    @property
    def is_weighted_sum(self) -> bool:
        """True where the objective of the policy inside is a weighted sum."""
        return type(self).objective is Wrapper.objective and self.inner.is_weighted_sum

    @property
    def settled_at(self) -> float:
        """Fraction of the planned steps after which the requested beta is reached."""
        return self.inner.settled_at

    def weight_of(self, beta: Any, n_features: int, n_components: int) -> Any:
        """Weight of the rate at a beta in the policy inside."""
        return self.inner.weight_of(beta, n_features, n_components)

    def conflict_with(self, divergence: RateTerm) -> str:
        """Return why the policy inside cannot weigh a divergence."""
        return self.inner.conflict_with(divergence)

    def remedy(self, beta: float) -> str:
        """Return a sentence on what to change about the policy inside."""
        return self.inner.remedy(beta)

    def with_shared_variance(self) -> BalancePolicy:
        """Copy around the policy inside with one variance for all features."""
        return clone(self).set_params(policy=self._moving.with_shared_variance())

    def replaced_by(self, policy: BalancePolicy) -> BalancePolicy:
        """Copy around another policy in the place of the innermost one."""
        return clone(self).set_params(policy=self._moving.replaced_by(policy))

    def init_state(self, beta: Tensor, sizes: Sizes) -> Any:
        """State before the first step: that of the policy inside."""
        inner = self.inner.init_state(beta, sizes)
        return WrapperState(beta=inner.beta, variance=inner.variance, inner=inner)

    def start_variance(self, sizes: Sizes) -> Tensor:
        """Decoder variance before the first step, replica axis first."""
        return self.inner.start_variance(sizes)

    def init_parameters(self, sizes: Sizes) -> dict[str, Tensor]:
        """Start values of parameters of the policy inside trained by gradient."""
        return self._moving.init_parameters(sizes)

    def move_variance(
        self,
        state: Any,
        error: Tensor,
        parameters: dict[str, Tensor],
        floor: Tensor,
    ) -> Any:
        """State with the decoder variance of the policy inside."""
        inner = self._moving.move_variance(state.inner, error, parameters, floor)
        return state._replace(variance=inner.variance, inner=inner)

    def after_validation(self, state: Any, ratio: Tensor) -> Any:
        """State of the policy inside, when held-out rows have been evaluated."""
        inner = self._moving.after_validation(state.inner, ratio)
        return state._replace(inner=inner)

    def objective(self, terms: Terms, state: Any) -> Tensor:
        """Objective of the policy inside, at the beta in force."""
        return self.inner.objective(terms, state.inner._replace(beta=state.beta))

    def update(self, state: Any, terms: Terms, progress: float | Tensor) -> Any:
        """State after a step of the policy inside."""
        inner = self.inner.update(state.inner, terms, progress)
        return state._replace(beta=inner.beta, variance=inner.variance, inner=inner)
