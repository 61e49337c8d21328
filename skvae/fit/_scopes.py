"""Candidates for the scope of the decoder variance, and its calibration."""

from __future__ import annotations

from skvae import training
from skvae.fit._prepared import Prepared
from skvae.model._calibration import Calibration


def candidates(data: Prepared) -> tuple[Prepared, tuple[str, ...]]:
    """Scopes of the candidates for each beta, and the table with a policy for them."""
    policy = data.spec.policy.variance_policy
    if policy is None:
        return data, (data.spec.scope,)
    if policy.source == "validation" and data.held_out is None:
        raise ValueError(
            f"balance={policy} takes the variance from held-out rows, but none "
            "are held out here. Use source='auto', or fit with "
            "early_stopping=True."
        )
    if policy.scope != "auto":
        return data, (policy.scope,)
    # Which of the two is better is seen on held-out rows only.
    if data.held_out is not None:
        if data.spec.network.starts_linear:
            return data, ("shared", "feature")
        # From random weights they begin alike and end nearly so. A variance that is
        # shared at first is the more robust.
        return data, ("shared",)
    spec = data.spec._replace(policy=policy.with_shared_variance())
    return data._replace(spec=spec), ("shared",)


def calibration_of(
    data: Prepared, state: training.TrainingState, scope: str
) -> Calibration | None:
    """Calibration of the decoder variance; None where there is none to move."""
    spec = data.spec
    dispersion = spec.likelihood.column_dispersion(spec.n_features)
    if dispersion is None or not dispersion.is_free:
        return None
    return Calibration.of(
        scope, state.floor, state.prior, data.rows, data.held_out, dispersion.columns
    )
